//! `GET /v1/stream`: a cursor over the ring (design section 5). No queue belongs to a connection: a slow reader costs a
//! cursor, and falls back to the database when the ring has moved on.

mod backlog;
pub mod frame;
mod open_streams;

pub use open_streams::{OpenStreams, Ticket};

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use circles_protocol::{
    Code, Cursor, Pos,
    event::{Bye, ByeReason, EventName, Hello, Ping},
};
use futures::Stream;
use rand::Rng;
use tokio::time::{Instant, sleep_until};

use self::backlog::{Opening, Piece};
use crate::{
    access::Who,
    audience::Audience,
    clock,
    ephemeral::{Signals, Stay},
    failure::Failure,
    limits::{BYE_CLOSES_MAX, POLL_FRAMES_MAX},
    metrics,
    relay::Relay,
    transport::{Listening, ring::Tail},
};

/// How long a stream waits before it asks a database again that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Opens a stream from a cursor. Order: register for live changes, read the head, replay, live.
pub async fn open(
    relay: Relay,
    who: Who,
    cursor: Option<Cursor>,
) -> Result<impl Stream<Item = Result<Bytes, Infallible>>, Failure> {
    let ticket = relay.streams().enter(who, relay.settings().streams_per_person)?;
    let mut listening = relay.transport().listen(who.person);
    let signals = relay.ephemeral().subscribe();
    let epoch = relay.campus_row().epoch.clone();
    let opening = relay.store().read(move |conn| backlog::opening(conn, who, &epoch, cursor.as_ref())).await?;
    listening.narrow(opening.audience.circles());
    metrics::replay(opening.head.get() - opening.from.get());
    let first = first_bytes(&relay, who, &opening);
    let now = Instant::now();
    let live = Live {
        who,
        pos: opening.from,
        audience: opening.audience,
        // The opening judges as of the head; a backlog beyond the limit becomes a gap even if the ring holds it.
        replay_until: opening.head,
        replays: true,
        listening,
        sent_at: now,
        bye_at: bye_at(relay.settings().stream_lifetime, now),
        ends_at: None,
        revoked: false,
        signals,
        _stay: relay.ephemeral().enter(who.person),
        _ticket: ticket,
        relay,
    };
    Ok(run(first, live))
}

/// An open stream.
struct Live {
    relay: Relay,
    who: Who,
    /// The reader has everything up to here.
    pos: Pos,
    audience: Audience,
    /// Up to here the stream replays, by the rule for long absences.
    replay_until: Pos,
    /// It still does.
    replays: bool,
    listening: Listening,
    sent_at: Instant,
    /// When the lifetime is over; none: never.
    bye_at: Option<Instant>,
    /// When the stream ends; set with its `bye`.
    ends_at: Option<Instant>,
    /// The device was signed out.
    revoked: bool,
    /// What is told in passing.
    signals: Signals,
    _stay: Stay,
    _ticket: Ticket,
}

fn run(first: Bytes, mut live: Live) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        yield Ok(first);
        loop {
            if live.revoked {
                yield Ok(live.bye(ByeReason::Revoked, Duration::ZERO));
                return;
            }
            if live.relay.is_closed() || live.ends_at.is_some_and(|it| it <= Instant::now()) {
                return;
            }
            if let Some(bye) = live.bye_due() {
                yield Ok(bye);
            }
            if live.is_current() {
                yield Ok(live.ping());
            }
            match live.take().await {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => {
                    live.sent_at = Instant::now();
                    yield Ok(bytes);
                }
                Ok(None) => {
                    // Only here, where what the reader may see is that of the head. It does not put off the ping, which
                    // moves the cursor.
                    if let Some(bytes) = live.signals.take(live.who.person, live.pos, &live.audience) {
                        yield Ok(bytes);
                    } else if let Some(ping) = live.wait().await {
                        yield Ok(ping);
                    }
                }
                Err(failure) if failure.code == Code::Unauthorized => live.revoked = true,
                Err(failure) => {
                    // The stream stays open while the database is away (design 3.8).
                    tracing::warn!(%failure, "a stream waits for the database");
                    live.pause().await;
                }
            }
        }
    }
}

impl Live {
    /// The next bytes after `pos`; none at the head, empty if nothing of it is for this reader.
    async fn take(&mut self) -> Result<Option<Bytes>, Failure> {
        let behind = self.replay_until.get().saturating_sub(self.pos.get());
        let tail = if behind > self.relay.settings().replay_changes_max {
            Tail::Fallen
        } else {
            self.listening.after(&mut self.pos, POLL_FRAMES_MAX)
        };
        let frames = match tail {
            Tail::Entries(entries) => {
                let Some(last) = entries.last() else { return Ok(None) };
                metrics::ring(true);
                self.pos = last.pos;
                // The last thing that the device hears is why.
                self.revoked |= entries.iter().any(|it| it.revoked == Some(self.who.device));
                for it in entries.iter().filter_map(|it| it.subject).filter(|it| it.person == self.who.person) {
                    self.listening.membership(it.circle, it.joined);
                }
                let audience = &mut self.audience;
                let mine = entries.iter().filter(|it| audience.admits(it.pos, it.scope, it.subject));
                mine.map(|it| it.frame.clone()).collect()
            }
            Tail::Fallen => {
                metrics::ring(false);
                let (who, after) = (self.who, self.pos);
                let (epoch, replay_max) =
                    (self.relay.campus_row().epoch.clone(), self.relay.settings().replay_changes_max);
                let Piece { frames, until, audience } =
                    self.relay.store().read(move |conn| backlog::next(conn, who, &epoch, after, replay_max)).await?;
                self.pos = until;
                self.audience = audience;
                self.listening.renew(self.audience.circles());
                frames
            }
        };
        Ok(Some(frame::joined(&frames)))
    }

    /// Waits until there is something to do; gives a `ping` if that is all.
    async fn wait(&mut self) -> Option<Bytes> {
        let ping_at = self.sent_at + self.relay.settings().heartbeat;
        let due = self.ends_at.or(self.bye_at);
        let relay = self.relay.clone();
        tokio::select! {
            () = self.listening.ear.woken() => None,
            () = self.signals.heard() => None,
            () = relay.closed() => None,
            () = relay.stopping(), if self.ends_at.is_none() => None,
            () = sleep_until(due.unwrap_or(ping_at)), if due.is_some() => None,
            () = sleep_until(ping_at) => Some(self.ping()),
        }
    }

    /// The replay is over, for the first time: the reader is told, also if nothing of what it missed was for it.
    fn is_current(&mut self) -> bool {
        let ends = self.replays && self.pos >= self.replay_until;
        self.replays &= !ends;
        ends
    }

    fn ping(&mut self) -> Bytes {
        self.listening.settle(&mut self.pos);
        self.sent_at = Instant::now();
        frame::event(EventName::Ping, &self.cursor(), &Ping { now: clock::now() })
    }

    /// Waits for a database that does not answer.
    async fn pause(&self) {
        tokio::select! {
            () = sleep_until(Instant::now() + STORE_RETRY) => {}
            () = self.relay.closed() => {}
        }
    }

    /// The `bye`, when the lifetime is over or the relay stops.
    fn bye_due(&mut self) -> Option<Bytes> {
        if self.ends_at.is_some() {
            return None;
        }
        if self.relay.is_stopping() {
            let drain = self.relay.settings().drain;
            return Some(self.bye(ByeReason::Shutdown, drain.mul_f64(rand::rng().random_range(0.0..=1.0))));
        }
        let lifetime = self.relay.settings().stream_lifetime;
        let over = self.bye_at.is_some_and(|it| it <= Instant::now());
        over.then(|| self.bye(ByeReason::Lifetime, closes(lifetime)))
    }

    fn bye(&mut self, reason: ByeReason, closes: Duration) -> Bytes {
        let now = Instant::now();
        self.ends_at = Some(now + closes);
        self.sent_at = now;
        // A restarting relay is back after the drain at the earliest; readers come back spread over as long again.
        let reconnect = match reason {
            // Other instances are there already.
            ByeReason::Shutdown if self.relay.store().is_shared() => closes / 2,
            ByeReason::Shutdown => self.relay.settings().drain + closes,
            ByeReason::Lifetime | ByeReason::Revoked => Duration::ZERO,
        };
        self.listening.settle(&mut self.pos);
        let bye = Bye { reason, reconnect_ms: millis(reconnect), closes_ms: millis(closes) };
        frame::event(EventName::Bye, &self.cursor(), &bye)
    }

    fn cursor(&self) -> Cursor {
        Cursor { epoch: self.relay.campus_row().epoch.clone(), pos: self.pos }
    }
}

/// `retry`, `hello`, and `reset` if the cursor is of no use.
fn first_bytes(relay: &Relay, who: Who, opening: &Opening) -> Bytes {
    let campus = relay.campus_row();
    let at = |pos| Cursor { epoch: campus.epoch.clone(), pos };
    let hello = Hello {
        campus_id: campus.id,
        campus_name: campus.name.clone(),
        epoch: campus.epoch.clone(),
        head: opening.head,
        person_id: who.person,
        device_id: who.device,
        heartbeat_ms: millis(relay.settings().heartbeat),
        lifetime_ms: millis(relay.settings().stream_lifetime),
    };
    let mut frames = vec![Bytes::from_static(frame::RETRY)];
    frames.push(frame::event(EventName::Hello, &at(opening.from), &hello));
    frames.extend(opening.reset.as_ref().map(|it| frame::event(EventName::Reset, &at(Pos::ZERO), it)));
    frame::joined(&frames)
}

/// When the `bye` comes, so that the stream is closed by the end of its lifetime, less a random 0 to 20 %: streams that
/// opened together do not end together. No lifetime: never.
fn bye_at(lifetime: Duration, now: Instant) -> Option<Instant> {
    let ends = lifetime.mul_f64(1.0 - rand::rng().random_range(0.0..=0.2));
    (!lifetime.is_zero()).then(|| now + ends - closes(lifetime))
}

/// How long a stream of that lifetime goes on after its `bye`.
fn closes(lifetime: Duration) -> Duration {
    BYE_CLOSES_MAX.min(lifetime / 4)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
