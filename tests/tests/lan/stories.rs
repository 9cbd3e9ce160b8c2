//! What people on one network see.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use circles_protocol::lan::PORT;
use circles_tests::network::{Host, Network};
use tempfile::{TempDir, tempdir};

use crate::{
    people::{Hosted, Person, cli, refused, until},
    strangers, window,
};

/// An address that nobody has at the beginning.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 50);

/// How long something is gone before it comes back: long enough to be noticed, and not what is measured.
const ABSENCE: Duration = Duration::from_secs(3);

/// The same where it must be noticed that nothing comes any more: longer than three heartbeats of a relay on the LAN.
const LONG_ABSENCE: Duration = Duration::from_secs(18);

/// One of the stories below.
pub type Story = fn() -> Result<()>;

/// All stories, each with its name.
pub const ALL: &[(&str, Story)] = &[
    ("a_relay_is_found_and_joined_by_typing_its_code", a_relay_is_found_and_joined_by_typing_its_code),
    ("a_relay_is_joined_by_link", a_relay_is_joined_by_link),
    ("the_host_gets_another_address", the_host_gets_another_address),
    ("the_guests_wifi_goes_and_comes_back", the_guests_wifi_goes_and_comes_back),
    ("the_host_quits_and_starts_again", the_host_quits_and_starts_again),
    ("the_host_sleeps_and_wakes", the_host_sleeps_and_wakes),
    ("multicast_is_blocked", multicast_is_blocked),
    ("there_is_only_ipv6", there_is_only_ipv6),
    ("the_network_hides_computers_from_each_other", the_network_hides_computers_from_each_other),
    ("a_second_relay_of_the_same_name_is_told_nothing", a_second_relay_of_the_same_name_is_told_nothing),
    ("the_app_hosts_and_its_guests_come_back", window::the_app_hosts_and_its_guests_come_back),
    (
        "the_app_finds_and_joins_and_says_what_is_in_the_way",
        window::the_app_finds_and_joins_and_says_what_is_in_the_way,
    ),
    ("a_phone_chats_by_browser_if_guests_are_welcome", window::a_phone_chats_by_browser_if_guests_are_welcome),
    ("a_sniffer_and_a_stranger_get_nothing", strangers::a_sniffer_and_a_stranger_get_nothing),
];

/// Prints how long something took, for the report.
pub fn took(what: &str, since: Instant) {
    println!("    {what}: {:.2} s", since.elapsed().as_secs_f64());
}

/// A network with a hosted relay, and Ada, who owns it, on the same computer.
pub struct Scene {
    /// The network; the first computer hosts, the second is Bob's.
    pub network: Network,
    /// Everyone's data.
    pub dir: TempDir,
}

impl Scene {
    /// A network, with nothing on it yet.
    pub fn new(hosts: u8) -> Result<Self> {
        Ok(Self { network: Network::new(hosts)?, dir: tempdir()? })
    }

    /// The relay.
    pub fn relay(&self) -> Result<Hosted<'_>> {
        Hosted::start(&self.network.hosts[0], &self.dir.path().join("relay"), &[])
    }

    /// Its owner.
    pub fn ada(&self, relay: &Hosted<'_>) -> Result<Person<'_>> {
        Person::join(&self.network.hosts[0], &self.dir.path().join("ada"), &relay.owner()?.to_string(), "Ada")
    }

    /// A guest.
    pub fn bob(&self, invite: &str) -> Result<Person<'_>> {
        Person::join(&self.network.hosts[1], &self.dir.path().join("bob"), invite, "Bob")
    }
}

impl Scene {
    /// Ada hosts, Bob has joined by link, and they have spoken.
    fn together(&self) -> Result<(Hosted<'_>, Person<'_>, Person<'_>)> {
        let relay = self.relay()?;
        let ada = self.ada(&relay)?;
        let bob = self.bob(&relay.invite()?.0.to_string())?;
        ada.writes("before")?;
        bob.sees("before")?;
        Ok((relay, ada, bob))
    }
}

/// Both hold the same messages, each once, in one order.
fn settled(ada: &Person<'_>, bob: &Person<'_>, texts: &[&str]) -> Result<()> {
    for person in [ada, bob] {
        let history = person.history()?;
        ensure!(history == texts, "{history:?}");
    }
    Ok(())
}

fn a_relay_is_found_and_joined_by_typing_its_code() -> Result<()> {
    let scene = Scene::new(2)?;
    let hosted = Instant::now();
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    ada.writes("hello")?;
    let (link, code) = relay.invite()?;
    let typed = Instant::now();
    let bob = scene.bob(&code.to_string().to_lowercase())?;
    bob.sees("hello")?;
    took("Host here, until the second app shows the first message, by a typed code", hosted);
    took("of which from typing the code", typed);

    let nearby = cli(&scene.network.hosts[1], &scene.dir.path().join("bob"), &["nearby"])?;
    let words = link.lan.as_ref().map(|it| it.key.words()).unwrap_or_default();
    ensure!(nearby.contains("Maple Dorm") && nearby.contains(&words) && nearby.contains("you are in it"), "{nearby}");
    bob.is_told("ok   The relay of Maple Dorm answers, and has the right key.")?;
    bob.writes("hello back")?;
    ada.sees("hello back")?;
    settled(&ada, &bob, &["hello", "hello back"])
}

fn a_relay_is_joined_by_link() -> Result<()> {
    let scene = Scene::new(2)?;
    let hosted = Instant::now();
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    ada.writes("hello")?;
    let (link, _) = relay.invite()?;
    let opened = Instant::now();
    let bob = scene.bob(&link.to_string())?;
    bob.sees("hello")?;
    took("Host here, until the second app shows the first message, by link", hosted);
    took("of which from opening the link", opened);
    let dir = tempdir()?;
    let again = refused(&scene.network.hosts[1], dir.path(), &["join", &link.to_string(), "--name", "Eve"])?;
    ensure!(again.contains("used up"), "{again}");
    Ok(())
}

fn the_host_gets_another_address() -> Result<()> {
    let scene = Scene::new(2)?;
    let (_relay, ada, bob) = scene.together()?;
    let host = &scene.network.hosts[0];
    host.remove_address(host.address)?;
    bob.writes("on the way")?;
    host.add_address(ELSEWHERE)?;
    let moved = Instant::now();
    ada.sees("on the way")?;
    took("the host has another address, until both are back", moved);
    ada.writes("after")?;
    bob.sees("after")?;
    settled(&ada, &bob, &["before", "on the way", "after"])
}

fn the_guests_wifi_goes_and_comes_back() -> Result<()> {
    let scene = Scene::new(2)?;
    let (_relay, ada, bob) = scene.together()?;
    scene.network.hosts[1].link(false)?;
    ada.writes("meanwhile")?;
    ada.sees("meanwhile")?;
    bob.writes("written without a network")?;
    bob.is_told("This computer is on no network.")?;
    sleep(ABSENCE);
    scene.network.hosts[1].link(true)?;
    let back = Instant::now();
    bob.sees("meanwhile")?;
    took("the guest's Wi-Fi is back, until it shows what it missed", back);
    ada.sees("written without a network")?;
    settled(&ada, &bob, &["before", "meanwhile", "written without a network"])
}

fn the_host_quits_and_starts_again() -> Result<()> {
    let scene = Scene::new(2)?;
    let (relay, ada, bob) = scene.together()?;
    relay.stop()?;
    bob.writes("meanwhile")?;
    bob.is_told("host is there, but hosts nothing now")?;
    sleep(ABSENCE);
    let again = Instant::now();
    let _relay = scene.relay()?;
    ada.sees("meanwhile")?;
    took("the host starts again, until what waited has arrived", again);
    settled(&ada, &bob, &["before", "meanwhile"])
}

fn the_host_sleeps_and_wakes() -> Result<()> {
    let scene = Scene::new(2)?;
    let (relay, ada, bob) = scene.together()?;
    relay.sleep()?;
    bob.writes("meanwhile")?;
    sleep(LONG_ABSENCE);
    relay.wake()?;
    let woke = Instant::now();
    ada.sees("meanwhile")?;
    took("the host wakes, until what waited has arrived", woke);
    settled(&ada, &bob, &["before", "meanwhile"])
}

fn there_is_only_ipv6() -> Result<()> {
    let scene = Scene::new(3)?;
    let hosts = &scene.network.hosts;
    let addresses: Vec<Ipv6Addr> = hosts.iter().map(Host::to_ipv6).collect::<Result<_>>()?;
    for host in hosts {
        until("the computer to be on the network", || Ok((!host.is_arriving()?).then_some(())))?;
    }
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    ada.writes("hello")?;
    let (link, _) = relay.invite()?;
    let at = link.lan.as_ref().map(|it| it.addresses.clone());
    ensure!(at == Some(vec![SocketAddr::from((addresses[0], PORT))]), "{at:?}");
    let (_, code) = relay.invite()?;
    let typed = Instant::now();
    let bob = scene.bob(&code.to_string())?;
    bob.sees("hello")?;
    took("by IPv6 alone, from typing the code until the first message", typed);
    let cleo = Person::join(&hosts[2], &scene.dir.path().join("cleo"), &link.to_string(), "Cleo")?;
    bob.is_told("ok   The relay of Maple Dorm answers, and has the right key.")?;
    bob.writes("hello back")?;
    for person in [&ada, &cleo] {
        person.sees("hello back")?;
    }
    settled(&ada, &bob, &["hello", "hello back"])
}

fn multicast_is_blocked() -> Result<()> {
    let scene = Scene::new(2)?;
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    let (_, code) = relay.invite()?;
    let (host, guest) = (&scene.network.hosts[0], &scene.network.hosts[1]);
    guest.block_multicast()?;
    let bobs = scene.dir.path().join("bob");
    let asked = Instant::now();
    let alone = refused(guest, &bobs, &["join", &code.to_string(), "--name", "Bob"])?;
    ensure!(alone.contains("no relay with this code") && alone.contains("type the host's address"), "{alone}");
    took("multicast is blocked, until the code alone is refused with what to do", asked);
    let bob = scene.bob(&format!("{code}@{}", host.address))?;
    ada.writes("hello")?;
    bob.sees("hello")?;

    bob.is_told("This network blocks multicast")?;

    // Nothing tells where the host went; when it is back where it was, so is everyone.
    host.remove_address(host.address)?;
    host.add_address(ELSEWHERE)?;
    ada.writes("from elsewhere")?;
    ada.sees("from elsewhere")?;
    bob.writes("to wherever")?;
    sleep(LONG_ABSENCE);
    host.remove_address(ELSEWHERE)?;
    host.add_address(host.address)?;
    let back = Instant::now();
    bob.sees("from elsewhere")?;
    took("multicast is blocked and the host was away: back at its address, until the guest is back", back);
    ada.sees("to wherever")?;
    settled(&ada, &bob, &["hello", "from elsewhere", "to wherever"])
}

fn the_network_hides_computers_from_each_other() -> Result<()> {
    let scene = Scene::new(2)?;
    scene.network.isolate(true)?;
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    let link = relay.invite()?.0.to_string();
    let (guest, bobs) = (&scene.network.hosts[1], scene.dir.path().join("bob"));
    ensure!(cli(guest, &bobs, &["nearby"])?.is_empty());
    let hidden = refused(guest, &bobs, &["join", &link, "--name", "Bob"])?;
    ensure!(hidden.contains("cannot be reached"), "{hidden}");
    scene.network.isolate(false)?;
    let bob = scene.bob(&link)?;
    scene.network.isolate(true)?;
    ada.writes("behind a wall")?;
    sleep(LONG_ABSENCE);
    bob.is_told("does not answer, although you are on its network")?;
    scene.network.isolate(false)?;
    let open = Instant::now();
    bob.sees("behind a wall")?;
    took("computers see each other again, until the guest is back", open);
    settled(&ada, &bob, &["behind a wall"])
}

fn a_second_relay_of_the_same_name_is_told_nothing() -> Result<()> {
    let scene = Scene::new(3)?;
    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    let impostor = Hosted::start(&scene.network.hosts[2], &scene.dir.path().join("impostor"), &[])?;
    let false_link = impostor.owner()?;
    let (link, code) = relay.invite()?;
    let (host, guest, third) = (&scene.network.hosts[0], &scene.network.hosts[1], &scene.network.hosts[2]);
    let bobs = scene.dir.path().join("bob");
    let nearby = cli(guest, &bobs, &["nearby"])?;
    for it in [&link, &false_link] {
        let words = it.lan.as_ref().map(|it| it.key.words()).unwrap_or_default();
        ensure!(nearby.contains(&words), "both are on the list: {nearby}");
    }
    let tricked = refused(guest, &bobs, &["join", &format!("{code}@{}", third.address), "--name", "Bob"])?;
    ensure!(tricked.contains("another relay answered"), "{tricked}");
    // The code alone picks the right one.
    let mut bob = scene.bob(&code.to_string())?;
    ada.writes("hello")?;
    bob.sees("hello")?;

    // The impostor takes the address of the relay, which is gone.
    relay.stop()?;
    host.remove_address(host.address)?;
    third.add_address(host.address)?;
    guest.forget_neighbours()?;
    bob.watches()?;
    bob.hears("another relay answers")?;
    bob.writes("not for the impostor")?;
    bob.holds("1 unsent")?;
    bob.is_told("Another relay answers in the place of Maple Dorm")?;

    let back = Instant::now();
    host.add_address(ELSEWHERE)?;
    let _relay = scene.relay()?;
    ada.sees("not for the impostor")?;
    took("the relay is back elsewhere, beside an impostor at its old address, until everyone is back", back);
    settled(&ada, &bob, &["hello", "not for the impostor"])
}
