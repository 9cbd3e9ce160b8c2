-- What is told of a circle with every update is counted as messages come: counting a large circle anew takes longer than
-- storing a message of it.

-- How many messages of the present history are held.
CREATE TABLE circle_held (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- The numbers of one's own messages.
CREATE TABLE own_message (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (campus, circle, seq)
) STRICT, WITHOUT ROWID;

INSERT INTO circle_held SELECT campus, circle, count(*) FILTER (WHERE version > 0) FROM message GROUP BY campus, circle;
INSERT INTO own_message
SELECT message.campus, circle, seq FROM message JOIN campus ON campus.id = message.campus AND campus.person = author;

-- Without a conflict clause: that of the statement that fires a trigger is the one that counts (lang_createtrigger.html).
CREATE TRIGGER message_came_is_counted AFTER INSERT ON message BEGIN
    INSERT INTO circle_held SELECT NEW.campus, NEW.circle, 0
    WHERE NOT EXISTS (SELECT 1 FROM circle_held WHERE campus = NEW.campus AND circle = NEW.circle);
    UPDATE circle_held SET messages = messages + (NEW.version > 0) WHERE campus = NEW.campus AND circle = NEW.circle;
    INSERT INTO own_message SELECT NEW.campus, NEW.circle, NEW.seq
    WHERE NEW.author = (SELECT person FROM campus WHERE id = NEW.campus);
END;

CREATE TRIGGER message_changed_is_counted AFTER UPDATE OF circle, seq, author, version ON message
WHEN (OLD.circle, OLD.seq, OLD.author, OLD.version > 0) <> (NEW.circle, NEW.seq, NEW.author, NEW.version > 0)
BEGIN
    UPDATE circle_held SET messages = messages - (OLD.version > 0) WHERE campus = OLD.campus AND circle = OLD.circle;
    INSERT INTO circle_held SELECT NEW.campus, NEW.circle, 0
    WHERE NOT EXISTS (SELECT 1 FROM circle_held WHERE campus = NEW.campus AND circle = NEW.circle);
    UPDATE circle_held SET messages = messages + (NEW.version > 0) WHERE campus = NEW.campus AND circle = NEW.circle;
    DELETE FROM own_message WHERE campus = OLD.campus AND circle = OLD.circle AND seq = OLD.seq;
    INSERT INTO own_message SELECT NEW.campus, NEW.circle, NEW.seq
    WHERE NEW.author = (SELECT person FROM campus WHERE id = NEW.campus);
END;

CREATE TRIGGER message_went_is_counted AFTER DELETE ON message BEGIN
    UPDATE circle_held SET messages = messages - (OLD.version > 0) WHERE campus = OLD.campus AND circle = OLD.circle;
    DELETE FROM own_message WHERE campus = OLD.campus AND circle = OLD.circle AND seq = OLD.seq;
END;
