//! How relays and clients find each other on a local network: the addresses of this computer, that they change, and
//! announcing and looking for relays by mDNS (RFC 6762, RFC 6763).
//!
//! Nothing that is found here is trusted: who answers at an address is known by its key alone (design section 7).

mod addresses;
mod announce;
mod browse;
mod daemon;
mod listen;
mod network;

pub use addresses::{addresses, is_near};
pub use announce::{Announced, Announcement};
pub use browse::{Browser, Sighting, Sightings};
pub use listen::listen;
pub use network::NetworkChanges;
