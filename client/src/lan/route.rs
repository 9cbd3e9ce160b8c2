//! The way to a relay on the LAN: which of its addresses it is at now.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use circles_protocol::lan::{ADDRESSES_MAX, Fingerprint};
use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::ClientConfig;
use tokio::{sync::Notify, time::sleep};
use url::Url;

use super::pin::{NAME, Pin, WrongKey, probe};
use crate::{error::ClientError, limits::OLD_ADDRESS_TIME};

/// Where a relay with a certain key is. Connections ask it for the address, as they would ask the DNS; so whoever uses it
/// need not know that relays move.
#[derive(Debug)]
pub struct Route {
    key: Fingerprint,
    tls: Arc<ClientConfig>,
    state: Mutex<State>,
    /// How often the way was lost. Part of the host's name, so that no connection from before is used again.
    generation: AtomicU64,
    /// One search at a time; the others wait for its result.
    searching: tokio::sync::Mutex<()>,
    /// That another address has become known, for a search that is under way.
    learned: Notify,
}

#[derive(Debug)]
struct State {
    /// Where it was, the last first; at most [`ADDRESSES_MAX`].
    known: Vec<SocketAddr>,
    /// Where it is, as far as no connection said otherwise.
    current: Option<SocketAddr>,
}

impl Route {
    /// To the relay with this key, which was at these addresses.
    pub fn new(key: Fingerprint, known: Vec<SocketAddr>) -> Arc<Self> {
        let state = Mutex::new(State { known: bounded(known), current: None });
        let (searching, learned) = (tokio::sync::Mutex::default(), Notify::new());
        Arc::new(Self { key, tls: Pin::Key(key).tls(), state, generation: AtomicU64::new(0), searching, learned })
    }

    /// The relay's key.
    pub fn key(&self) -> Fingerprint {
        self.key
    }

    /// How TLS is spoken with it.
    pub fn tls(&self) -> ClientConfig {
        ClientConfig::clone(&self.tls)
    }

    /// The base of its URLs. It names no address: those come from [`Route::find`].
    pub fn url(&self) -> Url {
        let generation = self.generation.load(Ordering::Relaxed);
        Url::parse(&format!("https://{generation}.{NAME}/")).expect("it is a URL")
    }

    /// Its addresses, the last first.
    pub fn known(&self) -> Vec<SocketAddr> {
        self.state(|it| it.known.clone())
    }

    /// Where it is, if that is known.
    pub fn current(&self) -> Option<SocketAddr> {
        self.state(|it| it.current)
    }

    /// It may be at these addresses too.
    pub fn learn(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let news = self.state(|it| {
            let current = it.current;
            // The last one that worked stays first; then what was heard last.
            let known = bounded(current.into_iter().chain(addresses).chain(it.known.iter().copied()).collect());
            let news = known.iter().any(|address| !it.known.contains(address));
            it.known = known;
            news
        });
        if news {
            self.learned.notify_one();
        }
    }

    /// It does not answer where it was: connections from before are not used again, and the next one searches.
    pub fn lost(&self) {
        self.state(|it| it.current = None);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is no longer where it was, now that it is announced at other addresses. What answers is kept; and one that
    /// proves to be at another address has moved if it stays silent at the old one, which need not be refused first.
    pub async fn has_left_for(&self, others: impl IntoIterator<Item = SocketAddr>) -> bool {
        let Some(current) = self.current() else { return true };
        let there = async {
            match search(&self.tls, others).await {
                Ok(_) => sleep(OLD_ADDRESS_TIME).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            here = probe(current, self.tls.clone()) => here.is_err(),
            () = there => true,
        }
    }

    /// Asks all known addresses, and remembers nothing of it.
    pub async fn search(&self) -> Result<SocketAddr, ClientError> {
        search(&self.tls, self.known()).await.map(|(_, at)| at)
    }

    /// Where it is now. All known addresses are asked at once, those that become known meanwhile too, and the first that proves
    /// to have the key is it. If another relay answers and this one nowhere, that is the error.
    pub async fn find(&self) -> Result<SocketAddr, ClientError> {
        let _one = self.searching.lock().await;
        loop {
            let (current, known) = self.state(|it| (it.current, it.known.clone()));
            if let Some(current) = current {
                return Ok(current);
            }
            let (_, found) = tokio::select! {
                found = search(&self.tls, known) => found?,
                () = self.learned.notified() => continue,
            };
            self.state(|it| it.current = Some(found));
            self.learn([found]);
        }
    }

    fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Each address once, and not too many.
fn bounded(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept = Vec::with_capacity(ADDRESSES_MAX);
    for address in addresses {
        if kept.len() < ADDRESSES_MAX && !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// Answers reqwest's question for the host's address.
pub struct Resolver(pub Arc<Route>);

impl Resolve for Resolver {
    fn resolve(&self, _: Name) -> Resolving {
        let route = self.0.clone();
        Box::pin(async move {
            match route.find().await {
                Ok(address) => Ok(Box::new(std::iter::once(address)) as Addrs),
                // As an error that `pin::wrong_key` finds again below what reqwest makes of it.
                Err(ClientError::WrongKey { found }) => Err(WrongKey { found }.into()),
                Err(error) => Err(error.to_string().into()),
            }
        })
    }
}

/// Asks all of these addresses at once for the relay that this configuration accepts: its key, and where it answered first.
/// That another relay answered, if this one did nowhere, says more than silence.
pub async fn search(
    tls: &Arc<ClientConfig>,
    addresses: impl IntoIterator<Item = SocketAddr>,
) -> Result<(Fingerprint, SocketAddr), ClientError> {
    let ask = |address| async move { (address, probe(address, tls.clone()).await) };
    let mut answers: FuturesUnordered<_> = addresses.into_iter().map(ask).collect();
    let mut failed = ClientError::Offline("it has no known address".to_owned());
    while let Some((address, answer)) = answers.next().await {
        match answer {
            Ok(key) => return Ok((key, address)),
            Err(error) => {
                tracing::debug!(%error, %address, "the relay is not here");
                if !matches!(failed, ClientError::WrongKey { .. }) {
                    failed = error;
                }
            }
        }
    }
    Err(failed)
}
