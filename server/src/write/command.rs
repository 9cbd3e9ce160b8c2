//! A command on its way through the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use circles_protocol::{CircleId, Code, MessageId};
use tokio::sync::oneshot;

use super::Tx;
use crate::{access::Who, failure::Failure};

/// What a command is going to look at, as far as that is known before it runs: it is read for a whole batch at once. What
/// is left out is read when it is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reads {
    pub who: Option<Who>,
    pub circle: Option<CircleId>,
    pub message: Option<MessageId>,
}

/// A command in the queue. It may be applied more than once, each time to a transaction that knows nothing of the time
/// before; it is answered once, when all is durable or failed.
pub trait Command: Send {
    fn reads(&self) -> Reads;

    /// Applies it; an error means that it was refused.
    fn apply(&mut self, tx: &mut Tx<'_>) -> Result<(), Failure>;

    /// It was applied, and then undone, because of this.
    fn refuse(&mut self, failure: Failure);

    /// Says what came of it, unless its transaction failed.
    fn answer(self: Box<Self>, durable: Result<(), Failure>);
}

/// A command that gives a value.
pub struct Job<T, F> {
    reads: Reads,
    apply: F,
    done: Option<Result<T, Failure>>,
    send: oneshot::Sender<Result<T, Failure>>,
}

impl<T, F> Job<T, F> {
    /// A job, and where its answer comes.
    pub fn new(reads: Reads, apply: F) -> (Self, oneshot::Receiver<Result<T, Failure>>) {
        let (send, receive) = oneshot::channel();
        (Self { reads, apply, done: None, send }, receive)
    }
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Result<T, Failure> + Send> Command for Job<T, F> {
    fn reads(&self) -> Reads {
        self.reads
    }

    fn apply(&mut self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        // A command that panics must not take the campus with it.
        let done = catch_unwind(AssertUnwindSafe(|| (self.apply)(tx)));
        let done = done.unwrap_or_else(|_| Err(Failure::of(Code::Internal)));
        let refused = done.as_ref().map(drop).map_err(Failure::clone);
        self.done = Some(done);
        refused
    }

    fn refuse(&mut self, failure: Failure) {
        self.done = Some(Err(failure));
    }

    fn answer(self: Box<Self>, durable: Result<(), Failure>) {
        let done = self.done.unwrap_or_else(|| Err(Failure::of(Code::Internal)));
        // Nobody listens if the request was given up; what is stored stays stored.
        let _ = self.send.send(durable.and(done));
    }
}
