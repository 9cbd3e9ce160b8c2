//! The Circles client: cache, stream, sync and outbox. It knows no window and no interface: the desktop app and the
//! `circles-cli` command line are both built on it.
//!
//! [`Client`] is what a program uses. Inside, `cache` keeps everything that is known and what is missing, `engine` runs a
//! campus, `stream` is one connection, and [`view`] is what an interface shows.

mod api;
mod backoff;
mod cache;
mod client;
pub mod coverage;
mod engine;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod lan;
mod limits;
mod mentions;
mod network;
pub mod outside;
mod screen;
mod search;
mod stream;
mod token;
mod typing;
pub mod view;

pub use client::{Client, Options};
pub use error::ClientError;
