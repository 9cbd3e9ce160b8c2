//! Commands on their way to the writer, and which of them share a commit.

use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::{Instant, timeout_at},
};

use super::{command::Command, delay::CommitDelay};
use crate::limits::BATCH_COMMANDS_MAX;

/// Where the writer takes commands from.
pub struct Queue {
    commands: mpsc::Receiver<Box<dyn Command>>,
    delay: CommitDelay,
}

impl Queue {
    /// What comes from the other end of the channel.
    pub fn new(commands: mpsc::Receiver<Box<dyn Command>>) -> Self {
        Self { commands, delay: CommitDelay::new(Instant::now()) }
    }

    /// The next command, those that wait behind it, and those that come while its commit waits; none when the channel is
    /// closed and empty.
    pub async fn next_batch(&mut self) -> Option<Vec<Box<dyn Command>>> {
        let first = self.commands.recv().await?;
        let now = Instant::now();
        let until = now + self.delay.wait(now);
        let mut hurries = until <= now || self.delay.hurries(first.reads().who);
        let mut batch = vec![first];
        while batch.len() < BATCH_COMMANDS_MAX {
            let next = match self.commands.try_recv() {
                Ok(next) => next,
                Err(TryRecvError::Empty) if !hurries => {
                    let Ok(Some(next)) = timeout_at(until, self.commands.recv()).await else { break };
                    next
                }
                Err(_) => break,
            };
            hurries |= self.delay.hurries(next.reads().who);
            batch.push(next);
        }
        self.delay.begin(batch.iter().map(|it| it.reads().who), Instant::now());
        Some(batch)
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
        send: mpsc::Sender<Box<dyn Command>>,
        queue: Queue,
    }

    impl Scene {
        /// A queue whose commits come in turn from now on.
        async fn busy() -> Self {
            let (send, commands) = mpsc::channel(2 * BATCH_COMMANDS_MAX);
            let mut scene = Self { send, queue: Queue::new(commands) };
            let begun = Instant::now();
            for _ in 0..COMMITS_AT_ONCE.as_millis() / COMMIT_EVERY.as_millis() {
                scene.send(Some(somebody()));
                assert_eq!(scene.next().await, (1, Duration::ZERO));
            }
            assert_eq!(Instant::now(), begun);
            scene
        }

        fn send(&self, of: Option<Who>) {
            self.send.try_send(command(of)).expect("there is space");
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
        let send = scene.send.clone();
        tokio::spawn(async move {
            for _ in 0..2 {
                tokio::time::sleep(COMMIT_EVERY / 4).await;
                send.try_send(command(Some(somebody()))).expect("there is space");
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
    async fn a_full_batch_and_one_before_the_end_do_not_wait() {
        let mut scene = Scene::busy().await;
        for _ in 0..=BATCH_COMMANDS_MAX {
            scene.send(Some(somebody()));
        }
        assert_eq!(scene.next().await, (BATCH_COMMANDS_MAX, Duration::ZERO));
        let Scene { send, mut queue } = scene;
        drop(send);
        let begun = Instant::now();
        assert_eq!(queue.next_batch().await.map(|it| it.len()), Some(1));
        assert!(queue.next_batch().await.is_none());
        assert_eq!(Instant::now(), begun);
    }
}
