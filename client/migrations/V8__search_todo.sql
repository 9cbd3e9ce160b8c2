-- A message that changed twice before the index took it is noted once. SQLite gives a trigger's statements the conflict
-- policy of the statement that fired it, so that `INSERT OR IGNORE` did not ignore (lang_createtrigger.html).

DROP TRIGGER message_came;
DROP TRIGGER message_changed;
DROP TRIGGER message_went;

CREATE TRIGGER message_came AFTER INSERT ON message BEGIN
    INSERT INTO search_todo (at, campus, message) SELECT NEW.created_at, NEW.campus, NEW.id
    WHERE NOT EXISTS (
        SELECT 1 FROM search_todo WHERE at = NEW.created_at AND campus = NEW.campus AND message = NEW.id);
END;

CREATE TRIGGER message_changed AFTER UPDATE OF circle, id, author, text, created_at, deleted_at ON message
WHEN (OLD.circle, OLD.id, OLD.author, OLD.text, OLD.created_at, OLD.deleted_at IS NULL)
    <> (NEW.circle, NEW.id, NEW.author, NEW.text, NEW.created_at, NEW.deleted_at IS NULL)
BEGIN
    INSERT INTO search_todo (at, campus, message) SELECT NEW.created_at, NEW.campus, NEW.id
    WHERE NOT EXISTS (
        SELECT 1 FROM search_todo WHERE at = NEW.created_at AND campus = NEW.campus AND message = NEW.id);
    INSERT INTO search_todo (at, campus, message) SELECT OLD.created_at, OLD.campus, OLD.id
    WHERE OLD.id <> NEW.id AND NOT EXISTS (
        SELECT 1 FROM search_todo WHERE at = OLD.created_at AND campus = OLD.campus AND message = OLD.id);
END;

CREATE TRIGGER message_went AFTER DELETE ON message BEGIN
    INSERT INTO search_todo (at, campus, message) SELECT OLD.created_at, OLD.campus, OLD.id
    WHERE NOT EXISTS (
        SELECT 1 FROM search_todo WHERE at = OLD.created_at AND campus = OLD.campus AND message = OLD.id);
END;
