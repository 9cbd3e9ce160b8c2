//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

use circles_protocol::UnixMs;

/// Now. A clock before 1970 counts as 1970.
pub fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
