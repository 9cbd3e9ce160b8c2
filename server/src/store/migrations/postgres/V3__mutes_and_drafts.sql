-- What the devices of one person agree on, beside how far they have read.
CREATE TABLE mute (
    circle_id BYTEA NOT NULL REFERENCES circle,
    person_id BYTEA NOT NULL REFERENCES person,
    is_on BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (circle_id, person_id)
);

CREATE TABLE draft (
    circle_id BYTEA NOT NULL REFERENCES circle,
    person_id BYTEA NOT NULL REFERENCES person,
    text TEXT NOT NULL,
    reply_to BYTEA,
    editing BYTEA,
    changed_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (circle_id, person_id)
);
