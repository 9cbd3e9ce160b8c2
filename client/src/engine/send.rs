//! The outbox at work: one item at a time, the oldest first, until the relay has it (design 3.7). Order is kept within each
//! circle, and one whose items do not get through rests while the others go on.

use std::time::Duration;

use circles_protocol::{
    CircleId, Draft, Entity, Epoch, Message, Mute, Pos, Reaction, ReadMarker, UnixMs,
    api::{EditMessage, MarkRead, PostMessage, React, Receipt, SetDraft, SetMute},
};
use http::Method;
use rusqlite::Transaction;
use tokio::time::Instant;

use super::{
    Engine,
    rests::{self, Rests},
};
use crate::{
    backoff::Backoff,
    cache::{
        Durability,
        apply::{Apply, Touched},
        campuses,
        outbox::{self, Intent, Item},
        views,
    },
    error::ClientError,
    limits::RETRY_MAX,
    view::DraftView,
};

/// A message that was written this much before it is sent says when it was written, in ms.
const WRITTEN_EARLIER_MS: i64 = 2_000;

/// What the relay made of an item.
enum Done {
    Posted(Receipt),
    State(Box<Entity>),
}

/// What came of an attempt.
enum Attempt {
    /// The relay has it, or refused it.
    Over,
    /// Its circle waits, and others may go on.
    Rests,
    /// There was nothing to send.
    Nothing,
}

impl Engine {
    /// Sends what waits, for ever. A circle to which nothing can be sent holds up no other.
    pub(super) async fn send_outbox(self) {
        let mut backoff = Backoff::default();
        let mut rests = Rests::default();
        if let Err(error) = self.retry_own_states().await {
            tracing::warn!(%error, "what was refused is not tried again");
        }
        loop {
            let asked = Instant::now();
            match self.send_next(&mut rests).await {
                Ok(Attempt::Over) => backoff.reset(),
                Ok(Attempt::Rests) => {}
                Ok(Attempt::Nothing) => tokio::select! {
                    () = self.0.signals.send.notified() => {}
                    // Another process of the same person may have put something in.
                    () = self.0.cache.written() => {}
                    () = self.a_draft_has_rested() => {}
                    () = rests::at(rests.first_until(asked)) => {}
                    () = self.0.signals.online.notified() => rests.end(),
                },
                Err(error) => {
                    tracing::debug!(%error, "what was written waits");
                    let asked = error.retry_after_s().map_or(Duration::ZERO, Duration::from_secs);
                    let wait = backoff.next(rand::random()).max(asked.min(RETRY_MAX));
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.0.signals.online.notified() => rests.end(),
                        // Perhaps for another circle than those that failed.
                        () = self.0.signals.send.notified(), if error.is_of_one() => {}
                    }
                }
            }
        }
    }

    async fn retry_own_states(&self) -> Result<(), ClientError> {
        let campus = self.0.campus;
        self.0.cache.write(Durability::Cache, move |conn| Ok(outbox::retry_own_states(conn, campus)?)).await
    }

    /// Returns when the next draft is due; never, if there is none.
    async fn a_draft_has_rested(&self) {
        let (campus, now) = (self.0.campus, self.now());
        match self.0.cache.read(move |conn| Ok(outbox::rests_for(conn, campus, now)?)).await {
            Ok(Some(rest_ms)) => tokio::time::sleep(Duration::from_millis(rest_ms)).await,
            Ok(None) => std::future::pending().await,
            Err(error) => {
                tracing::warn!(%error, "the drafts that wait are not known");
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends the next item. An error means that it waits on, and all others with it.
    async fn send_next(&self, rests: &mut Rests<CircleId>) -> Result<Attempt, ClientError> {
        let campus = self.0.campus;
        let now = self.now();
        // One that failed may fail again, and take long for it: the others are first.
        let (failed, resting) = (rests.all(), rests.resting(Instant::now()));
        let next = self.0.cache.read(move |conn| {
            Ok(match outbox::next(conn, campus, now, &failed)? {
                None if failed.len() > resting.len() => outbox::next(conn, campus, now, &resting)?,
                next => next,
            })
        });
        let Some(item) = next.await? else { return Ok(Attempt::Nothing) };
        let n = item.n;
        // An edit or discard may have come in between: only what is marked as under way is sent, as it then stands.
        let mark = move |conn: &Transaction<'_>| Ok((outbox::sending(conn, n)?, campuses::find(conn, campus)?.cursor));
        let (marked, cursor) = self.0.cache.write(Durability::Cache, mark).await?;
        let Some(item) = marked else { return Ok(Attempt::Over) };
        let circle = item.circle;
        match self.deliver(&item).await {
            Ok(done) => self.delivered(item, done, cursor.map(|it| it.epoch)).await?,
            Err(error) if error.passes() || error.signed_out() => {
                self.0.cache.write(Durability::Cache, move |conn| Ok(outbox::tried(conn, n)?)).await?;
                self.touched(Touched::of(circle, item.message));
                let least = error.retry_after_s().map_or(Duration::ZERO, Duration::from_secs);
                if !error.is_of_one() || !rests.failed(circle, Instant::now(), least) {
                    return Err(error);
                }
                tracing::debug!(%error, "what was written in a circle waits");
                return Ok(Attempt::Rests);
            }
            Err(error) if error.lacks_reply() && self.answer_nothing(&item).await? => {}
            Err(error) => self.refused(item, &error).await?,
        }
        rests.succeeded(circle);
        Ok(Attempt::Over)
    }

    async fn deliver(&self, item: &Item) -> Result<Done, ClientError> {
        let circle = item.circle;
        let message = item.message.ok_or(ClientError::NotFound("message"));
        match &item.intent {
            Intent::Post { text, reply_to } => {
                let post = PostMessage {
                    id: message?,
                    text: text.clone(),
                    reply_to: *reply_to,
                    written_at: self.written_earlier(item.written_at),
                };
                self.api().send(Method::POST, &format!("v1/circles/{circle}/messages"), &post).await.map(Done::Posted)
            }
            Intent::Edit { text } => {
                let path = format!("v1/messages/{}", message?);
                let edited: Message =
                    self.api().send(Method::PATCH, &path, &EditMessage { text: text.clone() }).await?;
                Ok(Done::State(Box::new(Entity::Message(edited))))
            }
            Intent::Delete => {
                let deleted: Message = self.api().call(Method::DELETE, &format!("v1/messages/{}", message?)).await?;
                Ok(Done::State(Box::new(Entity::Message(deleted))))
            }
            Intent::React { emoji, on } => {
                let path = format!("v1/messages/{}/reactions", message?);
                let react = React { emoji: emoji.clone(), on: *on };
                let reaction: Reaction = self.api().send(Method::PUT, &path, &react).await?;
                Ok(Done::State(Box::new(Entity::Reaction(reaction))))
            }
            Intent::Read { seq } => {
                let path = format!("v1/circles/{circle}/read");
                let marker: ReadMarker = self.api().send(Method::PUT, &path, &MarkRead { seq: *seq }).await?;
                Ok(Done::State(Box::new(Entity::ReadMarker(marker))))
            }
            Intent::Mute { on } => {
                let set = SetMute { on: *on, age_ms: self.age_ms(item.written_at) };
                let mute: Mute = self.api().send(Method::PUT, &format!("v1/circles/{circle}/mute"), &set).await?;
                Ok(Done::State(Box::new(Entity::Mute(mute))))
            }
            Intent::Draft(DraftView { text, reply_to, editing }) => {
                let age_ms = self.age_ms(item.written_at);
                let set = SetDraft { text: text.clone(), reply_to: *reply_to, editing: *editing, age_ms };
                let draft: Draft = self.api().send(Method::PUT, &format!("v1/circles/{circle}/draft"), &set).await?;
                Ok(Done::State(Box::new(Entity::Draft(draft))))
            }
        }
    }

    /// The relay has it: the message is an ordinary one at once, and the stream's own change later is a repetition.
    /// Unless another history began meanwhile: then the answer may be of the one before, and it is sent once more.
    async fn delivered(&self, item: Item, done: Done, epoch: Option<Epoch>) -> Result<(), ClientError> {
        let eyes = self.eyes();
        let touched = self
            .0
            .cache
            .write(Durability::Cache, move |conn| {
                let mut apply = Apply::new(conn, eyes.campus, eyes.me);
                if apply.epoch()? != epoch {
                    outbox::tried(conn, item.n)?;
                    return Ok(Touched::of(item.circle, item.message));
                }
                match (done, &item.intent) {
                    (Done::Posted(receipt), Intent::Post { text, reply_to }) => {
                        apply.entity(&Entity::Message(Message {
                            id: receipt.id,
                            circle_id: receipt.circle_id,
                            seq: receipt.seq,
                            author_id: eyes.me,
                            text: text.clone(),
                            reply_to: *reply_to,
                            created_at: receipt.created_at,
                            written_at: receipt.written_at,
                            edited_at: None,
                            deleted_at: None,
                            version: receipt.pos,
                        }))?;
                    }
                    // Version zero: taking back a reaction that nobody knows of changed nothing, and is nowhere.
                    (Done::State(entity), _) if entity.version() == Pos::ZERO => {}
                    (Done::State(entity), _) => apply.entity(&entity)?,
                    (Done::Posted(_), _) => unreachable!("only a post gets a receipt"),
                }
                outbox::remove(conn, item.n)?;
                let messages = apply.touched.circles.entry(item.circle).or_default();
                messages.extend(item.message);
                Ok(apply.finish()?)
            })
            .await?;
        self.touched(touched);
        Ok(())
    }

    /// A restored relay may have lost what is answered: what the person wrote gets through all the same, as a message of its
    /// own. False if it answers nothing.
    async fn answer_nothing(&self, item: &Item) -> Result<bool, ClientError> {
        let Intent::Post { text, reply_to: Some(_) } = &item.intent else { return Ok(false) };
        let (n, post) = (item.n, Intent::Post { text: text.clone(), reply_to: None });
        self.0.cache.write(Durability::Outbox, move |conn| outbox::replace(conn, n, &post)).await?;
        self.touched(Touched::of(item.circle, item.message));
        Ok(true)
    }

    /// The relay refused it. What a person wanted is shown as failed, with the reason, also a deletion: the message may be
    /// there for others when its author is not in the circle any more. What the devices agree on is nothing to show: a mute
    /// or a draft stays as it is on this device, because an older relay does not know of them, unless one is out.
    async fn refused(&self, item: Item, error: &ClientError) -> Result<(), ClientError> {
        let eyes = self.eyes();
        let reason = error.to_string();
        tracing::info!(%reason, kind = item.intent.kind(), "the relay refused what was written");
        let touched = match item.intent {
            Intent::Post { .. } => Touched::held_up(item.circle, item.message),
            _ => Touched::of(item.circle, item.message),
        };
        self.0
            .cache
            .write(Durability::Outbox, move |conn| {
                let keep = match item.intent {
                    Intent::Read { .. } => false,
                    Intent::Mute { .. } | Intent::Draft(_) => views::joined(conn, eyes)?.contains(&item.circle),
                    _ => true,
                };
                Ok(if keep { outbox::fail(conn, item.n, &reason) } else { outbox::remove(conn, item.n) }?)
            })
            .await?;
        self.touched(touched);
        Ok(())
    }

    /// For how long something is so, by this device's clock alone.
    fn age_ms(&self, since: UnixMs) -> u32 {
        u32::try_from((self.now().0 - since.0).max(0)).unwrap_or(u32::MAX)
    }

    fn written_earlier(&self, written_at: UnixMs) -> Option<UnixMs> {
        (self.now().0 - written_at.0 > WRITTEN_EARLIER_MS).then_some(written_at)
    }
}

#[cfg(test)]
mod tests;
