//! The relay's own limits, each with its reason (design 3.9). Those of the wire are in `circles_protocol::limits`.

use std::time::Duration;

/// Most commands in one transaction: 64 share one `fsync`, and a command waits for at most one batch before its own.
pub const BATCH_COMMANDS_MAX: usize = 64;

/// The time that each commit is given when there are many: so many of them a second, and no more, when what comes can
/// share. A commit costs as much for eight messages as for one, and nobody sees a message that comes so much later.
pub const COMMIT_EVERY: Duration = Duration::from_millis(20);

/// Time that may be owed before commits wait for one another: ten come at once, and fewer than 50 a second never wait.
pub const COMMITS_AT_ONCE: Duration = Duration::from_millis(200);

/// Most commands that wait for the writer. At 5,000 a second that is a fifth of a second; beyond it the relay says so.
pub const QUEUE_COMMANDS_MAX: usize = 1_024;

/// Most entities of a kind that the writer remembers: of those who write in a day, also at a large university, at some
/// 200 bytes each.
pub const KNOWN_MAX: usize = 10_000;

/// Most changes in the ring: as many as a stream replays by itself, and slack for readers that lag.
pub const RING_CHANGES_MAX: usize = 4_096;

/// Most bytes in the ring: 4,096 long messages must not fill the memory of a small machine.
pub const RING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most frames that a stream takes from the ring at once, so that one busy reader does not hold up others.
pub const POLL_FRAMES_MAX: usize = 64;

/// For each stream that a change woke, what follows in the same circle waits as long: some times what the writes take, so
/// that a lively circle does not keep the relay from everything else.
pub const REST_EACH: Duration = Duration::from_micros(40);

/// A shorter rest is none: circles with fewer than 125 open streams have all at once.
pub const REST_MIN: Duration = Duration::from_millis(5);

/// The longest that a message waits so. Nobody sees it.
pub const REST_MAX: Duration = Duration::from_millis(40);

/// Connections of the reading pool: SQLite readers run side by side, and a small machine has two cores.
pub const READERS_MAX: usize = 4;

/// How long a reader waits for a free connection before it answers 503.
pub const READER_WAIT: Duration = Duration::from_secs(5);

/// How long SQLite waits for another process (an invite being made, a checkpoint) before it reports busy.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take before it is answered 503. Streams answer at once and then go on.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a stopping relay waits for requests after its streams have ended.
pub const STOP_GRACE: Duration = Duration::from_secs(5);

/// What `Retry-After` says when the store is busy, in seconds.
pub const RETRY_AFTER_S: u32 = 2;

/// How long a stream goes on after its `bye`, so that the next one is open before it ends. It is part of its lifetime.
pub const BYE_CLOSES_MAX: Duration = Duration::from_secs(5);

/// The shortest interval at which a device's `last_seen_at` is written.
pub const LAST_SEEN_INTERVAL: Duration = Duration::from_mins(1);

/// The time between two such writings, each for all devices that were seen meanwhile.
pub const LAST_SEEN_PAUSE: Duration = Duration::from_secs(5);

/// Most devices in one of their transactions: some ten milliseconds, for which messages wait.
pub const LAST_SEEN_BATCH: usize = 500;

/// Most devices whose last sight is remembered in memory; above it the memory starts anew.
pub const LAST_SEEN_DEVICES_MAX: usize = 100_000;

/// Most tokens of which is remembered whose they are, at 64 bytes each; above it the memory starts anew.
pub const TOKENS_KNOWN_MAX: usize = 100_000;

/// Most keys (persons or addresses) that a rate limiter remembers before it forgets those that are quiet.
pub const RATE_KEYS_MAX: usize = 100_000;

/// How often an instance tells the others what was used up: for so long a person may ask at each of them.
pub const SPENT_EVERY: Duration = Duration::from_millis(100);

/// Most persons or addresses of which is kept what they used up until it is told.
pub const SPENT_KEYS_MAX: usize = 10_000;

/// Most reactions of one person to one message: more is noise, and a page carries them all.
pub const REACTIONS_PER_PERSON_MAX: u32 = 20;

/// Most persons or members in one page.
pub const PEOPLE_PAGE_MAX: u32 = 1_000;

/// Most invites that are listed.
pub const INVITES_LISTED_MAX: u32 = 200;

/// Messages in a page when the request does not say.
pub const MESSAGES_PAGE_DEFAULT: u32 = 50;

/// Connections that the kernel queues until the relay accepts them: a whole campus reconnects at once.
pub const LISTEN_BACKLOG: u32 = 4_096;

/// Longest line of an import file, in bytes: a text of the largest size, escaped, and its envelope.
pub const IMPORT_LINE_BYTES_MAX: usize = 256 * 1024;

/// Lines in one transaction of an import: past this the `fsync` no longer counts.
pub const IMPORT_BATCH_LINES: usize = 1_000;

/// Most invalid lines that an import reports one by one.
pub const IMPORT_REPORTED_MAX: usize = 20;

/// How long the first invite of a campus holds: a weekend passes before its owner comes to it.
pub const FIRST_INVITE_LIFE: Duration = Duration::from_hours(7 * 24);

/// Most statements on their way to Postgres at once: what a full batch looks at (six things for each command, and the
/// head) or writes, and the memory of an import.
pub const POSTGRES_PIPELINE_MAX: usize = 7 * BATCH_COMMANDS_MAX;

/// For how long a relay counts as full after a message found no space: clients try again more often than that.
pub const FULL_FOR: Duration = Duration::from_secs(10);

/// How long connecting to Postgres may take.
pub const POSTGRES_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long Postgres may take for an answer until its connection is given up: longer than Postgres itself gives a
/// statement, and shorter than a request may take.
pub const POSTGRES_ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long data may stay unacknowledged until the connection to Postgres counts as dead.
pub const POSTGRES_DEAD_AFTER: Duration = Duration::from_secs(10);

/// How often the head of the log is looked at while anyone listens: the longest that a publisher which died between commit
/// and Redis delays a message (design section 5).
pub const HEAD_CHECK: Duration = Duration::from_secs(2);

/// How long a change that others told of may be on its way before the database is asked for it.
pub const HEAL_PATIENCE: Duration = Duration::from_millis(20);

/// Most changes that are read at once to fill the ring.
pub const FEED_ROWS_MAX: u64 = 256;

/// Most batches that wait for Redis; beyond it they are dropped, and the database brings them (design 3.8).
pub const REDIS_QUEUE_MAX: usize = 256;

/// Most changes in one call of Redis: about 0.2 MB.
pub const REDIS_APPEND_MAX: usize = 256;

/// Most changes that one `XREAD` answers with.
pub const REDIS_READ_MAX: usize = 512;

/// How long one `XREAD` blocks, in ms; so long it takes at most until a lost Redis is noticed by reading.
pub const REDIS_BLOCK_MS: usize = 2_000;

/// After this silence Redis is asked whether it is there, so that its operators know before its users.
pub const REDIS_CHECK: Duration = Duration::from_secs(5);

/// How long connecting to Redis and an append may take.
pub const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// First and longest wait before Redis is tried again.
pub const REDIS_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Signals (who types) that may wait for being carried to other instances. A second of a lively campus.
pub const SIGNALS_WAITING_MAX: usize = 256;

/// Signals (typing, presence) that wait for one stream, or for the changes that they follow, which come within milliseconds;
/// then the oldest are skipped.
pub const SIGNALS_HELD_MAX: usize = 64;

/// The time between two tellings of who came and went: after a restart of the relay everyone comes at once, and each telling
/// wakes the streams of everyone who shares a circle with them.
pub const PRESENCE_PAUSE: Duration = Duration::from_secs(1);

/// Most people who are told of at once: fewer than a stream keeps. Whoever asks sees everyone at once.
pub const PRESENCE_TOLD_MAX: usize = 50;

/// How often a second one person may say that they type, on average: clients say it every three seconds in each circle.
pub const TYPING_PER_SECOND: u32 = 2;

/// How often they may at once: some devices, and changing between circles.
pub const TYPING_BURST: u32 = 10;

/// How often an instance tells the others who is online there.
pub const PRESENT_EVERY: Duration = Duration::from_secs(10);

/// The shortest time between two such lists: people who open many streams at once do not cause as many lists.
pub const PRESENT_PAUSE: Duration = Duration::from_secs(1);

/// After this silence an instance counts as gone: two lists may be lost.
pub const PRESENT_ELSEWHERE: Duration = Duration::from_secs(25);

/// How long a peer may take to send the headers of a request. Slow mobile networks fit; an attacker holds no connection.
pub const HEADERS_TIME_MAX: Duration = Duration::from_secs(30);

/// Bytes that are buffered of a connection in each direction: the least that hyper takes (its `max_buf_size`). It also
/// bounds the headers of a request.
pub const CONNECTION_BUFFER: usize = 8 * 1024;

/// How long a TLS handshake may take. Two round trips over poor Wi-Fi fit.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Most TLS handshakes at the same time: a dorm that comes back at once, at about 1 ms of work each.
pub const HANDSHAKES_MAX: usize = 512;

/// Most of them from one address: a few people behind one, and not one who holds them all.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 32;

/// The longest silence of a relay on the LAN before a heartbeat: packets cost nothing there, and a host that walked off with
/// its laptop is missed after three of them.
pub const LAN_HEARTBEAT: Duration = Duration::from_secs(5);

/// Most invites whose short codes are tried: the newest, which people have before them.
pub const SHORT_CODES_MAX: u32 = 500;

/// After this silence of a peer's network the connection counts as dead: a stream's reader has long gone elsewhere.
pub const PEER_DEAD_AFTER: Duration = Duration::from_secs(30);

/// Connections whose first request is not answered yet; more are not accepted, and wait in the kernel. A campus that
/// reconnects at once is let in by portions, because each takes some 20 KiB until it is a stream.
pub const NEWCOMERS_MAX: usize = 256;

/// After this time a connection counts no more as a newcomer, also when it has said nothing: idle ones keep nobody out.
pub const NEWCOMER_PATIENCE: Duration = Duration::from_millis(100);

/// Bytes of the reader of a stream that are passed over, such as requests sent ahead; whoever says more is cut off.
pub const DIRECT_IGNORED_MAX: usize = 8 * 1024;

/// Frames for which an idle stream keeps room.
pub const DIRECT_FRAMES_KEPT: usize = 4;
