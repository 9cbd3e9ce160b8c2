//! The Circles client: cache, stream, sync and outbox.

pub mod coverage;
pub mod view;
