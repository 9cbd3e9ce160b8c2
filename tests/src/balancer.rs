//! A TCP proxy in front of several ports, as a load balancer: each connection goes to one of those that listen. It can cut
//! all connections, and be pointed elsewhere.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The proxy. It ends when dropped, with all its connections.
pub struct Balancer {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    ports: Mutex<Vec<u16>>,
    cut: Mutex<CancellationToken>,
    next: std::sync::atomic::AtomicUsize,
}

impl Balancer {
    /// A proxy in front of these ports of loopback.
    pub async fn start(ports: Vec<u16>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { ports: Mutex::new(ports), cut: Mutex::default(), next: 0.into() });
        let serving = tokio::spawn({
            let shared = shared.clone();
            async move {
                loop {
                    let Ok((socket, _)) = listener.accept().await else { continue };
                    let shared = shared.clone();
                    let cut = lock(&shared.cut).clone();
                    tokio::spawn(async move {
                        tokio::select! {
                            () = cut.cancelled() => {}
                            () = pass(&shared, socket) => {}
                        }
                    });
                }
            }
        });
        Ok(Self { port, shared, serving })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection; new ones are taken.
    pub fn cut(&self) {
        std::mem::take(&mut *lock(&self.shared.cut)).cancel();
    }

    /// Sends new connections to these ports.
    pub fn point_at(&self, ports: Vec<u16>) {
        *lock(&self.shared.ports) = ports;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.cut();
        self.serving.abort();
    }
}

/// Takes turns; a port on which nobody listens is passed over.
async fn pass(shared: &Shared, mut socket: TcpStream) {
    let ports = lock(&shared.ports).clone();
    let turn = shared.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    for index in 0..ports.len() {
        let port = ports[(turn + index) % ports.len()];
        if let Ok(mut target) = TcpStream::connect(("127.0.0.1", port)).await {
            // Either side may break it off.
            drop(copy_bidirectional(&mut socket, &mut target).await);
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
