//! Fills the ring from the database: what neither this instance's writer nor Redis brought.

use std::sync::Arc;

use circles_protocol::{Epoch, Pos};
use tokio::time::{Instant, sleep_until};

use super::{Transport, ring::Entry};
use crate::{
    failure::Failure,
    limits::{FEED_ROWS_MAX, HEAD_CHECK, HEAL_PATIENCE},
    metrics,
    store::{Store, campus, log},
};

/// Keeps the ring at the head of the log while anyone listens; until the database holds another history.
pub async fn follow(transport: Transport, store: Arc<Store>, epoch: Epoch) {
    let mut told = transport.0.told.subscribe();
    let mut behind_since = None;
    while !transport.estranged().is_cancelled() {
        transport.listened().await;
        if let Err(failure) = catch_up(&transport, &store, &epoch, &mut behind_since).await {
            tracing::warn!(%failure, "the log cannot be read; trying again");
            metrics::lag_time(*behind_since.get_or_insert_with(Instant::now));
        }
        let check = Instant::now() + HEAD_CHECK;
        tokio::select! {
            // Told of more than the ring holds: the message itself may be just behind, so that it need not be read.
            () = async {
                drop(told.wait_for(|told| *told > transport.head()).await);
                tokio::time::sleep(HEAL_PATIENCE).await;
            } => {}
            () = sleep_until(check) => {}
        }
    }
}

/// Reads until the ring is at the head; `behind_since` is when it was first seen not to be, until it is.
async fn catch_up(
    transport: &Transport,
    store: &Arc<Store>,
    epoch: &Epoch,
    behind_since: &mut Option<Instant>,
) -> Result<(), Failure> {
    loop {
        let after = transport.head();
        let present = store.read(|conn| Ok::<_, Failure>(campus::history(conn)?)).await?;
        // Asked once more where it is written: a pooler may have asked a replica that lags.
        if !present.follows(epoch, after) && !store.follows(epoch, after).await? {
            transport.estrange();
            return Ok(());
        }
        let wanted = present.head;
        metrics::lag(wanted.get().saturating_sub(after.get()));
        if wanted <= after {
            *behind_since = None;
            metrics::is_current();
            return Ok(());
        }
        metrics::lag_time(*behind_since.get_or_insert_with(Instant::now));
        if wanted.get() - after.get() > transport.0.ring_changes_max as u64 {
            transport.skip_to(wanted);
            return Ok(());
        }
        let entries = load(store, epoch, after, wanted).await?;
        let before = transport.head();
        transport.offer(&entries);
        metrics::healed(transport.head().get().saturating_sub(before.get()));
    }
}

/// The changes in `(after, until]`, some of them if they are many; each with its entity's newest state.
pub async fn load(store: &Arc<Store>, epoch: &Epoch, after: Pos, until: Pos) -> Result<Vec<Arc<Entry>>, Failure> {
    let epoch = epoch.clone();
    let until = until.min(Pos::try_from(after.get() + FEED_ROWS_MAX).unwrap_or(Pos::MAX));
    store
        .read(move |conn| {
            let mut entries = Vec::new();
            for row in log::range(conn, after, until)? {
                entries.push(Arc::new(Entry::of(&epoch, &row.load(conn)?)));
            }
            Ok(entries)
        })
        .await
}
