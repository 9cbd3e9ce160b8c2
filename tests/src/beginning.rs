//! What many tests begin with.

use std::path::Path;

use anyhow::Result;
use circles_client::{
    Client,
    view::{CampusView, CircleView},
};
use circles_protocol::CampusId;
use tempfile::{TempDir, tempdir};

use crate::{circle, client, relay::RelayProcess, wait_for};

/// A relay and its owner.
pub struct Beginning {
    /// Where both are: `relay` and `ada`.
    pub dir: TempDir,
    /// The relay.
    pub relay: RelayProcess,
    /// Its owner.
    pub ada: Client,
    /// The campus as she sees it.
    pub campus: CampusView,
    /// The circle General, which she is in.
    pub general: CircleView,
}

impl Beginning {
    /// With these flags for the relay.
    pub async fn new(flags: &[&str]) -> Result<Self> {
        let dir = tempdir()?;
        let relay = RelayProcess::start(&dir.path().join("relay"), flags).await?;
        let (ada, campus) = joined(&dir.path().join("ada"), &relay.invite("owner")?, "Ada").await?;
        let general = circle(&ada, &campus, "General").await?;
        Ok(Self { dir, relay, ada, campus, general })
    }
}

/// Somebody new with a client on a directory, and the campus that the link led to.
pub async fn joined(dir: &Path, link: &str, name: &str) -> Result<(Client, CampusView)> {
    let client = client(dir).await?;
    let campus = client.join(link, name).await?;
    Ok((client, campus))
}

/// Joins the circles of these names, and waits until all of their messages are held, so many.
pub async fn join_circles(client: &Client, campus: CampusId, names: &[impl AsRef<str>], messages: usize) -> Result<()> {
    let circles = wait_for("the circles", async || {
        let known = client.circles(campus).await?.into_iter();
        let found: Vec<_> = known.filter(|it| names.iter().any(|name| name.as_ref() == it.name)).collect();
        Ok((found.len() == names.len()).then_some(found))
    })
    .await?;
    for circle in circles {
        client.join_circle(campus, circle.id).await?;
    }
    wait_for("the circles to be held", async || {
        let joined = client.circles(campus).await?.into_iter().filter(|it| it.joined && it.missing == 0);
        Ok((joined.map(|it| it.head_seq.get()).sum::<u64>() == messages as u64).then_some(()))
    })
    .await
}
