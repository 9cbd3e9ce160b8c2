//! The demo: a hosted campus full of real conversations, to look around in. Their source is named in `demo/README.md`.

use std::io::{BufRead, BufReader};

use circles_client::{
    Client,
    view::{CampusView, CircleView, Failure},
};
use circles_protocol::CampusId;
use circles_relay::Relay;
use flate2::bufread::GzDecoder;
use tokio::sync::broadcast::error::RecvError;

use super::HostError;
use crate::{limits::DEMO_CIRCLES_PATIENCE, shell::Open};

/// The circles of the demo, each with its messages.
const CIRCLES: [(&str, &[u8]); 3] = [
    ("ubuntu", include_bytes!("../../demo/ubuntu.jsonl.gz")),
    ("rust", include_bytes!("../../demo/rust.jsonl.gz")),
    ("mediawiki", include_bytes!("../../demo/mediawiki.jsonl.gz")),
];

/// Starts the demo, and joins it and its circles.
pub async fn start(open: &Open, name: &str) -> Result<CampusView, Failure> {
    let new = open.hosts.create("Demo campus").await?;
    if let Err(error) = fill(&new.relay).await {
        open.hosts.discard(new.campus_id).await?;
        return Err(error.into());
    }
    let campus = open.join_own(new, name).await?;
    let joining = tokio::time::timeout(DEMO_CIRCLES_PATIENCE, join_circles(&open.client, campus.id)).await;
    if !matches!(joining, Ok(Ok(()))) {
        tracing::warn!("the demo's circles are there, but were not joined: the list offers it");
    }
    Ok(campus)
}

async fn fill(relay: &Relay) -> Result<(), HostError> {
    for (_, messages) in CIRCLES {
        circles_relay::import(relay, lines(messages), |_| {}).await?;
    }
    Ok(())
}

fn lines(messages: &'static [u8]) -> impl BufRead {
    BufReader::new(GzDecoder::new(messages))
}

/// Joins the circles as soon as the cache knows them.
async fn join_circles(client: &Client, campus: CampusId) -> Result<(), Failure> {
    let mut updates = client.subscribe();
    let circles = loop {
        let listed: Vec<CircleView> = client.circles(campus).await?;
        if CIRCLES.iter().all(|(name, _)| listed.iter().any(|it| it.name == *name)) {
            break listed;
        }
        if matches!(updates.recv().await, Err(RecvError::Closed)) {
            return Ok(());
        }
    };
    for circle in circles.iter().filter(|it| !it.joined) {
        client.join_circle(campus, circle.id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::host::Hosts;

    #[tokio::test]
    async fn every_line_of_the_demo_is_imported() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = Hosts::open(dir.path()).await.unwrap();
        let new = hosts.create("Demo").await.unwrap();
        for (_, messages) in CIRCLES {
            let report = circles_relay::import(&new.relay, lines(messages), |_| {}).await.unwrap();
            assert_eq!((report.total.imported, report.total.invalid), (500, 0), "{:?}", report.skipped);
        }
        hosts.close().await;
    }

    #[test]
    fn each_file_is_of_the_circle_that_is_joined() {
        for (name, messages) in CIRCLES {
            let circles: BTreeSet<String> = lines(messages)
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap()["circle"].to_string())
                .collect();
            assert_eq!(circles, BTreeSet::from([format!("{name:?}")]));
        }
    }
}
