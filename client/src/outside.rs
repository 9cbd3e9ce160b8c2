//! What comes from outside: the wall clock, the network, and threads that may block (design section 6). A program takes
//! those of the machine; a simulation brings its own, so that a seed decides everything.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use circles_protocol::UnixMs;
use futures::{future::BoxFuture, stream::BoxStream};
use http::{Request, Response};
use tokio::task::JoinError;

use crate::error::ClientError;

/// The outside of a client. Cheap to clone.
#[derive(Clone)]
pub struct Outside {
    /// Tells the time of day. It may jump, as when the computer sleeps or somebody sets it.
    pub clock: Clock,
    /// Carries requests; none: the machine's own network.
    pub network: Option<Arc<dyn Network>>,
    /// Where the cache works.
    pub threads: Threads,
}

impl Outside {
    /// The machine that the program runs on.
    pub fn machine() -> Self {
        Self {
            clock: Arc::new(|| UnixMs(jiff::Timestamp::now().as_millisecond())),
            network: None,
            threads: Threads::Blocking,
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// A wall clock.
pub type Clock = Arc<dyn Fn() -> UnixMs + Send + Sync>;

/// The body of an answer, piece by piece. Dropping it gives the connection up.
pub type Body = BoxStream<'static, Result<Bytes, ClientError>>;

/// Carries HTTP requests to relays. It follows no redirects: that would be a captive portal, and would get the token.
pub trait Network: Send + Sync {
    /// Sends a request. There is no limit in time: whoever asks has one. Without an answer it fails with
    /// [`ClientError::Offline`].
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, ClientError>>;

    /// Connections from before may be dead without saying so: none that is kept is used for another request.
    fn renew(&self) {}
}

/// Where work runs that blocks.
#[derive(Clone)]
pub enum Threads {
    /// On the runtime's threads for that.
    Blocking,
    /// In place, so that work is done in the order in which it is asked for. The future is waited for before and after
    /// each piece: work takes time in a simulation too, and a program may end in the middle of it.
    InPlace(Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>),
}

impl Threads {
    /// Runs a piece of work. It is done also if nobody waits for it any more, once it has begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self {
            Self::Blocking => tokio::task::spawn_blocking(work).await,
            Self::InPlace(pace) => {
                pace().await;
                let done = work();
                pace().await;
                Ok(done)
            }
        }
    }
}
