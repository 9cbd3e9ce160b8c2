//! What is told in passing and never kept: who types, and who is online. Loss is fine here, and only here (design section
//! 5): it never enters the log, has no cursor, and a stream that lags skips some of it.
//!
//! Two things that know nothing of each other meet in [`Ephemeral`]: signals, which go out to the streams of this instance
//! ([`Ephemeral::publish`]) by the same scopes as changes do, and who is present, which is counted here ([`Registry`]).
//!
//! [`carry`] makes one of the instances of a campus: it tells the others, and hears them.

pub mod carry;
mod presence;

use std::{
    collections::{HashSet, VecDeque},
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

use self::{carry::Streams, presence::Registry};
use crate::{
    audience::Audience,
    failure::Failure,
    limits::{PRESENCE_PAUSE, PRESENCE_TOLD_MAX, PRESENT_ELSEWHERE, SIGNALS_WAITING_MAX},
    relay::{Relay, WeakRelay},
    store::{campus, memberships},
    stream::frame,
    transport::Transport,
};

/// Something to tell in passing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The instance that it comes from.
    pub origin: Uuid,
    /// The log as of which it is true. Where the log is not there yet someone could still be taken for a member who is not
    /// (design 3.6): the signal waits.
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
pub struct Sent {
    signal: Signal,
    frame: Bytes,
}

impl Sent {
    /// See [`Signal::as_of`].
    pub fn as_of(&self) -> Pos {
        self.signal.as_of
    }

    /// It may be for those who are in one of these.
    pub fn circles(&self) -> &[CircleId] {
        match &self.signal.news {
            News::Typing(it) => std::slice::from_ref(&it.circle_id),
            News::Presence { circles, .. } => circles,
        }
    }
}

/// The signals of a relay, and who is present there.
pub struct Ephemeral {
    origin: Uuid,
    transport: Transport,
    /// What is said here, for the other instances.
    said: broadcast::Sender<Signal>,
    present: Arc<Present>,
}

impl Ephemeral {
    /// Nobody is there yet. `grace`: for how long after their last stream a person counts as online.
    pub fn new(grace: Duration, transport: Transport) -> Self {
        let (said, _) = broadcast::channel(SIGNALS_WAITING_MAX);
        let present = Present {
            registry: Mutex::new(Registry::new(grace)),
            here: Mutex::default(),
            elsewhere: Mutex::default(),
            changes: watch::Sender::new(()),
        };
        Self { origin: Uuid::now_v7(), transport, said, present: Arc::new(present) }
    }

    // ---- signals ---------------------------------------------------------------------------------------------------

    /// Hands a signal to the streams that are open here of those whom it may be for.
    pub fn publish(&self, signal: Signal) {
        let frame = signal.frame();
        self.transport.tell_in_passing(Arc::new(Sent { signal, frame }));
    }

    /// A member types, as was checked at that position of the log.
    pub fn typing(&self, as_of: Pos, typing: Typing) {
        let signal = Signal { origin: self.origin, as_of, news: News::Typing(typing) };
        // There may be no other instance.
        drop(self.said.send(signal.clone()));
        self.publish(signal);
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

    /// How many streams of the person are open at other instances, as they told last.
    pub fn streams_elsewhere(&self, person: PersonId) -> usize {
        lock(&self.present.elsewhere).values().filter_map(|(streams, _)| streams.get(&person)).sum()
    }

    /// Everyone whose streams are open at this instance.
    fn here(&self) -> Streams {
        lock(&self.present.here).clone()
    }

    /// Another instance has streams of these people: each counts as one stream.
    fn elsewhere(&self, origin: Uuid, people: Streams, now: Instant) {
        let mut elsewhere = lock(&self.present.elsewhere);
        let before = elsewhere.remove(&origin).map(|it| it.0).unwrap_or_default();
        let mut registry = self.present.lock();
        people.keys().filter(|it| !before.contains_key(it)).for_each(|it| registry.enter(*it, now));
        before.keys().filter(|it| !people.contains_key(it)).for_each(|it| registry.leave(*it, now));
        if !people.is_empty() {
            elsewhere.insert(origin, (people, now));
        }
        drop(elsewhere);
        drop(registry);
        self.present.changes.send_replace(());
    }

    /// Instances that were not heard of for a while are gone, and their streams with them.
    pub fn forget(&self, now: Instant) {
        let is_gone = |heard: Instant| now.duration_since(heard) > PRESENT_ELSEWHERE;
        let gone: Vec<Uuid> =
            lock(&self.present.elsewhere).iter().filter(|it| is_gone(it.1.1)).map(|it| *it.0).collect();
        for origin in gone {
            self.elsewhere(origin, Streams::new(), now);
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
    here: Mutex<Streams>,
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

/// The frames of those signals that are for the reader, whose audience is that of the changes that they follow.
pub fn frames(signals: VecDeque<Arc<Sent>>, reader: PersonId, audience: &Audience) -> impl Iterator<Item = Bytes> {
    signals.into_iter().filter(move |it| it.signal.is_for(reader, audience)).map(|it| it.frame.clone())
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

/// Tells of all of them at once: streams that have not run in between wake once.
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
pub mod tests {
    use circles_protocol::{CampusId, Epoch, Scope};

    use super::*;
    use crate::{
        limits::SIGNALS_HELD_MAX,
        settings::Settings,
        transport::{
            Listening,
            ring::{Entry, Subject},
        },
    };

    fn pos(value: u64) -> Pos {
        value.try_into().expect("small")
    }

    /// Of an instance that is alone, on an empty log.
    pub fn alone() -> Ephemeral {
        let transport = Transport::new(&Settings::default(), CampusId::new(), &Epoch::random(1), Pos::ZERO);
        Ephemeral::new(Duration::ZERO, transport.expect("without Redis nothing is opened"))
    }

    fn typing(ephemeral: &Ephemeral, as_of: u64, circle_id: CircleId, person_id: PersonId) {
        ephemeral.typing(pos(as_of), Typing { circle_id, person_id, on: true });
    }

    /// The log goes on with a change of the circle.
    fn change(ephemeral: &Ephemeral, at: u64, circle: CircleId, subject: Option<Subject>) {
        let (scope, frame) = (Scope::Circle(circle), Bytes::new());
        ephemeral.transport.publish(vec![Entry { pos: pos(at), scope, subject, revoked: None, frame }]);
    }

    /// What a stream hears that is at the head.
    fn heard(listening: &Listening, reader: PersonId, audience: &Audience) -> usize {
        frames(listening.ear.signals(), reader, audience).count()
    }

    #[test]
    fn a_signal_waits_until_the_log_has_what_it_follows() {
        let (ephemeral, reader, other, circle) = (alone(), PersonId::new(), PersonId::new(), CircleId::new());
        let mut listening = ephemeral.transport.listen(reader);
        listening.narrow([circle].into_iter());
        let mut audience = Audience::new(reader, [circle], Pos::ZERO);
        typing(&ephemeral, 1, circle, other);
        assert_eq!(heard(&listening, reader, &audience), 0);
        change(&ephemeral, 1, circle, None);
        assert_eq!(heard(&listening, reader, &audience), 1);
        assert_eq!(heard(&listening, reader, &audience), 0, "once");
        // The change at 2 removes the reader.
        typing(&ephemeral, 2, circle, other);
        let removed = Some(Subject { person: reader, circle, joined: false });
        change(&ephemeral, 2, circle, removed);
        assert!(audience.admits(pos(2), Scope::Circle(circle), removed));
        assert_eq!(heard(&listening, reader, &audience), 0);
    }

    #[test]
    fn a_signal_reaches_who_just_came_into_the_circle_and_nobody_elsewhere() {
        let (ephemeral, reader, other, circle) = (alone(), PersonId::new(), PersonId::new(), CircleId::new());
        let (mut inside, mut outside) = (ephemeral.transport.listen(reader), ephemeral.transport.listen(other));
        inside.narrow([].into_iter());
        outside.narrow([CircleId::new()].into_iter());
        typing(&ephemeral, 1, circle, PersonId::new());
        change(&ephemeral, 1, circle, Some(Subject { person: reader, circle, joined: true }));
        // Before the stream came to the change that brought it in.
        typing(&ephemeral, 1, circle, PersonId::new());
        assert_eq!(inside.ear.signals().len(), 2);
        assert_eq!(outside.ear.signals().len(), 0, "it is not even woken");
    }

    #[test]
    fn who_shares_several_circles_with_someone_is_told_once() {
        let (ephemeral, reader, person_id) = (alone(), PersonId::new(), PersonId::new());
        let circles = vec![CircleId::new(), CircleId::new()];
        let mut listening = ephemeral.transport.listen(reader);
        listening.narrow(circles.iter().copied());
        let news = News::Presence { presence: Presence { person_id, online: true }, circles };
        ephemeral.publish(Signal { origin: ephemeral.origin, as_of: Pos::ZERO, news });
        assert_eq!(listening.ear.signals().len(), 1);
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
        let (ephemeral, reader, other, circle) = (alone(), PersonId::new(), PersonId::new(), CircleId::new());
        let mut listening = ephemeral.transport.listen(reader);
        listening.narrow([circle].into_iter());
        for as_of in [0, 1] {
            for _ in 0..SIGNALS_HELD_MAX * 2 {
                typing(&ephemeral, as_of, circle, other);
            }
        }
        assert_eq!(listening.ear.signals().len(), SIGNALS_HELD_MAX, "of those that are due");
        change(&ephemeral, 1, circle, None);
        assert_eq!(listening.ear.signals().len(), SIGNALS_HELD_MAX, "of those that waited for the log");
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
