//! What comes from outside: the wall clock, the network, and threads that may block (design section 6). A program takes
//! those of the machine; a simulation brings its own, so that a seed decides everything.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use circles_protocol::UnixMs;
use futures::{future::BoxFuture, stream::BoxStream};
use http::{Request, Response};
use tokio::{runtime::Runtime, task::JoinError};

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

    /// The same for work that nobody waits for: what somebody does wait for, here or in another program, goes first.
    pub(crate) async fn run_behind<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self {
            Self::Blocking => behind().spawn_blocking(work).await,
            Self::InPlace(_) => self.run(work).await,
        }
    }
}

/// A thread behind all others, which a process has once. Its runtime is there for its pool of threads alone.
fn behind() -> &'static Runtime {
    static BEHIND: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .thread_name("circles-behind")
            .on_thread_start(step_back)
            .build()
            .expect("a runtime without timers and sockets needs nothing of the system")
    });
    &BEHIND
}

/// Lets this thread have less of a processor that others want too: a tenth of what one of them gets. It is not less, because
/// who writes a message may wait for a transaction of this thread.
#[cfg(target_os = "linux")]
fn step_back() {
    const NICE: i32 = 10;
    // "No process" is the calling thread, and no other one (setpriority(2), "C library/kernel differences").
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "work in the background is not behind the rest");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_work_that_nobody_waits_for_steps_back() {
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        let threads = Threads::Blocking;
        assert_eq!(threads.run_behind(nice).await.unwrap(), (before + 10).min(19));
        assert_eq!((threads.run(nice).await.unwrap(), nice()), (before, before));
    }
}
