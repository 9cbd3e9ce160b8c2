//! Writing: one writer per campus, on a thread of its own, that applies commands in batches (group commit, design section
//! 5). The files beside this one hold the rules of each noun.

pub mod circles;
mod command;
mod delay;
pub mod devices;
pub mod drafts;
pub mod import;
pub mod invites;
pub mod join;
mod known;
pub mod members;
pub mod messages;
pub mod mutes;
pub mod people;
mod queue;
mod tx;

pub use command::Reads;
use command::{Command, Job};
use known::Known;
use queue::{Queue, Refused};
pub use tx::Tx;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

use circles_protocol::{Change, Code, Epoch, Person};
use tokio::runtime::{self, Runtime};

use crate::{
    access::Who,
    failure::Failure,
    limits::FULL_FOR,
    metrics,
    pace::Pace,
    store::{WriterLink, session::Session},
    transport::{Transport, ring::Entry},
};

/// The way to the writer of a campus.
pub struct Writer {
    queue: queue::Sender,
    at_work: Mutex<Option<AtWork>>,
    /// When a batch last found no space.
    full_at: FullAt,
}

type FullAt = Arc<Mutex<Option<Instant>>>;

/// Where the writer works.
enum AtWork {
    Thread(JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

impl Writer {
    /// Starts the writer's thread; with a `pace` a task of the present runtime instead, which works in place.
    pub fn start(link: WriterLink, epoch: Epoch, transport: Transport, pace: Option<Pace>) -> io::Result<Self> {
        let (sender, queue) = queue::new();
        let full_at = FullAt::default();
        let known = Known::default();
        let work = Work { link, epoch, transport, queue, known, full_at: full_at.clone() };
        let at_work = match pace {
            None => {
                let timers = runtime::Builder::new_current_thread().enable_time().build()?;
                let thread = std::thread::Builder::new().name("campus-writer".to_owned());
                AtWork::Thread(thread.spawn(move || work.on_thread(&timers))?)
            }
            Some(pace) => AtWork::Task(tokio::spawn(work.in_place(pace))),
        };
        Ok(Self { queue: sender, at_work: Mutex::new(Some(at_work)), full_at })
    }

    /// Applies a command and answers when it is durable (design 3.1). It is refused at once when the queue is full. It may be
    /// applied again after it was undone with its batch.
    pub async fn run<T, F>(&self, apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.run_reading(Reads::default(), apply).await
    }

    /// [`Writer::run`] for a person, whose device is checked in the same transaction.
    pub async fn run_as<T, F>(&self, who: Who, apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Person) -> Result<T, Failure> + Send + 'static,
    {
        self.run_as_reading(who, Reads::default(), apply).await
    }

    /// [`Writer::run_as`] for a command of which is known what it looks at.
    pub async fn run_as_reading<T, F>(&self, who: Who, reads: Reads, mut apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>, &Person) -> Result<T, Failure> + Send + 'static,
    {
        self.run_reading(Reads { who: Some(who), ..reads }, move |tx| {
            let person = who.check(tx)?;
            apply(tx, &person)
        })
        .await
    }

    async fn run_reading<T, F>(&self, reads: Reads, apply: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (job, answer) = Job::new(reads, apply);
        self.queue.send(Box::new(job)).map_err(|refused| match refused {
            Refused::Full => Failure::new(Code::StoreUnavailable, "the relay is very busy"),
            Refused::Closed => Failure::of(Code::ShuttingDown),
        })?;
        answer.await.map_err(|_| Failure::of(Code::ShuttingDown))?
    }

    /// Whether there was no space a moment ago. Writing little tells nothing: it may fit where a message does not.
    pub fn is_full(&self) -> bool {
        let full_at = *self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        full_at.is_some_and(|it| it.elapsed() < FULL_FOR)
    }

    /// Takes no more commands; returns when those in the queue are done and the database is closed.
    pub async fn close(&self) {
        self.queue.close();
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

/// What the writer works with.
struct Work {
    link: WriterLink,
    epoch: Epoch,
    transport: Transport,
    queue: Queue,
    /// As the last batch left it; nothing where others write too, so that it would seldom hold.
    known: Known,
    full_at: FullAt,
}

impl Work {
    /// On a thread of its own, with timers of its own: those of a runtime of several threads are looked after by another
    /// thread, which would have to be woken for each.
    fn on_thread(mut self, timers: &Runtime) {
        while let Some(batch) = timers.block_on(self.queue.next_batch()) {
            self.apply(batch).give();
        }
        self.link.finish();
    }

    async fn in_place(mut self, pace: Pace) {
        while let Some(batch) = self.queue.next_batch().await {
            pace().await;
            let answers = self.apply(batch);
            // What is durable may stay unanswered.
            pace().await;
            answers.give();
        }
        self.link.finish();
    }

    /// Applies a batch.
    fn apply(&mut self, mut batch: Vec<Box<dyn Command>>) -> Answers {
        let known = std::mem::take(&mut self.known);
        let lent = self.link.with(|session| apply(session, &self.epoch, &self.transport, known, &mut batch));
        let durable = lent.map_err(Failure::from).and_then(|done| done).map(|known| {
            if !self.link.is_shared() {
                self.known = known;
            }
        });
        if durable.as_ref().is_err_and(|it| it.code == Code::StorageFull) {
            *self.full_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Answers { batch, durable }
    }
}

/// Commands that are done, and whether for good.
struct Answers {
    batch: Vec<Box<dyn Command>>,
    durable: Result<(), Failure>,
}

impl Answers {
    fn give(self) {
        for command in self.batch {
            command.answer(self.durable.clone());
        }
    }
}

/// Applies a batch in one transaction, makes it durable and publishes; what is known then.
fn apply(
    conn: &dyn Session,
    epoch: &Epoch,
    transport: &Transport,
    mut known: Known,
    batch: &mut [Box<dyn Command>],
) -> Result<Known, Failure> {
    let begun = Instant::now();
    let reads: Vec<Reads> = batch.iter().map(|it| it.reads()).collect();
    let new_tx = || {
        let tx = Tx::begin(conn, std::mem::take(&mut known), &reads)?;
        if tx.follows(epoch, transport.head())? {
            return Ok(tx);
        }
        transport.estrange();
        Err(Failure::new(Code::StoreUnavailable, "the campus has another history now"))
    };
    let (changes, known) = transact(conn, new_tx, batch).inspect_err(|_| Tx::roll_back(conn))?;
    metrics::committed(batch.len(), changes.len(), begun.elapsed().as_secs_f64());
    transport.publish(changes.iter().map(|change| Entry::of(epoch, change)).collect());
    Ok(known)
}

/// Nearly always nothing is to be undone: a command that is refused has written nothing. If something is, the batch begins
/// anew, and each command gets a savepoint, so that it alone is undone.
fn transact<'c>(
    conn: &'c dyn Session,
    mut new_tx: impl FnMut() -> Result<Tx<'c>, Failure>,
    batch: &mut [Box<dyn Command>],
) -> Result<(Vec<Change>, Known), Failure> {
    let mut tx = new_tx()?;
    if tx.together(batch)? {
        return Ok(tx.commit()?);
    }
    Tx::roll_back(conn);
    let mut tx = new_tx()?;
    for command in batch {
        tx.attempt(command.as_mut())?;
    }
    tx.write_head()?;
    Ok(tx.commit()?)
}
