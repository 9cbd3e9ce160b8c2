//! The machine's own network, by reqwest. Nothing else of the client knows it.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use http::{Request, Response};
use reqwest::redirect;

use crate::{
    api::Place,
    error::ClientError,
    lan::{self, Resolver},
    limits::{CONNECT_TIMEOUT, PROBE_TIME_MAX},
    outside::{Body, Network},
};

/// Connections to a relay, kept for the next request.
pub struct Machine {
    relay: Place,
    http: RwLock<reqwest::Client>,
}

impl Machine {
    /// Without any connection yet.
    ///
    /// The only maker of HTTP clients: who is asked, and how they are known, is decided here.
    pub fn new(relay: Place) -> Result<Self, ClientError> {
        // Whichever part of the program was first has installed the same provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        Ok(Self { http: RwLock::new(http(&relay)?), relay })
    }
}

fn http(relay: &Place) -> Result<reqwest::Client, ClientError> {
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        .tcp_keepalive(Duration::from_secs(15));
    let http = match relay {
        Place::Url(_) => http,
        Place::Lan(route) => http
            .tls_backend_preconfigured(route.tls())
            .http1_only()
            .dns_resolver(Resolver(route.clone()))
            // The search is a part of connecting.
            .connect_timeout(PROBE_TIME_MAX + CONNECT_TIMEOUT)
            // A proxy for the web does not lead into this room.
            .no_proxy(),
    };
    http.build().map_err(|error| ClientError::Offline(error.to_string()))
}

impl Network for Machine {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, ClientError>> {
        let http = self.http.read().unwrap_or_else(PoisonError::into_inner).clone();
        let request = reqwest::Request::try_from(request).map(|request| http.execute(request));
        Box::pin(async move {
            let response = request.map_err(offline)?.await.map_err(offline)?;
            let (head, body) = Response::<reqwest::Body>::from(response).into_parts();
            let body = http_body_util::BodyDataStream::new(body).map_err(offline).boxed();
            Ok(Response::from_parts(head, body))
        })
    }

    fn renew(&self) {
        // A relay on the LAN has another host's name by now.
        if matches!(self.relay, Place::Lan(_)) {
            return;
        }
        match http(&self.relay) {
            Ok(http) => *self.http.write().unwrap_or_else(PoisonError::into_inner) = http,
            Err(error) => tracing::warn!(%error, "connections from before may be used again"),
        }
    }
}

/// A request that got no answer. The innermost cause says most ("Connection refused").
fn offline(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    if let Some(found) = lan::wrong_key(&error) {
        return ClientError::WrongKey { found };
    }
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ClientError::Offline(cause.to_string())
}
