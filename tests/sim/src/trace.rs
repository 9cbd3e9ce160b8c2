//! What happened, in order. Its hash says whether two runs were the same.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Most lines that are kept in memory; a campus life has some ten thousand.
const LINES_MAX: usize = 1_000_000;

/// The trace of a run.
pub struct Trace {
    hasher: DefaultHasher,
    /// The lines, if they are kept.
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty one, which keeps its lines if somebody wants to read them.
    pub fn new(keep: bool) -> Self {
        // `new` has fixed keys: the hash is the same in every process.
        Self { hasher: DefaultHasher::new(), lines: keep.then(Vec::new) }
    }

    /// Adds a line.
    pub fn line(&mut self, at_ms: u128, text: &str) {
        at_ms.hash(&mut self.hasher);
        text.hash(&mut self.hasher);
        if let Some(lines) = &mut self.lines
            && lines.len() < LINES_MAX
        {
            lines.push(format!("{at_ms:>8} {text}"));
        }
    }

    /// The hash of all lines so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
