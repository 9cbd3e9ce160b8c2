//! An mDNS daemon that is made anew whenever the network changes: it does not recover by itself from an interface that goes
//! and comes back (mdns-sd, issue 370).

use std::time::Duration;

use mdns_sd::ServiceDaemon;
use tokio::{sync::Notify, time::timeout};

use crate::NetworkChanges;

/// The wait after a daemon that did not start or a network that cannot be watched: both need something outside to change.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a daemon that ends may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A daemon, stopped when dropped: its thread would go on.
struct Daemon(ServiceDaemon);

impl Daemon {
    /// Stops it, and waits until it has said goodbye: that of an old daemon must not come after what a new one announces.
    async fn end(self) {
        if let Ok(ended) = self.0.shutdown()
            && timeout(GOODBYE, ended.recv_async()).await.is_err()
        {
            tracing::debug!("an mDNS daemon takes long to end");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::debug!(%error, "the mDNS daemon had stopped already");
        }
    }
}

/// Runs `work` with a daemon, again with a new one whenever the network changes, the work ends, or `anew` says so: then it
/// is told that the network is the same as before. Never returns.
pub async fn on_each_network<F>(anew: &Notify, mut work: F) -> std::convert::Infallible
where
    F: AsyncFnMut(&ServiceDaemon, bool) -> Result<(), mdns_sd::Error>,
{
    let mut same = false;
    loop {
        let ran = on_this_network(anew, same, &mut work).await;
        same = matches!(ran, Ok(true));
        if let Err(error) = ran {
            tracing::warn!(%error, "relays cannot announce themselves or be found by multicast for now");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Until the network changes, or `anew`: whether it is the same network then.
async fn on_this_network<F>(
    anew: &Notify,
    same: bool,
    work: &mut F,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>>
where
    F: AsyncFnMut(&ServiceDaemon, bool) -> Result<(), mdns_sd::Error>,
{
    let mut changes = NetworkChanges::watch()?;
    let daemon = Daemon(ServiceDaemon::new()?);
    let same = tokio::select! {
        done = work(&daemon.0, same) => {
            done?;
            false
        }
        moved = changes.next() => {
            tracing::debug!("the network changed");
            moved?;
            false
        }
        () = anew.notified() => true,
    };
    daemon.end().await;
    Ok(same)
}
