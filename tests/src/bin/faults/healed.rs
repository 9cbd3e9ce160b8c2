//! How much only the database brought, as the relays count it.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A relay that is killed forgets what it counted since.
const ASK_EVERY: Duration = Duration::from_millis(250);
const COUNTER: &str = "circles_healed_changes_total ";

/// Adds up what relays count at these addresses until `stop`; each begins anew with its process.
pub fn watch(http: reqwest::Client, ports: Vec<u16>, stop: CancellationToken) -> JoinHandle<u64> {
    tokio::spawn(async move {
        let mut last = vec![0; ports.len()];
        let mut sum = 0;
        while !stop.is_cancelled() {
            for (port, last) in ports.iter().zip(&mut last) {
                // One that is dead or frozen is asked again.
                if let Ok(now) = ask(&http, *port).await {
                    sum += if now < *last { now } else { now - *last };
                    *last = now;
                }
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        sum
    })
}

async fn ask(http: &reqwest::Client, port: u16) -> Result<u64> {
    let request = http.get(format!("http://127.0.0.1:{port}/metrics")).timeout(ASK_EVERY);
    let text = request.send().await?.text().await?;
    let line = text.lines().find_map(|it| it.strip_prefix(COUNTER));
    Ok(line.map(str::parse).transpose()?.unwrap_or_default())
}
