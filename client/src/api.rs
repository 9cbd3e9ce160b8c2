//! The relay's HTTP API, as the client uses it. All of the client's network traffic goes through here.

use std::{error::Error, sync::Arc, time::Duration};

use circles_protocol::{Problem, limits::BODY_BYTES_MAX};
use futures::StreamExt;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header, redirect};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use crate::{
    error::ClientError,
    lan::{self, Resolver, Route},
    limits::{ANSWER_BYTES_MAX, CONNECT_TIMEOUT, PROBE_TIME_MAX, REQUEST_TIMEOUT},
};

/// One relay, and the token of a device of it.
#[derive(Clone, Debug)]
pub struct Api {
    http: reqwest::Client,
    relay: Place,
    token: Option<String>,
}

/// Where the relay is.
#[derive(Clone, Debug)]
enum Place {
    /// Known by its name: at this address, and if that is https, with a certificate that the system trusts.
    Url(Url),
    /// Known by its key: on the LAN.
    Lan(Arc<Route>),
}

impl Api {
    /// A relay, asked without a token until [`Api::with_token`].
    pub fn new(relay: Url) -> Result<Self, ClientError> {
        Self::at(Place::Url(relay))
    }

    /// A relay on the LAN, asked without a token until [`Api::with_token`].
    pub fn on_lan(route: Arc<Route>) -> Result<Self, ClientError> {
        Self::at(Place::Lan(route))
    }

    fn at(relay: Place) -> Result<Self, ClientError> {
        Ok(Self { http: http(&relay)?, relay, token: None })
    }

    /// The way to a relay on the LAN.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match &self.relay {
            Place::Url(_) => None,
            Place::Lan(route) => Some(route),
        }
    }

    /// A connection ended that should not have: a relay on the LAN may have moved, and is searched for the next one.
    pub fn lost(&self) {
        if let Some(route) = self.route() {
            route.lost();
        }
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

    /// A request for the stream, not yet sent, and without a time limit.
    pub fn stream(&self) -> RequestBuilder {
        self.request(Method::GET, "v1/stream")
    }

    /// Asks for something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path).await
    }

    /// The relay's clock, if it says: it is asked whether it is there, without a token.
    pub async fn date(&self) -> Result<Option<jiff::Timestamp>, ClientError> {
        let request = self.http.request(Method::GET, self.url("healthz")).timeout(REQUEST_TIMEOUT);
        let response = refused(request.send().await.map_err(offline)?).await?;
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
        let request = self.request(method, path).header(header::CONTENT_TYPE, "application/json").body(body);
        self.kept(answer(request)).await
    }

    /// Sends something that is answered with nothing.
    pub async fn tell(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        let request = self.request(method, path).timeout(REQUEST_TIMEOUT).json(body);
        self.kept(async { refused(request.send().await.map_err(offline)?).await.map(drop) }).await
    }

    /// Sends something without a body, for an answer.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.kept(answer(self.request(method, path))).await
    }

    /// Deletes something; the answer does not matter.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        let request = self.request(Method::DELETE, path).timeout(REQUEST_TIMEOUT);
        self.kept(async { refused(request.send().await.map_err(offline)?).await.map(drop) }).await
    }

    /// Work that ends when the way to a relay on the LAN is lost. It may have been done there: the same again is the same.
    async fn kept<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        match self.route() {
            Some(route) => route.while_kept(work).await,
            None => work.await,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// The only maker of HTTP clients: who is asked, and how they are known, is decided here.
fn http(relay: &Place) -> Result<reqwest::Client, ClientError> {
    // Whichever part of the program was first has installed the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect is a captive portal, and would get the token.
        .redirect(redirect::Policy::none())
        .tcp_keepalive(Duration::from_secs(15))
        .user_agent(concat!("circles/", env!("CARGO_PKG_VERSION")));
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

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, ClientError> {
    let response = refused(request.timeout(REQUEST_TIMEOUT).send().await.map_err(offline)?).await?;
    if !is(&response, "application/json") {
        return Err(ClientError::NotARelay);
    }
    serde_json::from_slice(&body(response).await?).map_err(|error| {
        tracing::warn!(%error, "an answer is not of the expected shape");
        ClientError::NotARelay
    })
}

/// The response, unless it is an error.
pub async fn refused(response: Response) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() && status != StatusCode::RESET_CONTENT {
        return Ok(response);
    }
    let after = response.headers().get(header::RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    if is(&response, "application/problem+json") {
        let problem = serde_json::from_slice::<Problem>(&body(response).await?).map_err(|_| ClientError::NotARelay)?;
        return Err(ClientError::Relay(Box::new(problem), after));
    }
    // A proxy in front of a relay that is off speaks HTML.
    if status.is_server_error() {
        return Err(ClientError::Offline(format!("a proxy answered {status}")));
    }
    Err(ClientError::NotARelay)
}

/// Whether the response is of this media type.
pub fn is(response: &Response, media_type: &str) -> bool {
    let value = response.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case(media_type))
}

async fn body(response: Response) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(offline)?;
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::NotARelay);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A request that got no answer. The innermost cause says most ("Connection refused").
pub fn offline(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    if let Some(found) = lan::wrong_key(&error) {
        return ClientError::WrongKey { found };
    }
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ClientError::Offline(cause.to_string())
}
