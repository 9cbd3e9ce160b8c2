//! Search, without a database: how text becomes words, what a person's query means, and what of a message is shown.
//!
//! The same [`words::words`] reads messages, names and queries, so that what is found is exactly what is marked.

pub mod query;
pub mod snippet;
pub mod words;
