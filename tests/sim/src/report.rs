//! What a run came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of one seed, as its process prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What must not be, in words; empty if all is well.
    pub violations: Vec<String>,
    /// How often what happened: faults, actions, checks.
    pub counts: BTreeMap<String, u64>,
    /// The hash of the trace.
    pub trace: u64,
    /// How long the campus lived, in ms of its own time.
    pub simulated_ms: u64,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_well(&self) -> bool {
        self.violations.is_empty()
    }
}
