//! Coming back after hours: what the real window says while it catches up, and when it is done. With `CIRCLES_TEST_PICTURES`
//! set to a directory, screenshots are left there for the documentation.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use circles_tests::{
    app,
    beginning::{join_circles, joined},
    driver::{self, Driver},
    relay::{self, RelayProcess},
    wait_for,
    wire::{State, Wire},
};
use flate2::read::MultiGzDecoder;
use tempfile::tempdir;

/// Messages of each conversation of the demo that are there before the absence.
const BEFORE: usize = 60;
/// And all of them.
const ALL: usize = 500;
/// How long the app was closed, as far as its database knows.
const AWAY: Duration = Duration::from_mins(2 * 60 + 14);

const CONVERSATIONS: [&str; 3] = ["mediawiki", "rust", "ubuntu"];

/// Imports the beginning of each conversation of the demo into the relay, which is not running.
fn import(dir: &Path, count: usize) -> Result<()> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src-tauri/demo");
    let mut beginnings = Vec::new();
    for name in CONVERSATIONS {
        let lines = BufReader::new(MultiGzDecoder::new(File::open(demo.join(format!("{name}.jsonl.gz")))?)).lines();
        for line in lines.take(count) {
            beginnings.push(line?);
        }
    }
    relay::import_lines(&dir.join("relay"), beginnings)
}

async fn text_of(page: &fantoccini::Client, css: &str) -> Result<String> {
    let script = "return document.querySelector(arguments[0])?.textContent.trim() ?? ''";
    let text = page.execute(script, vec![css.into()]).await?;
    Ok(text.as_str().context("a text")?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_hours_away_it_says_how_far_it_is_and_then_what_was_missed() -> Result<()> {
    let dir = tempdir()?;
    let data = dir.path().join("app");
    let mut relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let wire = Wire::to(relay.port()).await?;
    let link = wire.over(&relay.invite("owner")?);
    relay.kill()?;
    import(dir.path(), BEFORE)?;
    relay.restart().await?;
    let (ada, campus) = joined(&data, &link, "Ada").await?;
    join_circles(&ada, campus.id, &CONVERSATIONS, BEFORE * CONVERSATIONS.len()).await?;
    ada.close().await;

    relay.kill()?;
    import(dir.path(), ALL)?;
    relay.restart().await?;
    let away_ms = i64::try_from(AWAY.as_millis())?;
    rusqlite::Connection::open(data.join("circles.db"))?
        .execute("UPDATE campus SET heard_at = heard_at - ?1", [away_ms])?;
    wire.set(State::Slow(Duration::from_millis(100)));
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data, &[]).await?;
    wait_for("word of how far it is", async || {
        let said = text_of(&page, "[aria-label=Connection]").await?;
        Ok((said.starts_with("Catching up: ") && said.ends_with(" to go.")).then_some(()))
    })
    .await?;
    driver::picture(&page, "catching-up").await?;

    wire.set(State::Well);
    // Three times 440.
    let wanted = "Away 2 h 14 min: 1320 messages in 3 circles";
    let mut last = String::new();
    let said = wait_for("what was missed", async || {
        last = text_of(&page, "[aria-label=Notices]").await?;
        Ok(last.starts_with(wanted).then_some(()))
    });
    said.await.with_context(|| format!("it says {last:?}"))?;
    assert_eq!(text_of(&page, "[aria-label=Connection]").await?, "");
    driver::picture(&page, "absence").await?;
    driver::press(&page, "Put aside").await?;
    wait_for("the line to go", async || Ok(text_of(&page, "[aria-label=Notices]").await?.is_empty().then_some(())))
        .await?;
    page.close().await?;
    Ok(())
}
