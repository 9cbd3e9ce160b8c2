-- When the stream was last heard, for the line that sums up an absence.
ALTER TABLE campus ADD COLUMN heard_at INTEGER;
-- Since when one is away, while what was missed is fetched; null: one is not.
ALTER TABLE campus ADD COLUMN away_since INTEGER;

-- The last message of each circle when one went away.
CREATE TABLE away_head (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;
