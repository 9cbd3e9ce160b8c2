//! TLS on accepted connections, with limits on what strangers can hold.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    limits::{HANDSHAKE_TIME_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX},
    serving::Accept,
};

/// Speaks TLS on a connection before anything else. Cheap to clone; clones share the limits.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    under_way: Arc<UnderWay>,
    hang_up: CancellationToken,
}

impl Tls {
    /// With this configuration; connections are cut by `hang_up`.
    pub fn new(config: Arc<rustls::ServerConfig>, hang_up: CancellationToken) -> Self {
        Self { acceptor: config.into(), under_way: Arc::default(), hang_up }
    }
}

impl Accept<TcpStream> for Tls {
    type Socket = TlsStream<TcpStream>;

    async fn accept(&self, socket: TcpStream, peer: SocketAddr) -> io::Result<Self::Socket> {
        let _counted = self.under_way.enter(peer.ip()).ok_or_else(|| io::Error::other("too many handshakes"))?;
        timeout(HANDSHAKE_TIME_MAX, self.acceptor.accept(socket)).await?
    }

    async fn hung_up(&self) {
        self.hang_up.cancelled().await;
    }
}

/// Handshakes under way, by address: one address cannot take the places of all.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<IpAddr, usize>>);

impl UnderWay {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.get(&address).copied().unwrap_or(0);
        if own >= HANDSHAKES_PER_ADDRESS_MAX || counts.values().sum::<usize>() >= HANDSHAKES_MAX {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Counted { of: self.clone(), address })
    }
}

/// One handshake, counted until it is dropped.
struct Counted {
    of: Arc<UnderWay>,
    address: IpAddr,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_holds_its_share_keeps_nobody_else_out() {
        let under_way = Arc::new(UnderWay::default());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut held: Vec<_> =
            (0..HANDSHAKES_PER_ADDRESS_MAX).map(|_| under_way.enter(one).expect("a place")).collect();
        assert!(under_way.enter(one).is_none());
        assert!(under_way.enter(other).is_some());
        held.pop();
        assert!(under_way.enter(one).is_some());
    }

    #[test]
    fn there_is_a_limit_to_all_together() {
        let under_way = Arc::new(UnderWay::default());
        let addresses = (0..=u8::MAX).map(|it| IpAddr::from([10, 0, 0, it]));
        let held: Vec<_> = addresses.cycle().map_while(|it| under_way.enter(it)).collect();
        assert_eq!(held.len(), HANDSHAKES_MAX);
        drop(held);
        assert!(under_way.0.lock().unwrap().is_empty());
    }
}
