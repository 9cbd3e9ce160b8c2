//! Writing: one thread per campus that applies commands in batches (group commit, design section 5). The files beside
//! this one hold the rules of each noun.

pub mod circles;
pub mod devices;
pub mod import;
pub mod invites;
pub mod join;
pub mod members;
pub mod messages;
pub mod people;
mod tx;

pub use tx::Tx;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
    thread::JoinHandle,
};

use circles_protocol::{Change, Code, Epoch, Person};
use tokio::sync::{mpsc, oneshot};

use crate::{
    access::Who,
    audience,
    failure::Failure,
    limits::{BATCH_COMMANDS_MAX, QUEUE_COMMANDS_MAX},
    store::{WriterLink, session::Session},
    stream::frame,
    transport::{Transport, ring::Entry},
};

/// Runs in the batch's transaction, or hears why there is none; gives back how to answer once all is durable or failed.
type Command = Box<dyn FnOnce(Result<&mut Tx<'_>, Failure>) -> Applied + Send>;
type Answer = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// A command that was applied or refused.
struct Applied {
    refused: Option<Failure>,
    answer: Answer,
}

/// The way to the writer of a campus.
pub struct Writer {
    queue: Mutex<Option<mpsc::Sender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the writer's thread.
    pub fn start(link: WriterLink, epoch: Epoch, transport: Transport) -> io::Result<Self> {
        let (queue, commands) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let thread = std::thread::Builder::new()
            .name("campus-writer".to_owned())
            .spawn(move || work(link, &epoch, &transport, commands))?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Applies a command and answers when it is durable (design 3.1). It is refused at once when the queue is full.
    pub async fn run<T, F>(&self, apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        let command: Command = Box::new(move |tx| {
            // A command that panics must not take the campus with it.
            let done =
                catch_unwind(AssertUnwindSafe(|| apply(tx?))).unwrap_or_else(|_| Err(Failure::of(Code::Internal)));
            let refused = done.as_ref().err().cloned();
            let answer = move |durable: Result<(), Failure>| {
                // Nobody listens if the request was given up; what is stored stays stored.
                let _ = send.send(done.and_then(|value| durable.map(|()| value)));
            };
            Applied { refused, answer: Box::new(answer) }
        });
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or_else(|| Failure::of(Code::ShuttingDown))?;
        queue.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Failure::new(Code::StoreUnavailable, "the relay is very busy"),
            mpsc::error::TrySendError::Closed(_) => Failure::of(Code::ShuttingDown),
        })?;
        drop(queue);
        receive.await.map_err(|_| Failure::of(Code::ShuttingDown))?
    }

    /// [`Writer::run`] for a person, whose device is checked in the same transaction.
    pub async fn run_as<T, F>(&self, who: Who, apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>, &Person) -> Result<T, Failure> + Send + 'static,
    {
        self.run(move |tx| {
            let person = who.check(tx.conn())?;
            apply(tx, &person)
        })
        .await
    }

    /// Takes no more commands; returns when those in the queue are done and the database is closed.
    pub async fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer ended with a panic");
            }
        }
    }
}

fn work(link: WriterLink, epoch: &Epoch, transport: &Transport, mut commands: mpsc::Receiver<Command>) {
    while let Some(first) = commands.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_COMMANDS_MAX {
            let Ok(next) = commands.try_recv() else { break };
            batch.push(next);
        }
        let mut batch = Some(batch);
        let lent = link.with(|session| apply(session, epoch, transport, batch.take().expect("it is applied once")));
        if let Err(error) = lent {
            let failure = Failure::from(error);
            let refused = batch.into_iter().flatten().map(|command| command(Err(failure.clone())).answer);
            refused.for_each(|answer| answer(Err(failure.clone())));
        }
    }
    link.finish();
}

/// Applies a batch in one transaction, makes it durable, publishes, and then answers.
fn apply(conn: &dyn Session, epoch: &Epoch, transport: &Transport, batch: Vec<Command>) {
    let mut answers = Vec::with_capacity(batch.len());
    let done = transact(conn, batch, &mut answers);
    if let Ok(changes) = &done {
        let entries = changes.iter().map(|change| Entry {
            pos: change.pos,
            scope: change.scope,
            subject: audience::subject(&change.entity),
            frame: frame::change(epoch, change),
        });
        transport.publish(entries.collect());
    }
    let durable = done.map(|_| ());
    for answer in answers {
        answer(durable.clone());
    }
}

fn transact(conn: &dyn Session, batch: Vec<Command>, answers: &mut Vec<Answer>) -> Result<Vec<Change>, Failure> {
    let mut batch = batch.into_iter();
    let done = Tx::begin(conn).map_err(Failure::from).and_then(|mut tx| {
        for command in batch.by_ref() {
            tx.attempt(command, answers)?;
        }
        tx.commit().map_err(Failure::from)
    });
    if let Err(failure) = &done {
        Tx::roll_back(conn);
        answers.extend(batch.map(|command| command(Err(failure.clone())).answer));
    }
    done
}
