-- The campus itself: one row. `head` is the position of the last change; `secret` derives the codes of invites.
CREATE TABLE campus (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL,
    secret BLOB NOT NULL,
    general_circle BLOB,
    created_at INTEGER NOT NULL
) STRICT;

-- The log (design section 5): which entity changed, and who may see it. `subject` is the person that a membership
-- change is about, who sees it also from outside the circle.
CREATE TABLE log (
    pos INTEGER NOT NULL PRIMARY KEY,
    scope_kind INTEGER NOT NULL,
    scope_id BLOB NOT NULL,
    prev INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    entity BLOB NOT NULL,
    subject BLOB
) STRICT;
CREATE INDEX log_by_scope ON log (scope_kind, scope_id, pos);
CREATE INDEX log_by_subject ON log (subject, pos) WHERE subject IS NOT NULL;

CREATE TABLE person (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    hue INTEGER NOT NULL,
    role INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;

-- Tokens are kept as their SHA-256. `join_hash` stands for the request that made the device (design 3.2).
CREATE TABLE device (
    id BLOB NOT NULL PRIMARY KEY,
    person_id BLOB NOT NULL REFERENCES person,
    name TEXT NOT NULL,
    token_hash BLOB NOT NULL UNIQUE,
    join_hash BLOB NOT NULL,
    invite_id BLOB NOT NULL REFERENCES invite,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX device_by_person ON device (person_id, created_at);

CREATE TABLE invite (
    id BLOB NOT NULL PRIMARY KEY,
    code_hash BLOB NOT NULL UNIQUE,
    role INTEGER NOT NULL,
    circle_id BLOB REFERENCES circle,
    device INTEGER NOT NULL,
    created_by BLOB REFERENCES person,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    max_uses INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX invite_by_maker ON invite (created_by, created_at);
CREATE INDEX invite_by_time ON invite (created_at);

-- `content_hash` stands for what its id was created with, here and in `message` (design 3.2).
CREATE TABLE circle (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    access INTEGER NOT NULL,
    created_by BLOB NOT NULL REFERENCES person,
    created_at INTEGER NOT NULL,
    head_seq INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    version INTEGER NOT NULL
) STRICT;

CREATE TABLE membership (
    circle_id BLOB NOT NULL REFERENCES circle,
    person_id BLOB NOT NULL REFERENCES person,
    state INTEGER NOT NULL,
    role INTEGER NOT NULL,
    since INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (circle_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_by_person ON membership (person_id, state);
CREATE INDEX membership_by_state ON membership (circle_id, state, role);

CREATE TABLE message (
    id BLOB NOT NULL PRIMARY KEY,
    circle_id BLOB NOT NULL REFERENCES circle,
    seq INTEGER NOT NULL,
    author_id BLOB NOT NULL REFERENCES person,
    text TEXT NOT NULL,
    reply_to BLOB,
    created_at INTEGER NOT NULL,
    written_at INTEGER,
    edited_at INTEGER,
    deleted_at INTEGER,
    content_hash BLOB NOT NULL,
    created_pos INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX message_by_seq ON message (circle_id, seq);
CREATE INDEX message_by_author ON message (circle_id, author_id, seq);

CREATE TABLE reaction (
    message_id BLOB NOT NULL REFERENCES message,
    person_id BLOB NOT NULL REFERENCES person,
    emoji TEXT NOT NULL,
    is_on INTEGER NOT NULL,
    circle_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (message_id, person_id, emoji)
) STRICT, WITHOUT ROWID;

CREATE TABLE read_marker (
    circle_id BLOB NOT NULL REFERENCES circle,
    person_id BLOB NOT NULL REFERENCES person,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (circle_id, person_id)
) STRICT, WITHOUT ROWID;
