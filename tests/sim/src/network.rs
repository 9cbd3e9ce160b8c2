//! The client's network: HTTP by hyper over the simulated TCP. It sees everything that passes, and can break it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use circles_client::{ClientError, outside};
use circles_protocol::api::{PostMessage, Receipt};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use turmoil::net::TcpStream;

use crate::{
    breakage::{self, Breakage},
    shared::{Answered, Device, Shared, lock},
};

/// As of the machine's own network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a slow reader takes for each piece.
const SLOW: Duration = Duration::from_millis(400);

/// The network as one device sees it.
pub struct Network {
    /// The campus.
    pub shared: Arc<Shared>,
    /// Whose network it is.
    pub device: Arc<Device>,
}

impl outside::Network for Network {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<outside::Body>, ClientError>> {
        let (shared, device) = (self.shared.clone(), self.device.clone());
        Box::pin(async move { send(shared, device, request).await })
    }
}

async fn send(
    shared: Arc<Shared>,
    device: Arc<Device>,
    request: Request<Bytes>,
) -> Result<Response<outside::Body>, ClientError> {
    let what = format!(
        "{} {} {}",
        device.host(),
        request.method(),
        request.uri().path_and_query().map_or("", |it| it.as_str())
    );
    shared.line(&format!("{what}: asks"));
    if shared.breaks(Breakage::SentTwice) && is_post_of_message(&request) {
        drop(exchange(another_id(&request)).await);
    }
    let is_post = is_post_of_message(&request);
    let is_stream = request.uri().path() == "/v1/stream";
    let answered = exchange(small_pages(request)).await;
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            shared.line(&format!("{what}: {error}"));
            return Err(error);
        }
    };
    shared.line(&format!("{what}: {}", response.status()));
    let (head, body) = response.into_parts();
    if is_stream && head.status.is_success() {
        return Ok(Response::from_parts(head, events(shared, device, body)));
    }
    let mut bytes = body.collect().await.map_err(offline)?.to_bytes();
    if is_post
        && head.status.is_success()
        && let Ok(receipt) = serde_json::from_slice::<Receipt>(&bytes)
    {
        lock(&shared.answered).insert(receipt.id, Answered { device: device.index, circle: receipt.circle_id });
    }
    if what.contains("/v1/changes") && head.status.is_success() {
        bytes = breakage::page(&shared, bytes);
    }
    shared.line(&format!("{what}: {} bytes", bytes.len()));
    Ok(Response::from_parts(head, stream::once(async move { Ok(bytes) }).boxed()))
}

/// Asks for less at once: gaps of a few changes then take several pages, as those of thousands do.
fn small_pages(mut request: Request<Bytes>) -> Request<Bytes> {
    let asked = request.uri().to_string();
    let small = asked.replace("limit=1000", "limit=7").replace("limit=50", "limit=5");
    *request.uri_mut() = small.parse().expect("it was one");
    request
}

fn is_post_of_message(request: &Request<Bytes>) -> bool {
    request.method() == Method::POST && request.uri().path().ends_with("/messages")
}

/// What a client would send that makes a new id for each attempt.
fn another_id(request: &Request<Bytes>) -> Request<Bytes> {
    let mut other = request.clone();
    let mut post: PostMessage = serde_json::from_slice(request.body()).expect("the client's own");
    post.id = circles_protocol::MessageId::new();
    *other.body_mut() = serde_json::to_vec(&post).expect("it serialises").into();
    other.headers_mut().remove(header::CONTENT_LENGTH);
    other
}

/// One request on a connection of its own.
async fn exchange(mut request: Request<Bytes>) -> Result<Response<hyper::body::Incoming>, ClientError> {
    let host = request.uri().host().ok_or(ClientError::NotARelay)?.to_owned();
    let port = request.uri().port_u16().unwrap_or(80);
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await;
    let socket =
        connected.map_err(|_| ClientError::Offline("connecting took too long".to_owned()))?.map_err(offline)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(offline)?;
    // It ends with the exchange; what breaks it is told there.
    tokio::spawn(async move { drop(connection.await) });
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned();
    *request.uri_mut() = path.parse::<Uri>().map_err(offline)?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_str(&host).map_err(offline)?);
    sender.send_request(request.map(Full::new)).await.map_err(offline)
}

/// The events of a stream, whole, as they come in and as they are handed on.
fn events(shared: Arc<Shared>, device: Arc<Device>, body: hyper::body::Incoming) -> outside::Body {
    let reader = device.clone();
    let mut rest: Vec<u8> = Vec::new();
    BodyDataStream::new(body)
        .map_err(offline)
        .map_ok(move |chunk| {
            rest.extend_from_slice(&chunk);
            let mut out = String::new();
            while let Some(end) = rest.windows(2).position(|it| it == b"\n\n") {
                let frame: Vec<u8> = rest.drain(..end + 2).collect();
                let frame = String::from_utf8_lossy(&frame).into_owned();
                shared.line(&format!("{} hears {}", device.host(), frame.trim_end().replace('\n', " ")));
                if let Some(name) = frame.lines().find_map(|it| it.strip_prefix("event: ")) {
                    shared.count(&format!("event {name}"));
                }
                out.push_str(&breakage::frame(&shared, &device, frame));
            }
            Bytes::from(out)
        })
        .then(move |chunk| {
            let reader = reader.clone();
            async move {
                if reader.slow.load(Ordering::Relaxed) {
                    tokio::time::sleep(SLOW).await;
                }
                chunk
            }
        })
        .boxed()
}

fn offline(error: impl std::fmt::Display) -> ClientError {
    ClientError::Offline(error.to_string())
}

/// The outside of a device.
pub fn outside(shared: &Arc<Shared>, device: &Arc<Device>) -> outside::Outside {
    let (clock, pace) = (device.clone(), device.clone());
    outside::Outside {
        clock: Arc::new(move || clock.now()),
        network: Some(Arc::new(Network { shared: shared.clone(), device: device.clone() })),
        threads: outside::Threads::InPlace(Arc::new(move || pace.dawdles())),
    }
}
