//! What is told in passing and never kept: who types, and who is online. Loss is fine here, and only here (design section
//! 5): it never enters the log, has no cursor, and a stream that lags skips some of it.
//!
//! Two things that know nothing of each other meet in [`Ephemeral`]: signals, which go out to the streams of this instance
//! ([`Ephemeral::publish`], [`Ephemeral::subscribe`]), and who is present, which is counted here ([`Registry`]).
//!
//! [`carry`] makes one of the instances of a campus: it tells the others, and hears them.

pub mod carry;
mod presence;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use circles_protocol::{
    CircleId, PersonId, Pos,
    event::{EventName, Presence, Typing},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::presence::Registry;
use crate::{
    audience::Audience,
    failure::Failure,
    limits::{PRESENCE_PAUSE, PRESENCE_TOLD_MAX, PRESENT_ELSEWHERE, SIGNALS_HELD_MAX, SIGNALS_WAITING_MAX},
    relay::{Relay, WeakRelay},
    store::{campus, memberships},
    stream::frame,
};

/// Something to tell in passing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The instance that it comes from.
    pub origin: Uuid,
    /// The log as of which it is true. A stream that is not there yet could still take someone for a member who is not
    /// (design 3.6), and waits.
    pub as_of: Pos,
    /// What.
    pub news: News,
}

/// What a signal is about, and whom it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum News {
    /// For the members of the circle.
    Typing(Typing),
    /// For everyone who shares a circle with the person.
    Presence {
        /// Who came or went.
        presence: Presence,
        /// The circles that they are in.
        circles: Vec<CircleId>,
    },
}

impl Signal {
    /// Whether it is for that person (design 3.6); what one does oneself is no news.
    fn is_for(&self, reader: PersonId, audience: &Audience) -> bool {
        match &self.news {
            News::Typing(it) => it.person_id != reader && audience.is_in(it.circle_id),
            News::Presence { presence, circles } => {
                presence.person_id != reader && circles.iter().any(|it| audience.is_in(*it))
            }
        }
    }

    fn frame(&self) -> Bytes {
        match &self.news {
            News::Typing(it) => frame::passing(EventName::Typing, it),
            News::Presence { presence, .. } => frame::passing(EventName::Presence, presence),
        }
    }
}

/// A signal and its frame, serialised once for all streams.
#[derive(Debug)]
struct Sent {
    signal: Signal,
    frame: Bytes,
}

/// The signals of a relay, and who is present there.
pub struct Ephemeral {
    origin: Uuid,
    signals: broadcast::Sender<Arc<Sent>>,
    present: Arc<Present>,
}

impl Ephemeral {
    /// Nobody is there yet. `grace`: for how long after their last stream a person counts as online.
    pub fn new(grace: Duration) -> Self {
        let (signals, _) = broadcast::channel(SIGNALS_WAITING_MAX);
        let present = Present {
            registry: Mutex::new(Registry::new(grace)),
            here: Mutex::default(),
            elsewhere: Mutex::default(),
            changes: watch::Sender::new(()),
        };
        Self { origin: Uuid::now_v7(), signals, present: Arc::new(present) }
    }

    // ---- signals ---------------------------------------------------------------------------------------------------

    /// Hands a signal to every stream that is open here.
    pub fn publish(&self, signal: Signal) {
        let frame = signal.frame();
        // Nobody may be listening.
        drop(self.signals.send(Arc::new(Sent { signal, frame })));
    }

    /// Every signal from now on.
    pub fn subscribe(&self) -> Signals {
        Signals { incoming: self.signals.subscribe(), held: VecDeque::new() }
    }

    /// A member types, as was checked at that position of the log.
    pub fn typing(&self, as_of: Pos, typing: Typing) {
        self.publish(Signal { origin: self.origin, as_of, news: News::Typing(typing) });
    }

    // ---- presence --------------------------------------------------------------------------------------------------

    /// A stream of the person is open, until what is returned is dropped.
    pub fn enter(&self, person: PersonId) -> Stay {
        self.present.lock().enter(person, Instant::now());
        *lock(&self.present.here).entry(person).or_default() += 1;
        self.present.changes.send_replace(());
        Stay { present: self.present.clone(), person }
    }

    /// Everyone who is online.
    pub fn online(&self) -> HashSet<PersonId> {
        self.present.lock().online(Instant::now())
    }

    /// Everyone whose streams are open at this instance.
    fn here(&self) -> HashSet<PersonId> {
        lock(&self.present.here).keys().copied().collect()
    }

    /// Another instance has streams of these people: each counts as a stream.
    fn elsewhere(&self, origin: Uuid, people: &HashSet<PersonId>, now: Instant) {
        let before = lock(&self.present.elsewhere).insert(origin, (people.clone(), now));
        let before = before.map(|it| it.0).unwrap_or_default();
        let mut registry = self.present.lock();
        people.difference(&before).for_each(|it| registry.enter(*it, now));
        before.difference(people).for_each(|it| registry.leave(*it, now));
        drop(registry);
        self.present.changes.send_replace(());
    }

    /// Instances that were not heard of for a while are gone, and their streams with them.
    fn forget(&self, now: Instant) {
        let is_gone = |heard: Instant| now.duration_since(heard) > PRESENT_ELSEWHERE;
        let gone: Vec<Uuid> =
            lock(&self.present.elsewhere).iter().filter(|it| is_gone(it.1.1)).map(|it| *it.0).collect();
        for origin in gone {
            self.elsewhere(origin, &HashSet::new(), now);
            lock(&self.present.elsewhere).remove(&origin);
        }
    }

    /// Wakes when someone came or went.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.present.changes.subscribe()
    }
}

struct Present {
    registry: Mutex<Registry>,
    /// Streams of this instance, by person.
    here: Mutex<HashMap<PersonId, usize>>,
    elsewhere: Mutex<carry::Elsewhere>,
    changes: watch::Sender<()>,
}

impl Present {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        lock(&self.registry)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open stream, as far as presence goes.
pub struct Stay {
    present: Arc<Present>,
    person: PersonId,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.present.lock().leave(self.person, Instant::now());
        let mut here = lock(&self.present.here);
        if let Some(streams) = here.get_mut(&self.person) {
            *streams -= 1;
            if *streams == 0 {
                here.remove(&self.person);
            }
        }
        drop(here);
        self.present.changes.send_replace(());
    }
}

/// The signals for one stream.
pub struct Signals {
    incoming: broadcast::Receiver<Arc<Sent>>,
    held: VecDeque<Arc<Sent>>,
}

impl Signals {
    /// Returns when a signal has come. Cancel safe.
    pub async fn heard(&mut self) {
        loop {
            match self.incoming.recv().await {
                Ok(it) => return self.hold(it),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// The frames of what is for this reader, who has the log up to `pos`.
    pub fn take(&mut self, reader: PersonId, pos: Pos, audience: &Audience) -> Option<Bytes> {
        loop {
            match self.incoming.try_recv() {
                Ok(it) => self.hold(it),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => break,
            }
        }
        let (due, later) = self.held.drain(..).partition::<VecDeque<_>, _>(|it| it.signal.as_of <= pos);
        self.held = later;
        let mine = due.iter().filter(|it| it.signal.is_for(reader, audience));
        let frames: Vec<Bytes> = mine.map(|it| it.frame.clone()).collect();
        (!frames.is_empty()).then(|| frame::joined(&frames))
    }

    fn hold(&mut self, it: Arc<Sent>) {
        if self.held.len() >= SIGNALS_HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back(it);
    }
}

/// Tells everyone who shares a circle with them of people who came and went, for as long as the relay is there.
pub async fn announce_presence(relay: WeakRelay, mut changes: watch::Receiver<()>, closed: CancellationToken) {
    loop {
        let Some(next) = relay.upgrade().map(|it| it.ephemeral().present.lock().next_due()) else { return };
        tokio::select! {
            () = closed.cancelled() => return,
            woken = changes.changed() => if woken.is_err() { return },
            () = async { match next { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {}
        }
        let Some(relay) = relay.upgrade() else { return };
        let due: Vec<Presence> = {
            let (now, mut registry) = (Instant::now(), relay.ephemeral().present.lock());
            std::iter::from_fn(|| registry.due(now)).take(PRESENCE_TOLD_MAX).collect()
        };
        if due.is_empty() {
            continue;
        }
        if let Err(failure) = announce(&relay, due).await {
            tracing::debug!(%failure, "it was not told who came or went");
        }
        drop(relay);
        sleep(PRESENCE_PAUSE).await;
    }
}

/// Tells of all of them at once: each signal wakes every stream, and streams that have not run in between wake once.
async fn announce(relay: &Relay, due: Vec<Presence>) -> Result<(), Failure> {
    let read = relay.store().read(move |conn| {
        let mut told = Vec::with_capacity(due.len());
        for presence in due {
            told.push(News::Presence { presence, circles: memberships::circles_of(conn, presence.person_id)? });
        }
        Ok::<_, Failure>((told, campus::head(conn)?))
    });
    let (told, as_of) = read.await?;
    let ephemeral = relay.ephemeral();
    for news in told {
        ephemeral.publish(Signal { origin: ephemeral.origin, as_of, news });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    fn typing(ephemeral: &Ephemeral, as_of: u64, circle_id: CircleId, person_id: PersonId) {
        ephemeral.typing(pos(as_of), Typing { circle_id, person_id, on: true });
    }

    #[test]
    fn a_signal_waits_until_the_stream_has_what_it_follows() {
        let ephemeral = Ephemeral::new(Duration::ZERO);
        let (reader, other, circle) = (PersonId::new(), PersonId::new(), CircleId::new());
        let member = Audience::new(reader, [circle], pos(3));
        let mut signals = ephemeral.subscribe();
        typing(&ephemeral, 5, circle, other);
        assert_eq!(signals.take(reader, pos(4), &member), None);
        // The change at 5 removed the reader.
        assert_eq!(signals.take(reader, pos(5), &Audience::new(reader, [], pos(5))), None);
        typing(&ephemeral, 5, circle, other);
        assert!(signals.take(reader, pos(5), &member).is_some());
        assert_eq!(signals.take(reader, pos(5), &member), None, "once");
    }

    #[test]
    fn presence_is_for_those_who_share_a_circle_and_not_for_oneself() {
        let (reader, other) = (PersonId::new(), PersonId::new());
        let (shared, alien) = (CircleId::new(), CircleId::new());
        let audience = Audience::new(reader, [shared], Pos::ZERO);
        let signal = |person_id, circles| Signal {
            origin: Uuid::now_v7(),
            as_of: Pos::ZERO,
            news: News::Presence { presence: Presence { person_id, online: true }, circles },
        };
        assert!(signal(other, vec![alien, shared]).is_for(reader, &audience));
        assert!(!signal(other, vec![alien]).is_for(reader, &audience));
        assert!(!signal(reader, vec![shared]).is_for(reader, &audience));
    }

    #[test]
    fn a_stream_that_lags_skips_and_holds_no_more_than_its_bound() {
        let ephemeral = Ephemeral::new(Duration::ZERO);
        let (reader, other, circle) = (PersonId::new(), PersonId::new(), CircleId::new());
        let mut signals = ephemeral.subscribe();
        for _ in 0..SIGNALS_WAITING_MAX * 2 {
            typing(&ephemeral, 9, circle, other);
        }
        let audience = Audience::new(reader, [circle], Pos::ZERO);
        assert_eq!(signals.take(reader, pos(8), &audience), None);
        assert_eq!(signals.held.len(), SIGNALS_HELD_MAX);
    }

    #[test]
    fn a_signal_is_the_same_after_it_was_carried_to_another_instance() {
        let presence = Presence { person_id: PersonId::new(), online: true };
        for news in [
            News::Presence { presence, circles: vec![CircleId::new()] },
            News::Typing(Typing { circle_id: CircleId::new(), person_id: PersonId::new(), on: false }),
        ] {
            let signal = Signal { origin: Uuid::now_v7(), as_of: pos(7), news };
            let wire = serde_json::to_string(&signal).expect("JSON");
            assert_eq!(serde_json::from_str::<Signal>(&wire).expect("it reads"), signal);
        }
    }
}
