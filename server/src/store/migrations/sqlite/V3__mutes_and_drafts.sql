-- What the devices of one person agree on, beside how far they have read.
CREATE TABLE mute (
    circle_id BLOB NOT NULL REFERENCES circle,
    person_id BLOB NOT NULL REFERENCES person,
    is_on INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (circle_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE draft (
    circle_id BLOB NOT NULL REFERENCES circle,
    person_id BLOB NOT NULL REFERENCES person,
    text TEXT NOT NULL,
    reply_to BLOB,
    editing BLOB,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (circle_id, person_id)
) STRICT, WITHOUT ROWID;
