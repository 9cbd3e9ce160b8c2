//! The stream of a campus, opened again and again from the stored cursor. Reconnecting is not a failure, it is the
//! architecture (design section 1).

use std::{future, mem, time::Duration};

use circles_protocol::{
    Change, CircleId, Cursor, Entity, MembershipState, PersonId, Pos, Scope, UnixMs,
    event::{Bye, ByeReason, EventName, Gap, Hello, Ping, Reset},
};
use eventsource_client::Event;
use futures::FutureExt;
use rusqlite::Connection;
use tokio::time::Instant;

use super::{Engine, fill, passing};
use crate::{
    backoff::Backoff,
    cache::{
        Durability, absence,
        apply::{Apply, News, Touched},
        campuses::{self, LanRow},
        history, set_aside,
        views::{self, Eyes},
    },
    error::ClientError,
    limits::{BATCH_EVENTS_MAX, HELLO_MAX, LAN_RETRY_MAX, RETRY_MAX, SILENCE_MAX, STREAM_LASTS},
    mentions::mentions,
    stream::{EventStream, UNREADABLE},
    view,
};

/// A heartbeat that is named shorter than this is not believed: the machine may be busy.
const SILENCE_MIN: Duration = Duration::from_secs(3);

/// Why one connection ended.
enum End {
    /// The relay said so, or the network.
    Closed,
    /// Somebody asked for a new one.
    Asked,
}

/// A stream that said `hello`.
struct Opened {
    at: Instant,
    /// Whether it brought anything new.
    brought: bool,
}

/// When to connect anew.
struct Patience {
    backoff: Backoff,
    /// No stream was lost since one worked.
    first: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { backoff: Backoff::default(), first: true }
    }
}

impl Patience {
    /// Whether the next attempt is made at once, after a stream that was open: if it worked, and for the first time also if
    /// it did not. What cuts each stream after its `hello` would be asked for one after another without a pause.
    fn may_try_at_once(&mut self, opened: &Opened) -> bool {
        if opened.brought || opened.at.elapsed() >= STREAM_LASTS {
            self.reset();
        }
        mem::replace(&mut self.first, false)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Engine {
    /// Keeps a stream open for as long as the app runs.
    pub(super) async fn stay_connected(self) {
        let mut patience = Patience::default();
        loop {
            let mut opened = None;
            let ended = self.connection(&mut opened).await;
            if matches!(ended, Ok(End::Asked)) {
                // First of all: it is not online any more, and connecting anew takes a moment to prepare.
                self.set_connection(view::Connection::Connecting);
            }
            // What refuses is there. Otherwise the relay may be elsewhere by now, and other connections to it dead.
            if !matches!(ended, Err(ClientError::Relay(..))) {
                self.api().lost();
            }
            let error = match ended {
                Ok(End::Asked) => {
                    patience.reset();
                    continue;
                }
                Ok(End::Closed) => ClientError::Offline("the relay closed the stream".to_owned()),
                Err(error) => error,
            };
            if let Some(opened) = opened {
                tracing::debug!(%error, "the stream ended");
                if patience.may_try_at_once(&opened) && error.passes() {
                    // Nobody knows since when nothing came: until the next stream is open, nothing counts as complete.
                    if matches!(error, ClientError::Silent) {
                        self.set_connection(view::Connection::Connecting);
                    }
                    continue;
                }
            }
            let asked = error.retry_after_s().map_or(Duration::ZERO, Duration::from_secs);
            let most = if self.api().route().is_some() { LAN_RETRY_MAX } else { RETRY_MAX };
            let wait = patience.backoff.next(rand::random()).min(most).max(asked.min(RETRY_MAX));
            self.offline(&error, wait).await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.0.signals.reconnect.notified() => patience.reset(),
            }
        }
    }

    /// One connection, and those that replace it before it ends.
    async fn connection(&self, opened: &mut Option<Opened>) -> Result<End, ClientError> {
        let mut stream = EventStream::open(self.api(), self.cursor().await?.as_ref())?;
        // The next stream, once this one said `bye`: both live for a moment, and nothing is doubled because states are.
        let mut next: Option<EventStream> = None;
        let mut open_next_at: Option<Instant> = None;
        loop {
            let open_next = async {
                match open_next_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                () = self.0.signals.reconnect.notified() => return Ok(End::Asked),
                () = open_next => {
                    open_next_at = None;
                    next = Some(EventStream::open(self.api(), self.cursor().await?.as_ref())?);
                }
                event = async { match &mut next { Some(next) => next.next().await, None => future::pending().await } } => {
                    match event {
                        Ok(Some(event)) => {
                            stream = next.take().expect("its event just came");
                            self.batch(&mut stream, event, opened).await?;
                        }
                        // The old stream still runs; when it ends the loop around tries again.
                        Ok(None) => next = None,
                        Err(error) => {
                            tracing::debug!(%error, "the next stream did not open");
                            next = None;
                        }
                    }
                }
                event = stream.next() => {
                    match event? {
                        None => match next.take() {
                            Some(it) => stream = it,
                            None => return Ok(End::Closed),
                        },
                        Some(event) => {
                            if let Some(bye) = self.batch(&mut stream, event, opened).await? {
                                if bye.reason == ByeReason::Revoked {
                                    return Ok(End::Closed);
                                }
                                // It ends by then. Where even that is not heard, the connection is dead.
                                let ends = Duration::from_millis(u64::from(bye.closes_ms)) + HELLO_MAX;
                                stream.silence_max = stream.silence_max.min(ends);
                                let wait = Duration::from_millis(u64::from(bye.reconnect_ms));
                                open_next_at = Some(Instant::now() + wait);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Keeps where a relay on the LAN is now, for the next start.
    async fn note_place(&self) -> Result<(), ClientError> {
        let Some(route) = self.api().route() else { return Ok(()) };
        let (campus, place) = (self.0.campus, LanRow { key: route.key(), addresses: route.known() });
        self.0.cache.write(Durability::Cache, move |conn| Ok(campuses::set_place(conn, campus, &place)?)).await
    }

    pub(super) async fn cursor(&self) -> Result<Option<Cursor>, ClientError> {
        let campus = self.0.campus;
        self.0.cache.read(move |conn| Ok(campuses::find(conn, campus)?.cursor)).await
    }

    /// Applies an event and all that are there already in one transaction (design section 6). Returns a `bye` among them.
    async fn batch(
        &self,
        stream: &mut EventStream,
        first: Event,
        opened: &mut Option<Opened>,
    ) -> Result<Option<Bye>, ClientError> {
        let mut events = vec![first];
        let mut failed = None;
        while events.len() < BATCH_EVENTS_MAX {
            match stream.next().now_or_never() {
                Some(Ok(Some(event))) => events.push(event),
                Some(Err(error)) => {
                    failed = Some(error);
                    break;
                }
                Some(Ok(None)) | None => break,
            }
        }
        // Not of the log: it neither covers anything nor goes into the cache.
        let (passed, events): (Vec<_>, Vec<_>) = events.into_iter().partition(passing::is_passing);
        for event in &passed {
            self.passes(event);
        }
        if events.is_empty() {
            return failed.map_or(Ok(None), Err);
        }
        let (eyes, now) = (self.eyes(), self.now());
        let outcome = self
            .0
            .cache
            .write(Durability::Cache, move |conn| {
                let mut batch = Batch::new(conn, eyes, now);
                for event in &events {
                    batch.event(event)?;
                }
                batch.finish()
            })
            .await?;
        self.touched(outcome.touched);
        self.wrote_messages(outcome.written);
        let before = self.state(|it| it.cursor);
        self.count(|it| {
            it.heads_asked += u64::from(outcome.resync);
            it.cursor = outcome.cursor;
            it.missing = outcome.missing.unwrap_or(it.missing);
            it.replay_until = outcome.hello.as_ref().map_or(it.replay_until, |hello| hello.head);
            if outcome.away {
                it.catching_up_since.get_or_insert_with(Instant::now);
            }
        });
        if let Some(hello) = outcome.hello {
            let first = opened.is_none();
            opened.get_or_insert_with(|| Opened { at: Instant::now(), brought: false });
            let heartbeats = Duration::from_millis(u64::from(hello.heartbeat_ms)) * 3;
            stream.silence_max = heartbeats.clamp(SILENCE_MIN, SILENCE_MAX);
            self.online();
            self.note_place().await?;
            if first {
                self.presence_is_new();
            }
        }
        if let Some(it) = opened {
            it.brought |= outcome.cursor > before;
        }
        if outcome.resync || outcome.fill {
            self.0.signals.fill.notify_one();
        }
        match failed {
            Some(error) => Err(error),
            None if outcome.told.is_some_and(|now| stream.is_late(now, Instant::now())) => Err(ClientError::Silent),
            None => Ok(outcome.bye),
        }
    }
}

/// What a batch of events came to.
#[derive(Default)]
struct Outcome {
    touched: Touched,
    hello: Option<Hello>,
    bye: Option<Bye>,
    /// The relay's clock, as it told it last.
    told: Option<UnixMs>,
    /// Messages of others: where, and by whom.
    written: Vec<(CircleId, PersonId)>,
    /// Heads must be asked for.
    resync: bool,
    /// There may be gaps.
    fill: bool,
    /// One was away for long.
    away: bool,
    /// The cursor that is stored now.
    cursor: Pos,
    /// How much the ledger knows to be missing, if that may have grown.
    missing: Option<u64>,
}

/// A batch of events in its transaction: what is covered is read and written once for all of them.
struct Batch<'a> {
    conn: &'a Connection,
    eyes: Eyes,
    now: UnixMs,
    apply: Apply<'a>,
    /// Up to where the events so far are.
    cursor: Option<Cursor>,
    outcome: Outcome,
}

impl<'a> Batch<'a> {
    fn new(conn: &'a Connection, eyes: Eyes, now: UnixMs) -> Self {
        let apply = Apply::new(conn, eyes.campus, eyes.me);
        Self { conn, eyes, now, apply, cursor: None, outcome: Outcome::default() }
    }

    fn finish(mut self) -> Result<Outcome, ClientError> {
        self.store()?;
        self.outcome.cursor = campuses::heard(self.conn, self.eyes.campus, self.cursor.as_ref(), self.now)?;
        if self.outcome.fill || self.outcome.resync {
            self.outcome.missing = Some(fill::missing(self.conn, self.eyes)?);
        }
        Ok(self.outcome)
    }

    /// Writes what the events so far cover.
    fn store(&mut self) -> Result<(), ClientError> {
        let next = Apply::new(self.conn, self.eyes.campus, self.eyes.me);
        let apply = mem::replace(&mut self.apply, next);
        self.outcome.fill |= apply.has_gaps();
        self.outcome.touched.merge(apply.finish()?);
        Ok(())
    }

    fn event(&mut self, event: &Event) -> Result<(), ClientError> {
        let name = EventName::parse(&event.event_type);
        let cursor = event.id.as_deref().and_then(|id| id.parse::<Cursor>().ok());
        let understood = match name {
            Some(EventName::Hello) => self.hello(&event.data),
            Some(EventName::Change) => self.change(&event.data),
            Some(EventName::Gap) => self.gap(&event.data),
            Some(EventName::Reset) => self.reset(&event.data),
            Some(EventName::Bye) => {
                serde_json::from_str(&event.data).map(|bye| self.outcome.bye = Some(bye)).map_err(Trouble::from)
            }
            // Without a time it still is a sign of life.
            Some(EventName::Ping) => {
                self.outcome.told = serde_json::from_str(&event.data).ok().map(|it: Ping| it.now).or(self.outcome.told);
                Ok(())
            }
            None if event.event_type == UNREADABLE => Err(Trouble::Event(event.data.clone())),
            // Of a newer relay, or taken up before; in either case not of the log: nothing is missed by skipping it.
            Some(EventName::Typing | EventName::Presence) | None => return Ok(()),
        };
        match understood {
            Ok(()) => {}
            Err(Trouble::Client(error)) => return Err(error),
            Err(Trouble::Event(reason)) => {
                tracing::warn!(%reason, event = %event.event_type, "an event was set aside");
                set_aside::keep(self.conn, self.eyes.campus, &event.event_type, &event.data, &reason)?;
                // The chain shows what it was about when the next change of its scope comes; the heads show it now.
                self.outcome.resync = true;
                if let Some(cursor) =
                    cursor.as_ref().filter(|_| !matches!(name, Some(EventName::Hello | EventName::Reset)))
                {
                    self.misses(cursor)?;
                }
            }
        }
        // In the same transaction as what it covers (design 3.5). A hello's cursor is where the stream begins.
        if let Some(cursor) = cursor.filter(|_| !matches!(name, Some(EventName::Hello | EventName::Reset))) {
            self.cursor = match self.cursor.take() {
                Some(before) if before.epoch == cursor.epoch && before.pos > cursor.pos => Some(before),
                _ => Some(cursor),
            };
        }
        Ok(())
    }

    /// What stands there may be of any scope. The relay says where each circle ends, and of no other scope: those are missing
    /// up to there, and filled like any gap (design 3.4).
    fn misses(&mut self, at: &Cursor) -> Result<(), ClientError> {
        let epoch = match &self.cursor {
            Some(cursor) => Some(cursor.epoch.clone()),
            None => self.apply.epoch()?,
        };
        if epoch.is_none_or(|it| it == at.epoch) {
            self.apply.reach_beside_circles(at.pos)?;
        }
        Ok(())
    }

    fn hello(&mut self, data: &str) -> Result<(), Trouble> {
        let hello: Hello = serde_json::from_str(data)?;
        campuses::set_name(self.conn, self.eyes.campus, &hello.campus_name).map_err(ClientError::from)?;
        self.outcome.away = absence::begin(self.conn, self.eyes.campus, self.now).map_err(ClientError::from)?;
        // A crash may have left gaps.
        self.outcome.fill = true;
        self.outcome.told = hello.now;
        self.outcome.hello = Some(hello);
        Ok(())
    }

    fn change(&mut self, data: &str) -> Result<(), Trouble> {
        let change: Change = serde_json::from_str(data)?;
        self.apply.change(&change).map_err(ClientError::from)?;
        let me = self.eyes.me;
        match &change.entity {
            Entity::Message(it) if it.author_id != me && it.deleted_at.is_none() && it.edited_at.is_none() => {
                let name = views::person(self.conn, self.eyes.campus, me).map_err(ClientError::from)?.name;
                let mention = mentions(&it.text, &name).then_some(it.id);
                self.apply.touched.came(it.circle_id, News { last: it.id, mention });
                self.outcome.written.push((it.circle_id, it.author_id));
            }
            // The circle's history before is a gap now, and its name may not be known.
            Entity::Membership(it) if it.person_id == me => {
                self.outcome.resync |= it.state == MembershipState::Joined;
            }
            _ => {}
        }
        Ok(())
    }

    fn gap(&mut self, data: &str) -> Result<(), Trouble> {
        let gap: Gap = serde_json::from_str(data)?;
        for it in &gap.scopes {
            self.apply.reach(it.scope, it.until, it.head_seq).map_err(ClientError::from)?;
            if let Scope::Circle(circle) = it.scope {
                self.apply.touched.circles.entry(circle).or_default();
            }
        }
        self.outcome.resync = true;
        Ok(())
    }

    fn reset(&mut self, data: &str) -> Result<(), Trouble> {
        let reset: Reset = serde_json::from_str(data)?;
        tracing::warn!(reason = ?reset.reason, "the relay's history is another one: everything is compared anew");
        // What came before belongs to the old history, and must not be written over the new one's beginning.
        self.store()?;
        history::begin(self.conn, self.eyes, self.now)?;
        campuses::restart(self.conn, self.eyes.campus, &reset.epoch).map_err(ClientError::from)?;
        self.cursor = None;
        self.outcome.resync = true;
        self.outcome.touched.campus = true;
        Ok(())
    }
}

/// An event that cannot be understood is set aside; a cache that does not work ends the connection.
enum Trouble {
    Event(String),
    Client(ClientError),
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Event(error.to_string())
    }
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

#[cfg(test)]
mod strange;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_cut_right_after_its_hello_is_opened_again_at_once_only_for_the_first_time() {
        let mut patience = Patience::default();
        let opened = |brought, ago| Opened { at: Instant::now() - ago, brought };
        assert!(patience.may_try_at_once(&opened(false, Duration::ZERO)));
        assert!(!patience.may_try_at_once(&opened(false, Duration::ZERO)));
        let first = patience.backoff.next(0.0);
        assert!(!patience.may_try_at_once(&opened(false, Duration::ZERO)));
        assert!(patience.backoff.next(0.0) > first, "the waits grow");
        // One that worked begins anew, and the loss after it is the first one.
        for worked in [opened(true, Duration::ZERO), opened(false, STREAM_LASTS)] {
            assert!(patience.may_try_at_once(&worked));
            assert_eq!(patience.backoff.next(0.0), first);
            assert!(!patience.may_try_at_once(&opened(false, Duration::ZERO)));
        }
    }
}
