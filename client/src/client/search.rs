//! Searching what is held, and going to a day.

use std::{sync::PoisonError, time::Instant};

use circles_protocol::{CampusId, CircleId, Seq, UnixMs};
use jiff::tz::TimeZone;
use rusqlite::Transaction;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Answer, Client, Engine};
use crate::{
    cache::{
        Durability, days,
        search::{self, Wanted},
        views,
    },
    error::ClientError,
    limits::{DAY_PROBES_MAX, FIRST_PAGE, INDEX_BATCH, INDEX_DELAY, INDEX_PAUSE_CATCHING_UP},
    search::query::Query,
    view::{SearchView, Update},
};

impl Client {
    /// Searches the messages, people and circles of a campus that are held. `circle`: only its messages. `after`: what
    /// [`SearchView::more`] said, for older messages. `limit`: messages, 200 at the most. See [`Query::parse`] for what may be
    /// written; there is no wrong query.
    pub async fn search(
        &self,
        campus: CampusId,
        query: &str,
        circle: Option<CircleId>,
        after: Option<String>,
        limit: u32,
    ) -> Answer<SearchView> {
        let eyes = self.engine(campus)?.eyes();
        let query = Query::parse(query, &TimeZone::system());
        let wanted = Wanted { query, circle, after, limit };
        self.0.cache.read(move |conn| search::find(conn, eyes, &wanted)).await
    }

    /// The number of the first message of a circle that was sent at this time or later; none if all are older. What is not
    /// held around it is fetched, in at most [`DAY_PROBES_MAX`] pages.
    pub async fn first_since(&self, campus: CampusId, circle: CircleId, at: UnixMs) -> Answer<Option<Seq>> {
        let engine = self.engine(campus)?;
        let eyes = engine.eyes();
        let known = self.0.cache.read(move |conn| Ok(views::circle(conn, eyes, circle)?)).await?;
        let head = known.filter(|it| it.joined).ok_or(ClientError::NotFound("circle"))?.head_seq;
        // Messages up to `older` are older, those from `younger` on are not. Time grows with the number.
        let (mut older, mut younger) = (Seq::ZERO, head.next());
        for _ in 0..DAY_PROBES_MAX {
            let narrowed = self.0.cache.read(move |conn| Ok(days::narrow(conn, eyes, circle, at, older, younger)?));
            (older, younger) = narrowed.await?;
            if older.next() >= younger {
                return Ok((younger <= head).then_some(younger));
            }
            // None of those between is held: the page around the middle halves them.
            let middle = older.get() + (younger.get() - older.get()) / 2;
            let end = (middle + u64::from(FIRST_PAGE) / 2).min(younger.get());
            engine.messages(circle, &format!("before={end}&limit={FIRST_PAGE}")).await?;
        }
        Err(ClientError::Invalid("day could not be found: the relay does not give what it says it has".to_owned()))
    }

    // ---- the index -------------------------------------------------------------------------------------------------

    /// Keeps the search's index up with the messages, in the background. What was not taken when the program ended is
    /// taken after its next start.
    pub(super) async fn keep_index(self) {
        let mut updates = self.subscribe();
        let work = async {
            loop {
                if let Err(error) = self.index_all().await {
                    // A full disk passes, and the search says what it does not cover.
                    tracing::warn!(%error, "the search's index is behind");
                }
                if !messages_changed(&mut updates).await {
                    return;
                }
                tokio::time::sleep(INDEX_DELAY).await;
                updates = updates.resubscribe();
            }
        };
        tokio::select! {
            () = self.0.stop.cancelled() => {}
            () = work => {}
        }
    }

    async fn index_all(&self) -> Answer<()> {
        while self.0.cache.read(|conn| Ok(search::is_behind(conn)?)).await? {
            let begun = Instant::now();
            let cache = self.0.cache.clone();
            let take = move |conn: &Transaction<'_>| Ok(search::take(conn, INDEX_BATCH, || cache.give_way())?);
            self.0.cache.write_behind(Durability::Cache, take).await?;
            let catching_up = {
                let engines = self.0.engines.read().unwrap_or_else(PoisonError::into_inner);
                engines.values().any(Engine::is_catching_up)
            };
            // Whoever writes a message does not wait for more than one batch.
            tokio::time::sleep(if catching_up { INDEX_PAUSE_CATCHING_UP } else { begun.elapsed() }).await;
        }
        Ok(())
    }
}

/// Waits until messages may have changed; false if there will be no more of them.
async fn messages_changed(updates: &mut Receiver<Update>) -> bool {
    loop {
        match updates.recv().await {
            Ok(Update::Messages { .. } | Update::Timeline { .. } | Update::Circles { .. })
            | Err(RecvError::Lagged(_)) => return true,
            Ok(_) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}
