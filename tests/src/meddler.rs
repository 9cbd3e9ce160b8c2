//! A proxy between a client and a relay that meddles: what broken relays, sign-in pages and half-dead networks do.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use tokio::{net::TcpListener, task::JoinHandle};

/// Most bytes of a request that are passed on: more than a relay takes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the proxy does to requests whose path begins with [`Meddling::path`].
#[derive(Clone)]
pub struct Meddling {
    /// Beginning of the path.
    pub path: &'static str,
    /// What to do.
    pub how: How,
}

/// See [`Meddling`].
#[derive(Clone)]
pub enum How {
    /// Answers by itself: status, headers, body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// Passes the first event of a stream on, and then nothing, with the connection open.
    Silence,
    /// Passes the request on and keeps the answer: the client sees a proxy's 502.
    LoseAnswer,
    /// Rewrites each event of a stream, which it gets with the blank line at its end, or the whole body of another answer.
    Rewrite(Rewrite),
}

/// Text as the relay sent it, to bytes as the client gets them.
pub type Rewrite = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// The proxy. It ends when dropped.
pub struct Meddler {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    relay: String,
    http: reqwest::Client,
    meddling: Mutex<Option<Meddling>>,
    seen: Mutex<Vec<(Instant, String)>>,
}

impl Meddler {
    /// A proxy in front of a relay, which passes everything on for now.
    pub async fn start(relay: &str) -> Result<Self> {
        // Fails if it was installed before, which is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            relay: relay.to_owned(),
            http: reqwest::Client::builder().no_proxy().build()?,
            meddling: Mutex::default(),
            seen: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                panic!("the meddler cannot serve: {error}");
            }
        });
        Ok(Self { url, shared, serving })
    }

    /// The same invite, through the proxy.
    pub fn invite(&self, link: &str) -> String {
        link.replace(&self.shared.relay, &self.url)
    }

    /// Meddles from the next request on.
    pub fn meddle(&self, path: &'static str, how: How) {
        *lock(&self.shared.meddling) = Some(Meddling { path, how });
    }

    /// Passes everything on from the next request on.
    pub fn stop_meddling(&self) {
        *lock(&self.shared.meddling) = None;
    }

    /// How long ago each request came whose path begins so, oldest first.
    pub fn seen(&self, path: &str) -> Vec<Duration> {
        lock(&self.shared.seen).iter().filter(|it| it.1.starts_with(path)).map(|it| it.0.elapsed()).collect()
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    lock(&shared.seen).push((Instant::now(), path.clone()));
    let how = lock(&shared.meddling).clone().filter(|it| path.starts_with(it.path)).map(|it| it.how);
    if let Some(How::Answer(status, headers, body)) = &how {
        let status = StatusCode::from_u16(*status).expect("tests name real statuses");
        let mut response = (status, *body).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(*name, header::HeaderValue::from_static(value));
        }
        return response;
    }
    match forward(&shared, request, &path, how).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn forward(shared: &Shared, request: Request, path: &str, how: Option<How>) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await?;
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let url = format!("{}{path}", shared.relay);
    let answer = shared.http.request(parts.method, url).headers(headers).body(body).send().await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if !matches!(*name, header::CONNECTION | header::TRANSFER_ENCODING) {
            response = response.header(name, value);
        }
    }
    let answer_status = answer.status();
    let is_stream = answer.headers().get(header::CONTENT_TYPE).is_some_and(|it| it == "text/event-stream");
    let body = match how {
        None | Some(How::Answer(..)) => Body::from_stream(answer.bytes_stream()),
        Some(How::Silence) => Body::from_stream(answer.bytes_stream().take(1).chain(futures::stream::pending())),
        Some(How::LoseAnswer) => {
            anyhow::ensure!(answer_status.is_success(), "the relay answered {answer_status}: there is nothing to lose");
            anyhow::bail!("the answer was lost");
        }
        Some(How::Rewrite(rewrite)) if !is_stream => {
            let whole = answer.bytes().await?;
            response = response.header(header::CONNECTION, "close");
            if let Some(headers) = response.headers_mut() {
                headers.remove(header::CONTENT_LENGTH);
            }
            Body::from(rewrite(&String::from_utf8_lossy(&whole)))
        }
        Some(How::Rewrite(rewrite)) => {
            let mut rest = String::new();
            Body::from_stream(answer.bytes_stream().map(move |chunk| {
                rest.push_str(&String::from_utf8_lossy(&chunk?));
                let mut events = Vec::new();
                while let Some(end) = rest.find("\n\n") {
                    let event: String = rest.drain(..end + 2).collect();
                    events.extend(rewrite(&event));
                }
                Ok::<_, reqwest::Error>(bytes::Bytes::from(events))
            }))
        }
    };
    Ok(response.body(body)?)
}
