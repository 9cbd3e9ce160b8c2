//! The desktop app among what a desktop has: links that open it, a tray, notifications, a disk that does not do.
//! `scripts/with-display` gives it a display and a session bus.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    fs::File,
    io::Seek,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use circles_protocol::{CircleKind, invite::InviteLink};
use circles_tests::{
    app,
    beginning::{Beginning, joined},
    driver::{self, Driver},
    processes::{self, AppProcesses},
    program,
    relay::RelayProcess,
    screen::Screen,
    session_bus::{Desktop, Shown},
    small_disk::SmallDisk,
    wait_for,
};
use fantoccini::Client;
use tempfile::tempdir;
use tokio::sync::Mutex;

/// There is one session bus for all, and one place on it for a desktop.
static BUS: Mutex<()> = Mutex::const_new(());

/// What the field for the invite link holds, once the link was looked up.
async fn invited(page: &Client) -> Result<String> {
    wait_for("the form with the invite", async || {
        let script = "return document.querySelector('form .invite')
            ? document.querySelector('form input').value : null";
        Ok(page.execute(script, Vec::new()).await?.as_str().map(str::to_owned))
    })
    .await
}

/// Starts the app a second time, as a person or the system does; it ends by itself.
fn start_again(data: &Path, args: &[&str]) -> Result<ExitStatus> {
    let mut again = Command::new(program("circles")?);
    again.arg("--data-dir").arg(data).arg("--no-keyring").args(args).stderr(Stdio::null());
    Ok(again.status()?)
}

/// Waits until no app runs on the directory any more.
async fn ended(data: &Path) -> Result<()> {
    wait_for("the app to end", async || Ok(app::pid(data)?.is_none().then_some(()))).await
}

async fn join(page: &Client, name: &str) -> Result<()> {
    driver::fill(page, "Your name", name).await?;
    driver::press(page, "Join").await?;
    driver::find(page, "textarea[aria-label='Message']").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_link_opens_the_app_ready_to_join_at_its_start_and_while_it_runs() -> Result<()> {
    let _bus = BUS.lock().await;
    let dir = tempdir()?;
    let one = RelayProcess::start(&dir.path().join("one"), &[]).await?;
    let other = RelayProcess::start(&dir.path().join("other"), &[]).await?;
    let (one, other): (InviteLink, InviteLink) = (one.invite("owner")?.parse()?, other.invite("owner")?.parse()?);
    let data = dir.path().join("app");
    let driver = Driver::start("WebKitWebDriver").await?;

    let page = app::start(&driver, &data, &[&one.app_link()]).await?;
    assert_eq!(invited(&page).await?, one.app_link());
    join(&page, "Ada").await?;

    assert!(start_again(&data, &[&other.app_link()])?.success());
    assert_eq!(invited(&page).await?, other.app_link());
    join(&page, "Ada").await?;
    wait_for("both campuses", async || {
        let script = "return document.querySelectorAll('select[aria-label=Campus] option').length";
        // The last one adds a campus.
        Ok((page.execute(script, Vec::new()).await?.as_u64() == Some(3)).then_some(()))
    })
    .await?;
    page.close().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_into_the_tray_it_notifies_once_of_a_message_comes_back_and_quits() -> Result<()> {
    let _bus = BUS.lock().await;
    let desktop = Desktop::start().await?;
    let screen = Screen::open()?;
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let (data, bobs) = (dir.path().join("app"), dir.path().join("bob"));
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data, &[&relay.invite("owner")?]).await?;
    join(&page, "Ada").await?;
    let pid = app::pid(&data)?.context("the app runs")?;
    wait_for("the icon in the tray", async || Ok(desktop.has_icon().then_some(()))).await?;

    screen.focus(pid)?;
    wait_for("the window to have the focus", async || {
        Ok(page.execute("return document.hasFocus()", Vec::new()).await?.as_bool().filter(|it| *it))
    })
    .await?;
    // Neither one's own message nor one that comes while the window has the focus is worth a notification.
    driver::send(&page, "my own").await?;
    driver::shows(&page, "my own").await?;
    app::cli(&bobs, &["join", &relay.invite("member")?, "--name", "Bob"]).await?;
    app::cli(&bobs, &["send", "General", "while it is looked at"]).await?;
    driver::shows(&page, "while it is looked at").await?;
    let looked_at = Instant::now();
    app::cli(&data, &["create-circle", "Chess"]).await?;
    driver::press(&page, "Chess").await?;
    looks_at(&page, "Chess").await?;

    screen.close(pid)?;
    wait_for("the window to hide", async || Ok((!screen.shows(pid)?).then_some(()))).await?;
    wait_for("the word on where the app went", async || Ok((!desktop.shown().is_empty()).then_some(()))).await?;
    // Each circle is notified of once a second at the most.
    wait_for("a second", async || Ok((looked_at.elapsed() > Duration::from_secs(1)).then_some(()))).await?;
    app::cli(&bobs, &["send", "General", "is 1 < 2 & <b>why</b>?"]).await?;
    wait_for("the notification", async || Ok((desktop.shown().len() > 1).then_some(()))).await?;

    desktop.click().await?;
    wait_for("the window to come back", async || Ok(screen.shows(pid)?.then_some(()))).await?;
    looks_at(&page, "General").await?;
    driver::shows(&page, "is 1 < 2 & <b>why</b>?").await?;
    screen.close(pid)?;
    wait_for("the window to hide again", async || Ok((!screen.shows(pid)?).then_some(()))).await?;
    assert!(start_again(&data, &[])?.success());
    wait_for("the window to come back again", async || Ok(screen.shows(pid)?.then_some(()))).await?;
    let of_message = Shown {
        summary: "Bob in General".to_owned(),
        body: "is 1 &lt; 2 &amp; &lt;b&gt;why&lt;/b&gt;?".to_owned(),
        can_be_clicked: true,
    };
    let shown = desktop.shown();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].summary.contains("still open") && shown[1] == of_message, "{shown:?}");

    desktop.choose("Quit").await?;
    ended(&data).await?;
    // Whoever comes next runs the engine.
    let next = circles_tests::client(&data).await?;
    assert!(next.runs_engine());
    next.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_shows_a_tray_closing_quits() -> Result<()> {
    let _bus = BUS.lock().await;
    let screen = Screen::open()?;
    let dir = tempdir()?;
    let data = dir.path().join("app");
    let driver = Driver::start("WebKitWebDriver").await?;
    let _page = app::start(&driver, &data, &[]).await?;
    screen.close(app::pid(&data)?.context("the app runs")?)?;
    ended(&data).await
}

/// Without a driver, which takes the end of the page's process for the end of its session. The page itself writes the title.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_process_ends_is_loaded_anew() -> Result<()> {
    let _bus = BUS.lock().await;
    let start = Beginning::new(&[]).await?;
    let ada = start.dir.path().join("ada");
    let quiet = start.ada.create_circle(start.campus.id, "Quiet", "", CircleKind::Open).await?;
    let (bob, _) = joined(&start.dir.path().join("bob"), &start.relay.invite("member")?, "Bob").await?;
    wait_for("Bob to see it", async || {
        Ok(bob.circles(start.campus.id).await?.into_iter().find(|it| it.id == quiet.id).map(drop))
    })
    .await?;
    bob.join_circle(start.campus.id, quiet.id).await?;
    start.ada.close().await;

    let mut app = Command::new(program("circles")?).arg("--data-dir").arg(&ada).arg("--no-keyring").spawn()?;
    let screen = Screen::open()?;
    // One circle is open and may be read; the other one is not.
    let unread = async |before: Option<&str>| {
        for id in [start.general.id, quiet.id] {
            bob.send(start.campus.id, id, "anyone here?", None).await?;
        }
        wait_for("more that is unread in the title", async || {
            let Some(pid) = app::pid(&ada)? else { return Ok(None) };
            Ok(screen.title(pid)?.filter(|it| it.ends_with(") Circles") && Some(it.as_str()) != before))
        })
        .await
    };
    let before = unread(None).await?;
    let processes = AppProcesses::find(&ada)?;
    let no_thread_before_others = async || {
        wait_for("no thread to run before others", async || Ok((!processes.is_real_time()?).then_some(()))).await
    };
    no_thread_before_others().await?;
    let ended = processes.page()?;
    processes::signal(&[ended], "KILL")?;
    wait_for("another page", async || Ok(processes.page().ok().filter(|it| *it != ended))).await?;
    unread(Some(&before)).await?;
    no_thread_before_others().await?;
    app::quit(&ada)?;
    assert!(wait_for("the app to end", async || Ok(app.try_wait()?)).await?.success());
    bob.close().await;
    Ok(())
}

/// Waits until the page shows that circle.
async fn looks_at(page: &Client, circle: &str) -> Result<()> {
    let script = "return document.querySelector('header h1')?.textContent";
    wait_for(circle, async || Ok(page.execute(script, Vec::new()).await?.as_str().filter(|it| *it == circle).map(drop)))
        .await
}

/// Starts the app on a directory where it cannot open, and closes its window: what it said, and how it ended.
async fn refused(mut app: Command, data: &Path) -> Result<(String, ExitStatus)> {
    let screen = Screen::open()?;
    let said = tempfile::tempfile()?;
    let mut app = app.arg("--data-dir").arg(data).arg("--no-keyring").stderr(said.try_clone()?).spawn()?;
    let status = wait_for("the window to come, and to close", async || {
        if let Some(pid) = app::pid(data)?
            && screen.shows(pid)?
            && std::io::read_to_string(reread(&said)?)?.contains("did not open")
        {
            screen.close(pid)?;
        }
        Ok(app.try_wait()?)
    })
    .await?;
    Ok((std::io::read_to_string(reread(&said)?)?, status))
}

fn reread(file: &File) -> Result<File> {
    let mut again = file.try_clone()?;
    again.rewind()?;
    Ok(again)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_place_of_the_data_directory_is_said_and_left_as_it_is() -> Result<()> {
    let _bus = BUS.lock().await;
    let dir = tempdir()?;
    let data = dir.path().join("app");
    std::fs::write(&data, "a thesis")?;
    let (said, status) = refused(Command::new(program("circles")?), &data).await?;
    let wanted = format!("keeps its data in {}, and cannot write there: there is a file in its place", data.display());
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&data)?, "a thesis");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_version_is_said_and_left_as_it_is() -> Result<()> {
    let _bus = BUS.lock().await;
    let dir = tempdir()?;
    let data = dir.path().join("app");
    circles_tests::client(&data).await?.close().await;
    let newer = rusqlite::Connection::open(data.join("circles.db"))?;
    newer.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         SELECT 1000, 'of the future', applied_on, '1' FROM refinery_schema_history LIMIT 1",
        [],
    )?;
    newer.execute("CREATE TABLE of_the_future (a)", [])?;
    drop(newer);

    let (said, status) = refused(Command::new(program("circles")?), &data).await?;
    assert!(said.contains("written by a newer Circles"), "{said}");
    assert_eq!(status.code(), Some(1));

    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start_unopened(&driver, &data, &[]).await?;
    let shown = driver::find(&page, "main [role=alert]").await?.text().await?;
    assert!(shown.contains("newer version of Circles"), "{shown}");
    page.close().await?;
    ended(&data).await?;
    let newer = rusqlite::Connection::open(data.join("circles.db"))?;
    newer.query_row("SELECT count(*) FROM of_the_future", [], |row| row.get::<_, i64>(0))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_at_the_start() -> Result<()> {
    let _bus = BUS.lock().await;
    let dir = tempdir()?;
    let disk = SmallDisk::mount(&dir.path().join("app"), 512)?;
    disk.fill("ballast", 448)?;
    let (said, status) = refused(disk.command(program("circles")?), &disk.path).await?;
    assert!(said.contains("the disk is full: free some space"), "{said}");
    assert_eq!(status.code(), Some(1));
    Ok(())
}
