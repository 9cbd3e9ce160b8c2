//! The limits that both sides of the wire keep, each with its reason (design 3.9).

/// Longest text of a message, in bytes of UTF-8. A long paste of a log fits; a book does not.
pub const MESSAGE_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Longest name of a person, circle, campus or device, in characters. Fits a line of the interface.
pub const NAME_CHARS_MAX: usize = 64;

/// Longest topic of a circle, in characters. Fits two lines of the interface.
pub const TOPIC_CHARS_MAX: usize = 256;

/// Longest reaction, in bytes of UTF-8. The longest emoji sequences (families, flags) take 35 bytes.
pub const EMOJI_BYTES_MAX: usize = 64;

/// Largest request body, in bytes: a message text of which every byte is escaped (`\u00XX`), and its envelope.
pub const BODY_BYTES_MAX: usize = 128 * 1024;

/// Largest stream event, in bytes: a message of the largest size, escaped, and its envelope.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Most changes in one page of `GET /v1/changes`. 1,000 changes are about 0.4 MB.
pub const CHANGES_PAGE_MAX: u32 = 1_000;

/// Most messages in one page of `GET /v1/circles/{id}/messages`: some screens full.
pub const MESSAGES_PAGE_MAX: u32 = 200;

/// Most missed changes that a stream replays by itself; above it sends a `gap` (design section 5).
pub const REPLAY_CHANGES_MAX: u64 = 1_000;

/// Most uses of one invite. A first-year cohort fits.
pub const INVITE_USES_MAX: u32 = 10_000;

/// Longest life of an invite, in seconds: one year.
pub const INVITE_LIFE_S_MAX: u64 = 366 * 24 * 3600;

/// Largest position or sequence number: integers above 2^53 − 1 are not exact in JavaScript (ECMA-262, 6.1.6.1).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
