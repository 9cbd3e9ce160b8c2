//! One relay that runs inside the app.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use circles_relay::{Relay, Settings};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::HostError;
use crate::limits::HOSTED_DRAIN;

/// A relay, and the task that serves it.
pub struct Running {
    pub relay: Relay,
    pub address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

/// How a hosted relay runs.
pub fn settings(data_dir: PathBuf) -> Settings {
    Settings { data_dir, drain: HOSTED_DRAIN, ..Settings::default() }
}

impl Running {
    /// Opens the campus, and serves it on loopback: at this port, or at any other if it is 0 or taken.
    pub async fn start(settings: Settings, port: u16) -> Result<Self, HostError> {
        let listener = listen(port).await.map_err(HostError::Listen)?;
        let address = listener.local_addr().map_err(HostError::Listen)?;
        let relay = Relay::open(settings).await?;
        let stop = CancellationToken::new();
        let serving = relay.clone();
        let stopping = stop.clone();
        let served = tokio::spawn(async move { serving.serve(listener, stopping).await });
        Ok(Self { relay, address, stop, served })
    }

    /// Where its clients find it.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("a socket address makes a URL")
    }

    /// Ends its streams politely, does what is queued, and closes the database.
    pub async fn stop(self) {
        self.stop.cancel();
        match self.served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a hosted relay ended with an error"),
            Err(error) => tracing::error!(%error, "a hosted relay broke down"),
        }
        self.relay.close().await;
    }
}

async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Err(error) if port != 0 => {
            tracing::info!(%error, port, "the port is taken: using another");
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
        }
        bound => bound,
    }
}
