//! The wire between a client and a relay, or a relay and its database, byte by byte: one can hold it, slow it down, cut it, or
//! let it go dead unnoticed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that are passed on at once; a slow wire pauses after each portion.
const PORTION: usize = 8 * 1024;

/// How the wire is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything passes.
    Well,
    /// Nothing passes until it is well again; then what waited does.
    Held,
    /// A portion of bytes, then a pause of this length, in both directions.
    Slow(Duration),
}

/// A wire. It is cut when dropped.
pub struct Wire {
    port: u16,
    server: u16,
    control: Arc<Control>,
    _listening: AbortOnDropHandle<()>,
}

struct Control {
    state: watch::Sender<State>,
    /// Connections with smaller numbers than these are cut, or dead.
    cut: watch::Sender<u64>,
    dead: AtomicU64,
    made: AtomicU64,
}

impl Wire {
    /// To the server on this port of loopback.
    pub async fn to(server: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let control = Arc::new(Control {
            state: watch::Sender::new(State::Well),
            cut: watch::Sender::default(),
            dead: AtomicU64::default(),
            made: AtomicU64::default(),
        });
        let shared = control.clone();
        let listening = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                // A server that is down refuses, and so does the wire then: by closing.
                let Ok(to) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let number = shared.made.fetch_add(1, Ordering::Relaxed);
                connections.spawn(pass(client, to, number, shared.clone()));
            }
        });
        Ok(Self { port, server, control, _listening: AbortOnDropHandle::new(listening) })
    }

    /// The same address, over the wire: of an invite, or of a database.
    pub fn over(&self, url: &str) -> String {
        url.replace(&format!("127.0.0.1:{}", self.server), &format!("127.0.0.1:{}", self.port))
    }

    /// From now on it is so.
    pub fn set(&self, state: State) {
        self.control.state.send_replace(state);
    }

    /// Closes all connections that there are. New ones can be made.
    pub fn cut(&self) {
        self.control.cut.send_replace(self.made());
    }

    /// From now on nothing passes on the connections that there are, and nobody is told: they are open and dead, as after a
    /// change of network. New ones can be made.
    pub fn go_dead(&self) {
        self.control.dead.store(self.made(), Ordering::Relaxed);
    }

    /// How many connections were made so far.
    pub fn made(&self) -> u64 {
        self.control.made.load(Ordering::Relaxed)
    }
}

async fn pass(client: TcpStream, server: TcpStream, number: u64, control: Arc<Control>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = control.cut.subscribe();
    tokio::select! {
        // Either direction's end is that of both: HTTP closes connections whole, and so does Postgres.
        _ = copy(from_client, to_server, number, &control) => {}
        _ = copy(from_server, to_client, number, &control) => {}
        _ = cut.wait_for(|before| number < *before) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, control: &Control) -> Result<()> {
    let mut state = control.state.subscribe();
    let mut portion = vec![0; PORTION];
    loop {
        // A reset is an end too.
        let read = from.read(&mut portion).await.unwrap_or_default();
        let now = *state.wait_for(|it| *it != State::Held).await?;
        if number < control.dead.load(Ordering::Relaxed) {
            // Not even the end of the connection passes.
            std::future::pending::<()>().await;
        }
        if read == 0 {
            return Ok(());
        }
        to.write_all(&portion[..read]).await?;
        if let State::Slow(pause) = now {
            tokio::time::sleep(pause).await;
        }
    }
}
