//! Writing: one writer per campus, on a thread of its own, that applies commands in batches (group commit, design section 5). The files beside
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
    time::Instant,
};

use circles_protocol::{Change, Code, Epoch, Person};
use tokio::sync::{mpsc, oneshot};

use crate::{
    access::Who,
    failure::Failure,
    limits::{BATCH_COMMANDS_MAX, QUEUE_COMMANDS_MAX},
    metrics,
    pace::Pace,
    store::{WriterLink, session::Session},
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
    at_work: Mutex<Option<AtWork>>,
}

/// Where the writer works.
enum AtWork {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

impl Writer {
    /// Starts the writer's thread; with a `pace` a task of the present runtime instead, which works in place.
    pub fn start(link: WriterLink, epoch: Epoch, transport: Transport, pace: Option<Pace>) -> io::Result<Self> {
        let (queue, commands) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let at_work = match pace {
            None => AtWork::Thread(
                std::thread::Builder::new()
                    .name("campus-writer".to_owned())
                    .spawn(move || work(link, &epoch, &transport, commands))?,
            ),
            Some(pace) => AtWork::Task(tokio::spawn(work_in_place(link, epoch, transport, commands, pace))),
        };
        Ok(Self { queue: Mutex::new(Some(queue)), at_work: Mutex::new(Some(at_work)) })
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
        let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = match at_work {
            None => return,
            Some(AtWork::Thread(thread)) => tokio::task::spawn_blocking(move || thread.join().is_ok()).await,
            Some(AtWork::Task(task)) => task.await.map(|()| true),
        };
        if !matches!(ended, Ok(true)) {
            tracing::error!("the writer ended with a panic");
        }
    }
}

fn work(link: WriterLink, epoch: &Epoch, transport: &Transport, mut commands: mpsc::Receiver<Command>) {
    while let Some(first) = commands.blocking_recv() {
        apply(&link, epoch, transport, batch(first, &mut commands)).give();
    }
    link.finish();
}

async fn work_in_place(
    link: WriterLink,
    epoch: Epoch,
    transport: Transport,
    mut commands: mpsc::Receiver<Command>,
    pace: Pace,
) {
    while let Some(first) = commands.recv().await {
        pace().await;
        let answers = apply(&link, &epoch, &transport, batch(first, &mut commands));
        // What is durable may stay unanswered.
        pace().await;
        answers.give();
    }
    link.finish();
}

/// The first command, and those that wait behind it.
fn batch(first: Command, commands: &mut mpsc::Receiver<Command>) -> Vec<Command> {
    let mut batch = vec![first];
    while batch.len() < BATCH_COMMANDS_MAX {
        let Ok(next) = commands.try_recv() else { break };
        batch.push(next);
    }
    batch
}

/// How the commands of a batch are to be answered.
struct Answers {
    answers: Vec<Answer>,
    durable: Result<(), Failure>,
}

impl Answers {
    fn give(self) {
        for answer in self.answers {
            answer(self.durable.clone());
        }
    }
}

/// Applies a batch in one transaction, makes it durable, and publishes; it may then be answered.
fn apply(link: &WriterLink, epoch: &Epoch, transport: &Transport, batch: Vec<Command>) -> Answers {
    let (commands, begun) = (batch.len(), Instant::now());
    let (mut batch, mut answers) = (Some(batch), Vec::with_capacity(commands));
    let lent = link.with(|session| transact(session, batch.take().expect("it is applied once"), &mut answers));
    let done = lent.unwrap_or_else(|error| Err(Failure::from(error)));
    if let Err(failure) = &done {
        // No session was lent: nothing ran.
        answers.extend(batch.into_iter().flatten().map(|command| command(Err(failure.clone())).answer));
    }
    if let Ok(changes) = &done {
        metrics::committed(commands, changes.len(), begun.elapsed().as_secs_f64());
        transport.publish(changes.iter().map(|change| Entry::of(epoch, change)).collect());
    }
    Answers { answers, durable: done.map(drop) }
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
