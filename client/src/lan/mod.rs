//! Relays on the local network (design section 7): known by their key, looked for at their last addresses and by mDNS.
//!
//! [`pin::Pin`] is the only judge of who answers; everything else here is about where to ask.

pub mod doctor;
mod follow;
mod invited;
mod pin;
mod route;

pub use follow::follow;
pub use invited::Invited;
pub use pin::wrong_key;
pub use route::{Resolver, Route};

#[cfg(test)]
mod tests;
