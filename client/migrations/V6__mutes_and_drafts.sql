-- What the devices of one person agree on, as the relay has it. What the relay does not have yet waits in the outbox.

CREATE TABLE mute (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    is_on INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- Drafts that were of this device alone are told to the others, as what was written longest ago.
INSERT INTO outbox (campus, circle, kind, body, written_at)
SELECT campus, circle, 'draft', json_set(body, '$.kind', 'draft'), 0 FROM draft;
DROP TABLE draft;

CREATE TABLE draft (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    text TEXT NOT NULL,
    reply_to BLOB,
    editing BLOB,
    changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;
