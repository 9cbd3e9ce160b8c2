-- Another history of a campus: its relay was restored from a copy, or replaced.

-- When that was noticed; null: there is nothing to tell. And how much of one's own was sent again since then.
ALTER TABLE campus ADD COLUMN renewed_at INTEGER;
ALTER TABLE campus ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
-- Whether the list of circles is still to be asked for.
ALTER TABLE campus ADD COLUMN heads_due INTEGER NOT NULL DEFAULT 0;

-- Messages of a history before that the present one does not have, or (one's own) not as they were.
CREATE TABLE former (
    campus BLOB NOT NULL,
    id BLOB NOT NULL,
    circle BLOB NOT NULL,
    circle_name TEXT NOT NULL,
    seq INTEGER NOT NULL,
    author BLOB NOT NULL,
    text TEXT NOT NULL,
    reply_to BLOB,
    created_at INTEGER NOT NULL,
    edited_at INTEGER,
    deleted_at INTEGER,
    PRIMARY KEY (campus, id)
) STRICT, WITHOUT ROWID;
-- Serves: what a circle lost, in the order in which it stood there.
CREATE INDEX former_by_circle ON former (campus, circle, seq);

-- Circles whose messages are still to be compared with the present history.
CREATE TABLE unsettled (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;
