//! The relay's page in Chromium with its native EventSource.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use circles_tests::{
    beginning::Beginning,
    circle,
    driver::{self, Driver},
    shows,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_by_browser_misses_nothing_through_many_stream_lifetimes_and_a_dead_relay() -> Result<()> {
    let Beginning { dir, mut relay, ada, campus, general } = Beginning::new(&["--stream-lifetime", "2s"]).await?;

    let driver = Driver::start("chromedriver").await?;
    let page = driver.session(driver::chromium(&dir.path().join("chromium"))).await?;
    page.goto(&relay.invite("member")?).await?;
    driver::fill(&page, "Your name", "Grace").await?;
    driver::press(&page, "Join").await?;
    driver::send(&page, "hello from the browser").await?;
    driver::shows(&page, "hello from the browser").await?;

    // Four lifetimes, with a message in each direction every 200 ms.
    let mut texts = vec!["hello from the browser".to_owned()];
    let started = Instant::now();
    let mut n = 0;
    while started.elapsed() < Duration::from_secs(8) {
        n += 1;
        let text = format!("live {n}");
        ada.send(campus.id, general.id, &text, None).await?;
        if let Err(error) = driver::shows(&page, &text).await {
            let (rows, there) = (driver::rows(&page).await?, circle(&ada, &campus, "General").await?);
            bail!("{error}: on the screen is {rows:?}; Ada's app says {there:?}");
        }
        texts.push(text);
    }
    relay.kill()?;
    driver::send(&page, "typed offline").await?;
    relay.restart().await?;
    driver::shows(&page, "typed offline").await?;
    texts.push("typed offline".to_owned());
    shows(&ada, &campus, "General", &texts).await?;

    let seqs: Vec<u64> = driver::rows(&page).await?.into_iter().filter_map(|it| it.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
    page.close().await?;
    ada.close().await;
    Ok(())
}
