//! One relay that runs inside the app.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use circles_client::view::HostLanView;
use circles_protocol::LanPlace;
use circles_relay::{LAN_HEARTBEAT, LISTEN_BACKLOG, Relay, Settings};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinHandle},
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::HostError;
use crate::limits::HOSTED_DRAIN;

/// A relay, and the task that serves it.
pub struct Running {
    pub relay: Relay,
    pub address: SocketAddr,
    lan: Option<OnLan>,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

/// A relay that is on the LAN too.
struct OnLan {
    place: LanPlace,
    port: u16,
    hang_up: CancellationToken,
    served: JoinHandle<()>,
}

/// How a hosted relay runs.
pub fn settings(data_dir: PathBuf) -> Settings {
    Settings { data_dir, drain: HOSTED_DRAIN, heartbeat: LAN_HEARTBEAT, ..Settings::default() }
}

impl Running {
    /// Opens the campus, and serves it on loopback: at this port, or at any other if it is 0 or taken.
    pub async fn start(settings: Settings, port: u16) -> Result<Self, HostError> {
        let loopback = async |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = at(port, loopback).await.map_err(HostError::Listen)?;
        let address = listener.local_addr().map_err(HostError::Listen)?;
        let relay = Relay::open(settings).await?;
        let stop = CancellationToken::new();
        let serving = relay.clone();
        let stopping = stop.clone();
        let served = tokio::spawn(async move { serving.serve(listener, stopping).await });
        Ok(Self { relay, address, lan: None, stop, served })
    }

    /// Where its clients find it.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("a socket address makes a URL")
    }

    /// Lets people on the network in, at this port, or at any other if it is taken; returns the port.
    pub async fn open_lan(&mut self, port: u16) -> Result<u16, HostError> {
        if let Some(lan) = &self.lan {
            return Ok(lan.port);
        }
        let listener =
            at(port, async |port| circles_lan::listen(port, LISTEN_BACKLOG)).await.map_err(HostError::Listen)?;
        let host = self.relay.lan(listener)?;
        let (place, port, hang_up) = (host.place(), host.port(), CancellationToken::new());
        let served = tokio::spawn(host.serve(self.stop.clone(), hang_up.clone()));
        self.lan = Some(OnLan { place, port, hang_up, served });
        Ok(port)
    }

    /// Closes the network's door: whoever came through it is disconnected, and keeps what they have.
    pub async fn close_lan(&mut self) {
        if let Some(lan) = self.lan.take() {
            lan.hang_up.cancel();
            ended(lan.served.await);
        }
    }

    /// How others on the network know and find it, if they can.
    pub fn lan_view(&self) -> Option<HostLanView> {
        let lan = self.lan.as_ref()?;
        let addresses = circles_lan::addresses(lan.port).unwrap_or_default();
        Some(HostLanView {
            words: lan.place.key.words(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        })
    }

    /// Ends its streams politely, does what is queued, and closes the database.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a hosted relay ended with an error"),
            Err(error) => tracing::error!(%error, "a hosted relay broke down"),
        }
        if let Some(lan) = self.lan {
            lan.hang_up.cancel();
            ended(lan.served.await);
        }
        self.relay.close().await;
    }
}

fn ended(served: Result<(), JoinError>) {
    if let Err(error) = served {
        tracing::error!(%error, "a hosted relay broke down");
    }
}

/// Listens at this port, or at any other if it is taken.
async fn at(port: u16, listen: impl AsyncFn(u16) -> io::Result<TcpListener>) -> io::Result<TcpListener> {
    match listen(port).await {
        Err(error) if port != 0 => {
            tracing::info!(%error, port, "the port is taken: using another");
            listen(0).await
        }
        listener => listener,
    }
}
