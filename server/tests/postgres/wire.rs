//! A way to the database, or to Redis: a long one, or one on which nothing comes any more although both ends are there.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    time::timeout,
};

use crate::instances::common::PATIENCE;

/// A listener that carries each of its connections to a server.
pub struct Wire {
    /// The server's address on this way.
    pub url: String,
    trap: Arc<Trap>,
}

/// A connection as the relay made it.
#[derive(Default)]
struct Connection {
    said: Mutex<Vec<u8>>,
    frozen: watch::Sender<bool>,
}

impl Connection {
    fn has_said(&self, what: &str) -> bool {
        what.is_empty() || has(&self.said.lock().unwrap(), what)
    }
}

fn has(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|it| it == what.as_bytes())
}

/// What freezes a connection.
struct Trap {
    /// What the relay has to say on it, one after the other; the first connection on which all was said freezes.
    said: Mutex<Vec<&'static str>>,
    caught: Notify,
    connections: Mutex<Vec<Arc<Connection>>>,
    thawed: watch::Sender<bool>,
}

impl Wire {
    /// A way to the server of that address on which answers are under way for so long.
    pub async fn to(url: &str, later: Duration) -> Self {
        let mut address = url::Url::parse(url).unwrap();
        let (host, port) = (address.host_str().unwrap().to_owned(), address.port().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        address.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let trap = Arc::new(Trap {
            said: Mutex::default(),
            caught: Notify::new(),
            connections: Mutex::default(),
            thawed: watch::Sender::new(false),
        });
        let set = trap.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let connection = Arc::new(Connection::default());
                set.connections.lock().unwrap().push(connection.clone());
                let held = Held { frozen: connection.frozen.subscribe(), thawed: set.thawed.subscribe() };
                tokio::spawn(listen(from_client, to_server, set.clone(), connection, held.clone()));
                tokio::spawn(carry(from_server, to_client, later, held));
            }
        });
        Self { url: address.into(), trap }
    }

    /// Freezes the connection on which all of this is said next, in this order: the last of it still arrives, and then
    /// nothing passes in either direction. The other connections go on. Returns when it is so.
    pub async fn freeze_after(&self, said: &[&'static str]) {
        *self.trap.said.lock().unwrap() = said.to_vec();
        timeout(PATIENCE, self.trap.caught.notified()).await.expect("it is said");
    }

    /// Freezes the connections on which that was ever said; those made later go on.
    pub fn freeze(&self, said: &str) {
        let connections = self.trap.connections.lock().unwrap();
        for connection in connections.iter().filter(|it| it.has_said(said)) {
            connection.frozen.send_replace(true);
        }
    }

    /// Lets everything pass again, also what was held.
    pub fn thaw(&self) {
        self.trap.thawed.send_replace(true);
    }
}

/// Until when nothing passes on a connection.
#[derive(Clone)]
struct Held {
    frozen: watch::Receiver<bool>,
    thawed: watch::Receiver<bool>,
}

impl Held {
    async fn wait(&mut self) {
        let is_frozen = *self.frozen.borrow();
        if is_frozen {
            drop(self.thawed.wait_for(|it| *it).await);
        }
    }
}

/// Hands on what the relay says, and freezes the connection when that is the trap's.
async fn listen(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    trap: Arc<Trap>,
    connection: Arc<Connection>,
    mut held: Held,
) {
    let mut heard = 0;
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        held.wait().await;
        connection.said.lock().unwrap().extend_from_slice(&buffer[..length]);
        {
            let mut said = trap.said.lock().unwrap();
            if said.is_empty() {
                heard = 0;
            }
            while said.get(heard).is_some_and(|it| has(&buffer[..length], it)) {
                heard += 1;
            }
            if !said.is_empty() && heard == said.len() {
                said.clear();
                connection.frozen.send_replace(true);
                trap.caught.notify_one();
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

/// Hands on what comes, so much later. It ends with either end.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    later: Duration,
    mut held: Held,
) {
    let (under_way, mut arriving) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, bytes)) = arriving.recv().await {
            tokio::time::sleep_until(due.into()).await;
            held.wait().await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if under_way.send((Instant::now() + later, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}
