//! Writes messages at a steady rate, each until it is acknowledged; edits and deletes some.

use std::{sync::Arc, time::Duration};

use circles_protocol::{
    CircleId, MessageId,
    api::{EditMessage, PostMessage},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Campus, Person};

/// Tasks that write: one that waits for a dead database must not hold up the others.
const TASKS: u32 = 32;

#[derive(Clone)]
pub struct Writer {
    campus: Arc<Campus>,
    person: Person,
    circles: Vec<CircleId>,
}

impl Writer {
    pub fn new(campus: Arc<Campus>, person: Person, circles: Vec<CircleId>) -> Self {
        Self { campus, person, circles }
    }

    /// Writes `rate` messages a second, as long as the relays take them, until `stop`.
    pub fn start(&self, rate: u32, seed: u64, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
        (0..TASKS).map(|n| tokio::spawn(self.clone().run(rate, seed ^ u64::from(n), stop.clone()))).collect()
    }

    async fn run(self, rate: u32, seed: u64, stop: CancellationToken) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pace = tokio::time::interval(Duration::from_secs_f64(f64::from(TASKS) / f64::from(rate)));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut written: Vec<MessageId> = Vec::new();
        while !stop.is_cancelled() {
            pace.tick().await;
            match (random.random_range(0..20), written.choose(&mut random).copied()) {
                (0, Some(id)) => {
                    let edit = EditMessage { text: format!("edited {}", random.random::<u32>()) };
                    self.until_answered(|| {
                        self.request(reqwest::Method::PATCH, &format!("v1/messages/{id}")).json(&edit)
                    })
                    .await;
                }
                (1, Some(id)) => {
                    self.until_answered(|| self.request(reqwest::Method::DELETE, &format!("v1/messages/{id}"))).await;
                }
                _ => {
                    let circle = *self.circles.choose(&mut random).expect("there are circles");
                    let text = format!("message {}", random.random::<u32>());
                    let post = PostMessage { id: MessageId::new(), text, reply_to: None, written_at: None };
                    let path = format!("v1/circles/{circle}/messages");
                    self.until_answered(|| self.request(reqwest::Method::POST, &path).json(&post)).await;
                    self.campus.ledger().acknowledged.insert(post.id, std::time::Instant::now());
                    written.push(post.id);
                }
            }
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.campus.http.request(method, format!("{}/{path}", self.campus.url));
        request.bearer_auth(&self.person.token).timeout(Duration::from_secs(10))
    }

    /// Sends a request until it is accepted, or refused for good (an edit of what was deleted).
    async fn until_answered(&self, request: impl Fn() -> reqwest::RequestBuilder) {
        let begun = Instant::now();
        loop {
            match request().send().await {
                Ok(answer) if answer.status().is_success() || answer.status().as_u16() == 410 => return,
                Ok(answer) if answer.status().is_client_error() => {
                    let status = answer.status();
                    self.campus.ledger().violation(format!("a writer was refused: {status}"));
                    return;
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
            if begun.elapsed() > Duration::from_mins(2) {
                self.campus.ledger().violation("a request got no answer for two minutes".to_owned());
                return;
            }
        }
    }
}
