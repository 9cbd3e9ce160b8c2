//! What whole-system tests share: real relay processes, real clients, and waiting for conditions.

pub mod app;
pub mod balancer;
pub mod beginning;
pub mod driver;
pub mod meddler;
pub mod network;
pub mod processes;
pub mod relay;
pub mod screen;
pub mod session_bus;
pub mod small_disk;
pub mod system_bus;
pub mod wire;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use circles_client::{
    Client, Options,
    view::{Anchor, CampusView, CircleView, MessageView},
};
use circles_protocol::Seq;

/// How long a test waits for what must come. A machine with two busy cores needs some of it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A port of loopback that no other test gets, not even while the program that listens on it is dead: below the range from
/// which the system gives ports to others (32768 and up on Linux).
pub fn port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + u16::try_from(std::process::id() % 400)? * 50;
    for _ in 0..50 {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed) % 50;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {base} on is free")
}

/// A program of this workspace, as `cargo build --workspace --bins` leaves it beside the tests.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let dir = own.parent().context("programs are in a directory")?;
    // Tests are one deeper.
    let dir = if dir.ends_with("deps") { dir.parent().context("target/<profile>/deps")? } else { dir };
    let program = dir.join(name);
    if !program.exists() {
        bail!("{} is missing: run `cargo build --workspace --bins` first (`make test` does)", program.display());
    }
    Ok(program)
}

/// Opens a client on a directory, as the app does.
pub async fn client(dir: &Path) -> Result<Client> {
    let options = Options { data_dir: dir.to_owned(), device_name: "test".to_owned(), keyring: false };
    Ok(Client::open(options).await?)
}

/// Waits until `look` finds something. It looks again at every update and every 50 ms.
pub async fn wait_for<T, F>(what: &str, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if tokio::time::Instant::now() > deadline {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The joined circle of that name, as soon as the client knows it.
pub async fn circle(client: &Client, campus: &CampusView, name: &str) -> Result<CircleView> {
    wait_for(&format!("the circle {name}"), async || {
        Ok(client.circles(campus.id).await?.into_iter().find(|it| it.joined && it.name == name))
    })
    .await
}

/// Everything that a client holds of a circle, in the order of the timeline.
pub async fn everything(client: &Client, campus: &CampusView, circle: &CircleView) -> Result<Vec<MessageView>> {
    let mut all = Vec::new();
    let mut last = Seq::ZERO;
    loop {
        let window = client.timeline(campus.id, circle.id, Anchor::After { seq: last }, 200).await?;
        if window.to < window.from {
            return Ok(all);
        }
        all.extend(window.messages);
        last = window.to;
    }
}

/// Waits until a client is complete to now in a circle and holds exactly these texts, in this order.
pub async fn shows(client: &Client, campus: &CampusView, name: &str, texts: &[String]) -> Result<()> {
    let circle = circle(client, campus, name).await?;
    let mut held = Vec::new();
    let shown = wait_for("the messages", async || {
        let now = client.circles(campus.id).await?.into_iter().find(|it| it.id == circle.id);
        let settled =
            now.is_some_and(|it| it.missing == 0 && it.unsent == 0 && it.head_seq.get() >= texts.len() as u64);
        if settled {
            held = everything(client, campus, &circle).await?.into_iter().map(|it| it.text).collect();
        }
        Ok((settled && held == texts).then_some(()))
    })
    .await;
    shown.with_context(|| {
        let same = held.iter().zip(texts).take_while(|(held, wanted)| held == wanted).count();
        let brief = |text: Option<&String>| text.map(|it| it.chars().take(40).collect::<String>());
        let (wanted, found) = (brief(texts.get(same)), brief(held.get(same)));
        format!(
            "wanted {} and has {} messages; number {same}: wanted {wanted:?}, has {found:?}",
            texts.len(),
            held.len()
        )
    })
}
