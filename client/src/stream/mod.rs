//! One connection to `GET /v1/stream`, by eventsource-client.
//!
//! It is used for one connection each, without its own reconnecting: with that a stream that ends every 55 s doubles the
//! wait each time, and a captive portal's `200 text/html` counts as connected (measured against version 0.18.0). The loop
//! around it is in `engine`.

mod frames;

use std::{pin::Pin, time::Duration};

use circles_protocol::Cursor;
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
        Ok(Self { events: client.stream(), silence_max: HELLO_MAX, heard_at: Instant::now() })
    }

    /// The next event; none when the relay ended the stream. Cancel safe.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            // From what came last, and not from now: whoever waits for several things asks again and again.
            let Ok(next) = timeout_at(self.heard_at + self.silence_max, self.events.next()).await else {
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
