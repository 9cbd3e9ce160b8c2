//! Where this computer is on its networks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use circles_protocol::lan::ADDRESSES_MAX;
use if_addrs::{IfAddr, Interface};

/// The addresses at which others may reach a port of this computer, the likeliest first. IPv4 only, as is the listener.
pub fn addresses(port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(reachable(&if_addrs::get_if_addrs()?).into_iter().map(|it| SocketAddr::new(it, port)).collect())
}

/// Whether an address is of a network that this computer is on.
pub fn is_near(address: IpAddr) -> io::Result<bool> {
    Ok(if_addrs::get_if_addrs()?.iter().any(|it| !it.is_loopback() && it.is_oper_up() && covers(it, address)))
}

fn covers(interface: &Interface, address: IpAddr) -> bool {
    let (IfAddr::V4(own), IpAddr::V4(address)) = (&interface.addr, address) else { return false };
    let mask = u32::from(own.netmask);
    u32::from(own.ip) & mask == u32::from(address) & mask
}

fn reachable(interfaces: &[Interface]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .filter(|it| !it.is_loopback() && it.is_oper_up())
        .map(Interface::ip)
        .filter(IpAddr::is_ipv4)
        .collect();
    // Link-local ones serve two computers and a cable, or a network without DHCP: last, because a router's are likelier.
    found.sort_by_key(|it| matches!(it, IpAddr::V4(it) if it.is_link_local()));
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    found
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr};

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
    }

    #[test]
    fn loopback_reaches_nobody_and_link_local_comes_last() {
        let all = [[127, 0, 0, 1], [169, 254, 3, 4], [192, 168, 1, 5]].map(interface);
        assert_eq!(reachable(&all), [IpAddr::from([192, 168, 1, 5]), IpAddr::from([169, 254, 3, 4])]);
    }
}
