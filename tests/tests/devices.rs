//! What the devices of one person agree on: which circles they muted, and what they began to write.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;

use anyhow::Result;
use circles_client::{
    Client,
    view::{CampusView, CircleView, DraftView, Update},
};
use circles_tests::{PATIENCE, beginning::joined, circle, client, relay::RelayProcess, shows, wait_for};
use rusqlite::Connection;
use tempfile::{TempDir, tempdir};

/// Ada with a laptop and a phone.
struct Scene {
    dir: TempDir,
    relay: RelayProcess,
    laptop: Client,
    phone: Client,
    campus: CampusView,
    general: CircleView,
}

impl Scene {
    async fn new() -> Result<Self> {
        let dir = tempdir()?;
        let relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
        let (laptop, campus) = joined(&dir.path().join("laptop"), &relay.invite("owner")?, "Ada").await?;
        let link = laptop.create_invite(campus.id, None, true).await?.link;
        let phone = client(&dir.path().join("phone")).await?;
        phone.join(&link, "Ada").await?;
        let general = circle(&laptop, &campus, "General").await?;
        circle(&phone, &campus, "General").await?;
        Ok(Self { dir, relay, laptop, phone, campus, general })
    }

    async fn writes(&self, device: &Client, text: &str) -> Result<()> {
        Ok(device.set_draft(self.campus.id, self.general.id, draft(text)).await?)
    }

    async fn is_drafted(&self, device: &Client, text: &str) -> Result<()> {
        wait_for(&format!("the draft {text:?}"), async || {
            let view = circle(device, &self.campus, "General").await?;
            let found = device.draft(self.campus.id, self.general.id).await?;
            Ok((found == draft(text) && view.draft != text.is_empty()).then_some(()))
        })
        .await
    }

    async fn is_muted(&self, device: &Client, on: bool) -> Result<()> {
        wait_for("the mute", async || Ok((circle(device, &self.campus, "General").await?.muted == on).then_some(())))
            .await
    }

    async fn close(self) -> Result<()> {
        self.laptop.close().await;
        self.phone.close().await;
        drop(self.relay);
        Ok(self.dir.close()?)
    }
}

fn draft(text: &str) -> DraftView {
    DraftView { text: text.to_owned(), ..DraftView::default() }
}

async fn has_sent_all(data: &Path) -> Result<()> {
    let conn = Connection::open(data.join("circles.db"))?;
    wait_for("everything to be sent", async || {
        let waiting: u32 = conn.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
        Ok((waiting == 0).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_muted_or_begun_on_one_device_is_on_the_other() -> Result<()> {
    let scene = Scene::new().await?;
    let (campus, general) = (scene.campus.id, scene.general.id);
    scene.laptop.set_muted(campus, general, true).await?;
    scene.is_muted(&scene.phone, true).await?;
    scene.phone.set_muted(campus, general, false).await?;
    scene.is_muted(&scene.laptop, false).await?;

    let mut updates = scene.phone.subscribe();
    scene.writes(&scene.laptop, "half a").await?;
    scene.writes(&scene.laptop, "half a sentence").await?;
    let told = async {
        loop {
            if matches!(updates.recv().await?, Update::Draft { circle_id, .. } if circle_id == general) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await??;
    scene.is_drafted(&scene.phone, "half a sentence").await?;

    // The rest of it on the phone, where it is sent.
    scene.writes(&scene.phone, "half a sentence, and the rest").await?;
    scene.is_drafted(&scene.laptop, "half a sentence, and the rest").await?;
    scene.phone.send(campus, general, "half a sentence, and the rest", None).await?;
    scene.writes(&scene.phone, "").await?;
    shows(&scene.laptop, &scene.campus, "General", &["half a sentence, and the rest".to_owned()]).await?;
    scene.is_drafted(&scene.laptop, "").await?;
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_offline_goes_out_later_and_the_newest_wins() -> Result<()> {
    let mut scene = Scene::new().await?;
    scene.relay.kill()?;
    scene.writes(&scene.laptop, "on the laptop").await?;
    scene.laptop.set_muted(scene.campus.id, scene.general.id, true).await?;
    scene.laptop.clone().close().await;
    scene.writes(&scene.phone, "later, on the phone").await?;
    scene.relay.restart().await?;
    has_sent_all(&scene.dir.path().join("phone")).await?;

    let data = scene.dir.path().join("laptop");
    scene.laptop = client(&data).await?;
    scene.is_muted(&scene.phone, true).await?;
    has_sent_all(&data).await?;
    scene.is_drafted(&scene.laptop, "later, on the phone").await?;
    scene.is_drafted(&scene.phone, "later, on the phone").await?;
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_circle_is_told_of_only_when_it_mentions_one() -> Result<()> {
    let scene = Scene::new().await?;
    let (bob, bobs) = joined(&scene.dir.path().join("bob"), &scene.relay.invite("member")?, "Bob").await?;
    circle(&bob, &bobs, "General").await?;
    bob.set_muted(bobs.id, scene.general.id, true).await?;
    let mut updates = bob.subscribe();
    let mut texts = Vec::new();
    for text in ["nothing that concerns Bob", "or does it, @Bob?"] {
        scene.laptop.send(scene.campus.id, scene.general.id, text, None).await?;
        texts.push(text.to_owned());
        shows(&bob, &bobs, "General", &texts).await?;
    }
    let first = async {
        loop {
            if let Update::Notice { text, .. } = updates.recv().await? {
                return anyhow::Ok(text);
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, first).await??, "or does it, @Bob?");
    bob.close().await;
    scene.close().await
}
