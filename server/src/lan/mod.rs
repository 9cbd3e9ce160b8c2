//! LAN mode (design section 7): the relay listens on the network too, with TLS and a key that clients pin.

mod edge;
mod identity;
mod tls;

use std::{io, sync::Arc};

use axum::middleware;
use circles_lan::{Announced, Announcement, addresses};
use circles_protocol::{LanPlace, lan::Fingerprint};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use identity::{Identity, IdentityError};

use tls::Tls;

use crate::{limits::STOP_GRACE, relay::Relay, serving};

/// Why a relay is not on the LAN.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// It has no key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The listener does not say where it listens.
    #[error("cannot listen on the network: {0}")]
    Listen(#[from] io::Error),
}

/// What others need to reach a relay on the LAN; the addresses are asked for each time, because they change.
#[derive(Clone, Debug)]
pub struct OnLan {
    key: Fingerprint,
    name: String,
    port: u16,
}

impl OnLan {
    /// A relay with this key, campus name and port.
    pub fn new(key: Fingerprint, name: String, port: u16) -> Self {
        Self { key, name, port }
    }

    /// The relay's place as of now. Without any network it is this computer alone.
    pub fn place(&self) -> LanPlace {
        let mut addresses = addresses(self.port).unwrap_or_else(|error| {
            tracing::warn!(%error, "this computer does not say which addresses it has");
            Vec::new()
        });
        if addresses.is_empty() {
            addresses.push(([127, 0, 0, 1], self.port).into());
        }
        LanPlace { key: self.key, name: self.name.clone(), addresses }
    }
}

/// A relay that is on the LAN from now on. Its invites say so; [`LanHost::serve`] lets people in.
pub struct LanHost {
    relay: Relay,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    on_lan: OnLan,
}

impl LanHost {
    pub(crate) fn new(relay: Relay, listener: TcpListener) -> Result<Self, LanError> {
        let identity = Identity::keep(&relay.settings().data_dir)?;
        let on_lan = OnLan::new(identity.fingerprint(), relay.campus().1, listener.local_addr()?.port());
        Ok(Self { tls: identity.tls()?, relay, listener, on_lan })
    }

    pub(crate) fn on_lan(&self) -> &OnLan {
        &self.on_lan
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.on_lan.port
    }

    /// Where it is, and how it is known.
    pub fn place(&self) -> LanPlace {
        self.on_lan.place()
    }

    /// Serves the network until `stop`, and then as long as the relay itself ends its streams; or until `hang_up`, which cuts
    /// whoever is connected at once. They keep what they hold, and send what was not answered again.
    pub async fn serve(self, stop: CancellationToken, hang_up: CancellationToken) {
        let OnLan { key, name, port } = self.on_lan;
        tracing::info!(port, key = %key.words(), "listening on the network");
        let announcement = Announcement::start(Announced { name, campus: self.relay.campus().0, key, port });
        let settings = self.relay.settings();
        let router = self.relay.router().layer(middleware::from_fn_with_state(settings.lan_guests, edge::guard));
        let tls = Tls::new(self.tls, hang_up.clone());
        let stopping = async {
            stop.cancelled().await;
            drop(announcement);
            // A connection on which nothing was ever asked does not end by being told to.
            tokio::time::sleep(settings.drain + STOP_GRACE).await;
        };
        tokio::select! {
            () = serving::serve(self.listener, router, tls, stop.clone()) => {}
            () = stopping => {}
            () = hang_up.cancelled() => {}
        }
        hang_up.cancel();
        self.relay.leave_lan();
    }
}
