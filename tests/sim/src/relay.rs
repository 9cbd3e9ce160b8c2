//! The relay's host.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use circles_relay::{Listener, Relay, Settings};
use tokio_util::sync::CancellationToken;
use turmoil::net::{TcpListener, TcpStream};

use crate::shared::{Shared, lock};

/// The name of its host.
pub const HOST: &str = "relay";

/// The simulated network's listener.
struct Door(TcpListener);

impl Listener for Door {
    type Socket = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Runs a relay until it is told to stop.
pub async fn run(shared: Arc<Shared>, settings: Settings) -> turmoil::Result {
    let stop = CancellationToken::new();
    *lock(&shared.stop_relay) = stop.clone();
    let relay = Relay::open_in_place(settings, shared.relay_pace()).await?;
    if let Some(code) = relay.first_invite() {
        lock(&shared.links).insert(0, relay.link(code).to_string());
    }
    let listener = Door(TcpListener::bind("0.0.0.0:80").await?);
    relay.serve(listener, stop).await?;
    relay.close().await;
    Ok(())
}

/// How the relay of a seed runs: short lives and small limits, so that minutes hold what otherwise takes hours.
pub fn settings(shared: &Shared, rng: &mut rand::rngs::SmallRng) -> Settings {
    use rand::Rng;
    let pick = |rng: &mut rand::rngs::SmallRng, of: &[u64]| of[rng.random_range(0..of.len())];
    Settings {
        data_dir: shared.relay_dir.clone(),
        public_url: Some("http://relay/".parse().expect("a URL")),
        stream_lifetime: Duration::from_secs(pick(rng, &[0, 3, 10, 30])),
        heartbeat: Duration::from_millis(pick(rng, &[1_000, 2_000, 5_000])),
        presence_grace: Duration::from_secs(2),
        drain: Duration::from_secs(1),
        replay_changes_max: pick(rng, &[3, 20, 1_000]),
        ring_changes_max: usize::try_from(pick(rng, &[4, 30, 4_096])).expect("small"),
        rest_each: Duration::from_millis(pick(rng, &[0, 5, 30])),
        // Rates are counted in real time by a library.
        writes_per_second: 1_000_000,
        writes_burst: 1_000_000,
        reads_per_second: 1_000_000,
        reads_burst: 1_000_000,
        joins_per_second: 1_000_000,
        joins_burst: 1_000_000,
        streams_per_person: 64,
        ..Settings::default()
    }
}
