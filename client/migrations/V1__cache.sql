-- Everything that one person's device knows, of all its campuses. Ids are the 16 bytes of a UUID, times are ms.

CREATE TABLE campus (
    id BLOB PRIMARY KEY,
    name TEXT NOT NULL,
    relay TEXT NOT NULL,
    person BLOB NOT NULL,
    device BLOB NOT NULL,
    hosted INTEGER NOT NULL DEFAULT 0,
    -- The cursor: null before the first event.
    epoch TEXT,
    pos INTEGER NOT NULL DEFAULT 0,
    set_aside INTEGER NOT NULL DEFAULT 0,
    joined_at INTEGER NOT NULL
) STRICT;

-- A join under way: the same ids are sent again if its answer is lost.
CREATE TABLE pending_join (
    link TEXT PRIMARY KEY,
    person BLOB NOT NULL,
    device BLOB NOT NULL
) STRICT;

CREATE TABLE person (
    campus BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    hue INTEGER NOT NULL,
    role TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE circle (
    campus BLOB NOT NULL,
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    access TEXT NOT NULL,
    created_by BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE membership (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    person BLOB NOT NULL,
    state TEXT NOT NULL,
    role TEXT NOT NULL,
    since INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, circle, person)
) STRICT, WITHOUT ROWID;
-- Serves: the members of a circle, and how many there are.
CREATE INDEX membership_by_state ON membership (campus, circle, state);
-- Serves: the circles of a person.
CREATE INDEX membership_by_person ON membership (campus, person);

CREATE TABLE message (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    author BLOB NOT NULL,
    text TEXT NOT NULL,
    reply_to BLOB,
    created_at INTEGER NOT NULL,
    written_at INTEGER,
    edited_at INTEGER,
    deleted_at INTEGER,
    version INTEGER NOT NULL,
    -- Serves: windows of a timeline.
    PRIMARY KEY (campus, circle, seq)
) STRICT, WITHOUT ROWID;
-- Serves: a message by its id.
CREATE UNIQUE INDEX message_by_id ON message (campus, id);

CREATE TABLE reaction (
    campus BLOB NOT NULL,
    message BLOB NOT NULL,
    person BLOB NOT NULL,
    emoji TEXT NOT NULL,
    circle BLOB NOT NULL,
    is_on INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, message, emoji, person)
) STRICT, WITHOUT ROWID;

-- One's own.
CREATE TABLE read_marker (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- The last message of a circle, as far as anyone told.
CREATE TABLE circle_head (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- The last change of a scope, as far as anyone told: what is not covered below it is missing.
CREATE TABLE scope_head (
    campus BLOB NOT NULL,
    scope TEXT NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (campus, scope)
) STRICT, WITHOUT ROWID;

-- The stretches (after, until] of a scope that are held: disjoint, and they do not touch.
CREATE TABLE coverage (
    campus BLOB NOT NULL,
    scope TEXT NOT NULL,
    after INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (campus, scope, after)
) STRICT, WITHOUT ROWID;

-- Events that could not be understood, the newest few.
CREATE TABLE set_aside (
    n INTEGER PRIMARY KEY,
    campus BLOB NOT NULL,
    event TEXT NOT NULL,
    data TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;

CREATE TABLE draft (
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (campus, circle)
) STRICT, WITHOUT ROWID;

-- What a person wrote and the relay does not yet have, in the order written.
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    campus BLOB NOT NULL,
    circle BLOB NOT NULL,
    -- Null for a read marker.
    message BLOB,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    reason TEXT,
    written_at INTEGER NOT NULL
) STRICT;
-- Serves: the unsent of a circle, in order.
CREATE INDEX outbox_by_circle ON outbox (campus, circle, n);
-- Serves: what is pending for a message.
CREATE INDEX outbox_by_message ON outbox (campus, message);
