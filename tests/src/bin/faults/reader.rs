//! A reader that speaks plain Server-Sent Events: it keeps the last id, resumes, and fills gaps by pages.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_protocol::{
    Change, CircleId, Cursor, Entity, MembershipState, MessageId, Pos, Scope, api::ChangesPage, event::Gap,
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Campus, Person};

/// Longer silence than three heartbeats: the stream is dead.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A message as somebody holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: MessageId,
    pub version: Pos,
    pub text: String,
}

pub struct Reader {
    pub person: Person,
    pub circles: Vec<CircleId>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cursor: Option<Cursor>,
    messages: BTreeMap<(CircleId, u64), Held>,
    /// Memberships, by the newest version.
    joined: HashMap<CircleId, (Pos, bool)>,
    /// What it does, and since when: for whoever asks why it is not current.
    doing: String,
    since: Option<Instant>,
}

impl Reader {
    /// Reads until `stop`.
    pub fn start(campus: Arc<Campus>, person: Person, circles: Vec<CircleId>, stop: CancellationToken) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let task = Task { campus, person: person.clone(), state: state.clone() };
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task.run() => {}
            }
        });
        Self { person, circles, state }
    }

    /// How this reader differs from the database in the circles that it is in; none if it does not.
    pub fn differs(&self, truth: &BTreeMap<(CircleId, u64), Held>) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let joined: HashSet<CircleId> = state.joined.iter().filter(|it| it.1.1).map(|it| *it.0).collect();
        let wanted: BTreeMap<_, _> = truth.iter().filter(|it| joined.contains(&it.0.0)).collect();
        let held: BTreeMap<_, _> = state.messages.iter().filter(|it| joined.contains(&it.0.0)).collect();
        if wanted == held {
            return None;
        }
        let first = wanted.iter().find(|(key, value)| held.get(*key) != Some(value));
        let (doing, since) = (&state.doing, state.since.map(|it| it.elapsed()));
        Some(format!(
            "{} of {} messages, at {:?}, {doing} for {since:?}; first difference {first:?}",
            held.len(),
            wanted.len(),
            state.cursor
        ))
    }
}

struct Task {
    campus: Arc<Campus>,
    person: Person,
    state: Arc<Mutex<State>>,
}

impl Task {
    async fn run(self) {
        loop {
            // Any error is a broken connection or a relay that is away: that is what this is about.
            let ended = self.connection().await;
            self.doing(&format!("waiting after {ended:?}"));
            tokio::time::sleep(Duration::from_millis(100 + rand::random::<u64>() % 400)).await;
        }
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn doing(&self, what: &str) {
        self.state(|it| {
            what.clone_into(&mut it.doing);
            it.since = Some(Instant::now());
        });
    }

    async fn connection(&self) -> Result<()> {
        self.doing("connecting");
        let mut request =
            self.campus.http.get(format!("{}/v1/stream", self.campus.url)).bearer_auth(&self.person.token);
        if let Some(cursor) = self.state(|it| it.cursor.clone()) {
            request = request.header("Last-Event-ID", cursor.to_string());
        }
        let response = request.send().await?.error_for_status()?;
        self.doing("connected");
        let mut bytes = response.bytes_stream();
        let mut buffer = Vec::new();
        loop {
            let chunk = tokio::time::timeout(SILENCE_MAX, bytes.next()).await?.context("the stream ended")??;
            buffer.extend_from_slice(&chunk);
            while let Some(end) = buffer.windows(2).position(|it| it == b"\n\n") {
                let block: Vec<u8> = buffer.drain(..end + 2).collect();
                if self.event(std::str::from_utf8(&block)?).await? {
                    return Ok(());
                }
            }
        }
    }

    /// Takes an event; true if the stream is to be left for the next.
    async fn event(&self, block: &str) -> Result<bool> {
        let field = |name: &str| block.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(": "));
        let (Some(name), Some(data)) = (field("event"), field("data")) else { return Ok(false) };
        let cursor: Option<Cursor> = field("id").and_then(|it| it.parse().ok());
        match name {
            "change" => {
                let change: Change = serde_json::from_str(data)?;
                let at = cursor.as_ref().context("a change has an id")?.pos;
                let last = self.state(|it| it.cursor.as_ref().map(|it| it.pos));
                // After a gap the ends of memberships come with the head's id.
                if at == change.pos && last.is_some_and(|last| at <= last) {
                    self.campus.ledger().violation(format!("{at} came after {last:?}: twice, or out of order"));
                }
                self.change(&change, true).await?;
            }
            "gap" => {
                let gap: Gap = serde_json::from_str(data)?;
                for it in &gap.scopes {
                    self.fill(it.scope, it.after, it.until).await?;
                }
            }
            "reset" => self.campus.ledger().violation("a reset, without another history".to_owned()),
            _ => {}
        }
        if let Some(cursor) = cursor.filter(|_| name != "hello") {
            self.state(|it| it.cursor = Some(cursor));
        }
        Ok(name == "bye")
    }

    async fn change(&self, change: &Change, live: bool) -> Result<()> {
        match &change.entity {
            Entity::Message(it) => {
                if live {
                    self.delivered(it.id, it.edited_at.is_none() && it.deleted_at.is_none());
                    let out = self.state(|state| state.joined.get(&it.circle_id).is_some_and(|it| !it.1));
                    if out {
                        self.campus
                            .ledger()
                            .violation(format!("{} got {} of a circle it was removed from", self.person.id, it.id));
                    }
                }
                let held = Held { id: it.id, version: it.version, text: it.text.clone() };
                self.state(|state| {
                    let present = state.messages.entry((it.circle_id, it.seq.get())).or_insert_with(|| held.clone());
                    if held.version > present.version {
                        *present = held;
                    }
                });
            }
            Entity::Membership(it) if it.person_id == self.person.id => {
                let joined = it.state == MembershipState::Joined;
                let before = self.state(|state| {
                    let before = state.joined.get(&it.circle_id).copied();
                    let newer = before.is_none_or(|known| it.version > known.0);
                    newer.then(|| state.joined.insert(it.circle_id, (it.version, joined)))
                });
                if let Some(before) = before.filter(|_| joined) {
                    // What was there before is not in the stream. If this fails, the change comes again, and must be news.
                    let filled = Box::pin(self.fill(Scope::Circle(it.circle_id), Pos::ZERO, change.pos)).await;
                    if filled.is_err() {
                        self.state(|state| match before {
                            Some(before) => state.joined.insert(it.circle_id, before),
                            None => state.joined.remove(&it.circle_id),
                        });
                    }
                    filled?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts a delivery, and for a new message how long it took since it was acknowledged.
    fn delivered(&self, id: MessageId, new: bool) {
        let mut ledger = self.campus.ledger();
        ledger.deliveries += 1;
        if !new {
            return;
        }
        let took = ledger.acknowledged.get(&id).map(Instant::elapsed).unwrap_or_default();
        ledger.longest = ledger.longest.max(took);
    }

    async fn fill(&self, scope: Scope, mut after: Pos, until: Pos) -> Result<()> {
        while after < until {
            let path = format!(
                "{}/v1/changes?scope={scope}&after={after}&until={until}&order=oldest&limit=1000",
                self.campus.url
            );
            let request = self.campus.http.get(path).bearer_auth(&self.person.token);
            let answer = request.timeout(Duration::from_secs(20)).send().await?;
            if answer.status().as_u16() == 403 || answer.status().as_u16() == 404 {
                // Removed meanwhile.
                return Ok(());
            }
            let page: ChangesPage = answer.error_for_status()?.json().await?;
            for change in &page.changes {
                Box::pin(self.change(change, false)).await?;
            }
            ensure!(page.until > after, "a page that covers nothing");
            after = page.until;
        }
        Ok(())
    }
}
