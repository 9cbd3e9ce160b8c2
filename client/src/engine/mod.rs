//! One campus at work: the stream, the filling of gaps, the outbox and the telling of updates, each a task of its own.

mod announce;
mod fill;
mod live;
mod notices;
mod passing;
mod rests;
#[cfg(test)]
mod script;
mod send;
mod wake;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use circles_lan::Sightings;
use circles_protocol::{CampusId, CircleId, PersonId, Pos, UnixMs};
use futures::future::BoxFuture;
use tokio::{
    sync::{Notify, broadcast},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::Api,
    cache::{
        Cache, Durability,
        apply::{Apply, Touched},
        campuses, history, stranded,
        views::Eyes,
    },
    error::ClientError,
    lan,
    outside::Clock,
    typing::Typing,
    view::{Absence, CampusView, Connection, ConnectionProblem, TokenPlace, Update},
};

/// A campus at work. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    campus: CampusId,
    me: PersonId,
    api: Api,
    cache: Cache,
    clock: Clock,
    token_place: TokenPlace,
    updates: broadcast::Sender<Update>,
    state: Mutex<State>,
    /// Wakes the tasks.
    signals: Signals,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct State {
    connection: Connection,
    focus: Option<CircleId>,
    touched: Touched,
    connection_changed: bool,
    /// Who types, and the circles where that changed.
    typing: Typing,
    typing_changed: HashSet<CircleId>,
    /// How often the circles' heads had to be asked for before gaps could be known, and the last of them that is done.
    heads_asked: u64,
    heads_taken: u64,
    /// Changes that the ledger knows to be missing.
    missing: u64,
    /// The head when the stream opened: up to it the stream replays.
    replay_until: Pos,
    /// The stored cursor.
    cursor: Pos,
    /// Since when there is no stream, until there is one again: a try, a wake or a start changes nothing about that.
    offline_since: Option<UnixMs>,
    /// Since when what was missed in an absence is fetched; and the last absence, until the person puts it aside.
    catching_up_since: Option<Instant>,
    absence: Option<Absence>,
}

impl State {
    /// How much is missing, as far as anyone can know: zero only if everything up to now is held (design 3.4).
    fn missing(&self) -> u64 {
        let replay = self.replay_until.get().saturating_sub(self.cursor.get());
        self.missing + replay + u64::from(self.heads_asked != self.heads_taken)
    }
}

/// What was asked for comes from another history than the one that is held: the stream's `reset` is on its way, or has come.
fn another_history() -> ClientError {
    ClientError::Offline("the relay's history is another one".to_owned())
}

#[derive(Default)]
struct Signals {
    /// There may be gaps to fill.
    fill: Notify,
    /// There may be something to send.
    send: Notify,
    /// There is something to tell.
    announce: Notify,
    /// Connect anew now.
    reconnect: Notify,
    /// Somebody began to type.
    typing: Notify,
    /// The stream is open: whoever waits for the network can go on.
    online: Notify,
}

/// What an engine is made from.
pub struct Parts {
    /// The campus.
    pub campus: CampusId,
    /// Who one is there.
    pub me: PersonId,
    /// Its relay, with the device's token.
    pub api: Api,
    /// Announcements of relays, if it is on the LAN.
    pub sightings: Option<Sightings>,
    /// The cache.
    pub cache: Cache,
    /// The wall clock.
    pub clock: Clock,
    /// Where the token is kept.
    pub token_place: TokenPlace,
    /// Who is told.
    pub updates: broadcast::Sender<Update>,
}

impl Engine {
    /// Starts the tasks, if `run`; an engine that does not run only answers, and puts what is written into the outbox.
    pub fn start(parts: Parts, run: bool) -> Self {
        let engine = Self(Arc::new(Inner {
            campus: parts.campus,
            me: parts.me,
            api: parts.api,
            cache: parts.cache,
            clock: parts.clock,
            token_place: parts.token_place,
            updates: parts.updates,
            state: Mutex::new(State {
                connection: Connection::Connecting,
                focus: None,
                touched: Touched::default(),
                connection_changed: false,
                typing: Typing::default(),
                typing_changed: HashSet::new(),
                // A gap may be known of whose heads were not asked for before a crash: memberships would stay unknown.
                heads_asked: 1,
                heads_taken: 0,
                missing: 0,
                replay_until: Pos::ZERO,
                cursor: Pos::ZERO,
                offline_since: None,
                catching_up_since: None,
                absence: None,
            }),
            signals: Signals::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        engine.task(Engine::announce_updates);
        if run {
            engine.task(Engine::stay_connected);
            engine.task(Engine::fill_gaps);
            engine.task(Engine::send_outbox);
            engine.task(Engine::expire_typing);
            engine.task(Engine::watch_clocks);
            if let Some((route, sightings)) = engine.api().route().cloned().zip(parts.sightings) {
                engine.task(|engine| async move {
                    lan::follow(route, sightings, || engine.is_online(), || engine.reconnect()).await;
                });
            }
        }
        engine.0.tasks.close();
        engine
    }

    fn task<F>(&self, run: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.0.stop.clone();
        let work = run(self.clone());
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Stops the tasks and waits for them.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.wait().await;
    }

    /// The relay.
    pub fn api(&self) -> &Api {
        &self.0.api
    }

    /// Whose eyes it sees with.
    pub fn eyes(&self) -> Eyes {
        Eyes { campus: self.0.campus, me: self.0.me }
    }

    /// The campus as shown.
    pub async fn view(&self) -> Result<CampusView, ClientError> {
        let eyes = self.eyes();
        let (connection, absence) = self.state(|it| (it.connection.clone(), it.absence));
        let token_place = self.0.token_place.clone();
        self.0
            .cache
            .read(move |conn| {
                let row = campuses::find(conn, eyes.campus)?;
                Ok(CampusView {
                    id: row.id,
                    name: row.name,
                    relay: row.relay.to_string(),
                    me: crate::cache::views::person(conn, eyes.campus, eyes.me)?,
                    connection,
                    hosted: row.hosted,
                    token_place,
                    renewal: history::renewal(conn, eyes.campus)?,
                    kept: history::kept_count(conn, eyes.campus)?,
                    stranded: u32::try_from(stranded::all(conn, eyes)?.len()).unwrap_or(u32::MAX),
                    absence,
                })
            })
            .await
    }

    /// What the person looks at is caught up first.
    pub fn focus(&self, circle: Option<CircleId>) {
        self.state(|it| it.focus = circle);
        if circle.is_some() {
            self.0.signals.fill.notify_one();
        }
    }

    /// There may be gaps to fill.
    pub fn fill(&self) {
        self.0.signals.fill.notify_one();
    }

    /// The person has seen what there is to tell of the campus.
    pub async fn put_notices_aside(&self) -> Result<(), ClientError> {
        let campus = self.0.campus;
        self.0.cache.write(Durability::Cache, move |conn| Ok(history::seen(conn, campus)?)).await?;
        self.state(|it| it.absence = None);
        self.touched(Touched { campus: true, ..Touched::default() });
        Ok(())
    }

    /// Connects anew at once.
    pub fn reconnect(&self) {
        self.0.signals.reconnect.notify_one();
    }

    /// Something was put into the outbox.
    pub fn wrote(&self, touched: Touched) {
        self.touched(touched);
        self.0.signals.send.notify_one();
    }

    /// Applies states in one transaction, then tells what changed.
    pub async fn apply<F>(&self, change: F) -> Result<(), ClientError>
    where
        F: FnOnce(&mut Apply<'_>) -> Result<(), ClientError> + Send + 'static,
    {
        let eyes = self.eyes();
        let touched = self
            .0
            .cache
            .write(Durability::Cache, move |conn| {
                let mut apply = Apply::new(conn, eyes.campus, eyes.me);
                change(&mut apply)?;
                Ok(apply.finish()?)
            })
            .await?;
        self.touched(touched);
        Ok(())
    }

    /// Asks the relay, and stores what it answers. An answer that took longer than a history is not stored: what came with the
    /// next one would be taken for older. One of the next history is stored: the `reset` that follows renews everything.
    pub async fn ask<T, F>(&self, answer: BoxFuture<'_, Result<T, ClientError>>, change: F) -> Result<(), ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Apply<'_>, T) -> Result<(), ClientError> + Send + 'static,
    {
        let before = self.cursor().await?.map(|it| it.epoch);
        let answer = answer.await?;
        self.apply(move |apply| {
            if apply.epoch()? != before {
                return Err(another_history());
            }
            change(apply, answer)
        })
        .await
    }

    /// The wall clock, for what people are shown.
    fn now(&self) -> UnixMs {
        (self.0.clock)()
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn touched(&self, touched: Touched) {
        if touched.is_empty() && touched.news.is_empty() {
            return;
        }
        self.state(|it| it.touched.merge(touched));
        self.0.signals.announce.notify_one();
    }

    /// Whether it is fetching what is missing.
    pub fn is_catching_up(&self) -> bool {
        self.state(|it| matches!(it.connection, Connection::Online { missing } if missing > 0))
    }

    fn is_online(&self) -> bool {
        self.state(|it| matches!(it.connection, Connection::Online { .. }))
    }

    fn set_connection(&self, connection: Connection) {
        let online = matches!(connection, Connection::Online { .. });
        let changed = self.state(|it| {
            let changed = it.connection != connection;
            it.connection = connection;
            it.connection_changed |= changed;
            changed
        });
        if changed {
            if !online {
                self.nobody_is_known();
            }
            self.0.signals.announce.notify_one();
        }
    }

    fn online(&self) {
        let missing = self.state(|it| {
            it.offline_since = None;
            it.missing()
        });
        self.set_connection(Connection::Online { missing });
        self.0.signals.online.notify_waiters();
        self.0.signals.send.notify_one();
    }

    /// More or less is missing than was told.
    fn count(&self, change: impl FnOnce(&mut State)) {
        let online = self.state(|it| {
            change(it);
            matches!(it.connection, Connection::Online { .. }).then(|| it.missing())
        });
        if let Some(missing) = online {
            self.set_connection(Connection::Online { missing });
        }
    }

    async fn offline(&self, error: &ClientError, wait: Duration) {
        if error.signed_out() {
            self.set_connection(Connection::SignedOut);
            return;
        }
        let (campus, now) = (self.0.campus, self.now());
        let known = self.state(|it| it.offline_since);
        let since = if let Some(since) = known {
            since
        } else {
            // Perhaps long before this start. A cache that cannot be read does not know.
            let heard = self.0.cache.read(move |conn| Ok(campuses::heard_at(conn, campus)?)).await;
            heard.ok().flatten().map_or(now, |heard| heard.min(now))
        };
        self.state(|it| it.offline_since = Some(since));
        let retry_at = UnixMs(now.0 + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2));
        self.set_connection(Connection::Offline { since, problem: problem(error), retry_at });
    }
}

/// Why there is no stream, for the interface.
fn problem(error: &ClientError) -> ConnectionProblem {
    match error {
        ClientError::NotARelay => ConnectionProblem::NotARelay,
        ClientError::WrongKey { .. } => ConnectionProblem::WrongKey,
        ClientError::Relay(..) => ConnectionProblem::RelayUnavailable,
        ClientError::DiskFull => ConnectionProblem::DiskFull,
        ClientError::Silent => ConnectionProblem::Silent,
        _ => ConnectionProblem::Unreachable,
    }
}

/// The circles of a set of changes, each once.
fn circles_of(touched: &Touched) -> HashSet<CircleId> {
    touched.circles.keys().chain(&touched.timelines).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_is_offline_since_the_stream_was_heard_last_whatever_is_tried_meanwhile() {
        // It was heard at second 1, before this start, and it is second 60.
        let scene = script::engine(&[], |_| script::problem(500)).await;
        let engine = &scene.engine;
        let since = || match engine.state(|it| it.connection.clone()) {
            Connection::Offline { since, .. } => Some(since),
            _ => None,
        };
        let lost = ClientError::Offline("no network".to_owned());
        engine.offline(&lost, Duration::ZERO).await;
        assert_eq!(since(), Some(UnixMs(1_000)));
        // As it is while it tries again, and after a wake.
        engine.set_connection(Connection::Connecting);
        engine.offline(&lost, Duration::ZERO).await;
        assert_eq!(since(), Some(UnixMs(1_000)));

        engine.online();
        let campus = engine.0.campus;
        let heard = engine
            .0
            .cache
            .write(Durability::Cache, move |conn| Ok(campuses::heard(conn, campus, None, UnixMs(50_000))?));
        heard.await.unwrap();
        engine.offline(&lost, Duration::ZERO).await;
        assert_eq!(since(), Some(UnixMs(50_000)));
    }
}
