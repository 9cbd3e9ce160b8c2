//! A disk that fills up, at either end: a clear error, nothing acknowledged lost, and all is well once there is space.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use circles_tests::{
    app, beginning::joined, circle, program, relay::RelayProcess, shows, small_disk::SmallDisk, wait_for,
};
use tempfile::tempdir;

/// A message that takes some space.
fn long(n: usize) -> String {
    format!("{n} {}", "long ".repeat(1_000))
}

/// Waits until the relay says that it is ready, or why it is not.
async fn readyz(relay: &RelayProcess, wanted: u16) -> Result<()> {
    let url = format!("{}/readyz", relay.url());
    wait_for(
        "the answer of /readyz",
        async || Ok((reqwest::get(&url).await?.status().as_u16() == wanted).then_some(())),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_whose_disk_is_full_loses_nothing_and_takes_what_waits_when_there_is_space() -> Result<()> {
    let dir = tempdir()?;
    let disk = Arc::new(SmallDisk::mount(&dir.path().join("relay"), 24 * 1024)?);
    disk.fill("ballast", 22 * 1024)?;
    let mut relay = RelayProcess::start_on(&disk, &["--writes-burst", "10000"]).await?;
    let (ada, campus) = joined(&dir.path().join("ada"), &relay.invite("owner")?, "Ada").await?;
    let general = circle(&ada, &campus, "General").await?;
    // More than fits.
    let texts: Vec<String> = (0..600).map(long).collect();
    for text in &texts {
        ada.send(campus.id, general.id, text, None).await?;
    }
    let mut last = (texts.len(), Instant::now());
    let waiting = wait_for("the relay to take no more", async || {
        let waiting = usize::try_from(circle(&ada, &campus, "General").await?.unsent)?;
        if waiting != last.0 {
            last = (waiting, Instant::now());
        }
        Ok((last.1.elapsed() > Duration::from_secs(2)).then_some(waiting))
    })
    .await?;
    assert!((1..texts.len()).contains(&waiting), "{waiting} wait");
    // Nobody is to be sent to it.
    readyz(&relay, 507).await?;
    // What was acknowledged is on the disk, whatever comes.
    relay.kill()?;
    relay.restart().await?;
    disk.free("ballast")?;
    shows(&ada, &campus, "General", &texts).await?;
    readyz(&relay, 200).await?;
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
    shows(&bob, &bobs, "General", &texts).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_whose_disk_is_full_says_so_and_keeps_what_was_written() -> Result<()> {
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let disk = SmallDisk::mount(&dir.path().join("ada"), 8 * 1024)?;
    let cli = |args: &[&str]| -> Result<(bool, String)> {
        let output = app::cli_on(disk.command(program("circles-cli")?), &disk.path, args).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8(said)?))
    };
    let (joins, said) = cli(&["join", &relay.invite("owner")?, "--name", "Ada"])?;
    assert!(joins, "{said}");
    disk.fill("ballast", 6 * 1024)?;
    let mut texts = Vec::new();
    let refusal = loop {
        let text = long(texts.len());
        let (written, said) = cli(&["send", "--queue", "General", &text])?;
        if !written {
            break said;
        }
        texts.push(text);
        anyhow::ensure!(texts.len() < 1_000, "the disk does not fill up");
    };
    assert!(refusal.contains("the disk is full"), "{refusal}");
    let (reads, said) = cli(&["history", "General"])?;
    assert!(reads, "what is there can be read: {said}");
    disk.free("ballast")?;
    let (sent, said) = cli(&["send", "General", "and one more"])?;
    assert!(sent, "{said}");
    texts.push("and one more".to_owned());

    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
    shows(&bob, &bobs, "General", &texts).await.context("what was written before the disk was full")?;
    bob.close().await;
    Ok(())
}
