//! That this computer's addresses change: another Wi-Fi, a cable, waking up.

use std::{collections::HashSet, io, time::Duration};

use futures::StreamExt;
use if_watch::{IfEvent, IpNet, tokio::IfWatcher};

/// Changes within this time are one: an interface that comes up gets its addresses one after the other.
const SETTLES_AFTER: Duration = Duration::from_millis(300);

/// Tells when this computer's addresses change.
pub struct NetworkChanges {
    watcher: IfWatcher,
    addresses: HashSet<IpNet>,
}

impl NetworkChanges {
    /// Watches from now on.
    pub fn watch() -> io::Result<Self> {
        let watcher = IfWatcher::new()?;
        let now = if_addrs::get_if_addrs()?;
        let addresses = now.iter().filter_map(|it| IpNet::new(it.ip(), prefix(&it.addr)).ok()).collect();
        Ok(Self { watcher, addresses })
    }

    /// Returns when they have changed and stay so for a moment. Cancel safe, but for a change that is just settling.
    pub async fn next(&mut self) -> io::Result<()> {
        while !self.take().await? {}
        while tokio::time::timeout(SETTLES_AFTER, self.take()).await.is_ok_and(|taken| taken.is_ok()) {}
        Ok(())
    }

    /// Takes one event; whether it is news. The watcher begins by telling what is there.
    async fn take(&mut self) -> io::Result<bool> {
        match self.watcher.select_next_some().await? {
            IfEvent::Up(address) => Ok(self.addresses.insert(address)),
            IfEvent::Down(address) => Ok(self.addresses.remove(&address)),
        }
    }
}

fn prefix(address: &if_addrs::IfAddr) -> u8 {
    match address {
        if_addrs::IfAddr::V4(it) => it.prefixlen,
        if_addrs::IfAddr::V6(it) => it.prefixlen,
    }
}
