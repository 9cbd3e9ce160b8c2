//! Listening for everyone on this computer's networks.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Listens at a port for IPv6 and IPv4 alike, with one socket; on a computer without IPv6 for IPv4 alone. Port 0 is any that
/// is free. An error is usually that another program has the port.
pub fn listen(port: u16, backlog: u32) -> io::Result<TcpListener> {
    match bound((Ipv6Addr::UNSPECIFIED, port).into(), backlog) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => bound((Ipv4Addr::UNSPECIFIED, port).into(), backlog),
        listener => listener,
    }
}

fn bound(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // What the default is depends on the system.
        socket.set_only_v6(false)?;
    }
    // A restarted relay must not wait for the old connections to time out. On Windows it need not, and this means otherwise.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.cast_signed())?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn one_port_is_for_both_families_and_for_one_program() {
        let listener = listen(0, 8).expect("any port is free");
        let port = listener.local_addr().expect("it listens").port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("by IPv4");
        if listener.local_addr().expect("it listens").is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.expect("by IPv6");
        }
        assert_eq!(listen(port, 8).expect_err("it is taken").kind(), io::ErrorKind::AddrInUse);
    }
}
