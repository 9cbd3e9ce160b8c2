//! The stories of the other files, on Postgres; and what only several instances have.

#![allow(clippy::duplicate_mod, reason = "the same stories, in one program")]

mod batches;
#[path = "../campus.rs"]
mod campus;
mod instances;
mod no_answer;
mod other_histories;
mod pooled;
mod round_trips;
#[path = "../stream.rs"]
mod stream;
mod wire;
