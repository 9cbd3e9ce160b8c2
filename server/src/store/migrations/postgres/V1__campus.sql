-- The same tables as in ../sqlite: flags and enumerations are numbers, ids are the 16 bytes of a UUID, times are ms.

-- The campus itself: one row. `head` is the position of the last change; `secret` derives the codes of invites.
CREATE TABLE campus (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    epoch TEXT NOT NULL,
    head BIGINT NOT NULL,
    secret BYTEA NOT NULL,
    general_circle BYTEA,
    created_at BIGINT NOT NULL
-- It is written with every batch: room for new versions of the row on its page keeps that cheap.
) WITH (fillfactor = 10);

-- The log (design section 5): which entity changed, and who may see it. `subject` is the person that a membership
-- change is about, who sees it also from outside the circle.
CREATE TABLE log (
    pos BIGINT NOT NULL PRIMARY KEY,
    scope_kind BIGINT NOT NULL,
    scope_id BYTEA NOT NULL,
    prev BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    entity BYTEA NOT NULL,
    subject BYTEA
);
CREATE INDEX log_by_scope ON log (scope_kind, scope_id, pos);
CREATE INDEX log_by_subject ON log (subject, pos) WHERE subject IS NOT NULL;

CREATE TABLE person (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hue BIGINT NOT NULL,
    role BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    version BIGINT NOT NULL
);

-- `content_hash` stands for what its id was created with, here and in `message` (design 3.2).
CREATE TABLE circle (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    access BIGINT NOT NULL,
    created_by BYTEA NOT NULL REFERENCES person,
    created_at BIGINT NOT NULL,
    head_seq BIGINT NOT NULL,
    content_hash BYTEA NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE invite (
    id BYTEA NOT NULL PRIMARY KEY,
    code_hash BYTEA NOT NULL UNIQUE,
    role BIGINT NOT NULL,
    circle_id BYTEA REFERENCES circle,
    device BIGINT NOT NULL,
    created_by BYTEA REFERENCES person,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    max_uses BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX invite_by_maker ON invite (created_by, created_at);
CREATE INDEX invite_by_time ON invite (created_at);

-- Tokens are kept as their SHA-256. `join_hash` stands for the request that made the device (design 3.2).
CREATE TABLE device (
    id BYTEA NOT NULL PRIMARY KEY,
    person_id BYTEA NOT NULL REFERENCES person,
    name TEXT NOT NULL,
    token_hash BYTEA NOT NULL UNIQUE,
    join_hash BYTEA NOT NULL,
    invite_id BYTEA NOT NULL REFERENCES invite,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX device_by_person ON device (person_id, created_at);

CREATE TABLE membership (
    circle_id BYTEA NOT NULL REFERENCES circle,
    person_id BYTEA NOT NULL REFERENCES person,
    state BIGINT NOT NULL,
    role BIGINT NOT NULL,
    since BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (circle_id, person_id)
);
CREATE INDEX membership_by_person ON membership (person_id, state);
CREATE INDEX membership_by_state ON membership (circle_id, state, role);

CREATE TABLE message (
    id BYTEA NOT NULL PRIMARY KEY,
    circle_id BYTEA NOT NULL REFERENCES circle,
    seq BIGINT NOT NULL,
    author_id BYTEA NOT NULL REFERENCES person,
    text TEXT NOT NULL,
    reply_to BYTEA,
    created_at BIGINT NOT NULL,
    written_at BIGINT,
    edited_at BIGINT,
    deleted_at BIGINT,
    content_hash BYTEA NOT NULL,
    created_pos BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX message_by_seq ON message (circle_id, seq);
CREATE INDEX message_by_author ON message (circle_id, author_id, seq);

CREATE TABLE reaction (
    message_id BYTEA NOT NULL REFERENCES message,
    person_id BYTEA NOT NULL REFERENCES person,
    emoji TEXT NOT NULL,
    is_on BIGINT NOT NULL,
    circle_id BYTEA NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (message_id, person_id, emoji)
);

CREATE TABLE read_marker (
    circle_id BYTEA NOT NULL REFERENCES circle,
    person_id BYTEA NOT NULL REFERENCES person,
    seq BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (circle_id, person_id)
);
