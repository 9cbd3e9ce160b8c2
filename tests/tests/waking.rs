//! Waking: a computer that slept, a program that was stopped, a clock that was set. In all of them the connection from before
//! is open and dead, and nothing but the waking itself says so: the silence of the stream would show it after 45 s.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use circles_client::{
    Client, Options,
    outside::Outside,
    view::{CampusView, CircleView},
};
use circles_protocol::UnixMs;
use circles_tests::{
    app,
    beginning::Beginning,
    circle,
    driver::{self, Driver},
    processes::AppProcesses,
    relay::RelayProcess,
    shows,
    system_bus::SystemBus,
    wait_for,
    wire::Wire,
};
use tempfile::TempDir;

/// Current sooner than this: the aim is a second, and a machine that runs other tests takes some more. It is far below the 45
/// s after which silence alone shows it.
const SOON: Duration = Duration::from_secs(8);

/// A relay with Ada on it directly, and a wire for who wakes.
struct Scene {
    dir: TempDir,
    relay: RelayProcess,
    wire: Wire,
    ada: Client,
    campus: CampusView,
    general: CircleView,
}

impl Scene {
    async fn new() -> Result<Self> {
        let Beginning { dir, relay, ada, campus, general } = Beginning::new(&[]).await?;
        let wire = Wire::to(relay.port()).await?;
        Ok(Self { dir, relay, wire, ada, campus, general })
    }

    async fn says(&self, text: &str) -> Result<()> {
        self.ada.send(self.campus.id, self.general.id, text, None).await?;
        shows_last(&self.ada, &self.campus, text).await
    }

    fn invite(&self) -> Result<String> {
        Ok(self.wire.over(&self.relay.invite("member")?))
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("app")
    }
}

/// Waits until the last message of General is in the log and says this.
async fn shows_last(client: &Client, campus: &CampusView, text: &str) -> Result<()> {
    wait_for(&format!("{text:?}"), async || {
        let last = circle(client, campus, "General").await?;
        Ok((last.unsent == 0 && last.missing == 0 && last.last.is_some_and(|it| it.text == text)).then_some(()))
    })
    .await
}

/// The app with a window in which Bob has joined and shows what was said.
async fn window(scene: &Scene, driver: &Driver) -> Result<fantoccini::Client> {
    let page = app::start(driver, &scene.data(), &[&scene.invite()?]).await?;
    driver::fill(&page, "Your name", "Bob").await?;
    driver::press(&page, "Join").await?;
    scene.says("before").await?;
    driver::shows(&page, "before").await?;
    Ok(page)
}

fn soon(what: &str, since: Instant) {
    let took = since.elapsed();
    println!("{what}: current after {} ms", took.as_millis());
    assert!(took < SOON, "{took:?}");
}

/// How long the app is stopped: `CIRCLES_STOPPED_S`, or 5 s. Below that it cannot tell being stopped from a busy computer
/// (`CLOCK_CHECK` and `CLOCK_JUMP`); minutes are for whoever has them.
fn stopped_for() -> Result<Duration> {
    let seconds = std::env::var("CIRCLES_STOPPED_S").map_or(Ok(5), |it| it.parse())?;
    Ok(Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_was_stopped_is_current_at_once_when_it_goes_on() -> Result<()> {
    let scene = Scene::new().await?;
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = window(&scene, &driver).await?;
    let processes = AppProcesses::find(&scene.data())?;

    processes.stop()?;
    scene.wire.go_dead();
    scene.says("said while it was stopped").await?;
    let stopped = stopped_for()?;
    tokio::time::sleep(stopped).await;
    let went_on = Instant::now();
    processes.go_on()?;
    driver::shows(&page, "said while it was stopped").await?;
    soon(&format!("SIGSTOP for {} s on a connection that died", stopped.as_secs()), went_on);
    page.close().await?;
    scene.ada.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logind_tells_the_app_that_the_computer_woke_up() -> Result<()> {
    let bus = SystemBus::start().await?;
    let scene = Scene::new().await?;
    let driver = Driver::start_with("WebKitWebDriver", &[("DBUS_SYSTEM_BUS_ADDRESS", &bus.address)]).await?;
    let page = window(&scene, &driver).await?;
    let connections = scene.wire.made();
    wait_for("the app to hear logind", async || {
        bus.prepare_for_sleep(false).await?;
        Ok((scene.wire.made() > connections).then_some(()))
    })
    .await?;
    scene.says("it listens").await?;
    driver::shows(&page, "it listens").await?;

    bus.prepare_for_sleep(true).await?;
    scene.wire.go_dead();
    scene.says("said while it slept").await?;
    let woke = Instant::now();
    bus.prepare_for_sleep(false).await?;
    driver::shows(&page, "said while it slept").await?;
    soon("PrepareForSleep(false) on a connection that died", woke);
    page.close().await?;
    scene.ada.close().await;
    Ok(())
}

/// A client whose wall clock a test can set.
async fn client_with_clock(dir: &Path, ahead_ms: &Arc<AtomicI64>) -> Result<Client> {
    let (machine, ahead_ms) = (Outside::machine(), ahead_ms.clone());
    let clock = machine.clock.clone();
    let clock = Arc::new(move || UnixMs(clock().0 + ahead_ms.load(Ordering::Relaxed)));
    let options = Options { data_dir: dir.to_owned(), device_name: "test".to_owned(), keyring: false };
    Ok(Client::open_in(options, Outside { clock, ..machine }).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_means_sleep_whichever_way_it_is_set() -> Result<()> {
    let scene = Scene::new().await?;
    let ahead_ms = Arc::default();
    let bob = client_with_clock(&scene.data(), &ahead_ms).await?;
    let bobs = bob.join(&scene.invite()?, "Bob").await?;
    scene.says("before").await?;
    shows_last(&bob, &bobs, "before").await?;
    let mut texts = vec!["before".to_owned()];
    for (hours, text) in [(8, "eight hours on"), (0, "and back")] {
        scene.wire.go_dead();
        scene.says(text).await?;
        texts.push(text.to_owned());
        let set = Instant::now();
        ahead_ms.store(hours * 3_600_000, Ordering::Relaxed);
        shows(&bob, &bobs, "General", &texts).await?;
        soon(&format!("the clock set to {hours} h ahead on a connection that died"), set);
    }
    bob.close().await;
    scene.ada.close().await;
    Ok(())
}
