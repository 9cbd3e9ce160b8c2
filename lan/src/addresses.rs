//! Where this computer is on its networks.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use circles_protocol::lan::ADDRESSES_MAX;
use if_addrs::{IfOperStatus, Interface};

/// The addresses at which others may reach a port of this computer, the likeliest first. IPv4 only, as is the listener.
pub fn addresses(port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(reachable(&if_addrs::get_if_addrs()?).into_iter().map(|it| SocketAddr::new(it, port)).collect())
}

fn reachable(interfaces: &[Interface]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = interfaces
        .iter()
        .filter(|it| !it.is_loopback() && it.oper_status != IfOperStatus::Down)
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
    use if_addrs::{IfAddr, Ifv4Addr};

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
    fn loopback_reaches_nobody_and_link_local_comes_last() {
        let all = [[127, 0, 0, 1], [169, 254, 3, 4], [192, 168, 1, 5]].map(interface);
        assert_eq!(reachable(&all), [IpAddr::from([192, 168, 1, 5]), IpAddr::from([169, 254, 3, 4])]);
    }
}
