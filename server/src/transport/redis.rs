//! Redis Streams between the instances: one stream for each campus, whose ids are positions (design section 5).
//!
//! It is an optimisation (design 3.8): whatever it loses, repeats or never gets comes from the database.

mod server;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use circles_protocol::{CampusId, CircleId, Epoch, PersonId, Pos, Scope};
use futures::StreamExt;
use redis::{
    AsyncCommands, ErrorKind, RedisError, RedisResult, Script,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamReadOptions, StreamReadReply},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use self::server::Server;
use super::{
    Transport, feed,
    ring::{Entry, Subject},
};
use crate::{
    ephemeral::{Ephemeral, carry},
    failure::Failure,
    limits::{
        FEED_ROWS_MAX, HEAD_CHECK, REDIS_APPEND_MAX, REDIS_BLOCK_MS, REDIS_CHECK, REDIS_QUEUE_MAX, REDIS_READ_MAX,
        REDIS_RETRY, REDIS_TIMEOUT,
    },
    metrics,
    rates::Rates,
    store::{OpenError, Store, campus},
};

/// The stream of one campus. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    server: Server,
    key: String,
    epoch: Epoch,
    stream_max: usize,
    append: Script,
    queue: mpsc::Sender<Vec<Arc<Entry>>>,
    queued: Mutex<Option<mpsc::Receiver<Vec<Arc<Entry>>>>>,
    state: Mutex<State>,
}

/// How Redis was last, in the two ways in which it is used; none before one was tried.
#[derive(Debug, Default)]
struct State {
    appends: Option<bool>,
    reads: Option<bool>,
    /// It refused an append as such, as a full one does: that it answers otherwise means nothing.
    refuses: bool,
}

impl State {
    fn is_up(&self) -> Option<bool> {
        match (self.appends, self.reads) {
            (None, None) => None,
            (appends, reads) => Some(appends != Some(false) && reads != Some(false)),
        }
    }
}

/// What an append came to.
enum Appended {
    /// The stream holds the changes.
    Done,
    /// The stream lacks what follows this position.
    Gap(Pos),
    /// The stream is of another history.
    Epoch,
}

impl Redis {
    /// The stream of a campus at an address. It need not answer yet.
    pub fn new(url: &str, campus: CampusId, epoch: &Epoch, stream_max: usize) -> Result<Self, OpenError> {
        let (queue, queued) = mpsc::channel(REDIS_QUEUE_MAX);
        Ok(Self(Arc::new(Inner {
            server: Server::parse(url).map_err(|error| OpenError::Redis(error.to_string()))?,
            key: format!("circles:{campus}:log"),
            epoch: epoch.clone(),
            stream_max,
            append: Script::new(include_str!("append.lua")),
            queue,
            queued: Mutex::new(Some(queued)),
            state: Mutex::default(),
        })))
    }

    /// Puts changes on their way. If Redis is slow or away they are dropped: the database has them.
    pub fn send(&self, entries: Vec<Arc<Entry>>) {
        drop(self.0.queue.try_send(entries));
    }

    /// Appends what [`Redis::send`] brings, for ever.
    pub async fn publish(self, store: Arc<Store>) {
        let taken = self.0.queued.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut queued = taken.expect("there is one publisher");
        let mut pauses = Pauses::default();
        loop {
            let begun = Instant::now();
            match self.publish_while_up(&store, &mut queued).await {
                Ok(()) => return,
                Err(error) => self.note(Some(("appended to", &error)), |state| {
                    state.appends = Some(false);
                    state.refuses |= !is_loss(&error);
                }),
            }
            sleep(pauses.after(begun.elapsed())).await;
            // Too late for these: whoever lacks them has them from the database.
            while queued.try_recv().is_ok() {}
        }
    }

    async fn publish_while_up(
        &self,
        store: &Arc<Store>,
        queued: &mut mpsc::Receiver<Vec<Arc<Entry>>>,
    ) -> Result<(), RedisError> {
        let mut conn = self.0.server.connect(Some(REDIS_TIMEOUT)).await?;
        self.warn_of_eviction(&mut conn).await;
        self.ping(&mut conn).await?;
        loop {
            let Ok(next) = timeout(REDIS_CHECK, queued.recv()).await else {
                // Nothing to append for a while: whether it is there is known all the same.
                self.ping(&mut conn).await?;
                continue;
            };
            let Some(mut entries) = next else { return Ok(()) };
            while entries.len() < REDIS_APPEND_MAX {
                let Ok(more) = queued.try_recv() else { break };
                entries.extend(more);
            }
            self.append(&mut conn, store, &entries).await?;
            self.note(None, |state| (state.appends, state.refuses) = (Some(true), false));
        }
    }

    async fn ping(&self, conn: &mut MultiplexedConnection) -> RedisResult<()> {
        let () = redis::cmd("PING").query_async(conn).await?;
        self.note(None, |state| state.appends = Some(!state.refuses));
        Ok(())
    }

    /// Appends changes after whatever the stream lacks before them. They ascend, and may have holes between them: what
    /// another instance wrote, which appends it itself at its own time.
    async fn append(
        &self,
        conn: &mut MultiplexedConnection,
        store: &Arc<Store>,
        entries: &[Arc<Entry>],
    ) -> Result<(), RedisError> {
        let mut rest = entries;
        // Each round closes a hole, or a part of one, or begins the stream anew.
        let rounds = entries.len() as u64 + 3 + self.0.stream_max as u64 / FEED_ROWS_MAX;
        for _ in 0..rounds {
            let top = match self.append_once(conn, rest).await? {
                Appended::Done => return Ok(()),
                Appended::Gap(top) => top,
                Appended::Epoch => match self.is_present(store).await {
                    Ok(true) => {
                        tracing::info!("the stream in Redis is of an earlier history: it begins anew");
                        let () = conn.del(&self.0.key).await?;
                        continue;
                    }
                    // Whoever follows the log says so, and ends the relay.
                    Ok(false) => return Ok(()),
                    Err(failure) => {
                        tracing::warn!(%failure, "whose stream is in Redis cannot be read; the database will tell by itself");
                        return Ok(());
                    }
                },
            };
            let held = rest.iter().take_while(|it| it.pos <= top).count();
            rest = &rest[held..];
            let Some(next) = rest.first() else { return Ok(()) };
            if next.pos.get() - top.get() > self.0.stream_max as u64 {
                let () = conn.del(&self.0.key).await?;
                continue;
            }
            match feed::load(store, &self.0.epoch, top, next.pos.before()).await {
                Ok(missing) => {
                    // Whatever it came to, the next round finds out.
                    let _: Appended = self.append_once(conn, &missing).await?;
                }
                Err(failure) => {
                    tracing::warn!(%failure, "what Redis lacks cannot be read; the database will tell by itself");
                    return Ok(());
                }
            }
        }
        tracing::warn!("Redis did not take what it lacks; the database will tell by itself");
        Ok(())
    }

    /// Whether this relay's history is still that of the database.
    async fn is_present(&self, store: &Store) -> Result<bool, Failure> {
        Ok(store.read(|conn| Ok::<_, Failure>(campus::history(conn)?)).await?.epoch == self.0.epoch)
    }

    async fn append_once(&self, conn: &mut MultiplexedConnection, entries: &[Arc<Entry>]) -> RedisResult<Appended> {
        let mut call = self.0.append.key(&self.0.key);
        call.arg(self.0.epoch.as_str()).arg(self.0.stream_max);
        for entry in entries {
            call.arg(entry.pos.get())
                .arg(entry.scope.to_string())
                .arg(subject_text(entry.subject))
                .arg(entry.revoked.map_or_else(String::new, |it| it.to_string()))
                .arg(&entry.frame[..]);
        }
        let (answer, top): (String, String) = call.invoke_async(conn).await?;
        Ok(match answer.as_str() {
            "GAP" => Appended::Gap(position(&top).ok_or_else(|| strange("a gap without a position"))?),
            "EPOCH" => Appended::Epoch,
            _ => Appended::Done,
        })
    }

    /// Reads what other instances append, for ever, while anyone listens.
    pub async fn read(self, transport: Transport) {
        let mut pauses = Pauses::default();
        loop {
            transport.listened().await;
            let begun = Instant::now();
            if let Err(error) = self.read_while_up(&transport).await {
                self.note(Some(("read", &error)), |state| state.reads = Some(false));
                sleep(pauses.after(begun.elapsed())).await;
            }
        }
    }

    /// One blocking `XREAD` after the other, on a connection of its own; until nobody listens.
    async fn read_while_up(&self, transport: &Transport) -> RedisResult<()> {
        let mut conn = self.0.server.connect(None).await?;
        let options = StreamReadOptions::default().block(REDIS_BLOCK_MS).count(REDIS_READ_MAX);
        let mut last = transport.head();
        let mut warned = false;
        while *transport.0.listening.borrow() > 0 {
            last = last.max(transport.head());
            let from = format!("{last}-0");
            // A dead connection does not answer at all.
            let patience = Duration::from_millis(REDIS_BLOCK_MS as u64) + REDIS_TIMEOUT;
            let (keys, ids) = ([self.0.key.as_str()], [from]);
            let read = conn.xread_options(&keys, &ids, &options);
            let read: Option<StreamReadReply> = timeout(patience, read).await.map_err(|_| strange("no answer"))??;
            self.note(None, |state| state.reads = Some(true));
            let ids: Vec<StreamId> = read.into_iter().flat_map(|it| it.keys).flat_map(|it| it.ids).collect();
            let entries: Vec<Arc<Entry>> = ids.iter().filter_map(|it| self.entry(it)).map(Arc::new).collect();
            last = entries.iter().map(|it| it.pos).fold(last, Pos::max);
            transport.offer(&entries);
            if entries.is_empty() && !ids.is_empty() {
                // Of a history before a restore, until the next change makes the stream anew. It would answer so at once, again
                // and again; meanwhile the database brings what is new.
                if !std::mem::replace(&mut warned, true) {
                    tracing::warn!(entries = ids.len(), "what is in Redis is of another history, or not understood");
                }
                sleep(HEAD_CHECK).await;
            }
        }
        Ok(())
    }

    /// Carries what is told in passing between the instances, for ever. Loss is fine here, and only here.
    pub async fn carry(self, ephemeral: Arc<Ephemeral>, rates: Arc<Rates>) {
        let mut outgoing = carry::Outgoing::new(&ephemeral, &rates);
        loop {
            if let Err(error) = self.carry_while_up(&ephemeral, &rates, &mut outgoing).await {
                tracing::debug!(%error, "who types, who is online and how often is asked is known of this instance only");
            }
            sleep(REDIS_RETRY.1).await;
            // Nobody is heard: whoever is elsewhere is not known for long.
            ephemeral.forget(Instant::now());
        }
    }

    async fn carry_while_up(
        &self,
        ephemeral: &Ephemeral,
        rates: &Rates,
        outgoing: &mut carry::Outgoing,
    ) -> RedisResult<()> {
        let channel = format!("{}:passing", self.0.key);
        let mut heard = timeout(REDIS_TIMEOUT, async {
            let mut listening = self.0.server.client().await?.get_async_pubsub().await?;
            listening.subscribe(&channel).await?;
            RedisResult::Ok(listening.into_on_message())
        })
        .await
        .map_err(|_| strange("no answer"))??;
        let mut conn = self.0.server.connect(Some(REDIS_TIMEOUT)).await?;
        // From while nobody could be told: long refilled.
        drop(rates.spent());
        // What is told is heard here too. If not, the subscription is dead, and nothing else would show it.
        let mut heard_by = None;
        loop {
            tokio::select! {
                message = heard.next() => {
                    let message = message.ok_or_else(|| strange("the subscription ended"))?;
                    let message: String = message.get_payload()?;
                    carry::take(ephemeral, rates, &message, Instant::now());
                    heard_by = None;
                }
                message = outgoing.next() => {
                    let () = conn.publish(&channel, message).await?;
                    heard_by.get_or_insert_with(|| Instant::now() + REDIS_TIMEOUT);
                }
                () = sleep_until(heard_by.unwrap_or_else(Instant::now)), if heard_by.is_some() => {
                    return Err(strange("what is told is not heard"));
                }
            }
        }
    }

    /// None for what is of another history, or not understood.
    fn entry(&self, id: &StreamId) -> Option<Entry> {
        parse(id).filter(|(epoch, _)| epoch == self.0.epoch.as_str()).map(|(_, entry)| entry)
    }

    /// Notes how Redis is after what could not be done, or could; and says so if that is news.
    fn note(&self, trouble: Option<(&str, &RedisError)>, now: impl FnOnce(&mut State)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.is_up();
        now(&mut state);
        let is_up = state.is_up();
        drop(state);
        metrics::redis(is_up == Some(true));
        match (before == is_up, trouble) {
            (false, Some((what, error))) => {
                tracing::warn!(%error, "Redis cannot be {what}: messages come from the database, up to 2 s later");
            }
            (false, None) if is_up == Some(true) => tracing::info!("Redis is there"),
            (true, _) | (false, None) => {}
        }
    }

    /// With another policy Redis throws streams away when its memory is full: nothing is lost, but all is slower.
    async fn warn_of_eviction(&self, conn: &mut MultiplexedConnection) {
        let info: RedisResult<String> = redis::cmd("INFO").arg("memory").query_async(conn).await;
        let policy =
            info.ok().and_then(|it| Some(it.lines().find_map(|it| it.strip_prefix("maxmemory_policy:"))?.to_owned()));
        if let Some(policy) = policy.filter(|it| it != "noeviction") {
            tracing::warn!(%policy, "set maxmemory-policy to noeviction in Redis");
        }
    }
}

/// The wait before the next try: longer after each that came to nothing.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(REDIS_RETRY.0)
    }
}

impl Pauses {
    /// The next, after a connection that lasted so long.
    fn after(&mut self, lasted: Duration) -> Duration {
        if lasted > REDIS_RETRY.1 {
            *self = Self::default();
        }
        let pause = self.0;
        self.0 = (pause * 2).min(REDIS_RETRY.1);
        pause
    }
}

/// The connection is lost, or nothing answers: not an answer that says no.
fn is_loss(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

fn strange(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, what))
}

fn position(text: &str) -> Option<Pos> {
    text.parse::<u64>().ok().and_then(|it| it.try_into().ok())
}

fn parse(id: &StreamId) -> Option<(String, Entry)> {
    let pos = position(id.id.strip_suffix("-0")?)?;
    let text = |name| id.get::<String>(name);
    let entry = Entry {
        pos,
        scope: text("scope")?.parse::<Scope>().ok()?,
        subject: unless_empty(&text("subject")?, subject_of)?,
        revoked: unless_empty(&text("revoked")?, |it| it.parse().ok())?,
        frame: id.get::<Vec<u8>>("frame")?.into(),
    };
    Some((text("epoch")?, entry))
}

/// `person circle 1|0`, or nothing.
fn subject_text(subject: Option<Subject>) -> String {
    subject.map_or_else(String::new, |it| format!("{} {} {}", it.person, it.circle, u8::from(it.joined)))
}

/// Nothing for an empty text; an error (none) for one that is not understood.
#[expect(clippy::option_option, reason = "not there, not understood, or a value")]
fn unless_empty<T>(text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { parse(text).map(Some) }
}

fn subject_of(text: &str) -> Option<Subject> {
    let mut parts = text.split(' ');
    let person = parts.next()?.parse::<PersonId>().ok()?;
    let circle = parts.next()?.parse::<CircleId>().ok()?;
    let joined = match parts.next()? {
        "1" => true,
        "0" => false,
        _ => return None,
    };
    Some(Subject { person, circle, joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_what_it_wrote() {
        for joined in [true, false] {
            let subject = Some(Subject { person: PersonId::new(), circle: CircleId::new(), joined });
            assert_eq!(unless_empty(&subject_text(subject), subject_of), Some(subject));
        }
        assert_eq!(unless_empty(&subject_text(None), subject_of), Some(None));
        assert_eq!(unless_empty("nonsense", subject_of), None);
    }
}
