//! What comes in from outside, each kind with one function that takes any bytes and panics if something is wrong (design
//! section 9). `make test` runs them on what is near to valid and on noise; `make fuzz` lets libFuzzer look for more.

pub mod bodies;
pub mod streams;
pub mod texts;
