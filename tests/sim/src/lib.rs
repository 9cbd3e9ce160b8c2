//! Campus life in simulated time: real clients and a real relay on a network and clocks that a seed decides.
//!
//! [`campus::live`] runs one seed: people at their devices ([`person`]) write, edit, join and leave, while [`faults`] cuts,
//! holds, crashes and restores. [`check`] compares all along what clients say with what the relay's database has
//! ([`truth`]), and at the end everything. [`breakage`] breaks things on purpose, to see that it is noticed.
//!
//! One process runs one seed: clocks, random numbers and the ids made from them are of the whole process.

pub mod breakage;
pub mod campus;
pub mod check;
pub mod faults;
pub mod network;
pub mod person;
pub mod relay;
pub mod report;
pub mod runner;
pub mod screen;
pub mod shared;
pub mod trace;
pub mod truth;
