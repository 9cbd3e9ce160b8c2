//! An mDNS daemon that is made anew whenever the network changes: it does not recover by itself from an interface that goes
//! and comes back (mdns-sd, issue 370).

use std::time::Duration;

use mdns_sd::ServiceDaemon;

use crate::NetworkChanges;

/// The wait after a daemon that did not start or a network that cannot be watched: both need something outside to change.
const PAUSE: Duration = Duration::from_secs(5);

/// A daemon, stopped when dropped: its thread would go on.
pub struct Daemon(ServiceDaemon);

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::debug!(%error, "the mDNS daemon had stopped already");
        }
    }
}

/// Runs `work` with a daemon, again with a new one whenever the network changes or the work ends. Never returns.
pub async fn on_each_network<F>(mut work: F) -> std::convert::Infallible
where
    F: AsyncFnMut(&ServiceDaemon) -> Result<(), mdns_sd::Error>,
{
    loop {
        if let Err(error) = on_this_network(&mut work).await {
            tracing::warn!(%error, "relays cannot announce themselves or be found by multicast for now");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn on_this_network<F>(work: &mut F) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    F: AsyncFnMut(&ServiceDaemon) -> Result<(), mdns_sd::Error>,
{
    let mut changes = NetworkChanges::watch()?;
    let daemon = Daemon(ServiceDaemon::new()?);
    tokio::select! {
        done = work(&daemon.0) => Ok(done?),
        moved = changes.next() => {
            tracing::debug!("the network changed");
            Ok(moved?)
        }
    }
}
