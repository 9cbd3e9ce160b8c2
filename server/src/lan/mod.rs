//! LAN mode (design section 7): the relay listens on the network too, with TLS and a key that clients pin.

mod edge;
mod identity;
mod tls;

use std::io;

use axum::middleware;
use circles_lan::{Announced, Announcement, addresses};
use circles_protocol::{LanPlace, lan::Fingerprint};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use identity::{Identity, IdentityError};

use crate::{relay::Relay, serving};

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
    tls: tls::Tls,
    on_lan: OnLan,
}

impl LanHost {
    pub(crate) fn new(relay: Relay, listener: TcpListener) -> Result<Self, LanError> {
        let identity = Identity::keep(&relay.settings().data_dir)?;
        let on_lan = OnLan::new(identity.fingerprint(), relay.campus().1, listener.local_addr()?.port());
        Ok(Self { tls: tls::Tls::new(identity.tls()?), relay, listener, on_lan })
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

    /// Serves the network until `stop`; then nobody new gets in, and returns when connections have ended. Streams end when
    /// the relay stops, or by `hang_up`, at once.
    pub async fn serve(self, stop: CancellationToken, hang_up: CancellationToken) {
        let OnLan { key, name, port } = self.on_lan;
        tracing::info!(port, key = %key.words(), "listening on the network");
        let announcement = Announcement::start(Announced { name, campus: self.relay.campus().0, key, port });
        let announced = async {
            stop.cancelled().await;
            drop(announcement);
        };
        let guarded = middleware::from_fn_with_state(self.relay.settings().lan_guests, edge::guard);
        let router = self.relay.router().layer(guarded);
        let served = serving::serve(self.listener, router, self.tls, stop.clone());
        tokio::select! {
            ((), ()) = async { tokio::join!(served, announced) } => {}
            () = hang_up.cancelled() => {}
        }
        self.relay.leave_lan();
    }
}
