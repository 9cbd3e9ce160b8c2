//! The shell's limits, each with its reason (design 3.9).

use std::time::Duration;

/// How long closing may take at exit. Everything is durable before (design 3.1, 3.7), so what is not done by then is only
/// courtesy to others; a person who quits does not wait longer.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// Over which time the streams of a hosted relay end when it stops. Its clients reconnect within half a second anyway,
/// and a person who quits does not wait for them.
pub const HOSTED_DRAIN: Duration = Duration::from_millis(300);

/// How long the demo waits for its circles to reach the cache before it leaves joining them to the person.
pub const DEMO_CIRCLES_PATIENCE: Duration = Duration::from_secs(10);

/// Most relays that one app hosts. Each holds a database and a port; more are a mistake, or a program that clicks.
pub const HOSTS_MAX: usize = 32;

/// Longest invite link that is taken from a command line or another process, in bytes. A link is a relay's address and a
/// code; what is longer is a mistake and would only fill a field.
pub const INVITE_LINK_BYTES_MAX: usize = 4096;

/// How long closing the window waits for the tray to say whether it shows anything. It answers at once or not at all.
pub const TRAY_PATIENCE: Duration = Duration::from_millis(500);

/// Size of the log file at which a new one is begun, in bytes. The one before is kept: a day of trouble fits in the two.
pub const LOG_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A page whose process ended sooner than this after it was loaded anew is not loaded again at once.
#[cfg(target_os = "linux")]
pub const PAGE_LIVES_MIN: Duration = Duration::from_mins(1);

/// But after this: a page that ends at once then costs little, and comes back when there is memory again.
#[cfg(target_os = "linux")]
pub const PAGE_RESTS: Duration = Duration::from_secs(10);
