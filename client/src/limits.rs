//! The limits of the client, each with its reason (design 3.9).

use std::time::Duration;

/// Longest wait for an answer of the relay. A page of 1,000 changes over slow Wi-Fi fits; a dead link is noticed.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest wait for a connection: a host that is off does not answer at all.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an address may take to answer who is there: a handshake over poor Wi-Fi.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

/// How long a relay that answers at another address may still answer at the old one, to stay there: a handshake takes a few
/// milliseconds, and much longer only over poor Wi-Fi, which both addresses share.
pub const OLD_ADDRESS_TIME: Duration = Duration::from_millis(500);

/// How long a relay is looked for by mDNS: it answers within a second, unless multicast is blocked.
pub const NEARBY_TIME_MAX: Duration = Duration::from_secs(4);

/// How soon somebody who looks around looks again; the search goes on that long.
pub const LOOKS_AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// How often the network is asked anew for a relay on the LAN that is not where it was. An announcement that was lost or
/// misunderstood costs that much.
pub const LOOK_ANEW_EVERY: Duration = Duration::from_secs(5);

/// Longest wait between attempts to reach a relay on the LAN: it has few clients, and they are in the same room.
pub const LAN_RETRY_MAX: Duration = Duration::from_secs(5);

/// Largest answer of the relay: a page of 1,000 changes with texts of the largest size, escaped, is never sent whole in
/// practice; this bounds memory if something else answers.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest wait for the `hello` of a stream: the relay sends it at once. Until it is there nobody knows whether anything is
/// missed, so this is shorter than the silence that a stream may have.
pub const HELLO_MAX: Duration = Duration::from_secs(10);

/// Silence after which a stream counts as dead at the latest: three heartbeats of 15 s.
pub const SILENCE_MAX: Duration = Duration::from_secs(45);

/// A stream that lasts this long works, even if nothing comes: something that cuts each one does so sooner.
pub const STREAM_LASTS: Duration = Duration::from_secs(5);

/// First wait after a failed attempt; doubles each time.
pub const RETRY_FIRST: Duration = Duration::from_millis(500);

/// Longest wait between attempts: a person who waits for the Wi-Fi does not wait much longer than it.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// How often the wall clock is compared with the monotonic one: where the system does not tell that it woke up, this is how
/// long a person waits until the app notices.
pub const CLOCK_CHECK: Duration = Duration::from_millis(500);

/// A larger jump between the clocks means that the computer slept (design section 6), and a check that is later than this
/// that the program was stopped.
pub const CLOCK_JUMP: Duration = Duration::from_secs(3);

/// Most events that are applied in one transaction: about 20 ms of work.
pub const BATCH_EVENTS_MAX: usize = 256;

/// Most chunks of a stream that wait to be parsed; past it the socket waits.
pub const CHUNKS_WAITING_MAX: usize = 16;

/// Changes in a page that is fetched to fill a gap: the most that the relay gives.
pub const FILL_PAGE: u32 = circles_protocol::limits::CHANGES_PAGE_MAX;

/// Fewest changes in such a page: over a link on which not even these come in time nothing can be done.
pub const FILL_PAGE_MIN: u32 = 50;

/// A page that came within this time lets the next one be larger: twice as many take about twice as long, and must not be late.
pub const FILL_PAGE_SOON: Duration = Duration::from_secs(REQUEST_TIMEOUT.as_secs() / 4);

/// How long the page is taken to be at work on what it was given to show: a screen of rows takes some 30 ms alone.
pub const SCREEN_TAKES: Duration = Duration::from_millis(40);

/// So many changes are stored, or messages indexed, between two looks at whether the page is at work: a millisecond or two.
pub const GIVE_WAY_EVERY: usize = 32;

/// For what the page shows anew, filling and the index wait no longer than this in all, within [`SCREEN_REFILLED_AFTER`].
pub const SCREEN_WAITS_MAX: Duration = Duration::from_millis(60);

/// After this, those waits count anew.
pub const SCREEN_REFILLED_AFTER: Duration = Duration::from_secs(5);

/// After as many failures in a row, each of another circle, all wait: it is the relay's.
pub const FAILED_IN_A_ROW_MAX: usize = 3;

/// Messages of the page that a person sees first.
pub const FIRST_PAGE: u32 = 50;

/// Most messages that an update brings along; above it the timeline is taken anew.
pub const UPDATE_MESSAGES_MAX: usize = 100;

/// Updates within this time are told together, so that a flood costs the interface a few frames a second.
pub const UPDATE_PAUSE: Duration = Duration::from_millis(30);

/// Updates that a slow listener may be behind; then it takes everything anew.
pub const UPDATES_WAITING_MAX: usize = 256;

/// How often the database's file is looked at for what another process wrote.
pub const OTHER_PROCESS_CHECK: Duration = Duration::from_millis(250);

/// After this the database is asked even if its file looks unchanged.
pub const OTHER_PROCESS_LATEST: Duration = Duration::from_secs(5);

/// Most unsent messages of a campus. Days offline fit; a runaway script does not fill the disk.
pub const OUTBOX_MAX: u32 = 10_000;

/// How long a draft rests before the other devices are told: people pause for less between words, so a message that is
/// written in one go is not in the log before it is sent, and one that is left is on the other device before its owner is.
pub const DRAFT_REST: Duration = Duration::from_secs(2);

/// The newest unread messages that are looked through for one's name each time that a circle changes: that happens with
/// every message, however much is unread.
pub const MENTIONS_AMONG: u64 = 2_000;

/// Events set aside that are kept, and how much of each, in bytes: enough to report a fault.
pub const SET_ASIDE_MAX: u32 = 50;
/// See [`SET_ASIDE_MAX`].
pub const SET_ASIDE_BYTES_MAX: usize = 4 * 1024;

/// Most messages of a history before that are shown at once: a person reads them, and copies what matters.
pub const KEPT_MAX: u32 = 500;

/// A shorter silence of the stream is no absence: nobody wonders what they missed in it.
pub const ABSENCE_MIN: Duration = Duration::from_mins(5);

/// Connections that read the cache at the same time.
pub const READERS_MAX: usize = 4;

/// How long a write waits for another process's.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the keyring may take to answer before the file is used: without a session bus some never do.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

/// Characters of a preview of a message.
pub const PREVIEW_CHARS: usize = 140;

/// Uses of an invite that the interface makes, and its life in seconds: a week for a group of friends.
pub const INVITE_USES: u32 = 25;
/// See [`INVITE_USES`].
pub const INVITE_LIFE_S: u64 = 7 * 24 * 3600;
/// Life of an invite that adds a device, in seconds: long enough to walk to it.
pub const DEVICE_INVITE_LIFE_S: u64 = 15 * 60;

/// Least time between two notices of one circle.
pub const NOTICE_PAUSE: Duration = Duration::from_secs(1);

/// Most people that a list of the interface shows at once.
pub const PEOPLE_MAX: u32 = 500;

/// How long somebody counts as typing if nothing more is heard: two of the repeats below.
pub const TYPING_LASTS: Duration = Duration::from_secs(6);

/// The shortest pause between two times that one's own typing in a circle is said.
pub const TYPING_PAUSE: Duration = Duration::from_secs(3);

/// Most people of a circle that are known to type: from three on the interface says that several do.
pub const TYPING_PEOPLE_MAX: usize = 8;

/// Most pages of people who are online: with 1,000 each, those of the largest circle of a campus.
pub const ONLINE_PAGES_MAX: usize = 50;

/// Pages of the database that its writer keeps in memory, in KiB. With SQLite's own 2 MiB it reads the indexes of some ten
/// thousand messages again and again while it fills a gap.
pub const WRITER_CACHE_KIB: i64 = 8_192;

/// Messages that the search's index takes in one transaction: about 10 ms in which nobody else writes.
pub const INDEX_BATCH: u32 = 500;

/// After the first of several changes the index waits for the others: a lively circle then costs a few commits a second.
pub const INDEX_DELAY: Duration = Duration::from_millis(200);

/// Between two batches while a campus is catching up: that goes first.
pub const INDEX_PAUSE_CATCHING_UP: Duration = Duration::from_millis(250);

/// Most messages that a search gives at once; what was found before is asked for by its place.
pub const FOUND_MESSAGES_MAX: u32 = 200;

/// Circles and people that a search finds by their names: what fits above the messages.
pub const FOUND_NAMES: usize = 8;

/// People and circles that one `from:` or `in:` may stand for. One letter fits many; a name is soon typed.
pub const FILTER_NAMES_MAX: usize = 50;

/// Circles of which a search says how much it did not cover.
pub const PARTLY_MAX: usize = 20;

/// Pages fetched at the most to find the first message of a day: each halves what is left, of up to 2^32 messages.
pub const DAY_PROBES_MAX: u32 = 33;
