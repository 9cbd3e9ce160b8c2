//! What the two sides of LAN mode agree on (design section 7): how a relay is known, found and typed.
//!
//! A relay is its key: [`Fingerprint`] is what an invite carries and what a client pins. Addresses and names are only where
//! to look and what to show.

mod base32;
mod fingerprint;
mod short_code;
mod words;

pub use fingerprint::{Fingerprint, FingerprintError};
pub use short_code::{ShortCode, ShortCodeError};

/// The mDNS service of a relay (RFC 6763), in its full form.
pub const SERVICE: &str = "_circles._tcp.local.";

/// The keys of the announcement's TXT record (RFC 6763, 6.4).
pub mod txt {
    /// The campus's name, as far as it fits.
    pub const NAME: &str = "name";
    /// The campus's id.
    pub const CAMPUS: &str = "campus";
    /// The fingerprint of the relay's key.
    pub const KEY: &str = "key";
}

/// The port that a relay takes on the LAN if nobody says otherwise.
pub const PORT: u16 = 7081;

/// Most addresses of one relay that are carried in an invite or remembered: some networks (Wi-Fi, cable, a hotspot of its
/// own), and those of before.
pub const ADDRESSES_MAX: usize = 8;
