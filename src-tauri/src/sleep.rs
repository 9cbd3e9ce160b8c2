//! That the computer woke up, as systemd's logind says it on the system bus: sooner than the clocks show it.

use circles_client::Client;
use futures::StreamExt;
use zbus::{Connection, proxy, proxy::CacheProperties};

/// logind, of which only this is heard (org.freedesktop.login1(5), "Signals").
#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    /// Sent with true before the computer sleeps, and with false after it woke up.
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// Connects anew after each sleep, for as long as somebody tells of them. Where nobody does, there being no system bus or no
/// logind, the client's clocks show it a moment later.
pub async fn follow(client: Client) {
    match hear(&client).await {
        Ok(()) => tracing::debug!("logind does not tell of sleep any more"),
        Err(error) => tracing::debug!(%error, "logind does not tell of sleep"),
    }
}

async fn hear(client: &Client) -> zbus::Result<()> {
    let bus = Connection::system().await?;
    let logind = ManagerProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
    let mut signals = logind.receive_prepare_for_sleep().await?;
    while let Some(signal) = signals.next().await {
        if !signal.args()?.start {
            tracing::info!("the computer woke up: connecting anew");
            client.reconnect_all();
        }
    }
    Ok(())
}
