//! `GET /v1/stream`: a cursor over the ring (design section 5). No queue belongs to a connection: a slow reader costs a
//! cursor, and falls back to the database when the ring has moved on.

mod backlog;
pub mod direct;
pub mod frame;
mod live;
mod open_streams;

pub use live::Live;
pub use open_streams::{OpenStreams, Ticket};

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use circles_protocol::{
    Cursor, Pos,
    event::{EventName, Hello},
};

use self::backlog::Opening;
use crate::{access::Who, clock, failure::Failure, metrics, relay::Relay};

/// Opens a stream from a cursor. Order: register for live changes, read the head, replay, live.
pub async fn open(relay: Relay, who: Who, cursor: Option<Cursor>) -> Result<Live, Failure> {
    let elsewhere = relay.ephemeral().streams_elsewhere(who.person);
    let ticket = relay.streams().enter(who, elsewhere, relay.settings().streams_per_person)?;
    let listening = relay.transport().listen(who.person);
    let epoch = relay.epoch();
    let opening = relay.store().read(move |conn| backlog::opening(conn, who, &epoch, cursor.as_ref())).await?;
    // Not known here yet if another instance wrote it: the stream is current once the ring has it.
    relay.transport().tell(opening.head);
    metrics::replay(opening.head.get() - opening.from.get());
    let first = first_bytes(&relay, who, &opening);
    Ok(Live::new(relay, who, first, opening, listening, ticket))
}

/// A way for the handler of a request to give its stream to whoever holds the socket. Comes with the request.
#[derive(Clone, Default)]
pub struct Handover(Arc<Mutex<Option<Live>>>);

impl Handover {
    /// The response is to be followed by this stream.
    pub fn give(&self, live: Live) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(live);
    }

    /// The stream, if the request was for one and was granted.
    pub fn take(&self) -> Option<Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        now: Some(clock::now()),
    };
    let mut frames = vec![Bytes::from_static(frame::RETRY)];
    frames.push(frame::event(EventName::Hello, &at(opening.from), &hello));
    frames.extend(opening.reset.as_ref().map(|it| frame::event(EventName::Reset, &at(Pos::ZERO), it)));
    frame::joined(&frames)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
