//! A local network of its own for a test: hosts in network namespaces, on one bridge, with real multicast between them.
//! Nothing of it reaches the machine's own network.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};

/// A network. Its namespaces go with it.
pub struct Network {
    hub: String,
    /// The computers on it.
    pub hosts: Vec<Host>,
}

/// A computer on the network.
pub struct Host {
    /// Its namespace.
    pub namespace: String,
    /// The address that it begins with. Its last number is that of the computer.
    pub address: Ipv4Addr,
}

/// Why this machine cannot make networks, if it cannot.
pub fn unable() -> Option<String> {
    let probe = format!("circles{}probe", std::process::id());
    let made = run(Command::new("ip").args(["netns", "add", &probe]));
    let entered = made.and_then(|_| run(within(&probe, "nft").args(["list", "ruleset"])));
    let removed = run(Command::new("ip").args(["netns", "del", &probe]));
    entered.and(removed).err().map(|error| format!("{error:#}"))
}

impl Network {
    /// A network of so many computers, 10.77.0.1 and on, each with one interface `eth0`.
    pub fn new(hosts: u8) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("circles{}n{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut network = Self { hub: format!("{name}hub"), hosts: Vec::new() };
        ip(&format!("netns add {}", network.hub))?;
        let hub = network.hub.clone();
        // No querier is there, without which a snooping bridge forgets who listens to multicast.
        ip(&format!("-n {hub} link add br0 type bridge mcast_snooping 0"))?;
        ip(&format!("-n {hub} link set br0 up"))?;
        for number in 1..=hosts {
            let host = Host { namespace: format!("{name}h{number}"), address: Ipv4Addr::new(10, 77, 0, number) };
            let (namespace, port) = (host.namespace.clone(), host.port());
            network.hosts.push(host);
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {hub} link add {port} type veth peer name eth0 netns {namespace}"))?;
            ip(&format!("-n {hub} link set {port} master br0 up"))?;
            let host = network.hosts.last().context("it was just added")?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} link set eth0 up"))?;
            host.add_address(host.address)?;
        }
        Ok(network)
    }

    /// Whether the access point keeps its guests from reaching each other, as many do.
    pub fn isolate(&self, on: bool) -> Result<()> {
        let state = if on { "on" } else { "off" };
        for host in &self.hosts {
            run(within(&self.hub, "bridge").args(["link", "set", "dev", &host.port(), "isolated", state]))?;
        }
        Ok(())
    }

    /// A program that hears everything that passes the access point.
    pub fn listening_in(&self, program: &str) -> Command {
        within(&self.hub, program)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in self.hosts.iter().map(|it| &it.namespace).chain([&self.hub]) {
            if let Err(error) = ip(&format!("netns del {name}")) {
                eprintln!("a namespace stays: {error:#}");
            }
        }
    }
}

impl Host {
    /// Its port on the bridge.
    fn port(&self) -> String {
        let [.., number] = self.address.octets();
        format!("port{number}")
    }

    /// A program on this computer.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        within(&self.namespace, program)
    }

    /// Gives it another address.
    pub fn add_address(&self, address: impl Into<IpAddr>) -> Result<()> {
        ip(&format!("-n {} address add {}", self.namespace, on_eth0(address.into())))
    }

    /// Takes an address from it.
    pub fn remove_address(&self, address: impl Into<IpAddr>) -> Result<()> {
        ip(&format!("-n {} address del {}", self.namespace, on_eth0(address.into())))
    }

    /// Gives it an address of IPv6 in place of the other; the address.
    pub fn to_ipv6(&self) -> Result<Ipv6Addr> {
        let [.., number] = self.address.octets();
        let address = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, number.into());
        self.remove_address(self.address)?;
        self.add_address(address)?;
        Ok(address)
    }

    /// Whether it still asks if another computer has one of its addresses (RFC 4862, 5.4). Until then it says nothing by IPv6.
    pub fn is_arriving(&self) -> Result<bool> {
        let tentative = run(Command::new("ip").args(["-n", &self.namespace, "-6", "address", "show", "tentative"]))?;
        Ok(!tentative.stdout.is_empty())
    }

    /// Its Wi-Fi: on or off.
    pub fn link(&self, up: bool) -> Result<()> {
        ip(&format!("-n {} link set eth0 {}", self.namespace, if up { "up" } else { "down" }))
    }

    /// It is told that an address has moved to another computer, as by a gratuitous ARP of that one.
    pub fn forget_neighbours(&self) -> Result<()> {
        ip(&format!("-n {} neigh flush dev eth0", self.namespace))
    }

    /// Its network drops multicast, in both directions.
    pub fn block_multicast(&self) -> Result<()> {
        let rules = "table inet block {
            chain in { type filter hook input priority 0; udp dport 5353 drop; }
            chain out { type filter hook output priority 0; udp dport 5353 drop; }
        }";
        run(self.command("nft").arg(rules)).map(drop)
    }
}

fn on_eth0(address: IpAddr) -> String {
    let bits = if address.is_ipv4() { 24 } else { 64 };
    format!("{address}/{bits} dev eth0")
}

/// A program in a namespace.
pub fn within(namespace: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

fn ip(arguments: &str) -> Result<()> {
    run(Command::new("ip").args(arguments.split(' '))).map(drop)
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| command.get_program().display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}", command, said.trim());
    Ok(output)
}
