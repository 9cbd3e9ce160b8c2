//! Commands on their way to the writer, and which of them share a commit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{command::Command, delay::CommitDelay};
use crate::limits::{BATCH_COMMANDS_MAX, QUEUE_COMMANDS_MAX};

/// A queue, by its two ends.
pub fn new() -> (Sender, Queue) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            commands: VecDeque::new(),
            delay: CommitDelay::new(Instant::now()),
            hurries: false,
            is_closed: false,
        }),
        changed: Notify::new(),
    });
    (Sender(shared.clone()), Queue(shared))
}

/// Where commands come in. Dropped, it closes the queue.
pub struct Sender(Arc<Shared>);

/// Where the writer takes commands from. Dropped, it gives up those that it did not take.
pub struct Queue(Arc<Shared>);

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Full,
    Closed,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to do for the writer sooner than it thought. It is not woken for a command that only joins those
    /// whose commit waits.
    changed: Notify,
}

struct State {
    commands: VecDeque<Box<dyn Command>>,
    delay: CommitDelay,
    /// One of the commands is not to wait.
    hurries: bool,
    is_closed: bool,
}

/// What the writer does next.
enum Next {
    Apply(Vec<Box<dyn Command>>),
    /// Its commit waits until then, if nothing changes.
    Wait(Instant),
    Sleep,
    End,
}

impl Sender {
    /// Sends a command, or refuses it at once.
    pub fn send(&self, command: Box<dyn Command>) -> Result<(), Refused> {
        let mut state = self.0.state();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        if state.commands.len() >= QUEUE_COMMANDS_MAX {
            return Err(Refused::Full);
        }
        state.hurries |= state.delay.hurries(command.reads().who);
        state.commands.push_back(command);
        let changes = state.commands.len() == 1 || state.is_due();
        drop(state);
        if changes {
            self.0.changed.notify_one();
        }
        Ok(())
    }

    /// Takes no more commands. Those there are will be done.
    pub fn close(&self) {
        self.0.state().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    /// The next commands that share a commit: those that wait, when the commit's time has come; none when the queue is closed
    /// and empty.
    pub async fn next_batch(&mut self) -> Option<Vec<Box<dyn Command>>> {
        loop {
            let next = self.0.state().next(Instant::now());
            let changed = self.0.changed.notified();
            match next {
                Next::Apply(batch) => return Some(batch),
                Next::Wait(until) => drop(timeout_at(until, changed).await),
                Next::Sleep => changed.await,
                Next::End => return None,
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        let left = std::mem::take(&mut state.commands);
        drop(state);
        // Who waits for them hears that.
        drop(left);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the commit of what is there waits for nothing.
    fn is_due(&self) -> bool {
        self.hurries || self.is_closed || self.commands.len() >= BATCH_COMMANDS_MAX
    }

    fn next(&mut self, now: Instant) -> Next {
        if self.commands.is_empty() {
            return if self.is_closed { Next::End } else { Next::Sleep };
        }
        let wait = self.delay.wait(now);
        if self.is_due() || wait.is_zero() { Next::Apply(self.take(now)) } else { Next::Wait(now + wait) }
    }

    fn take(&mut self, now: Instant) -> Vec<Box<dyn Command>> {
        let some = self.commands.len().min(BATCH_COMMANDS_MAX);
        let batch: Vec<_> = self.commands.drain(..some).collect();
        self.delay.begin(batch.iter().map(|it| it.reads().who), now);
        self.hurries = self.commands.iter().any(|it| self.delay.hurries(it.reads().who));
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        access::Who,
        limits::{COMMIT_EVERY, COMMITS_AT_ONCE},
        write::{Reads, Tx, command::Job, delay::tests::somebody},
    };

    fn command(of: Option<Who>) -> Box<dyn Command> {
        Box::new(Job::new(Reads { who: of, ..Reads::default() }, |_: &mut Tx<'_>| Ok(())).0)
    }

    struct Scene {
        sender: Arc<Sender>,
        queue: Queue,
    }

    impl Scene {
        /// A queue whose commits come in turn from now on.
        async fn busy() -> Self {
            let (sender, queue) = new();
            let mut scene = Self { sender: Arc::new(sender), queue };
            let begun = Instant::now();
            for _ in 0..COMMITS_AT_ONCE.as_millis() / COMMIT_EVERY.as_millis() {
                scene.send(Some(somebody()));
                assert_eq!(scene.next().await, (1, Duration::ZERO));
            }
            assert_eq!(Instant::now(), begun);
            scene
        }

        fn send(&self, of: Option<Who>) {
            self.sender.send(command(of)).expect("there is space");
        }

        /// How many commands the next batch has, and after how long.
        async fn next(&mut self) -> (usize, Duration) {
            let begun = Instant::now();
            let batch = self.queue.next_batch().await.expect("it is open");
            (batch.len(), begun.elapsed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_there_are_many_commits_each_takes_what_comes_meanwhile() {
        let mut scene = Scene::busy().await;
        scene.send(Some(somebody()));
        let sender = scene.sender.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                tokio::time::sleep(COMMIT_EVERY / 4).await;
                sender.send(command(Some(somebody()))).expect("there is space");
            }
        });
        assert_eq!(scene.next().await, (3, COMMIT_EVERY));
        scene.send(Some(somebody()));
        tokio::time::sleep(COMMIT_EVERY).await;
        assert_eq!(scene.next().await, (1, Duration::ZERO), "its turn has come");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_the_last_answer_takes_all_along_at_once() {
        let mut scene = Scene::busy().await;
        let one = somebody();
        scene.send(Some(one));
        assert_eq!(scene.next().await, (1, COMMIT_EVERY));
        scene.send(Some(somebody()));
        scene.send(Some(one));
        scene.send(Some(somebody()));
        assert_eq!(scene.next().await, (3, Duration::ZERO));
        scene.send(None);
        assert_eq!(scene.next().await, (1, Duration::ZERO), "and so does what is of nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_waits_goes_ahead_when_one_comes_that_hurries_or_the_batch_is_full() {
        let mut scene = Scene::busy().await;
        let one = somebody();
        scene.send(Some(one));
        assert_eq!(scene.next().await, (1, COMMIT_EVERY));
        for hurrying in [vec![Some(one)], vec![None], vec![Some(somebody()); BATCH_COMMANDS_MAX - 1]] {
            scene.send(Some(somebody()));
            let (sender, many) = (scene.sender.clone(), hurrying.len());
            tokio::spawn(async move {
                tokio::time::sleep(COMMIT_EVERY / 4).await;
                for of in hurrying {
                    sender.send(command(of)).expect("there is space");
                }
            });
            assert_eq!(scene.next().await, (1 + many, COMMIT_EVERY / 4));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_done_is_refused_at_once() {
        let Scene { sender, queue } = Scene::busy().await;
        for _ in 0..QUEUE_COMMANDS_MAX {
            sender.send(command(Some(somebody()))).expect("there is space");
        }
        assert_eq!(sender.send(command(None)), Err(Refused::Full));
        drop(queue);
        assert_eq!(sender.send(command(None)), Err(Refused::Closed));
        assert!(sender.0.state().commands.is_empty(), "nobody waits for what nobody does");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_and_one_before_the_end_do_not_wait() {
        let mut scene = Scene::busy().await;
        for _ in 0..=BATCH_COMMANDS_MAX {
            scene.send(Some(somebody()));
        }
        assert_eq!(scene.next().await, (BATCH_COMMANDS_MAX, Duration::ZERO));
        let Scene { sender, mut queue } = scene;
        drop(sender);
        let begun = Instant::now();
        assert_eq!(queue.next_batch().await.map(|it| it.len()), Some(1));
        assert!(queue.next_batch().await.is_none());
        assert_eq!(Instant::now(), begun);
    }
}
