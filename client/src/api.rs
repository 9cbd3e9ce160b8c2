//! The relay's HTTP API, as the client uses it. All of the client's network traffic goes through here.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use circles_protocol::{Problem, limits::BODY_BYTES_MAX};
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header, request::Builder};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, time::timeout};
use url::Url;

use crate::{
    error::ClientError,
    lan::Route,
    limits::{ANSWER_BYTES_MAX, REQUEST_TIMEOUT},
    network::Machine,
    outside::{Body, Network},
};

const USER_AGENT: &str = concat!("circles/", env!("CARGO_PKG_VERSION"));

/// One relay, and the token of a device of it.
#[derive(Clone)]
pub struct Api {
    network: Arc<dyn Network>,
    relay: Place,
    token: Option<String>,
    /// Tells requests that are under way that they may never be answered.
    lost: watch::Sender<()>,
}

/// Where the relay is.
#[derive(Clone, Debug)]
pub enum Place {
    /// Known by its name: at this address, and if that is https, with a certificate that the system trusts.
    Url(Url),
    /// Known by its key: on the LAN.
    Lan(Arc<Route>),
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("relay", &self.relay).finish_non_exhaustive()
    }
}

impl Api {
    /// A relay, asked without a token until [`Api::with_token`]; over the machine's own network, or the one given.
    pub fn new(relay: Url, network: Option<Arc<dyn Network>>) -> Result<Self, ClientError> {
        Self::at(Place::Url(relay), network)
    }

    /// A relay on the LAN, asked without a token until [`Api::with_token`].
    pub fn on_lan(route: Arc<Route>) -> Result<Self, ClientError> {
        Self::at(Place::Lan(route), None)
    }

    fn at(relay: Place, network: Option<Arc<dyn Network>>) -> Result<Self, ClientError> {
        let network = match network {
            Some(network) => network,
            None => Arc::new(Machine::new(relay.clone())?),
        };
        Ok(Self { network, relay, token: None, lost: watch::Sender::default() })
    }

    /// The way to a relay on the LAN.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match &self.relay {
            Place::Url(_) => None,
            Place::Lan(route) => Some(route),
        }
    }

    /// A connection ended that should not have, or the computer slept: whatever else is open may be dead without saying so.
    /// Requests under way end, the next ones connect anew, and a relay on the LAN is searched for.
    pub fn lost(&self) {
        if let Some(route) = self.route() {
            route.lost();
        }
        self.network.renew();
        self.lost.send_replace(());
    }

    /// The same relay, asked in the name of a device.
    #[must_use]
    pub fn with_token(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// The address of a route, for example `v1/me`.
    pub fn url(&self, path: &str) -> Url {
        let relay = match &self.relay {
            Place::Url(url) => url.clone(),
            Place::Lan(route) => route.url(),
        };
        relay.join(path).expect("routes are plain paths")
    }

    /// Asks for the stream, with headers beside those of every request, and without a time limit.
    pub async fn stream(&self, headers: &http::HeaderMap) -> Result<Response<Body>, ClientError> {
        let mut request = self.request(Method::GET, "v1/stream");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        refused(self.network.send(whole(request, Bytes::new())?).await?).await
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path).await
    }

    /// The relay's clock, if it says: it is asked whether it is there, without a token.
    pub async fn date(&self) -> Result<Option<jiff::Timestamp>, ClientError> {
        let stranger = Self { token: None, ..self.clone() };
        let asked = stranger.response(stranger.request(Method::GET, "healthz"), Vec::new());
        let response = in_time(asked).await?;
        if response.headers().get("x-request-id").is_none() {
            return Err(ClientError::NotARelay);
        }
        let date = response.headers().get(header::DATE).and_then(|it| it.to_str().ok());
        Ok(date.and_then(|it| jiff::fmt::rfc2822::parse(it).ok()).map(|it| it.timestamp()))
    }

    /// Sends something.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Invalid(error.to_string()))?;
        if body.len() > BODY_BYTES_MAX {
            return Err(ClientError::Invalid(format!("message is too large: {} bytes", body.len())));
        }
        self.answer(self.request(method, path).header(header::CONTENT_TYPE, "application/json"), body).await
    }

    /// Sends something that is answered with nothing.
    pub async fn tell(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Invalid(error.to_string()))?;
        let request = self.request(method, path).header(header::CONTENT_TYPE, "application/json");
        self.kept(self.response(request, body)).await.map(drop)
    }

    /// Sends something without a body, for an answer.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.answer(self.request(method, path), Vec::new()).await
    }

    /// Deletes something; the answer does not matter.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.kept(self.response(self.request(Method::DELETE, path), Vec::new())).await.map(drop)
    }

    /// Work that ends after a while, and when the relay is lost: on a dead connection it may never be answered. It may have
    /// been done there: the same again is the same.
    async fn kept<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            done = in_time(work) => done,
            // The sender is here as long as `self` is.
            _ = lost.changed() => Err(ClientError::Offline("the connection was lost".to_owned())),
        }
    }

    fn request(&self, method: Method, path: &str) -> Builder {
        let request = Request::builder()
            .method(method)
            .uri(self.url(path).as_str())
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "*/*");
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn response(&self, request: Builder, body: Vec<u8>) -> Result<Response<Body>, ClientError> {
        refused(self.network.send(whole(request, body.into())?).await?).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: Builder, body: Vec<u8>) -> Result<T, ClientError> {
        let answer = self.kept(async {
            let response = self.response(request, body).await?;
            if is(&response, "application/json") { all(response).await } else { Err(ClientError::NotARelay) }
        });
        serde_json::from_slice(&answer.await?).map_err(|error| {
            tracing::warn!(%error, "an answer is not of the expected shape");
            ClientError::NotARelay
        })
    }
}

/// A token that is no header's value was damaged on this device.
fn whole(request: Builder, body: Bytes) -> Result<Request<Bytes>, ClientError> {
    request.body(body).map_err(|error| ClientError::Token(error.to_string()))
}

async fn in_time<T>(answer: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(REQUEST_TIMEOUT, answer).await.unwrap_or(Err(ClientError::Late))
}

/// The response, unless it is an error.
async fn refused(response: Response<Body>) -> Result<Response<Body>, ClientError> {
    let status = response.status();
    if status.is_success() && status != StatusCode::RESET_CONTENT {
        return Ok(response);
    }
    let after = response.headers().get(header::RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    if is(&response, "application/problem+json") {
        let problem = serde_json::from_slice::<Problem>(&all(response).await?).map_err(|_| ClientError::NotARelay)?;
        return Err(ClientError::Relay(Box::new(problem), after));
    }
    // A proxy in front of a relay that is off speaks HTML.
    if status.is_server_error() {
        return Err(ClientError::Proxy(status));
    }
    Err(ClientError::NotARelay)
}

/// Whether the response is of this media type.
pub fn is(response: &Response<Body>, media_type: &str) -> bool {
    let value = response.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case(media_type))
}

async fn all(response: Response<Body>) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    let mut chunks = response.into_body();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::NotARelay);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
