//! The app on a host: its window runs in the host's namespace, so this program does, once more, for that part.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use circles_tests::{
    app,
    driver::{self, Driver},
    network::{run, within},
    program,
};
use fantoccini::{Client, Locator};

use crate::{people::until, stories::Scene};

/// Names the part that this process is to run.
const PART: &str = "CIRCLES_TEST_PART";
/// Names the other computer's namespace to it.
const OTHER: &str = "CIRCLES_TEST_OTHER";
/// Where it keeps its data.
const DATA: &str = "CIRCLES_TEST_DATA";
/// What it types.
const CODE: &str = "CIRCLES_TEST_CODE";

/// Ada presses "Host here", and Bob's computer joins by typing the code from her screen.
pub fn the_app_hosts_and_its_guests_come_back() -> Result<()> {
    let scene = Scene::new(2)?;
    let (host, guest) = (&scene.network.hosts[0], &scene.network.hosts[1]);
    let mut part = host.command(std::env::current_exe()?);
    run(part.env(PART, "host").env(OTHER, &guest.namespace).env(DATA, scene.dir.path())).map(drop)
}

/// Bob's window finds the relay and joins it by typing the code; the doctor names what then comes in between.
pub fn the_app_finds_and_joins_and_says_what_is_in_the_way() -> Result<()> {
    let scene = Scene::new(2)?;
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    ada.writes("hello")?;
    let (host, guest) = (&scene.network.hosts[0], &scene.network.hosts[1]);
    let mut part = guest.command(std::env::current_exe()?);
    part.env(PART, "guest").env(OTHER, &host.namespace).env(DATA, scene.dir.path());
    run(part.env(CODE, relay.invite()?.1.to_string())).map(drop)
}

/// Runs a part on one of the computers, if this process is for that.
pub fn part() -> Option<Result<()>> {
    let part = std::env::var(PART).ok()?;
    let run = || {
        let (other, data) = (std::env::var(OTHER)?, PathBuf::from(std::env::var(DATA)?));
        let runtime = tokio::runtime::Runtime::new()?;
        match part.as_str() {
            "host" => runtime.block_on(host_here(&other, &data)),
            _ => runtime.block_on(join_here(&std::env::var(CODE)?, &data)),
        }
    };
    Some(run())
}

async fn join_here(code: &str, data: &Path) -> Result<()> {
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data.join("app"), &[]).await?;
    driver::press(&page, "Join with a link").await?;
    driver::press(&page, "Maple Dorm").await?;
    driver::find(&page, "fieldset p").await?;
    driver::fill(&page, "Invite link", code).await?;
    driver::fill(&page, "Your name", "Bob").await?;
    driver::press(&page, "Join").await?;
    driver::shows(&page, "hello").await?;

    driver::press(&page, "Settings").await?;
    doctor(&page, "Network doctor", "has the right key").await?;
    nft("add table inet block; add chain inet block in { type filter hook input priority 0; }")?;
    nft("add rule inet block in udp dport 5353 drop")?;
    doctor(&page, "Look again", "blocks multicast").await?;
    nft("add rule inet block in ip saddr 10.77.0.1 drop")?;
    doctor(&page, "Look again", "although you are on its network").await?;
    Ok(page.close().await?)
}

/// Asks the doctor, who must say this.
async fn doctor(page: &Client, ask: &str, words: &str) -> Result<()> {
    driver::press(page, ask).await?;
    let said = format!("//ul[@aria-label='What was found']//b[contains(., '{words}')]");
    let said = page.wait().at_most(circles_tests::PATIENCE).for_element(Locator::XPath(&said)).await;
    said.with_context(|| format!("the doctor says {words:?}")).map(drop)
}

/// A rule of this computer's firewall.
fn nft(rule: &str) -> Result<()> {
    run(Command::new("nft").arg(rule)).map(drop)
}

async fn host_here(guest: &str, data: &Path) -> Result<()> {
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
    driver::picture(&page, "lan-host").await?;
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
