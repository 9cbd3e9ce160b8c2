//! Looking for relays on the network.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use circles_protocol::{
    CampusId,
    lan::{ADDRESSES_MAX, Fingerprint, SERVICE, txt},
};
use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::daemon::on_each_network;

/// Most announcements that are remembered: a dorm has a few relays, and anyone can announce any number.
const SIGHTINGS_MAX: usize = 128;

/// A relay that says it is on this network. None of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The campus's name.
    pub name: String,
    /// The campus, if it says so.
    pub campus: Option<CampusId>,
    /// The key that it claims.
    pub key: Fingerprint,
    /// Where it is.
    pub addresses: BTreeSet<SocketAddr>,
}

/// Looks for relays while anyone wants to know.
#[derive(Clone, Default)]
pub struct Browser(Arc<Mutex<Weak<Browsing>>>);

/// What is on the network now, and from now on. Cheap to clone; the search ends with the last clone.
#[derive(Clone)]
pub struct Sightings {
    search: Arc<Browsing>,
    seen: watch::Receiver<HashMap<String, Sighting>>,
}

struct Browsing {
    seen: watch::Receiver<HashMap<String, Sighting>>,
    anew: Arc<Notify>,
    _task: AbortOnDropHandle<std::convert::Infallible>,
}

impl Browser {
    /// Begins to look, or joins who looks already.
    pub fn look(&self) -> Sightings {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = current.upgrade().unwrap_or_else(|| {
            let of = Arc::new(Browsing::start());
            *current = Arc::downgrade(&of);
            of
        });
        Sightings { seen: of.seen.clone(), search: of }
    }
}

impl Sightings {
    /// Everything that is seen now, by name; each key once, with all addresses that are claimed for it.
    pub fn all(&self) -> Vec<Sighting> {
        let mut by_key: HashMap<Fingerprint, Sighting> = HashMap::new();
        for seen in self.seen.borrow().values() {
            let of_key = by_key.entry(seen.key).or_insert_with(|| seen.clone());
            of_key.addresses.extend(&seen.addresses);
        }
        let mut all: Vec<Sighting> = by_key.into_values().collect();
        all.sort_by(|a, b| (&a.name, a.key).cmp(&(&b.name, b.key)));
        all
    }

    /// The addresses that are claimed for a key.
    pub fn of(&self, key: &Fingerprint) -> BTreeSet<SocketAddr> {
        let seen = self.seen.borrow();
        seen.values().filter(|it| it.key == *key).flat_map(|it| it.addresses.iter().copied()).collect()
    }

    /// Asks the network again: an announcement may have been lost, or not understood.
    pub fn look_anew(&self) {
        self.search.anew.notify_one();
    }

    /// Returns when something changes after the last call. Cancel safe.
    pub async fn changed(&mut self) {
        self.seen.changed().await.expect("the search goes on while it is held");
    }
}

impl Browsing {
    fn start() -> Self {
        let (tell, seen) = watch::channel(HashMap::new());
        let anew = Arc::new(Notify::new());
        let asked = anew.clone();
        let task = tokio::spawn(async move {
            let browse = async move |daemon: &ServiceDaemon, same: bool| {
                let events = daemon.browse(SERVICE)?;
                // What was on the network before may not be on this one.
                if !same {
                    tell.send_if_modified(|seen| !std::mem::take(seen).is_empty());
                }
                while let Ok(event) = events.recv_async().await {
                    tell.send_if_modified(|seen| take(seen, event));
                }
                Ok(())
            };
            on_each_network(&asked, browse).await
        });
        Self { seen, anew, _task: AbortOnDropHandle::new(task) }
    }
}

/// Takes an event; whether it is news.
fn take(seen: &mut HashMap<String, Sighting>, event: ServiceEvent) -> bool {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let Some(sighting) = sighting(&service) else {
                tracing::debug!(name = %service.fullname, "an announcement is no relay's");
                return false;
            };
            if seen.len() >= SIGHTINGS_MAX && !seen.contains_key(&service.fullname) {
                return false;
            }
            seen.insert(service.fullname, sighting.clone()) != Some(sighting)
        }
        ServiceEvent::ServiceRemoved(_, name) => seen.remove(&name).is_some(),
        _ => false,
    }
}

fn sighting(service: &ResolvedService) -> Option<Sighting> {
    let value = |key: &str| service.txt_properties.get_property_val_str(key);
    Some(Sighting {
        key: value(txt::KEY)?.parse().ok()?,
        name: value(txt::NAME)?.chars().filter(|it| !it.is_control()).collect(),
        campus: value(txt::CAMPUS).and_then(|it| it.parse().ok()),
        addresses: service
            .addresses
            .iter()
            .map(|it| SocketAddr::new(it.to_ip_addr(), service.port))
            .filter(SocketAddr::is_ipv4)
            .take(ADDRESSES_MAX)
            .collect(),
    })
}
