//! Looking for relays on the network.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use circles_protocol::{
    CampusId,
    lan::{ADDRESSES_MAX, Fingerprint, SERVICE, txt},
};
use mdns_sd::{Receiver, ResolvedService, ServiceDaemon, ServiceEvent};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{addresses::is_whole, daemon::on_each_network};

/// Most announcements that are remembered: a dorm has a few relays, and anyone can announce any number.
const SIGHTINGS_MAX: usize = 128;

/// How long what was found counts as being there. A relay that vanishes says nothing, and what it announced would hold for two
/// minutes more (RFC 6762, 10).
const FRESH_FOR: Duration = Duration::from_secs(10);

/// How long a relay that is there may take to answer when the network is asked again: the question is repeated after a second,
/// and either may be lost.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

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

/// The relays that are there, by the name of their announcement.
type Seen = HashMap<String, Sighting>;

/// Looks for relays while anyone wants to know.
#[derive(Clone, Default)]
pub struct Browser(Arc<Mutex<Weak<Browsing>>>);

/// What is on the network now, and from now on. Cheap to clone; the search ends with the last clone.
#[derive(Clone)]
pub struct Sightings {
    search: Arc<Browsing>,
    seen: watch::Receiver<Seen>,
}

struct Browsing {
    seen: watch::Receiver<Seen>,
    anew: Arc<Notify>,
    watched: Arc<Notify>,
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

    /// Somebody looks at what was found: the network is asked again if that is a while ago. To be called again and again.
    pub fn keep_fresh(&self) {
        self.search.watched.notify_one();
    }

    /// Returns when something changes after the last call. Cancel safe.
    pub async fn changed(&mut self) {
        self.seen.changed().await.expect("the search goes on while it is held");
    }
}

impl Browsing {
    fn start() -> Self {
        let (tell, seen) = watch::channel(HashMap::new());
        let (anew, watched) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (asked, again, looked_at) = (anew.clone(), anew.clone(), watched.clone());
        let task = tokio::spawn(async move {
            let browse = async move |daemon: &ServiceDaemon, same: bool| {
                let events = daemon.browse(SERVICE)?;
                // What was on the network before may not be on this one.
                if !same {
                    tell.send_if_modified(|seen| !std::mem::take(seen).is_empty());
                }
                hear(events, &tell, &looked_at, &again).await;
                Ok(())
            };
            on_each_network(&asked, browse).await
        });
        Self { seen, anew, watched, _task: AbortOnDropHandle::new(task) }
    }
}

/// Tells what a daemon that was just asked hears, and that it does not hear what was seen before; until it ends. When somebody
/// looks at what is not fresh any more, the network is to be asked `again`.
async fn hear(events: Receiver<ServiceEvent>, tell: &watch::Sender<Seen>, looked_at: &Notify, again: &Notify) {
    let begun = Instant::now();
    let mut unheard: HashSet<String> = tell.borrow().keys().cloned().collect();
    loop {
        tokio::select! {
            event = events.recv_async() => {
                let Ok(event) = event else { return };
                if let ServiceEvent::ServiceResolved(service) = &event {
                    unheard.remove(&service.fullname);
                }
                tell.send_if_modified(|seen| take(seen, event));
            }
            () = sleep_until(begun + ANSWERS_WITHIN), if !unheard.is_empty() => {
                let gone = std::mem::take(&mut unheard);
                tell.send_if_modified(|seen| gone.iter().filter(|it| seen.remove(*it).is_some()).count() > 0);
            }
            () = looked_at.notified() => {
                if begun.elapsed() > FRESH_FOR {
                    again.notify_one();
                }
            }
        }
    }
}

/// Takes an event; whether it is news.
fn take(seen: &mut Seen, event: ServiceEvent) -> bool {
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
            .filter(|it| is_whole(it.ip()))
            .take(ADDRESSES_MAX)
            .collect(),
    })
}
