//! The streams that are open, bounded for each person.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use circles_protocol::{Code, PersonId};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use crate::{access::Who, failure::Failure, metrics};

/// All open streams of a relay.
#[derive(Clone, Default)]
pub struct OpenStreams {
    by_person: Arc<Mutex<HashMap<PersonId, usize>>>,
    tracker: TaskTracker,
}

/// One open stream; it counts until this is dropped.
pub struct Ticket {
    streams: OpenStreams,
    person: PersonId,
    _tracked: TaskTrackerToken,
}

impl OpenStreams {
    /// Counts a stream in, unless the person has too many, together with those at other instances.
    pub fn enter(&self, who: Who, elsewhere: usize, max: usize) -> Result<Ticket, Failure> {
        let mut by_person = self.lock();
        let open = by_person.get(&who.person).copied().unwrap_or_default();
        if open + elsewhere >= max {
            let detail = format!("at most {max} streams of one person");
            return Err(Failure { retry_after_s: Some(5), ..Failure::new(Code::TooManyStreams, detail) });
        }
        by_person.insert(who.person, open + 1);
        metrics::streams(1);
        drop(by_person);
        Ok(Ticket { streams: self.clone(), person: who.person, _tracked: self.tracker.token() })
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Returns when no stream is open any more.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PersonId, usize>> {
        self.by_person.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        metrics::streams(-1);
        let mut by_person = self.streams.lock();
        if let Some(open) = by_person.get_mut(&self.person) {
            *open -= 1;
            if *open == 0 {
                by_person.remove(&self.person);
            }
        }
    }
}
