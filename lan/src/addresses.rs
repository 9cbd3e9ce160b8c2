//! Where this computer is on its networks.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use circles_protocol::lan::ADDRESSES_MAX;
use if_addrs::{IfAddr, Interface};

/// Most IPv6 addresses of this computer that are told: one that lasts and one that does not for each of its networks are a
/// lot, and a QR code must stay easy to photograph.
const IPV6_MAX: usize = 3;

/// The addresses at which others may reach a port of this computer, the likeliest first: at most [`ADDRESSES_MAX`].
pub fn addresses(port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(reachable(&if_addrs::get_if_addrs()?).into_iter().map(|it| SocketAddr::new(it, port)).collect())
}

/// Whether an address is of a network that this computer is on.
pub fn is_near(address: IpAddr) -> io::Result<bool> {
    Ok(if_addrs::get_if_addrs()?.iter().any(|it| !it.is_loopback() && it.is_oper_up() && covers(it, address)))
}

/// Whether an address says by itself where it is. A link-local one of IPv6 means another computer on each of one's networks,
/// and what would tell which is a number of this computer alone (RFC 4007, 6).
pub fn is_whole(address: IpAddr) -> bool {
    !matches!(address, IpAddr::V6(it) if it.is_unicast_link_local())
}

fn covers(interface: &Interface, address: IpAddr) -> bool {
    let (own, other, common) = match (&interface.addr, address) {
        (IfAddr::V4(own), IpAddr::V4(address)) => (bits_v4(own.ip), bits_v4(address), own.prefixlen),
        (IfAddr::V6(own), IpAddr::V6(address)) => (own.ip.to_bits(), address.to_bits(), own.prefixlen),
        _ => return false,
    };
    (own ^ other).leading_zeros() >= common.into()
}

/// Those of an IPv4 address, in front.
fn bits_v4(address: Ipv4Addr) -> u128 {
    u128::from(address.to_bits()) << 96
}

fn reachable(interfaces: &[Interface]) -> Vec<IpAddr> {
    let usable = interfaces.iter().filter(|it| !it.is_loopback() && it.is_oper_up());
    let mut found: Vec<IpAddr> = usable.map(Interface::ip).filter(|it| is_whole(*it)).collect();
    found.sort_by_key(|it| match it {
        IpAddr::V4(it) if !it.is_link_local() => 0,
        IpAddr::V6(it) if it.is_unique_local() => 1,
        IpAddr::V6(_) => 2,
        // These serve two computers and a cable, or a network without DHCP: last, because a router's are likelier.
        IpAddr::V4(_) => 3,
    });
    found.dedup();
    let mut ipv6 = 0;
    found.retain(|it| {
        ipv6 += usize::from(it.is_ipv6());
        it.is_ipv4() || ipv6 <= IPV6_MAX
    });
    found.truncate(ADDRESSES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(ip: [u8; 4]) -> Interface {
        Interface {
            name: "test".to_owned(),
            addr: IfAddr::V4(Ifv4Addr {
                ip: ip.into(),
                netmask: [255, 255, 255, 0].into(),
                prefixlen: 24,
                broadcast: None,
            }),
            index: None,
            oper_status: IfOperStatus::Up,
            is_p2p: false,
            #[cfg(windows)]
            adapter_name: String::new(),
        }
    }

    fn interface_v6(ip: &str) -> Interface {
        let ip = ip.parse().expect("an address");
        let netmask = "ffff:ffff:ffff:ffff::".parse().expect("a mask");
        let addr = IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 64, broadcast: None });
        Interface { addr, ..interface([0; 4]) }
    }

    #[test]
    fn an_interface_without_a_network_reaches_nobody() {
        let down = Interface { oper_status: IfOperStatus::Unknown, ..interface([192, 168, 1, 5]) };
        assert!(reachable(&[down]).is_empty());
    }

    #[test]
    fn a_network_is_told_by_its_mask() {
        let own = interface([192, 168, 1, 5]);
        assert!(covers(&own, [192, 168, 1, 77].into()));
        assert!(!covers(&own, [192, 168, 2, 77].into()));
        let own = interface_v6("fd00::5");
        assert!(covers(&own, "fd00::77".parse().expect("an address")));
        assert!(!covers(&own, "fd00:0:0:1::5".parse().expect("an address")));
        assert!(!covers(&own, [192, 168, 1, 5].into()));
    }

    #[test]
    fn loopback_reaches_nobody_and_link_local_comes_last() {
        let all = [[127, 0, 0, 1], [169, 254, 3, 4], [192, 168, 1, 5]].map(interface);
        assert_eq!(reachable(&all), [IpAddr::from([192, 168, 1, 5]), IpAddr::from([169, 254, 3, 4])]);
    }

    #[test]
    fn addresses_of_ipv6_come_after_and_are_few() {
        let mut all: Vec<_> =
            ["::1", "fe80::5", "2001:db8::1", "2001:db8::2", "2001:db8::3", "fd00::5"].map(interface_v6).into();
        all.push(interface([192, 168, 1, 5]));
        let told: Vec<String> = reachable(&all).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["192.168.1.5", "fd00::5", "2001:db8::1", "2001:db8::2"]);
    }
}
