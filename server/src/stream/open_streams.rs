//! The streams that are open: bounded for each person, and ended when their device is revoked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use circles_protocol::{Code, DeviceId, PersonId};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{access::Who, failure::Failure};

/// All open streams of a relay.
#[derive(Clone, Default)]
pub struct OpenStreams {
    by_person: Arc<Mutex<HashMap<PersonId, Vec<Open>>>>,
    tracker: TaskTracker,
    numbers: Arc<AtomicU64>,
}

struct Open {
    number: u64,
    device: DeviceId,
    revoked: CancellationToken,
}

/// One open stream; it counts until this is dropped.
pub struct Ticket {
    streams: OpenStreams,
    person: PersonId,
    number: u64,
    /// Cancelled when the device is revoked.
    pub revoked: CancellationToken,
    _tracked: TaskTrackerToken,
}

impl OpenStreams {
    /// Counts a stream in, unless the person has too many.
    pub fn enter(&self, who: Who, max: usize) -> Result<Ticket, Failure> {
        let revoked = CancellationToken::new();
        let mut by_person = self.lock();
        let open = by_person.entry(who.person).or_default();
        if open.len() >= max {
            let detail = format!("at most {max} streams of one person");
            return Err(Failure { retry_after_s: Some(5), ..Failure::new(Code::TooManyStreams, detail) });
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        open.push(Open { number, device: who.device, revoked: revoked.clone() });
        drop(by_person);
        Ok(Ticket { streams: self.clone(), person: who.person, number, revoked, _tracked: self.tracker.token() })
    }

    /// Ends the streams of a revoked device.
    pub fn revoke(&self, who: Who) {
        for open in self.lock().get(&who.person).into_iter().flatten() {
            if open.device == who.device {
                open.revoked.cancel();
            }
        }
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

    fn lock(&self) -> MutexGuard<'_, HashMap<PersonId, Vec<Open>>> {
        self.by_person.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut by_person = self.streams.lock();
        if let Some(open) = by_person.get_mut(&self.person) {
            open.retain(|it| it.number != self.number);
            if open.is_empty() {
                by_person.remove(&self.person);
            }
        }
    }
}
