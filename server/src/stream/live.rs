//! What an open stream says, and when: one state machine, whose frames are written straight to a socket
//! ([`super::direct`]) or are the body of a response ([`Live::into_body`]).
//!
//! It waits for two things only, its ear and one timer, because a relay has thousands of them and each is woken for each
//! message.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use circles_protocol::{
    Code, Cursor, Pos,
    event::{Bye, ByeReason, EventName, Ping},
};
use futures::{future::BoxFuture, stream::poll_fn};
use rand::Rng;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::{
    Ticket,
    backlog::{self, Opening, Piece},
    frame, millis,
};
use crate::{
    access::Who,
    audience::Audience,
    clock,
    ephemeral::{self, Sent, Stay},
    failure::Failure,
    limits::{BYE_CLOSES_MAX, POLL_FRAMES_MAX, SIGNALS_HELD_MAX},
    metrics,
    relay::Relay,
    transport::{
        Listening,
        ring::{Entry, Tail},
    },
};

/// How long a stream waits before it asks a database again that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// An open stream. Nothing of it runs by itself: it goes on as its frames are asked for.
pub struct Live {
    relay: Relay,
    who: Who,
    /// Sent before all else.
    first: Option<Bytes>,
    /// The reader has everything up to here.
    pos: Pos,
    audience: Audience,
    /// Up to here the stream replays, by the rule for long absences.
    replay_until: Pos,
    /// It still does.
    replays: bool,
    listening: Listening,
    /// What the ring does not hold is being read.
    reading: Option<BoxFuture<'static, Result<Piece, Failure>>>,
    /// Fires at what comes next, or earlier: it is not set anew for each message.
    timer: Pin<Box<Sleep>>,
    /// Whom it wakes, and when, if it waits: who is woken for a message need not ask it again.
    timer_wakes: Option<(Waker, Instant)>,
    pinged_at: Instant,
    /// When the lifetime is over; none: never.
    bye_at: Option<Instant>,
    /// When the stream ends; set with its `bye`.
    ends_at: Option<Instant>,
    /// The device was signed out.
    revoked: bool,
    phase: Phase,
    /// What was told in passing, until the stream is at the head.
    heard: VecDeque<Arc<Sent>>,
    _stay: Stay,
    _ticket: Ticket,
}

impl Live {
    /// A stream that begins with `first` and goes on from there.
    pub fn new(relay: Relay, who: Who, first: Bytes, opening: Opening, listening: Listening, ticket: Ticket) -> Self {
        let now = Instant::now();
        Self {
            who,
            first: Some(first),
            pos: opening.from,
            audience: opening.audience,
            // The opening judges as of the head; a backlog beyond the limit becomes a gap even if the ring holds it.
            replay_until: opening.head,
            replays: true,
            listening,
            reading: None,
            timer: Box::pin(sleep_until(now + relay.settings().heartbeat)),
            timer_wakes: None,
            pinged_at: now,
            bye_at: bye_at(relay.settings().stream_lifetime, now),
            ends_at: None,
            revoked: false,
            phase: Phase::of(&relay),
            heard: VecDeque::new(),
            _stay: relay.ephemeral().enter(who.person),
            _ticket: ticket,
            relay,
        }
    }

    /// Adds the next frames to send, at most a few more than [`POLL_FRAMES_MAX`]; none: the stream is over.
    pub fn poll_frames(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<()> {
        if let Some(first) = self.first.take() {
            frames.push(first);
            return Poll::Ready(());
        }
        self.listen(cx);
        let mut now = Instant::now();
        loop {
            if self.is_over(now) {
                return Poll::Ready(());
            }
            if std::mem::take(&mut self.revoked) {
                frames.push(self.bye(ByeReason::Revoked, Duration::ZERO, now));
                return Poll::Ready(());
            }
            frames.extend(self.bye_due(now));
            if self.is_current() {
                frames.push(self.ping(now));
            }
            if !frames.is_empty() {
                return Poll::Ready(());
            }
            // Before looking at the ring, so that none is judged without the changes that it follows (design 3.6).
            self.hear();
            let Poll::Ready(taken) = self.poll_take(cx, frames) else {
                // A database that hangs does not keep a stream beyond its lifetime.
                let Some(due) = self.ends_at.or(self.bye_at) else { return Poll::Pending };
                ready!(self.poll_timer(cx, due));
                now = Instant::now();
                continue;
            };
            match taken {
                Ok(Taken::Some) if frames.is_empty() => {}
                Ok(Taken::Some) => return Poll::Ready(()),
                Ok(Taken::AtHead) => {
                    // Only here, where what the reader may see is that of the head. Nothing puts off the ping, which moves the
                    // cursor, and by which a reader tells how old what it gets is.
                    let heard = std::mem::take(&mut self.heard);
                    frames.extend(ephemeral::frames(heard, self.who.person, &self.audience));
                    if frames.is_empty() && self.ping_at() <= now {
                        frames.push(self.ping(now));
                    }
                    if !frames.is_empty() {
                        return Poll::Ready(());
                    }
                    ready!(self.poll_timer(cx, self.next_due()));
                    now = Instant::now();
                }
                Err(failure) if failure.code == Code::Unauthorized => self.revoked = true,
                Err(failure) => {
                    // The stream stays open while the database is away (design 3.8).
                    tracing::warn!(%failure, "a stream waits for the database");
                    self.read(STORE_RETRY);
                }
            }
        }
    }

    /// The body of a response: where the socket cannot be had.
    pub fn into_body(mut self) -> Body {
        let mut frames = Vec::new();
        Body::from_stream(poll_fn(move |cx| {
            ready!(self.poll_frames(cx, &mut frames));
            let bytes = (!frames.is_empty()).then(|| frame::joined(&frames));
            frames.clear();
            Poll::Ready(bytes.map(Ok::<_, Infallible>))
        }))
    }

    /// While the reader does not take what it was sent: ready when the stream is over all the same. It costs no more than a
    /// cursor, and a relay that stops does not wait for it (design 3.9).
    pub fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.listen(cx);
        if self.phase == Phase::Closed {
            return Poll::Ready(());
        }
        if self.phase == Phase::Stopping && self.ends_at.is_none() {
            self.ends_at = Some(Instant::now() + self.relay.settings().drain);
        }
        match self.ends_at.or_else(|| self.bye_at.map(|it| it + closes(self.relay.settings().stream_lifetime))) {
            Some(end) => self.poll_timer(cx, end),
            None => Poll::Pending,
        }
    }

    /// First listens and then looks, so that nothing falls between.
    fn listen(&mut self, cx: &Context<'_>) {
        self.listening.ear.listen(cx.waker());
        if self.listening.ear.is_stirred() {
            self.phase = Phase::of(&self.relay);
        }
    }

    fn hear(&mut self) {
        self.heard.append(&mut self.listening.ear.signals());
        let too_many = self.heard.len().saturating_sub(SIGNALS_HELD_MAX);
        self.heard.drain(..too_many);
    }

    /// Takes what follows `pos`, and adds those frames of it that are for this reader.
    fn poll_take(&mut self, cx: &mut Context<'_>, frames: &mut Vec<Bytes>) -> Poll<Result<Taken, Failure>> {
        if self.reading.is_none() {
            if self.listening.is_caught_up() {
                return Poll::Ready(Ok(Taken::AtHead));
            }
            let behind = self.replay_until.get().saturating_sub(self.pos.get());
            let tail = if behind > self.relay.settings().replay_changes_max {
                Tail::Fallen
            } else {
                self.listening.after(&mut self.pos, POLL_FRAMES_MAX)
            };
            match tail {
                Tail::Entries(entries) => return Poll::Ready(Ok(self.take(&entries, frames))),
                Tail::Fallen => self.read(Duration::ZERO),
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(Taken::Some)) };
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let Piece { frames: read, until, audience } = read?;
        frames.extend(read);
        self.pos = until;
        self.audience = audience;
        self.listening.renew(self.audience.circles());
        Poll::Ready(Ok(Taken::Some))
    }

    fn take(&mut self, entries: &[Arc<Entry>], frames: &mut Vec<Bytes>) -> Taken {
        let Some(last) = entries.last() else { return Taken::AtHead };
        metrics::ring(true);
        self.pos = last.pos;
        for entry in entries {
            // The last thing that the device hears is why.
            self.revoked |= entry.revoked == Some(self.who.device);
            if let Some(own) = entry.subject.filter(|it| it.person == self.who.person) {
                self.listening.membership(own.circle, own.joined);
            }
            if self.audience.admits(entry.pos, entry.scope, entry.subject) {
                frames.push(entry.frame.clone());
            }
        }
        Taken::Some
    }

    /// Begins to read the next piece from the database, after a while.
    fn read(&mut self, wait: Duration) {
        metrics::ring(false);
        let (relay, who, after) = (self.relay.clone(), self.who, self.pos);
        self.reading = Some(Box::pin(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let (epoch, replay_max) = (relay.epoch(), relay.settings().replay_changes_max);
            relay.store().read(move |conn| backlog::next(conn, who, &epoch, after, replay_max)).await
        }));
    }

    fn is_over(&self, now: Instant) -> bool {
        self.ends_at.is_some_and(|it| it <= now) || self.phase == Phase::Closed
    }

    /// The replay is over, for the first time: the reader is told, also if nothing of what it missed was for it.
    fn is_current(&mut self) -> bool {
        let ends = self.replays && self.pos >= self.replay_until;
        if ends {
            self.replays = false;
            // Not before: what lies between the ring's head and that of the database may be for others alone.
            self.listening.narrow(self.audience.circles());
        }
        ends
    }

    fn ping_at(&self) -> Instant {
        self.pinged_at + self.relay.settings().heartbeat
    }

    /// When there is something to do although nothing happens.
    fn next_due(&self) -> Instant {
        let ping_at = self.ping_at();
        self.ends_at.or(self.bye_at).map_or(ping_at, |it| it.min(ping_at))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let waits = |(waker, at): &(Waker, Instant)| *at <= due && waker.will_wake(cx.waker()) && Instant::now() < *at;
        if self.timer_wakes.as_ref().is_some_and(waits) {
            return Poll::Pending;
        }
        self.timer_wakes = None;
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        loop {
            if self.timer.as_mut().poll(cx).is_pending() {
                self.timer_wakes = Some((cx.waker().clone(), self.timer.deadline()));
                return Poll::Pending;
            }
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
    }

    fn ping(&mut self, now: Instant) -> Bytes {
        self.listening.settle(&mut self.pos);
        self.pinged_at = now;
        frame::event(EventName::Ping, &self.cursor(), &Ping { now: clock::now() })
    }

    /// The `bye`, when the lifetime is over or the relay stops.
    fn bye_due(&mut self, now: Instant) -> Option<Bytes> {
        if self.ends_at.is_some() {
            return None;
        }
        if self.phase == Phase::Stopping {
            let drain = self.relay.settings().drain;
            return Some(self.bye(ByeReason::Shutdown, drain.mul_f64(rand::rng().random_range(0.0..=1.0)), now));
        }
        let lifetime = self.relay.settings().stream_lifetime;
        let over = self.bye_at.is_some_and(|it| it <= now);
        over.then(|| self.bye(ByeReason::Lifetime, closes(lifetime), now))
    }

    fn bye(&mut self, reason: ByeReason, closes: Duration, now: Instant) -> Bytes {
        self.ends_at = Some(now + closes);
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
        Cursor { epoch: self.relay.epoch(), pos: self.pos }
    }
}

/// What a stream knows of its relay, as of when it was last stirred.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The stream is to say `bye`, and to end within the drain time.
    Stopping,
    /// It is to end at once.
    Closed,
}

impl Phase {
    fn of(relay: &Relay) -> Self {
        match (relay.is_closed(), relay.is_stopping()) {
            (true, _) => Self::Closed,
            (false, true) => Self::Stopping,
            (false, false) => Self::Serving,
        }
    }
}

/// What taking came to.
enum Taken {
    /// Something followed; perhaps nothing of it was for this reader.
    Some,
    /// Nothing follows yet.
    AtHead,
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
