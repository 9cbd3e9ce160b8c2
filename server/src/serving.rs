//! Connections: HTTP/1.1 with small buffers, because most connections are streams that wait.

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::limits::{CONNECTION_BUFFER, HEADERS_TIME_MAX, PEER_DEAD_AFTER};

/// How long to wait after an accept that failed, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is spoken on an accepted connection below HTTP.
pub trait Accept: Clone + Send + Sync + 'static {
    /// What carries HTTP.
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Agrees with the peer. It must end by itself: a peer may never answer.
    fn accept(&self, socket: TcpStream, peer: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;

    /// Returns when its connections are to be cut, whatever is under way on them; if never, they end by themselves.
    fn hung_up(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// Nothing: HTTP on the bare connection.
#[derive(Clone, Copy)]
pub struct Plain;

impl Accept for Plain {
    type Socket = TcpStream;

    async fn accept(&self, socket: TcpStream, _: SocketAddr) -> io::Result<TcpStream> {
        Ok(socket)
    }
}

/// Serves until `stop`; then takes no more connections, and returns when those there are have ended. Streams end by
/// themselves: whoever stops them does so first.
pub async fn serve(listener: TcpListener, router: Router, accept: impl Accept, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIME_MAX).max_buf_size(CONNECTION_BUFFER);
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = prepare(&socket) {
            tracing::debug!(%error, "a connection is as it is");
        }
        let router = router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let (http, accept, watcher) = (http.clone(), accept.clone(), connections.watcher());
        tokio::spawn(async move {
            let connection = async {
                let socket = accept.accept(socket, peer).await?;
                let connection = http.serve_connection(TokioIo::new(socket), service);
                watcher.watch(connection).await.map_err(io::Error::other)
            };
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, %peer, "a connection broke");
                },
                () = accept.hung_up() => {}
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
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
