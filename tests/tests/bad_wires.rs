//! Networks that are half there, under a real client: connections that die unnoticed, stall, crawl and break, and a client
//! that is killed while it catches up.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Result;
use circles_client::{Client, view::CampusView};
use circles_tests::{
    beginning::joined,
    circle, client, program,
    relay::{self, RelayProcess},
    shows, wait_for,
    wire::{State, Wire},
};
use tempfile::{TempDir, tempdir};

/// Three of the relay's heartbeats of a second: after so much silence a connection counts as dead.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// What a busy machine may take beyond that. The aim is a second.
const BUSY: Duration = Duration::from_secs(7);

/// Ada at the relay, and Bob over the wire.
struct Scene {
    dir: TempDir,
    relay: RelayProcess,
    wire: Wire,
    ada: Client,
    campus: CampusView,
    bob: Client,
    bobs: CampusView,
    texts: Vec<String>,
}

impl Scene {
    async fn new() -> Result<Self> {
        let dir = tempdir()?;
        let relay = RelayProcess::start(&dir.path().join("relay"), &["--heartbeat", "1s"]).await?;
        let wire = Wire::to(relay.port()).await?;
        let (ada, campus) = joined(&dir.path().join("ada"), &relay.invite("owner")?, "Ada").await?;
        let (bob, bobs) = joined(&dir.path().join("bob"), &wire.over(&relay.invite("member")?), "Bob").await?;
        let mut scene = Self { dir, relay, wire, ada, campus, bob, bobs, texts: Vec::new() };
        scene.says(20, "before").await?;
        scene.both_show_all().await?;
        Ok(scene)
    }

    async fn says(&mut self, times: usize, text: &str) -> Result<()> {
        let general = circle(&self.ada, &self.campus, "General").await?;
        for n in 1..=times {
            let text = format!("{text} {n}");
            self.ada.send(self.campus.id, general.id, &text, None).await?;
            self.texts.push(text);
        }
        shows(&self.ada, &self.campus, "General", &self.texts).await
    }

    async fn both_show_all(&self) -> Result<()> {
        shows(&self.ada, &self.campus, "General", &self.texts).await?;
        shows(&self.bob, &self.bobs, "General", &self.texts).await
    }

    async fn close(self) -> Result<()> {
        self.ada.close().await;
        self.bob.close().await;
        drop(self.relay);
        Ok(self.dir.close()?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_unnoticed_is_noticed_by_its_silence_and_neither_reading_nor_sending_waits_longer() -> Result<()> {
    let mut scene = Scene::new().await?;
    let general = circle(&scene.bob, &scene.bobs, "General").await?;
    // A request has left a connection behind that is kept for the next one: it dies too.
    scene.bob.send(scene.bobs.id, general.id, "from Bob", None).await?;
    scene.texts.push("from Bob".to_owned());
    scene.both_show_all().await?;

    scene.wire.go_dead();
    let died = Instant::now();
    scene.says(20, "into the silence").await?;
    scene.bob.send(scene.bobs.id, general.id, "from Bob into the silence", None).await?;
    scene.texts.push("from Bob into the silence".to_owned());
    scene.both_show_all().await?;
    let took = died.elapsed();
    println!(
        "half-open connections: current {} ms after they died; silence counts as death after 3 s",
        took.as_millis()
    );
    assert!(took < SILENCE_MAX + BUSY, "{took:?}");
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wire_that_stalls_crawls_and_breaks_loses_and_doubles_nothing() -> Result<()> {
    let mut scene = Scene::new().await?;
    // Shorter than what counts as death, then longer.
    for stall in [Duration::from_secs(1), SILENCE_MAX + Duration::from_secs(2)] {
        scene.wire.set(State::Held);
        scene.says(20, "stalled").await?;
        tokio::time::sleep(stall).await;
        scene.wire.set(State::Well);
        let well = Instant::now();
        scene.both_show_all().await?;
        println!("stalled for {} s: current {} ms later", stall.as_secs(), well.elapsed().as_millis());
    }
    scene.wire.set(State::Slow(Duration::from_millis(20)));
    scene.says(200, "slow").await?;
    scene.both_show_all().await?;
    scene.wire.set(State::Well);
    for n in 0..20 {
        scene.says(5, &format!("cut {n}")).await?;
        scene.wire.cut();
    }
    let cut = Instant::now();
    scene.both_show_all().await?;
    println!("cut for the last time: current {} ms later", cut.elapsed().as_millis());
    scene.close().await
}

/// Messages that one misses: eight pages.
const MISSED: usize = 8_000;

/// Fills the circle "Long" of the relay, which is not running, up to this message.
fn import(dir: &Path, until: usize) -> Result<()> {
    let lines = (1..=until).map(|n| {
        let text = format!("message {n}");
        serde_json::json!({
            "circle": "Long", "n": n, "at": "2026-11-24T12:00:00Z", "from": "carol", "text": text, "reply_to": null,
        })
    });
    relay::import_lines(&dir.join("relay"), lines)
}

/// The client as a process of its own that catches up.
fn watch(data: &Path) -> Result<Child> {
    let mut command = Command::new(program("circles-cli")?);
    command.arg("--data-dir").arg(data).args(["--no-keyring", "watch"]);
    Ok(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn held(data: &Path) -> Result<usize> {
    let cache = rusqlite::Connection::open(data.join("circles.db"))?;
    Ok(cache.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, i64>(0))?.try_into()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_killed_again_and_again_while_catching_up_ends_complete_once_and_in_order() -> Result<()> {
    let dir = tempdir()?;
    let mut relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let wire = Wire::to(relay.port()).await?;
    let link = wire.over(&relay.invite("owner")?);
    relay.kill()?;
    import(dir.path(), 100)?;
    relay.restart().await?;
    let data = dir.path().join("bob");
    let (bob, campus) = joined(&data, &link, "Bob").await?;
    let long = wait_for("the circle Long", async || {
        Ok(bob.circles(campus.id).await?.into_iter().find(|it| it.name == "Long"))
    })
    .await?;
    bob.join_circle(campus.id, long.id).await?;
    let texts: Vec<String> = (1..=100 + MISSED).map(|n| format!("message {n}")).collect();
    shows(&bob, &campus, "Long", &texts[..100]).await?;
    bob.close().await;

    relay.kill()?;
    import(dir.path(), 100 + MISSED)?;
    relay.restart().await?;
    wire.set(State::Slow(Duration::from_millis(5)));
    for kill in 1..=4 {
        let before = held(&data)?;
        let mut running = watch(&data)?;
        wait_for("some more messages", async || Ok((held(&data)? > before).then_some(()))).await?;
        running.kill()?;
        running.wait()?;
        let now = held(&data)?;
        println!("kill {kill}: {now} held");
        assert!(now < 100 + MISSED, "it was killed in the middle");
    }
    wire.set(State::Well);
    let bob = client(&data).await?;
    let opened = Instant::now();
    shows(&bob, &campus, "Long", &texts).await?;
    println!("complete {} ms after the last start", opened.elapsed().as_millis());
    bob.close().await;
    Ok(())
}
