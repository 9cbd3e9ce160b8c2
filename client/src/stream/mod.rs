//! One connection to `GET /v1/stream`, by eventsource-client.
//!
//! It is used for one connection each, without its own reconnecting: with that a stream that ends every 55 s doubles the
//! wait each time, and a captive portal's `200 text/html` counts as connected (measured against version 0.18.0). The loop
//! around it is in `engine`.

mod frames;

use std::{pin::Pin, time::Duration};

use circles_protocol::{Cursor, UnixMs};
use eventsource_client::{Client as _, ClientBuilder, Error as SseError, Event, ReconnectOptions, SSE};
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, Request, ResponseFuture, TransportError};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

pub use frames::UNREADABLE;

use frames::Frames;

use crate::{
    api::{self, Api},
    error::ClientError,
    limits::{CHUNKS_WAITING_MAX, HELLO_MAX},
};

/// An open stream.
pub struct EventStream {
    events: Pin<Box<dyn Stream<Item = Result<SSE, SseError>> + Send + Sync>>,
    /// Longer silence means a dead connection.
    pub silence_max: Duration,
    /// When something came last, or the stream was asked for.
    heard_at: Instant,
    /// When it was asked for.
    asked_at: Instant,
    /// The least that this device's time since then was ahead of the relay's clock, in ms.
    ahead_ms: Option<i64>,
    /// How late what came last was, as far as the relay told its time.
    late: Duration,
}

impl EventStream {
    /// Begins to connect; the first [`EventStream::next`] waits for the relay.
    pub fn open(api: &Api, cursor: Option<&Cursor>) -> Result<Self, ClientError> {
        let builder = ClientBuilder::for_url(api.url("v1/stream").as_str())
            .map_err(|error| ClientError::Offline(error.to_string()))?
            .redirect_limit(0)
            .reconnect(ReconnectOptions::reconnect(false).retry_initial(false).build());
        let builder = match cursor {
            Some(cursor) => builder.last_event_id(cursor.to_string()),
            None => builder,
        };
        let client = builder.build_with_transport(Transport { api: api.clone() });
        let now = Instant::now();
        Ok(Self {
            events: client.stream(),
            silence_max: HELLO_MAX,
            heard_at: now,
            asked_at: now,
            ahead_ms: None,
            late: Duration::ZERO,
        })
    }

    /// Whether what comes was sent longer ago than silence may last, by the relay's clock as it is told now: a slow link
    /// goes on delivering what was sent before it died, and that says nothing of the present. The clocks need not agree: what
    /// counts is how much later this came than what came soonest after it was sent.
    pub fn is_late(&mut self, told: UnixMs, now: Instant) -> bool {
        let elapsed_ms = i64::try_from((now - self.asked_at).as_millis()).unwrap_or(i64::MAX);
        let ahead_ms = elapsed_ms.saturating_sub(told.0);
        let least = self.ahead_ms.map_or(ahead_ms, |it| it.min(ahead_ms));
        self.ahead_ms = Some(least);
        self.late = Duration::from_millis(ahead_ms.abs_diff(least));
        self.late > self.silence_max
    }

    /// When the connection counts as dead if nothing comes until then: from when what came last was sent, and not from when it
    /// came. Otherwise a link that died behind a buffer would be believed for both times.
    fn silent_at(&self) -> Instant {
        self.heard_at + self.silence_max.saturating_sub(self.late)
    }

    /// The next event; none when the relay ended the stream. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            // From what came last, and not from now: whoever waits for several things asks again and again.
            let Ok(next) = timeout_at(self.silent_at(), self.events.next()).await else {
                return Err(ClientError::Silent);
            };
            self.heard_at = Instant::now();
            match next {
                None | Some(Err(SseError::Eof | SseError::UnexpectedEof)) => return Ok(None),
                Some(Ok(SSE::Event(event))) => return Ok(Some(event)),
                Some(Ok(SSE::Connected(_) | SSE::Comment(_))) => {}
                Some(Err(error)) => return Err(reason(error)),
            }
        }
    }
}

/// Our own reason comes back inside the library's error.
fn reason(error: SseError) -> ClientError {
    match error {
        SseError::Transport(error) => match error.inner().downcast_ref::<Refusal>() {
            Some(Refusal(reason)) => reason.lock().ok().and_then(|mut it| it.take()).unwrap_or(ClientError::NotARelay),
            None => ClientError::Offline(error.to_string()),
        },
        other => ClientError::Offline(other.to_string()),
    }
}

/// Carries a [`ClientError`] through the library.
#[derive(Debug)]
struct Refusal(std::sync::Mutex<Option<ClientError>>);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stream was refused")
    }
}

impl std::error::Error for Refusal {}

fn refusal(error: ClientError) -> TransportError {
    TransportError::new(Refusal(std::sync::Mutex::new(Some(error))))
}

/// Sends the library's requests through [`Api`], and checks what answers before the library believes it.
#[derive(Clone)]
struct Transport {
    api: Api,
}

impl HttpTransport for Transport {
    fn request(&self, request: Request<Option<bytes::Bytes>>) -> ResponseFuture {
        // The token is added there for each attempt: headers given to the library would follow a redirect.
        let (api, headers) = (self.api.clone(), request.into_parts().0.headers);
        let connecting = tokio::spawn(async move { connect(&api, &headers).await });
        Box::pin(async move {
            match connecting.await {
                Ok(Ok(body)) => Ok(http::Response::new(body)),
                Ok(Err(error)) => Err(refusal(error)),
                Err(error) => Err(TransportError::new(error)),
            }
        })
    }
}

async fn connect(api: &Api, headers: &HeaderMap) -> Result<ByteStream, ClientError> {
    let response = api.stream(headers).await?;
    if response.status() != StatusCode::OK || !api::is(&response, "text/event-stream") {
        return Err(ClientError::NotARelay);
    }
    let (tell, mut told) = mpsc::channel(CHUNKS_WAITING_MAX);
    tokio::spawn(async move {
        let mut chunks = response.into_body();
        let mut frames = Frames::default();
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                // Whoever listened has gone: so does the connection.
                () = tell.closed() => return,
            };
            let chunk = match chunk {
                None => return,
                Some(Err(error)) => Err(refusal(error)),
                Some(Ok(chunk)) => Ok(frames.push(&chunk)),
            };
            if chunk.as_ref().is_ok_and(bytes::Bytes::is_empty) {
                continue;
            }
            let last = chunk.is_err();
            if tell.send(chunk).await.is_err() || last {
                return;
            }
        }
    });
    Ok(Box::pin(stream::poll_fn(move |context| told.poll_recv(context))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_sent_long_before_it_comes_is_late_however_the_clocks_differ() {
        let api = Api::new("http://relay.invalid/".parse().expect("it is one"), None).expect("it can be made");
        for clock in [0_i64, 1_700_000_000_000, -5_000] {
            let mut stream = EventStream::open(&api, None).expect("nothing is asked for yet");
            stream.silence_max = Duration::from_secs(45);
            let begin = stream.asked_at;
            let mut comes =
                |sent_ms, at_ms| stream.is_late(UnixMs(clock + sent_ms), begin + Duration::from_millis(at_ms));
            assert!(!comes(0, 0), "there is nothing to compare it with");
            assert!(!comes(15_000, 15_000));
            // Some waited on their way, as long as one may be silent; what follows them waited less.
            assert!(!comes(30_000, 75_000));
            assert!(!comes(75_000, 75_000));
            assert!(comes(90_000, 135_001));
            assert!(!comes(90_001, 135_001));
            assert_eq!(stream.silent_at(), stream.heard_at, "it was as late as silence may last");
            assert!(!stream.is_late(UnixMs(clock + 140_000), begin + Duration::from_secs(150)));
            assert_eq!(stream.silent_at(), stream.heard_at + Duration::from_secs(35));
            assert!(!stream.is_late(UnixMs(clock + 160_000), begin + Duration::from_secs(160)));
            assert_eq!(stream.silent_at(), stream.heard_at + Duration::from_secs(45));
        }
    }
}
