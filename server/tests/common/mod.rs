//! A relay on a real socket, and people who talk to it over HTTP.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::time::Duration;

use circles_protocol::{
    CircleId, CircleKind, Code, Cursor, DeviceId, MessageId, Problem,
    api::{CircleState, Circles, CreateCircle, Join, Joined, PostMessage, Receipt},
};
use circles_relay::{NewInvite, Relay, Settings};
use circles_test_servers::Postgres;
use futures::StreamExt;
use reqwest::{Client, Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A relay that serves. `stop` it at the end: a test that forgets to fails.
pub struct TestRelay {
    pub relay: Relay,
    pub url: String,
    pub http: Client,
    dir: TempDir,
    settings: Settings,
    stop: CancellationToken,
    served: Option<JoinHandle<std::io::Result<()>>>,
}

/// Whether these are the stories of `postgres.rs`: the same files, compiled into another test program.
pub fn on_postgres() -> bool {
    env!("CARGO_CRATE_NAME") == "postgres"
}

pub fn quick() -> Settings {
    Settings {
        heartbeat: Duration::from_secs(5),
        drain: Duration::from_millis(50),
        writes_burst: 100_000,
        reads_burst: 100_000,
        joins_burst: 10_000,
        ..Settings::default()
    }
}

impl TestRelay {
    pub async fn start() -> Self {
        Self::with(quick()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let dir = TempDir::new().unwrap();
        let new = || Postgres::shared().unwrap().database().unwrap();
        let database = settings.database.clone().or_else(|| on_postgres().then(new));
        Self::on(dir, Settings { database, ..settings }).await
    }

    /// On files, also among the stories of Postgres.
    pub async fn on_files(settings: Settings) -> Self {
        Self::on(TempDir::new().unwrap(), Settings { database: None, ..settings }).await
    }

    /// On what is there.
    pub async fn at(dir: TempDir, settings: Settings) -> Self {
        Self::on(dir, settings).await
    }

    /// Another instance on the same database.
    pub async fn beside(&self) -> Self {
        self.beside_with(self.settings.clone()).await
    }

    /// Another instance on the same database, with other settings.
    pub async fn beside_with(&self, settings: Settings) -> Self {
        Self::on(TempDir::new().unwrap(), Settings { database: self.settings.database.clone(), ..settings }).await
    }

    async fn on(dir: TempDir, settings: Settings) -> Self {
        let http = http();
        let settings = Settings { data_dir: dir.path().to_owned(), ..settings };
        let relay = Relay::open(settings.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let served = tokio::spawn({
            let (relay, stop) = (relay.clone(), stop.clone());
            async move { relay.serve(listener, stop).await }
        });
        Self { relay, url, http, dir, settings, stop, served: Some(served) }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops politely and gives the directory back.
    pub async fn stop(mut self) -> (TempDir, Settings) {
        self.stop.cancel();
        let served = self.served.take().expect("stopped once");
        tokio::time::timeout(PATIENCE, served).await.expect("it stops").unwrap().unwrap();
        self.relay.clone().close().await;
        let dir = std::mem::replace(&mut self.dir, TempDir::new().unwrap());
        (dir, self.settings.clone())
    }

    /// Waits until it ends by itself, which is an error, and says which.
    pub async fn ends(mut self) -> String {
        let served = self.served.take().expect("stopped once");
        let error = tokio::time::timeout(PATIENCE, served).await.expect("it ends").unwrap().unwrap_err();
        self.relay.clone().close().await;
        error.to_string()
    }

    /// Stops, and opens what is on the disk again.
    pub async fn restart(self) -> Self {
        let (dir, settings) = self.stop().await;
        Self::on(dir, settings).await
    }

    /// A new person with one device.
    pub async fn person(&self, name: &str) -> Person {
        let code = self.relay.create_invite(NewInvite { role: circles_protocol::Role::Member, ..NewInvite::OWNER });
        self.join(&code.await.unwrap(), name).await
    }

    pub async fn owner(&self, name: &str) -> Person {
        let code = self.relay.create_owner_invite().await.unwrap();
        self.join(&code, name).await
    }

    pub async fn join(&self, code: &str, name: &str) -> Person {
        join(&self.http, &self.url, code, name).await
    }
}

impl Drop for TestRelay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.served.is_none(), "the test left its relay running");
        }
    }
}

/// A client of relays.
pub fn http() -> Client {
    // Fails if it was installed before by another test, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().no_proxy().build().unwrap()
}

/// A new person at the relay of that address.
pub async fn join(http: &Client, url: &str, code: &str, name: &str) -> Person {
    let request = join_request(code, name);
    let response = http.post(format!("{url}/v1/join")).json(&request).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    Person { http: http.clone(), url: url.to_owned(), token: request.token, joined: response.json().await.unwrap() }
}

pub fn join_request(code: &str, name: &str) -> Join {
    Join {
        code: code.to_owned(),
        person_id: circles_protocol::PersonId::new(),
        name: name.to_owned(),
        device_id: DeviceId::new(),
        device_name: "test".to_owned(),
        token: format!("{:064x}", rand::random::<u128>()),
    }
}

/// A person who talks to the relay.
#[derive(Clone)]
pub struct Person {
    pub http: Client,
    pub url: String,
    pub token: String,
    pub joined: Joined,
}

impl Person {
    pub fn id(&self) -> circles_protocol::PersonId {
        self.joined.person.id
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Response {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    /// Succeeds, with that answer.
    pub async fn ok<T: DeserializeOwned>(&self, method: Method, path: &str, body: impl Serialize) -> T {
        let body = serde_json::to_value(body).unwrap();
        let response = self.send(method, path, (!body.is_null()).then_some(&body)).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(if text.is_empty() { "null" } else { &text }).unwrap()
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.ok(Method::GET, path, ()).await
    }

    /// Is refused, as a problem of that code.
    pub async fn refused(&self, method: Method, path: &str, body: impl Serialize) -> Code {
        let body = serde_json::to_value(body).unwrap();
        problem(self.send(method, path, (!body.is_null()).then_some(&body)).await).await
    }

    pub async fn general(&self) -> CircleId {
        let circles: Circles = self.get("/v1/circles").await;
        circles.circles.into_iter().find(|it| it.circle.name == "General").unwrap().circle.id
    }

    pub async fn create(&self, name: &str, access: CircleKind) -> CircleId {
        let request = CreateCircle { id: CircleId::new(), name: name.to_owned(), topic: String::new(), access };
        let state: CircleState = self.ok(Method::POST, "/v1/circles", &request).await;
        state.circle.id
    }

    pub async fn post(&self, circle: CircleId, text: &str) -> Receipt {
        self.ok(Method::POST, &format!("/v1/circles/{circle}/messages"), message(text)).await
    }

    pub async fn stream(&self, cursor: Option<&Cursor>) -> Events {
        let mut request = self.http.get(format!("{}/v1/stream", self.url)).bearer_auth(&self.token);
        if let Some(cursor) = cursor {
            request = request.header("Last-Event-ID", cursor.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Events { body: response.bytes_stream().boxed(), buffer: String::new() }
    }
}

/// Runs statements in a Postgres database, past the relays on it.
pub async fn execute(database: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

pub fn message(text: &str) -> PostMessage {
    PostMessage { id: MessageId::new(), text: text.to_owned(), reply_to: None, written_at: None }
}

pub async fn problem(response: Response) -> Code {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert!(response.headers().contains_key("x-request-id"));
    let retry_after = response.headers().contains_key("retry-after");
    let problem: Problem = response.json().await.unwrap();
    assert_eq!((problem.status, problem.code.status()), (status, status));
    assert!(problem.request_id.is_some());
    assert!(retry_after || !matches!(status, 429 | 503), "says when to come back");
    problem.code
}

/// An event as it was received.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: String,
    pub cursor: Cursor,
    pub data: Value,
}

/// An open stream.
pub struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
}

impl Events {
    /// The next event; none when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = parse(&self.block().await?) {
                return Some(event);
            }
        }
    }

    /// The next event that has no id: its name and data. Others before it are skipped.
    pub async fn passing(&mut self) -> (String, Value) {
        tokio::time::timeout(PATIENCE, self.next_passing())
            .await
            .expect("a signal in time")
            .expect("the stream goes on")
    }

    /// The same, for as long as the stream lasts.
    pub async fn next_passing(&mut self) -> Option<(String, Value)> {
        loop {
            let block = self.block().await?;
            let mut lines = block.lines();
            let name = lines.next().and_then(|it| it.strip_prefix("event: "));
            let data = lines.next().and_then(|it| it.strip_prefix("data: "));
            if let (Some(name), Some(data)) = (name, data) {
                return Some((name.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// The next lines up to an empty one. Cancel safe.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                return Some(self.buffer.drain(..end + 2).collect());
            }
            let bytes = self.body.next().await?.ok()?;
            self.buffer.push_str(std::str::from_utf8(&bytes).expect("frames are not cut within characters here"));
        }
    }

    /// Events up to and with the first for which `last` holds.
    pub async fn until(&mut self, last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            let done = last(&event);
            events.push(event);
            if done {
                return events;
            }
        }
    }

    /// Events up to and with the message of that text.
    pub async fn until_text(&mut self, text: &str) -> Vec<Event> {
        self.until(|it| it.data["entity"]["text"] == text).await
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut lines = block.lines();
    let name = lines.next()?.strip_prefix("event: ")?.to_owned();
    let cursor = lines.next()?.strip_prefix("id: ")?.parse().ok()?;
    let data = serde_json::from_str(lines.next()?.strip_prefix("data: ")?).ok()?;
    Some(Event { name, cursor, data })
}
