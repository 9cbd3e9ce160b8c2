//! The app on a host: its window runs in the host's namespace, so this program does, once more, for that part.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use circles_tests::{
    app,
    driver::{self, Driver},
    network::{run, within},
    program,
};
use fantoccini::{Client, Locator};

use crate::{people::until, stories::Scene};

/// Names the guest's namespace to the part that runs on the host.
const GUEST: &str = "CIRCLES_TEST_GUEST";
/// Where that part keeps its data.
const DATA: &str = "CIRCLES_TEST_DATA";
/// Where it leaves pictures of what it sees, if anyone wants them.
const PICTURES: &str = "CIRCLES_TEST_PICTURES";

/// Ada presses "Host here", and Bob's computer joins by typing the code from her screen.
pub fn the_app_hosts_and_its_guests_come_back() -> Result<()> {
    let scene = Scene::new(2)?;
    let mut on_host = scene.network.hosts[0].command(std::env::current_exe()?);
    on_host.env(GUEST, &scene.network.hosts[1].namespace).env(DATA, scene.dir.path());
    print!("{}", String::from_utf8_lossy(&run(&mut on_host)?.stdout));
    Ok(())
}

/// Runs the part on the host, if this process is it.
pub fn on_host() -> Option<Result<()>> {
    let guest = std::env::var(GUEST).ok()?;
    let data = PathBuf::from(std::env::var_os(DATA)?);
    let run = || tokio::runtime::Runtime::new()?.block_on(host_here(&guest, &data));
    Some(run())
}

async fn host_here(guest: &str, data: &std::path::Path) -> Result<()> {
    let (ada, bob) = (data.join("app"), data.join("bob"));
    let cli = |arguments: &[&str]| -> Result<String> {
        let mut command: Command = within(guest, program("circles-cli")?);
        command.args(["--no-keyring", "--data-dir"]).arg(&bob).args(arguments);
        Ok(String::from_utf8(run(&mut command)?.stdout)?)
    };
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &ada, &[]).await?;
    driver::press(&page, "Host here").await?;
    driver::fill(&page, "Name of the campus", "Third floor").await?;
    driver::fill(&page, "Your name", "Ada").await?;
    driver::press(&page, "Start the campus").await?;

    // The host page opens by itself.
    driver::press(&page, "Create an invite").await?;
    driver::find(&page, "svg[role=img]").await?;
    let code = driver::find(&page, ".code b").await?.text().await?;
    let words = driver::find(&page, ".words").await?.text().await?;
    picture(&page, "host").await?;
    let nearby = cli(&["nearby"])?;
    ensure!(nearby.contains("Third floor") && nearby.contains(&words), "{nearby}");
    cli(&["join", &code, "--name", "Bob"])?;
    cli(&["send", "General", "found you"])?;
    let connected = page.wait().for_element(Locator::XPath("//p[contains(., 'Ada') and contains(., 'Bob')]")).await;
    connected.context("the host page shows who is connected")?;
    driver::press(&page, "Close").await?;
    driver::shows(&page, "found you").await?;

    // Hosting on the network stops: Bob's message waits, and is there when Ada hosts again.
    driver::press(&page, "Settings").await?;
    driver::press(&page, "Hosting and invites").await?;
    driver::press(&page, "Stop hosting on the network").await?;
    driver::find(&page, "dialog .button.primary").await?;
    let gone = cli(&["doctor"])?;
    ensure!(gone.contains("hosts nothing now"), "{gone}");
    cli(&["send", "General", "are you there?", "--queue"])?;
    driver::press(&page, "Let people on this network join").await?;
    driver::find(&page, ".words").await?;
    until("Bob to come back", || Ok(cli(&["watch", "--until-complete"]).ok()))?;
    until("what waited to be sent", || Ok(cli(&["status"])?.contains("0 unsent").then_some(())))?;
    driver::press(&page, "Close").await?;
    driver::shows(&page, "are you there?").await?;
    Ok(page.close().await?)
}

async fn picture(page: &Client, name: &str) -> Result<()> {
    if let Some(dir) = std::env::var_os(PICTURES) {
        std::fs::write(PathBuf::from(dir).join(format!("lan-{name}.png")), page.screenshot().await?)?;
    }
    Ok(())
}
