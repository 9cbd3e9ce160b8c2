//! The app on a host: its window runs in the host's namespace, so this program does, once more, for that part.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use circles_protocol::lan::PORT;
use circles_tests::{
    app,
    driver::{self, Driver},
    network::{Host, run, within},
    program,
    screen::Screen,
    session_bus::Desktop,
    wait_for,
};
use fantoccini::{Client, Locator};

use crate::{
    people::{Hosted, Person, until},
    stories::{Scene, took},
};

/// Where the first computer of a network is.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

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
    play(part.env(PART, "host").env(OTHER, &guest.namespace).env(DATA, scene.dir.path()))
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
    play(part.env(CODE, relay.invite()?.1.to_string()))
}

/// A phone opens the link for guests in its browser.
pub fn a_phone_chats_by_browser_if_guests_are_welcome() -> Result<()> {
    let scene = Scene::new(2)?;
    let (host, phone) = (&scene.network.hosts[0], &scene.network.hosts[1]);
    let mut part = phone.command(std::env::current_exe()?);
    play(part.env(PART, "phone").env(OTHER, &host.namespace).env(DATA, scene.dir.path()))
}

/// Runs this program for a part, and says what it said.
fn play(part: &mut Command) -> Result<()> {
    let played = run(part)?;
    print!("{}", String::from_utf8(played.stdout)?);
    Ok(())
}

/// Runs a part on one of the computers, if this process is for that.
pub fn part() -> Option<Result<()>> {
    let part = std::env::var(PART).ok()?;
    let run = || {
        let (other, data) = (std::env::var(OTHER)?, PathBuf::from(std::env::var(DATA)?));
        let runtime = tokio::runtime::Runtime::new()?;
        match part.as_str() {
            "host" => runtime.block_on(host_here(&other, &data)),
            "phone" => runtime.block_on(chat_by_browser(&Host { namespace: other, address: HOST }, &data)),
            _ => runtime.block_on(join_here(&other, &std::env::var(CODE)?, &data)),
        }
    };
    Some(run())
}

async fn join_here(host: &str, code: &str, data: &Path) -> Result<()> {
    let host = Host { namespace: host.to_owned(), address: HOST };
    let driver = Driver::start("WebKitWebDriver").await?;
    let page = app::start(&driver, &data.join("app"), &[]).await?;
    driver::press(&page, "Join with a link").await?;
    driver::press(&page, "Maple Dorm").await?;
    driver::find(&page, "fieldset p").await?;
    driver::picture(&page, "lan-nearby").await?;
    host.link(false)?;
    let gone = Instant::now();
    wait_for("the list to forget the host", async || {
        Ok(page.find(Locator::Css("fieldset button")).await.is_err_and(|it| it.is_no_such_element()).then_some(()))
    })
    .await?;
    took("the host vanished without a word, until it is on the list no more", gone);
    host.link(true)?;
    let back = Instant::now();
    driver::press(&page, "Maple Dorm").await?;
    took("the host is back, until it is on the list", back);
    driver::fill(&page, "Invite link", code).await?;
    driver::fill(&page, "Your name", "Bob").await?;
    driver::press(&page, "Join").await?;
    driver::shows(&page, "hello").await?;

    driver::press(&page, "Settings").await?;
    doctor(&page, "Network doctor", "has the right key").await?;
    driver::picture(&page, "lan-doctor-well").await?;
    let taken = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    doctor(&page, "Look again", "in use on this computer").await?;
    drop(taken);
    nft("add table inet block; add chain inet block in { type filter hook input priority 0; }")?;
    nft("add rule inet block in udp dport 5353 drop")?;
    doctor(&page, "Look again", "blocks multicast").await?;
    driver::picture(&page, "lan-doctor-multicast").await?;
    nft("add rule inet block in ip saddr 10.77.0.1 drop")?;
    doctor(&page, "Look again", "although you are on its network").await?;
    driver::picture(&page, "lan-doctor-hidden").await?;
    Ok(page.close().await?)
}

/// The phone's side: the page that turns it away, and then one that stays complete while the relay dies and comes back.
async fn chat_by_browser(host: &Host, data: &Path) -> Result<()> {
    let relay = Hosted::start(host, &data.join("relay"), &[])?;
    let ada = Person::join(host, &data.join("ada"), &relay.owner()?.to_string(), "Ada")?;
    let link = relay.guest_invite()?;
    let driver = Driver::start("chromedriver").await?;
    let page = driver.session(driver::phone(&data.join("chromium"))).await?;
    page.goto(&link).await?;
    let told = driver::find(&page, "body").await?.text().await?;
    ensure!(told.contains("lets in the Circles app, and no browsers") && told.contains("ask the host"), "{told}");
    relay.stop()?;

    let relay = with_guests(host, data)?;
    page.refresh().await?;
    driver::fill(&page, "Your name", "Grace").await?;
    driver::press(&page, "Join").await?;
    ada.writes("hello, phone")?;
    driver::shows(&page, "hello, phone").await?;
    driver::send(&page, "hello from the browser").await?;
    ada.sees("hello from the browser")?;

    // It ends as by kill -9.
    drop(relay);
    driver::send(&page, "typed while nobody hosts").await?;
    let _relay = with_guests(host, data)?;
    let back = Instant::now();
    ada.sees("typed while nobody hosts")?;
    ada.writes("and all is there")?;
    driver::shows(&page, "and all is there").await?;
    took("the relay was killed and is back, until a guest by browser has sent and received", back);
    let said = driver::find(&page, "[role=log]").await?.text().await?;
    ensure!(said.contains("Ada") && said.contains("Grace") && !said.contains("Someone"), "{said}");
    let shown: Vec<String> = driver::rows(&page).await?.into_iter().map(|it| it.text).collect();
    ensure!(shown == ada.history()?, "{shown:?}");
    driver::picture(&page, "lan-guest-phone").await?;
    Ok(page.close().await?)
}

/// A relay that serves browsers, once it listens.
fn with_guests<'a>(host: &'a Host, data: &Path) -> Result<Hosted<'a>> {
    let relay = Hosted::start(host, &data.join("relay"), &["--lan-guests"])?;
    until("the relay to listen", || Ok(std::net::TcpStream::connect((host.address, PORT)).ok()))?;
    Ok(relay)
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
    let (ada, bob, cleo) = (data.join("app"), data.join("bob"), data.join("cleo"));
    let cli_of = |whose: &Path, arguments: &[&str]| -> Result<String> {
        let mut command: Command = app::cli_on(within(guest, program("circles-cli")?), whose, arguments);
        Ok(String::from_utf8(run(&mut command)?.stdout)?)
    };
    let cli = |arguments: &[&str]| cli_of(&bob, arguments);
    let (desktop, screen) = (Desktop::start().await?, Screen::open()?);
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
    let told = driver::find(&page, "dialog").await?.text().await?;
    ensure!(told.contains("disconnected") && told.contains("what they write waits until you host again"), "{told}");
    driver::press(&page, "Stop hosting on the network").await?;
    driver::find(&page, "dialog .button.primary").await?;
    let gone = cli(&["doctor"])?;
    ensure!(gone.contains("hosts nothing now"), "{gone}");
    cli(&["send", "General", "are you there?", "--queue"])?;
    driver::press(&page, "Let people on this network join").await?;
    driver::find(&page, ".words").await?;
    until("Bob to come back", || Ok(cli(&["watch", "--until-complete"]).ok()))?;
    until("what waited to be sent", || Ok(cli(&["status"])?.contains("0 unsent").then_some(())))?;

    // With its window closed to the tray the app goes on hosting, and says so.
    driver::press(&page, "Create an invite").await?;
    let code = driver::find(&page, ".code b").await?.text().await?;
    driver::press(&page, "Close").await?;
    driver::shows(&page, "are you there?").await?;
    let pid = app::pid(&ada)?.context("the app runs")?;
    screen.close(pid)?;
    wait_for("the window to hide", async || Ok((!screen.shows(pid)?).then_some(()))).await?;
    wait_for("the word that it hosts", async || {
        Ok(desktop.shown().into_iter().find(|it| it.summary == "Circles is still open, and hosts Third floor"))
    })
    .await?;
    cli_of(&cleo, &["join", &code, "--name", "Cleo"])?;
    cli_of(&cleo, &["send", "General", "the window is closed"])?;
    ensure!(!screen.shows(pid)?, "nothing opened it");
    driver::shows(&page, "the window is closed").await?;
    desktop.choose("Quit").await?;
    wait_for("the app to end", async || Ok(app::pid(&ada)?.is_none().then_some(()))).await
}
