//! The real desktop window, driven through WebDriver as a person would. `scripts/with-display` gives it a display.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;

use anyhow::Result;
use circles_tests::{
    app, circle, client,
    driver::{self, Driver},
    relay::RelayProcess,
    wait_for,
};
use fantoccini::Client;
use tempfile::tempdir;
use tokio::sync::Mutex;

/// There is one screen without a window manager: a second window takes the focus from the first for good, and what is on
/// a window without it is not read.
static SCREEN: Mutex<()> = Mutex::const_new(());

/// The invite link that the person in the window makes with the dialog.
async fn invite(page: &Client) -> Result<String> {
    driver::press(page, "Invite people").await?;
    driver::press(page, "Create invite link").await?;
    let link = wait_for("the link", async || {
        let script =
            "return [...document.querySelectorAll('dialog input')].find(it => it.value.includes('/join#'))?.value";
        Ok(page.execute(script, Vec::new()).await?.as_str().map(str::to_owned))
    })
    .await?;
    driver::press(page, "Close").await?;
    Ok(link)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_the_app_was_dead_is_there_once_in_order_with_the_divider() -> Result<()> {
    let _screen = SCREEN.lock().await;
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &["--stream-lifetime", "5s"]).await?;
    let data = dir.path().join("app");
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data, &[]).await?;

    driver::press(&page, "Join with a link").await?;
    driver::fill(&page, "Invite link", &relay.invite("owner")?).await?;
    driver::fill(&page, "Your name", "Ada").await?;
    driver::press(&page, "Join").await?;
    driver::send(&page, "hello from the window").await?;
    driver::shows(&page, "hello from the window").await?;

    let bobs = dir.path().join("bob");
    app::cli(&bobs, &["join", &invite(&page).await?, "--name", "Bob"]).await?;
    app::cli(&bobs, &["react", "General", "1", "👍"]).await?;
    app::cli(&bobs, &["send", "General", "from bob"]).await?;
    driver::shows(&page, "from bob").await?;
    app::cli(&bobs, &["edit", "General", "2", "from bob, edited"]).await?;
    driver::shows(&page, "from bob, edited").await?;
    wait_for("the reaction on screen", async || {
        let script = "return document.querySelector('[aria-label=Reactions]')?.textContent ?? ''";
        let text = page.execute(script, Vec::new()).await?;
        Ok(text.as_str().is_some_and(|it| it.contains("👍")).then_some(()))
    })
    .await?;
    assert!(app::cli(&bobs, &["history", "General"]).await?.contains("hello from the window"));
    wait_for("the window to mark it read", async || Ok((read_in_general(&data).await? == 2).then_some(()))).await?;

    app::kill(&data)?;
    let bob = client(&bobs).await?;
    let campus = bob.campuses().await?.remove(0);
    let general = circle(&bob, &campus, "General").await?;
    for n in 1..=500 {
        bob.send(campus.id, general.id, &format!("missed {n}"), None).await?;
    }
    wait_for("Bob's messages to be sent", async || {
        let now = bob.circles(campus.id).await?.into_iter().find(|it| it.id == general.id);
        Ok(now.is_some_and(|it| it.unsent == 0 && it.head_seq.get() == 502).then_some(()))
    })
    .await?;

    // Nothing answers while the app starts: what is on the screen comes from its cache.
    relay.freeze()?;
    // The session died with the app, and the driver would hold on to it.
    drop(driver);
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data, &[]).await?;
    driver::shows(&page, "from bob, edited").await?;
    assert_eq!(driver::rows(&page).await?.len(), 2, "only what was there before");
    assert!(page.find(fantoccini::Locator::Css("[data-connection=online]")).await.is_err());
    relay.thaw()?;

    driver::find(&page, "[data-unread-divider]").await?;
    let next = "const divider = document.querySelector('[data-unread-divider]');
        const rows = [...document.querySelectorAll('[role=log] article[data-seq]')];
        const after = rows.find(row => divider?.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING);
        return after ? Number(after.dataset.seq) : null";
    wait_for("the first missed message after the divider", async || {
        Ok((page.execute(next, Vec::new()).await?.as_u64() == Some(3)).then_some(()))
    })
    .await?;
    assert!(read_in_general(&data).await? < 100, "what was not on the screen is not read");
    driver::press(&page, "Jump to latest").await?;
    driver::shows(&page, "missed 500").await?;
    let seqs: Vec<u64> = driver::rows(&page).await?.into_iter().filter_map(|it| it.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");

    // What is far above is found and opened in its place, and so is a day.
    driver::press(&page, "Search").await?;
    driver::find(&page, "input[role=combobox]").await?.send_keys("\"MISSED 42\"").await?;
    driver::find(&page, "[role=option] mark").await?;
    // Enter, as WebDriver spells it (W3C WebDriver, 17.4.2).
    driver::find(&page, "input[role=combobox]").await?.send_keys("\u{e007}").await?;
    driver::find(&page, "article.highlighted[data-seq='44']").await?;
    driver::press(&page, "Go to a day").await?;
    driver::press(&page, "The beginning").await?;
    driver::find(&page, "article.highlighted[data-seq='1']").await?;
    page.close().await?;

    app::kill(&data).ok();
    let ada = client(&data).await?;
    let campus = ada.campuses().await?.remove(0);
    let mut texts = vec!["hello from the window".to_owned(), "from bob, edited".to_owned()];
    texts.extend((1..=500).map(|n| format!("missed {n}")));
    circles_tests::shows(&ada, &campus, "General", &texts).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}

/// How far the app has read General, by its own database.
async fn read_in_general(data: &Path) -> Result<i64> {
    let beside = client(data).await?;
    let campus = beside.campuses().await?.remove(0);
    let read = circle(&beside, &campus, "General").await?.read_seq;
    beside.close().await;
    Ok(i64::from(read))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_hosts_here_can_be_joined_by_a_link() -> Result<()> {
    let _screen = SCREEN.lock().await;
    let dir = tempdir()?;
    let data = dir.path().join("app");
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data, &[]).await?;
    driver::press(&page, "Host here").await?;
    driver::fill(&page, "Name of the campus", "Third floor").await?;
    // A test announces nothing on the network of the machine that it runs on.
    driver::find(&page, "form input[type=checkbox]").await?.click().await?;
    driver::fill(&page, "Your name", "Ada").await?;
    driver::press(&page, "Start the campus").await?;
    driver::send(&page, "anyone here?").await?;
    driver::shows(&page, "anyone here?").await?;

    let bobs = dir.path().join("bob");
    app::cli(&bobs, &["join", &invite(&page).await?, "--name", "Bob"]).await?;
    app::cli(&bobs, &["send", "General", "I am"]).await?;
    driver::shows(&page, "I am").await?;
    let history = app::cli(&bobs, &["history", "General"]).await?;
    assert!(history.contains("anyone here?") && history.contains("I am"), "{history}");
    page.close().await?;
    Ok(())
}
