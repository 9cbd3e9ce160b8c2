//! The parts of the client that read what comes from outside, for those who try to break them. No program needs this.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{Request, Response, header};

use crate::{
    api::Api,
    error::ClientError,
    outside::{Body, Network},
    stream::EventStream,
};

/// An event as the client takes it from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The cursor that it brings.
    pub id: Option<String>,
    /// What it says.
    pub data: String,
}

/// The events of a stream whose response comes in these pieces and then ends.
pub async fn events(pieces: Vec<Bytes>) -> Vec<Event> {
    let relay = "http://127.0.0.1/".parse().expect("an address");
    let network = Arc::new(Canned(Mutex::new(Some(pieces))));
    let api = Api::new(relay, Some(network)).expect("a network was given");
    let mut stream = EventStream::open(&api, None).expect("an address");
    let mut events = Vec::new();
    while let Ok(Some(it)) = stream.next().await {
        events.push(Event { name: it.event_type, id: it.id, data: it.data });
    }
    events
}

/// Answers one request with a stream.
struct Canned(Mutex<Option<Vec<Bytes>>>);

impl Network for Canned {
    fn send(&self, _: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, ClientError>> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let body = stream::iter(pieces.into_iter().map(Ok)).boxed();
        let response = Response::builder().header(header::CONTENT_TYPE, "text/event-stream").body(body);
        async { Ok(response.expect("a response")) }.boxed()
    }
}
