//! How committed changes reach the streams of this instance (design section 5).
//!
//! The ring is the only thing that streams read. Three hands fill it, in the order of the log: this instance's own writer,
//! Redis if there is one, and the database for whatever those two left out. None of the three must be there for a message
//! to arrive: the database's head is looked at every few seconds while anyone listens (design 3.8).

mod feed;
mod redis;
pub mod ring;

use std::sync::{Arc, PoisonError, RwLock};

use circles_protocol::{CampusId, Epoch, Pos};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    redis::Redis,
    ring::{Entry, Ring, Tail},
};
use crate::{
    ephemeral::Ephemeral,
    limits::{RING_BYTES_MAX, RING_CHANGES_MAX},
    settings::Settings,
    store::{OpenError, Store},
};

/// The ring and what fills it. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    ring: RwLock<Ring>,
    /// The ring's head: wakes the streams.
    head: watch::Sender<Pos>,
    /// The highest position that anyone told of: what the ring lacks up to it comes from the database.
    told: watch::Sender<Pos>,
    /// How many streams listen: nothing is fetched for nobody.
    listeners: watch::Sender<usize>,
    redis: Option<Redis>,
}

/// Counts as a listener until it is dropped.
pub struct Listening {
    transport: Transport,
    /// Wakes whenever something was published.
    pub woken: watch::Receiver<Pos>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.transport.0.listeners.send_modify(|count| *count -= 1);
    }
}

impl Transport {
    /// A transport whose next change follows `head`.
    pub fn new(settings: &Settings, campus: CampusId, epoch: &Epoch, head: Pos) -> Result<Self, OpenError> {
        let redis = settings.redis.as_deref().map(|url| Redis::new(url, campus, epoch, settings.redis_stream_max));
        Ok(Self(Arc::new(Inner {
            ring: RwLock::new(Ring::new(head, RING_CHANGES_MAX, RING_BYTES_MAX)),
            head: watch::Sender::new(head),
            told: watch::Sender::new(head),
            listeners: watch::Sender::new(0),
            redis: redis.transpose()?,
        })))
    }

    /// Starts the tasks that fill the ring from elsewhere. None is needed where this process alone writes.
    pub fn start(
        &self,
        store: &Arc<Store>,
        ephemeral: &Arc<Ephemeral>,
        epoch: &Epoch,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let run = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = work => {}
                }
            });
        };
        if store.is_shared() {
            run(Box::pin(feed::follow(self.clone(), store.clone(), epoch.clone())));
        }
        if let Some(redis) = &self.0.redis {
            run(Box::pin(redis.clone().publish(store.clone())));
            run(Box::pin(redis.clone().read(self.clone())));
            run(Box::pin(redis.clone().carry(ephemeral.clone())));
        }
    }

    /// Publishes changes of this instance's writer that are durable, in the order of the log. Never waits.
    pub fn publish(&self, entries: Vec<Entry>) {
        let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
        self.offer(&entries);
        if let Some(redis) = &self.0.redis {
            redis.send(entries);
        }
    }

    /// Takes what follows the ring's head. After a hole nothing more is taken: the database fills it.
    fn offer(&self, entries: &[Arc<Entry>]) {
        let Some(last) = entries.last() else { return };
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        let before = ring.head();
        for entry in entries {
            if entry.pos == ring.head().next() {
                ring.push(entry.clone());
            }
        }
        let head = ring.head();
        drop(ring);
        if head > before {
            self.0.head.send_replace(head);
        }
        self.tell(last.pos);
    }

    /// The log reaches to this position.
    fn tell(&self, pos: Pos) {
        self.0.told.send_if_modified(|told| {
            let grows = pos > *told;
            *told = pos.max(*told);
            grows
        });
    }

    /// Empties the ring and goes on from a later head: what lies between is read from the database by each stream.
    fn skip_to(&self, head: Pos) {
        let mut ring = self.0.ring.write().unwrap_or_else(PoisonError::into_inner);
        if head <= ring.head() {
            return;
        }
        *ring = Ring::new(head, RING_CHANGES_MAX, RING_BYTES_MAX);
        drop(ring);
        self.0.head.send_replace(head);
    }

    /// The position of the last change in the ring.
    pub fn head(&self) -> Pos {
        *self.0.head.borrow()
    }

    /// Listens. Do so before reading the head, so that nothing falls between.
    pub fn listen(&self) -> Listening {
        self.0.listeners.send_modify(|count| *count += 1);
        Listening { transport: self.clone(), woken: self.0.head.subscribe() }
    }

    /// Waits until somebody listens.
    async fn listened(&self) {
        let mut listeners = self.0.listeners.subscribe();
        // The sender is in `self`: it is not dropped while this waits.
        drop(listeners.wait_for(|count| *count > 0).await);
    }

    /// What follows a cursor.
    pub fn after(&self, cursor: Pos, limit: usize) -> Tail {
        self.0.ring.read().unwrap_or_else(PoisonError::into_inner).after(cursor, limit)
    }
}
