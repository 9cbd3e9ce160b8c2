//! Connections: HTTP/1.1 with small buffers, because most connections are streams that wait; and a stream that was granted
//! leaves HTTP behind, and has its socket to itself.

mod flushed;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::response};
use http_body::Body as _;
use hyper::{Method, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use self::flushed::Flushed;
use crate::{
    limits::{CONNECTION_BUFFER, HEADERS_TIME_MAX, NEWCOMER_PATIENCE, NEWCOMERS_MAX, PEER_DEAD_AFTER},
    stream::{Handover, Live, direct::Direct},
};

/// How long to wait after an accept that failed, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub trait Listener: Send + Sync + 'static {
    /// A connection.
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection, and says whose it is. An error is about one connection: more may follow.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Socket, SocketAddr)>> + Send;

    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

impl Listener for TcpListener {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = Self::accept(self).await?;
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%error, "a connection is as it is");
        }
        // One that came by IPv4 to a socket for both is the same peer as by that alone.
        Ok((socket, SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// What is spoken on an accepted connection below HTTP.
pub trait Accept<S>: Clone + Send + Sync + 'static {
    /// What carries HTTP.
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Agrees with the peer. It must end by itself: a peer may never answer.
    fn accept(&self, socket: S, peer: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Returns when its connections are to be cut, whatever is under way on them; if never, they end by themselves.
    fn hung_up(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Nothing: HTTP on the bare connection.
#[derive(Clone, Copy)]
pub struct Plain;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Accept<S> for Plain {
    type Socket = S;

    async fn accept(&self, socket: S, _: SocketAddr) -> io::Result<S> {
        Ok(socket)
    }
}

/// Serves until `stop`; then takes no more connections, and returns when those there are have ended. Streams end by
/// themselves: whoever stops them does so first.
pub async fn serve<L: Listener>(listener: L, router: Router, accept: impl Accept<L::Socket>, stop: CancellationToken) {
    let connections = Connections { router, stop, tasks: TaskTracker::new() };
    let newcomers = Arc::new(Semaphore::new(NEWCOMERS_MAX));
    loop {
        let next = async {
            let newcomer = newcomers.clone().acquire_owned().await.expect("it is not closed");
            (newcomer, listener.accept().await)
        };
        let (newcomer, accepted) = tokio::select! {
            () = connections.stop.cancelled() => break,
            next = next => next,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (shared, accept) = (connections.clone(), accept.clone());
        connections.tasks.spawn(async move {
            tokio::select! {
                () = shared.agree(accept.clone(), socket, peer, newcomer) => {}
                () = accept.hung_up() => {}
            }
        });
    }
    drop(listener);
    connections.tasks.close();
    connections.tasks.wait().await;
}

/// What all connections share.
#[derive(Clone)]
struct Connections {
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Connections {
    /// Agrees with the peer on what is spoken, and goes on with HTTP.
    async fn agree<S>(self, accept: impl Accept<S>, socket: S, peer: SocketAddr, newcomer: OwnedSemaphorePermit) {
        let mut agreed = Box::pin(accept.accept(socket, peer));
        let (agreed, newcomer) = if let Ok(done) = timeout(NEWCOMER_PATIENCE, &mut agreed).await {
            (done, Some(newcomer))
        } else {
            drop(newcomer);
            (agreed.await, None)
        };
        match agreed {
            Ok(socket) => self.run(socket, peer, newcomer, accept.clone()).await,
            Err(error) => tracing::debug!(%error, %peer, "a connection was not agreed on"),
        }
    }

    /// Answers requests until the connection ends, or one of them is granted a stream, which takes the socket over.
    ///
    /// hyper gives a socket back in the middle of a connection when the service fails: it writes nothing then and leaves
    /// `into_parts` to us. What it may lose is an earlier answer that the socket did not take yet; so a request that is sent
    /// ahead of such an answer gets its stream through hyper.
    async fn run<S, A: Accept<S>>(
        self,
        socket: A::Socket,
        peer: SocketAddr,
        newcomer: Option<OwnedSemaphorePermit>,
        accept: A,
    ) {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIME_MAX).max_buf_size(CONNECTION_BUFFER);
        let granted = Granted::default();
        let newcomer = Arc::new(Mutex::new(newcomer));
        let (socket, is_flushed) = Flushed::new(socket);
        let service = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            let is_alone = request.method() == Method::GET && request.body().is_end_stream() && is_flushed.get();
            let handover = is_alone.then(Handover::default);
            if let Some(handover) = &handover {
                request.extensions_mut().insert(handover.clone());
            }
            let answered = answer(self.router.clone(), request, handover, granted.clone());
            let newcomer = newcomer.clone();
            async move {
                let answered = answered.await;
                lock(&newcomer).take();
                answered
            }
        });
        let mut connection = http.serve_connection(TokioIo::new(socket), service);
        let patience = async {
            sleep(NEWCOMER_PATIENCE).await;
            lock(&newcomer).take();
            self.stop.cancelled().await;
        };
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = patience => {
                Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let granted = lock(&granted).take();
        match (granted, ended) {
            (Some((head, live)), _) => {
                let socket = connection.into_parts().io.into_inner().into_inner();
                let direct = Direct::new(socket, head, live);
                // A task of its own: what hyper needed is given back.
                self.tasks.spawn(async move {
                    tokio::select! {
                        ended = direct => if let Err(error) = ended {
                            tracing::debug!(%error, %peer, "a stream broke");
                        },
                        () = accept.hung_up() => {}
                    }
                });
            }
            (None, Err(error)) => tracing::debug!(%error, %peer, "a connection broke"),
            (None, Ok(())) => {}
        }
    }
}

/// A stream that was granted, and the head of the response that it follows.
type Granted = Arc<Mutex<Option<(response::Parts, Live)>>>;

/// The connection is a stream's from now on.
#[derive(Debug, thiserror::Error)]
#[error("the socket is a stream's")]
struct Taken;

async fn answer(
    router: Router,
    request: Request<Incoming>,
    handover: Option<Handover>,
    granted: Granted,
) -> Result<Response<Body>, Taken> {
    let Ok(response) = router.oneshot(request.map(Body::new)).await;
    match handover.and_then(|it| it.take()) {
        Some(live) => {
            *lock(&granted) = Some((response.into_parts().0, live));
            Err(Taken)
        }
        None => Ok(response),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message goes out at once; and a peer that is gone without a word is noticed, although heartbeats vanish into the
/// kernel's buffers.
fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PEER_DEAD_AFTER))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(PEER_DEAD_AFTER))?;
    Ok(())
}
