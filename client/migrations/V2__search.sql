-- The search over messages: an index of words, which messages are in it, and which are still to be put in.

-- The words of each message as `search::words` makes them (its words are separated by spaces, so `ascii` only splits), and
-- keys for its campus, circle and author. The row is `search_doc.n`, so that "newest first" is the order of the rows.
-- The texts themselves stay in `message` alone. Serves with `prefix`: the first letters of a word as one types.
CREATE VIRTUAL TABLE search_words USING fts5 (
    words,
    content = '',
    contentless_delete = 1,
    tokenize = 'ascii',
    prefix = '1 2'
);

-- The messages that the index knows, also deleted ones, which have no words.
CREATE TABLE search_doc (
    -- The time of the message in ms, shifted by 20 bits to tell those of one moment apart.
    n INTEGER PRIMARY KEY,
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    message BLOB NOT NULL
) STRICT;
-- Serves: whether a message is known, and where.
CREATE UNIQUE INDEX search_doc_by_message ON search_doc (campus, message);

-- How many messages of a circle the index knows: counting them would take longer than searching.
CREATE TABLE search_circle (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    known INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- Messages that changed since the index took them. It takes the newest first, in the background.
CREATE TABLE search_todo (
    at INTEGER NOT NULL,
    campus BLOB NOT NULL,
    message BLOB NOT NULL,
    PRIMARY KEY (at, campus, message)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER message_came AFTER INSERT ON message BEGIN
    INSERT OR IGNORE INTO search_todo (at, campus, message) VALUES (NEW.created_at, NEW.campus, NEW.id);
END;

CREATE TRIGGER message_changed AFTER UPDATE OF circle, id, author, text, created_at, deleted_at ON message
WHEN (OLD.circle, OLD.id, OLD.author, OLD.text, OLD.created_at, OLD.deleted_at IS NULL)
    <> (NEW.circle, NEW.id, NEW.author, NEW.text, NEW.created_at, NEW.deleted_at IS NULL)
BEGIN
    INSERT OR IGNORE INTO search_todo (at, campus, message) VALUES (NEW.created_at, NEW.campus, NEW.id);
    INSERT OR IGNORE INTO search_todo (at, campus, message)
    SELECT OLD.created_at, OLD.campus, OLD.id WHERE OLD.id <> NEW.id;
END;

CREATE TRIGGER message_went AFTER DELETE ON message BEGIN
    INSERT OR IGNORE INTO search_todo (at, campus, message) VALUES (OLD.created_at, OLD.campus, OLD.id);
END;

-- What was held before there was a search.
INSERT INTO search_todo (at, campus, message) SELECT created_at, campus, id FROM message;
