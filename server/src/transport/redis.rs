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
use tokio::sync::mpsc;

use self::server::Server;
use super::{
    Transport, feed,
    ring::{Entry, Subject},
};
use crate::{
    ephemeral::{Ephemeral, carry},
    failure::Failure,
    limits::{
        REDIS_APPEND_MAX, REDIS_BLOCK_MS, REDIS_CHECK, REDIS_QUEUE_MAX, REDIS_READ_MAX, REDIS_RETRY, REDIS_TIMEOUT,
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
    /// Whether it answered last; none before it was tried.
    up: Mutex<Option<bool>>,
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
            up: Mutex::new(None),
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
        let mut wait = REDIS_RETRY.0;
        loop {
            match self.publish_while_up(&store, &mut queued).await {
                Ok(()) => return,
                Err(error) => self.down("appended to", &error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(REDIS_RETRY.1);
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
        self.up();
        loop {
            let Ok(next) = tokio::time::timeout(REDIS_CHECK, queued.recv()).await else {
                // Nothing to append for a while: whether it is there is known all the same.
                let () = redis::cmd("PING").query_async(&mut conn).await?;
                continue;
            };
            let Some(mut entries) = next else { return Ok(()) };
            while entries.len() < REDIS_APPEND_MAX {
                let Ok(more) = queued.try_recv() else { break };
                entries.extend(more);
            }
            self.append(&mut conn, store, &entries).await?;
        }
    }

    /// Appends changes after whatever the stream lacks before them.
    async fn append(
        &self,
        conn: &mut MultiplexedConnection,
        store: &Arc<Store>,
        entries: &[Arc<Entry>],
    ) -> Result<(), RedisError> {
        let Some(first) = entries.first() else { return Ok(()) };
        // Each round closes a part of the gap, or begins the stream anew.
        for _ in 0..=self.0.stream_max {
            match self.append_once(conn, entries).await? {
                Appended::Done => return Ok(()),
                Appended::Gap(top) if first.pos.get() - top.get() > self.0.stream_max as u64 => {
                    let () = conn.del(&self.0.key).await?;
                }
                Appended::Gap(top) => {
                    let missing = feed::load(store, &self.0.epoch, top, first.pos).await;
                    match missing {
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
                Appended::Epoch => {
                    let present = store.read(|conn| Ok::<_, Failure>(campus::get(conn)?)).await;
                    if present.is_ok_and(|it| it.is_some_and(|it| it.epoch == self.0.epoch)) {
                        tracing::info!("the stream in Redis is of an earlier history: it begins anew");
                        let () = conn.del(&self.0.key).await?;
                    } else {
                        tracing::error!("the campus has another history now: restart this relay");
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
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
        let mut wait = REDIS_RETRY.0;
        loop {
            transport.listened().await;
            match self.read_while_up(&transport).await {
                Ok(()) => {
                    wait = REDIS_RETRY.0;
                    continue;
                }
                Err(error) => self.down("read", &error),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(REDIS_RETRY.1);
        }
    }

    /// One blocking `XREAD` after the other, on a connection of its own; until nobody listens.
    async fn read_while_up(&self, transport: &Transport) -> RedisResult<()> {
        let mut conn = self.0.server.connect(None).await?;
        self.up();
        let options = StreamReadOptions::default().block(REDIS_BLOCK_MS).count(REDIS_READ_MAX);
        let mut last = transport.head();
        while *transport.0.listening.borrow() > 0 {
            last = last.max(transport.head());
            let from = format!("{last}-0");
            // A dead connection does not answer at all.
            let patience = Duration::from_millis(REDIS_BLOCK_MS as u64) + REDIS_TIMEOUT;
            let (keys, ids) = ([self.0.key.as_str()], [from]);
            let read = conn.xread_options(&keys, &ids, &options);
            let read: Option<StreamReadReply> =
                tokio::time::timeout(patience, read).await.map_err(|_| strange("no answer"))??;
            let ids = read.into_iter().flat_map(|it| it.keys).flat_map(|it| it.ids);
            let mut entries = Vec::new();
            for id in ids {
                let Some(entry) = self.entry(&id) else { continue };
                last = last.max(entry.pos);
                entries.push(Arc::new(entry));
            }
            transport.offer(&entries);
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
            tokio::time::sleep(REDIS_RETRY.1).await;
        }
    }

    async fn carry_while_up(
        &self,
        ephemeral: &Ephemeral,
        rates: &Rates,
        outgoing: &mut carry::Outgoing,
    ) -> RedisResult<()> {
        let channel = format!("{}:passing", self.0.key);
        let mut listening = self.0.server.client().await?.get_async_pubsub().await?;
        listening.subscribe(&channel).await?;
        let mut heard = listening.into_on_message();
        let mut conn = self.0.server.connect(Some(REDIS_TIMEOUT)).await?;
        // From while nobody could be told: long refilled.
        drop(rates.spent());
        loop {
            tokio::select! {
                message = heard.next() => {
                    let message = message.ok_or_else(|| strange("the subscription ended"))?;
                    let message: String = message.get_payload()?;
                    carry::take(ephemeral, rates, &message, tokio::time::Instant::now());
                }
                message = outgoing.next() => {
                    let () = conn.publish(&channel, message).await?;
                }
            }
        }
    }

    fn entry(&self, id: &StreamId) -> Option<Entry> {
        let entry = parse(id).filter(|(epoch, _)| epoch == self.0.epoch.as_str());
        if entry.is_none() {
            tracing::warn!(id = %id.id, "an entry of the stream in Redis is of no use");
        }
        entry.map(|(_, entry)| entry)
    }

    fn up(&self) {
        if self.changes(true) {
            tracing::info!("Redis is there");
        }
    }

    fn down(&self, what: &str, error: &RedisError) {
        if self.changes(false) {
            tracing::warn!(%error, "Redis cannot be {what}: messages come from the database, up to 2 s later");
        }
    }

    /// Notes whether Redis answers; true if that is news.
    fn changes(&self, up: bool) -> bool {
        metrics::redis(up);
        self.0.up.lock().unwrap_or_else(PoisonError::into_inner).replace(up) != Some(up)
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
