//! When devices were last in use: noted with each request, and written now and then for all of them at once. One by one they
//! would take the campus's lock as often as messages do, and a campus that reconnects would fill the writer's queue with them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use circles_protocol::{Code, DeviceId};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    limits::{LAST_SEEN_BATCH, LAST_SEEN_DEVICES_MAX, LAST_SEEN_INTERVAL, LAST_SEEN_PAUSE},
    relay::WeakRelay,
};

/// Which devices were seen. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Sightings(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: Mutex<Seen>,
    /// Something is to be written.
    due: Notify,
}

#[derive(Default)]
struct Seen {
    /// When each device was noted last.
    at: HashMap<DeviceId, Instant>,
    unwritten: HashSet<DeviceId>,
}

impl Sightings {
    /// A device is in use. It is written at most once a minute.
    pub fn note(&self, device: DeviceId) {
        if self.seen().note(device, Instant::now()) {
            self.0.due.notify_one();
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether that is to be written.
    fn note(&mut self, device: DeviceId, now: Instant) -> bool {
        if self.at.get(&device).is_some_and(|it| now.duration_since(*it) < LAST_SEEN_INTERVAL) {
            return false;
        }
        if self.at.len() >= LAST_SEEN_DEVICES_MAX {
            self.at.clear();
        }
        self.at.insert(device, now);
        self.unwritten.insert(device)
    }

    /// Some of what is to be written.
    fn take(&mut self) -> Vec<DeviceId> {
        let taken: Vec<DeviceId> = self.unwritten.iter().take(LAST_SEEN_BATCH).copied().collect();
        for device in &taken {
            self.unwritten.remove(device);
        }
        taken
    }
}

/// Writes what is noted, for as long as the relay is there. What was noted in its last seconds is lost.
pub async fn write(relay: WeakRelay, sightings: Sightings, closed: CancellationToken) {
    let work = async {
        loop {
            sightings.0.due.notified().await;
            sleep(LAST_SEEN_PAUSE).await;
            loop {
                let seen = sightings.seen().take();
                if seen.is_empty() {
                    break;
                }
                let Some(relay) = relay.upgrade() else { return };
                let written = relay.writer().run(move |tx| seen.iter().try_for_each(|device| tx.see_device(*device)));
                if let Err(failure) = written.await
                    && failure.code != Code::ShuttingDown
                {
                    tracing::debug!(%failure, "when devices were last seen was not noted");
                }
            }
        }
    };
    tokio::select! {
        () = closed.cancelled() => {}
        () = work => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_once_a_minute_and_many_in_portions() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let devices: Vec<DeviceId> = (0..=LAST_SEEN_BATCH).map(|_| DeviceId::new()).collect();
        for device in &devices {
            assert!(seen.note(*device, now));
            assert!(!seen.note(*device, now));
        }
        assert_eq!((seen.take().len(), seen.take().len(), seen.take().len()), (LAST_SEEN_BATCH, 1, 0));
        assert!(!seen.note(devices[0], now + LAST_SEEN_INTERVAL / 2));
        assert!(seen.note(devices[0], now + LAST_SEEN_INTERVAL));
        assert_eq!(seen.take(), [devices[0]]);
    }
}
