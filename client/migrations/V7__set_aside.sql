-- Changes that were set aside are asked for again by another version of the app, which may understand them.

-- The version of the app that opened the campus last.
ALTER TABLE campus ADD COLUMN opened_by TEXT;

-- The stretch (after, until] of a scope that counts as held although changes in it were set aside.
CREATE TABLE not_understood (
    campus BLOB NOT NULL,
    scope TEXT NOT NULL,
    after INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (campus, scope)
) STRICT, WITHOUT ROWID;

-- Those that were set aside before there was this table, as far as they were kept whole.
INSERT INTO not_understood (campus, scope, after, until)
SELECT campus, json_extract(data, '$.scope'), min(json_extract(data, '$.pos')) - 1, max(json_extract(data, '$.pos'))
FROM (SELECT campus, data FROM set_aside WHERE event = 'change' AND json_valid(data))
WHERE json_type(data, '$.scope') = 'text' AND json_type(data, '$.pos') = 'integer' AND json_extract(data, '$.pos') > 0
GROUP BY 1, 2;
