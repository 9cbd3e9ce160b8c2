//! How committed changes reach the streams of this instance. `Memory` serves one instance.

use std::sync::{Arc, PoisonError, RwLock};

use circles_protocol::Pos;
use tokio::sync::watch;

use crate::{
    limits::{RING_BYTES_MAX, RING_CHANGES_MAX},
    ring::{Entry, Ring, Tail},
};

/// The transport inside one process: the ring, and a wake-up that all streams share.
#[derive(Clone, Debug)]
pub struct Memory {
    ring: Arc<RwLock<Ring>>,
    head: watch::Sender<Pos>,
}

impl Memory {
    /// A transport whose next change follows `head`.
    pub fn new(head: Pos) -> Self {
        let ring = Ring::new(head, RING_CHANGES_MAX, RING_BYTES_MAX);
        Self { ring: Arc::new(RwLock::new(ring)), head: watch::Sender::new(head) }
    }

    /// Publishes changes that are durable, in the order of the log.
    pub fn publish(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            ring.push(entry);
        }
        let head = ring.head();
        drop(ring);
        self.head.send_replace(head);
    }

    /// Wakes whenever something was published. Subscribe before reading the head, so that nothing falls between.
    pub fn subscribe(&self) -> watch::Receiver<Pos> {
        self.head.subscribe()
    }

    /// What follows a cursor.
    pub fn after(&self, cursor: Pos, limit: usize) -> Tail {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).after(cursor, limit)
    }
}
