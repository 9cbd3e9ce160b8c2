//! How committed changes reach the streams of this instance (design section 5).
//!
//! The ring is the only thing that streams read. Three hands fill it, in the order of the log: this instance's own writer,
//! Redis if there is one, and the database for whatever those two left out. None of the three must be there for a message
//! to arrive: the database's head is looked at every few seconds while anyone listens (design 3.8).

mod feed;
mod listeners;
mod redis;
mod rests;
pub mod ring;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use circles_protocol::{CampusId, CircleId, Epoch, PersonId, Pos};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    listeners::{Ear, Listeners},
    redis::Redis,
    ring::{Entry, Ring, Tail},
};
use crate::{
    ephemeral::{Ephemeral, Sent},
    limits::{RING_BYTES_MAX, SIGNALS_HELD_MAX},
    rates::Rates,
    settings::Settings,
    store::{OpenError, Store},
};

/// The ring and what fills it. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    live: RwLock<Live>,
    /// Streams began to rest.
    resting: Notify,
    /// The ring's head.
    head: watch::Sender<Pos>,
    /// The highest position that anyone told of: what the ring lacks up to it comes from the database.
    told: watch::Sender<Pos>,
    /// How many streams listen: nothing is fetched for nobody.
    listening: watch::Sender<usize>,
    redis: Option<Redis>,
    ring_changes_max: usize,
    /// The database holds another history than this relay knows.
    estranged: CancellationToken,
}

/// The ring, and whom each change wakes. Under one lock, so that a stream which finds nothing that concerns it has missed
/// nothing.
struct Live {
    ring: Ring,
    listeners: Listeners,
    /// Signals that follow changes which are not in the ring yet.
    early: VecDeque<Arc<Sent>>,
}

impl Live {
    fn tell_what_is_due(&mut self) {
        let head = self.ring.head();
        let Self { listeners, early, .. } = self;
        early.retain(|signal| {
            let due = signal.as_of() <= head;
            if due {
                listeners.tell(signal);
            }
            !due
        });
    }
}

/// One stream among the listeners, until it is dropped.
pub struct Listening {
    transport: Transport,
    number: listeners::Number,
    /// What wakes it.
    pub ear: Arc<Ear>,
    /// Only some circles concern it; before that everything does.
    narrowed: bool,
    /// It has taken all that was there: what did not wake it does not concern it.
    at_head: bool,
}

impl Listening {
    /// From now on only these circles concern the stream: those of its person, as of where it stands.
    pub fn narrow(&mut self, circles: impl Iterator<Item = CircleId>) {
        self.narrowed = true;
        self.transport.live().listeners.narrow(self.number, circles);
    }

    /// The person came into a circle, or is out of it.
    pub fn membership(&mut self, circle: CircleId, joined: bool) {
        // What came to the circle meanwhile did not wake it.
        self.at_head = false;
        if !self.narrowed {
            return;
        }
        let mut live = self.transport.live();
        if joined {
            live.listeners.follow(self.number, circle);
        } else {
            live.listeners.unfollow(self.number, circle);
        }
    }

    /// These are the person's circles, as was just read.
    pub fn renew(&self, circles: impl Iterator<Item = CircleId>) {
        if self.narrowed {
            self.transport.live().listeners.renew(self.number, circles);
        }
    }

    /// Moves a position to the head if nothing up to it concerns the stream: what a cursor says when the stream has been
    /// quiet.
    pub fn settle(&self, pos: &mut Pos) {
        let live = self.transport.0.live.read().unwrap_or_else(PoisonError::into_inner);
        if self.at_head && self.ear.is_quiet() {
            *pos = live.ring.head().max(*pos);
        }
    }

    /// Nothing follows that concerns the stream. Cheaper than asking the ring; it may also be so if this says no.
    pub fn is_caught_up(&self) -> bool {
        self.at_head && self.ear.is_quiet()
    }

    /// What follows the stream's position, which moves over what does not concern it.
    pub fn after(&mut self, pos: &mut Pos, limit: usize) -> Tail {
        let live = self.transport.0.live.read().unwrap_or_else(PoisonError::into_inner);
        let (concerning, mut until) = (self.ear.take(), live.ring.head());
        if self.at_head {
            let seen = concerning.as_ref().map_or(until, |it| it.start().before());
            *pos = seen.max(*pos);
            until = concerning.map_or(until, |it| *it.end());
        }
        let tail = live.ring.after(*pos, until, limit);
        self.at_head = match &tail {
            Tail::Entries(entries) => entries.last().is_none_or(|it| it.pos == until),
            Tail::Fallen => false,
        };
        tail
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.transport.live().listeners.leave(self.number);
        self.transport.0.listening.send_modify(|count| *count -= 1);
    }
}

impl Transport {
    /// A transport whose next change follows `head`.
    pub fn new(settings: &Settings, campus: CampusId, epoch: &Epoch, head: Pos) -> Result<Self, OpenError> {
        let redis = settings.redis.as_deref().map(|url| Redis::new(url, campus, epoch, settings.redis_stream_max));
        Ok(Self(Arc::new(Inner {
            live: RwLock::new(Live {
                ring: Ring::new(head, settings.ring_changes_max, RING_BYTES_MAX),
                listeners: Listeners::new(settings.rest_each),
                early: VecDeque::new(),
            }),
            resting: Notify::new(),
            head: watch::Sender::new(head),
            told: watch::Sender::new(head),
            listening: watch::Sender::new(0),
            redis: redis.transpose()?,
            ring_changes_max: settings.ring_changes_max,
            estranged: CancellationToken::new(),
        })))
    }

    /// Starts the task that wakes who rested, and those that fill the ring from elsewhere: of these none is needed where this
    /// process alone writes.
    pub fn start(
        &self,
        store: &Arc<Store>,
        ephemeral: &Arc<Ephemeral>,
        rates: &Arc<Rates>,
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
        run(Box::pin(self.clone().wake_rested()));
        if store.is_shared() {
            run(Box::pin(feed::follow(self.clone(), store.clone(), epoch.clone())));
        }
        if let Some(redis) = &self.0.redis {
            run(Box::pin(redis.clone().publish(store.clone())));
            run(Box::pin(redis.clone().read(self.clone())));
            run(Box::pin(redis.clone().carry(ephemeral.clone(), rates.clone())));
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
        let mut live = self.live();
        let before = live.ring.head();
        for entry in entries {
            if entry.pos == live.ring.head().next() {
                live.ring.push(entry.clone());
                live.listeners.mark(entry);
            }
        }
        live.tell_what_is_due();
        let head = live.ring.head();
        // While the ring is locked: whoever wakes looks at it, and waits until all are woken, instead of taking turns with this
        // thread for each stream.
        let rests = live.listeners.wake(entries.iter().filter(|it| it.pos > before && it.pos <= head), Instant::now());
        drop(live);
        if rests {
            self.0.resting.notify_one();
        }
        self.move_head(head);
        self.tell(last.pos);
    }

    async fn wake_rested(self) {
        loop {
            let next = self.live().listeners.wake_rested(Instant::now());
            tokio::select! {
                () = self.0.resting.notified() => {}
                () = async { sleep_until(next.expect("some rest")).await }, if next.is_some() => {}
            }
        }
    }

    /// The log reaches to this position: what the ring lacks of it is read before long.
    pub fn tell(&self, pos: Pos) {
        raise(&self.0.told, pos);
    }

    /// The ring's head is here; several threads may say so at once, and not in order.
    fn move_head(&self, head: Pos) {
        raise(&self.0.head, head);
    }

    /// The database holds another history now, or lost what it had: nothing that this relay knows is right any more.
    pub fn estrange(&self) {
        if !self.0.estranged.is_cancelled() {
            tracing::error!(
                "the database was restored, or lost changes that it had: this relay ends, to be started again"
            );
            self.0.estranged.cancel();
        }
    }

    /// Cancelled when the database holds another history.
    pub fn estranged(&self) -> &CancellationToken {
        &self.0.estranged
    }

    /// Empties the ring and goes on from a later head: what lies between is read from the database by each stream.
    fn skip_to(&self, head: Pos) {
        let mut live = self.live();
        if head <= live.ring.head() {
            return;
        }
        // What lies between may concern anyone.
        live.listeners.wake_all(live.ring.head().next());
        live.ring = Ring::new(head, self.0.ring_changes_max, RING_BYTES_MAX);
        live.tell_what_is_due();
        drop(live);
        self.move_head(head);
    }

    /// Hands a signal to the streams of those whom it may be for, once the ring has the changes that it follows: a stream
    /// must not take someone for a member who is not any more (design 3.6).
    pub fn tell_in_passing(&self, signal: Arc<Sent>) {
        let mut live = self.live();
        if live.early.len() >= SIGNALS_HELD_MAX {
            live.early.pop_front();
        }
        live.early.push_back(signal);
        live.tell_what_is_due();
    }

    /// Wakes every stream, to look whether the relay stops.
    pub fn stir(&self) {
        self.live().listeners.stir();
    }

    /// The position of the last change in the ring.
    pub fn head(&self) -> Pos {
        *self.0.head.borrow()
    }

    /// Listens for a person. Do so before reading the head and the person's circles, so that nothing falls between.
    pub fn listen(&self, person: PersonId) -> Listening {
        self.0.listening.send_modify(|count| *count += 1);
        let (number, ear) = self.live().listeners.enter(person);
        Listening { transport: self.clone(), number, ear, narrowed: false, at_head: false }
    }

    fn live(&self) -> RwLockWriteGuard<'_, Live> {
        self.0.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody listens.
    async fn listened(&self) {
        let mut listening = self.0.listening.subscribe();
        // The sender is in `self`: it is not dropped while this waits.
        drop(listening.wait_for(|count| *count > 0).await);
    }
}

fn raise(to: &watch::Sender<Pos>, pos: Pos) {
    to.send_if_modified(|present| {
        let grows = pos > *present;
        *present = pos.max(*present);
        grows
    });
}
