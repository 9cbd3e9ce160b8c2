//! Relays that run inside the app, each with its own campus and directory, from start to exit of the app: on loopback for the
//! app itself, and on the LAN too while its owner lets people in.
//!
//! `hosts.json` in the data directory remembers them. The campus of `hosted/3/` is the third that was created here; its
//! directory is the same as that of a `circles-relay`, which can serve it too.

pub mod demo;
mod error;
mod record;
mod running;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use circles_client::view::HostView;
use circles_protocol::{CampusId, InviteLink};
use circles_relay::{Relay, Settings};
use tokio::sync::Mutex;
use url::Url;

pub use error::HostError;
use record::{Record, Records};
use running::Running;

use crate::limits::HOSTS_MAX;

/// The directory of the hosted campuses, inside the data directory.
const HOSTED: &str = "hosted";

/// The relays of this app.
pub struct Hosts {
    data_dir: PathBuf,
    /// Starting and stopping are rare and short: one at a time.
    state: Mutex<State>,
}

struct State {
    records: Records,
    running: HashMap<CampusId, Running>,
}

/// A relay that was just created, for its owner to join.
pub struct NewHost {
    /// Its campus.
    pub campus_id: CampusId,
    /// The owner's invite.
    pub invite: InviteLink,
    /// The relay itself.
    pub relay: Relay,
}

impl Hosts {
    /// Starts the relays that are remembered. One that does not start is logged and stays remembered: its campus shows as
    /// unreachable, with everything that the cache holds.
    pub async fn open(data_dir: &Path) -> Result<Self, HostError> {
        let mut records = Records::load(data_dir)?;
        let mut running = HashMap::new();
        let starts = records.hosts.iter().map(|it| start(data_dir, it.clone()));
        let mut moved = false;
        for (record, started) in futures::future::join_all(starts).await {
            match started {
                Ok(relay) => {
                    moved |= records.set_port(record.campus_id, relay.address.port());
                    running.insert(record.campus_id, relay);
                }
                Err(error) => tracing::error!(%error, campus = %record.campus_id, "a hosted relay did not start"),
            }
        }
        if moved {
            records.save(data_dir)?;
        }
        Ok(Self { data_dir: data_dir.to_owned(), state: Mutex::new(State { records, running }) })
    }

    /// Creates a campus in a directory of its own, and serves it. It is remembered before anyone can join it.
    pub async fn create(&self, campus_name: &str) -> Result<NewHost, HostError> {
        let settings = Settings { campus_name: campus_name.trim().to_owned(), ..running::settings(PathBuf::new()) };
        settings.check()?;
        let mut state = self.state.lock().await;
        if state.records.hosts.len() >= HOSTS_MAX {
            return Err(HostError::TooMany);
        }
        let directory = new_directory(&self.data_dir.join(HOSTED))?;
        let data_dir = self.data_dir.join(HOSTED).join(&directory);
        match self.create_in(&mut state, Settings { data_dir: data_dir.clone(), ..settings }, directory).await {
            Ok(new) => Ok(new),
            Err(error) => {
                // Nobody ever joined what is in it.
                remove(&data_dir);
                Err(error)
            }
        }
    }

    async fn create_in(&self, state: &mut State, settings: Settings, directory: String) -> Result<NewHost, HostError> {
        let started = Running::start(settings, 0).await?;
        let campus_id = started.relay.campus().0;
        match self.remember(state, &started, directory).await {
            Ok(code) => {
                let invite =
                    InviteLink::new(started.url(), code).expect("a loopback address and an own code make a link");
                let relay = started.relay.clone();
                state.running.insert(campus_id, started);
                Ok(NewHost { campus_id, invite, relay })
            }
            Err(error) => {
                state.records.remove(campus_id);
                started.stop().await;
                Err(error)
            }
        }
    }

    async fn remember(&self, state: &mut State, started: &Running, directory: String) -> Result<String, HostError> {
        let code = match started.relay.first_invite() {
            Some(code) => code.to_owned(),
            None => started.relay.create_owner_invite().await?,
        };
        state.records.add(started.relay.campus().0, directory, started.address.port());
        state.records.save(&self.data_dir)?;
        Ok(code)
    }

    /// Starts a remembered relay that is not running; where it is now. None if this app does not host the campus.
    pub async fn revive(&self, campus: CampusId) -> Result<Option<Url>, HostError> {
        let mut state = self.state.lock().await;
        if let Some(running) = state.running.get(&campus) {
            return Ok(Some(running.url()));
        }
        let Some(record) = state.records.hosts.iter().find(|it| it.campus_id == campus).cloned() else {
            return Ok(None);
        };
        let started = start(&self.data_dir, record).await.1?;
        let url = started.url();
        if state.records.set_port(campus, started.address.port()) {
            state.records.save(&self.data_dir)?;
        }
        state.running.insert(campus, started);
        Ok(Some(url))
    }

    /// Stops the relay of a campus and does not start it again. Its data stays on disk. Nothing happens if there is none.
    pub async fn forget(&self, campus: CampusId) -> Result<(), HostError> {
        let mut state = self.state.lock().await;
        if let Some(running) = state.running.remove(&campus) {
            running.stop().await;
        }
        if state.records.remove(campus).is_some() {
            state.records.save(&self.data_dir)?;
        }
        Ok(())
    }

    /// Takes back the creation of a campus that nobody joined, with its data.
    pub async fn discard(&self, campus: CampusId) -> Result<(), HostError> {
        let mut state = self.state.lock().await;
        if let Some(running) = state.running.remove(&campus) {
            running.stop().await;
        }
        if let Some(record) = state.records.remove(campus) {
            state.records.save(&self.data_dir)?;
            remove(&self.data_dir.join(HOSTED).join(record.directory));
        }
        Ok(())
    }

    /// The campuses that are remembered, running or not.
    pub async fn campuses(&self) -> Vec<CampusId> {
        self.state.lock().await.records.hosts.iter().map(|it| it.campus_id).collect()
    }

    /// Where the relay of a campus is, if it runs.
    pub async fn url(&self, campus: CampusId) -> Option<Url> {
        self.state.lock().await.running.get(&campus).map(Running::url)
    }

    /// The name of the oldest campus that people on the network can reach.
    pub async fn on_lan(&self) -> Option<String> {
        let state = self.state.lock().await;
        let mut running = state.records.hosts.iter().filter_map(|it| state.running.get(&it.campus_id));
        running.find(|it| it.lan_view().is_some()).map(|it| it.relay.campus().1)
    }

    /// The relays that run, the oldest first.
    pub async fn list(&self) -> Result<Vec<HostView>, HostError> {
        let state = self.state.lock().await;
        let mut list = Vec::new();
        for record in &state.records.hosts {
            let Some(running) = state.running.get(&record.campus_id) else { continue };
            list.push(HostView {
                campus_id: record.campus_id,
                address: running.url().to_string(),
                lan: running.lan_view(),
                online: running.relay.online().await?.into_iter().map(|it| it.name).collect(),
            });
        }
        Ok(list)
    }

    /// Lets people on the network in, or no longer. It stays so across restarts.
    pub async fn set_lan(&self, campus: CampusId, on: bool) -> Result<(), HostError> {
        let mut state = self.state.lock().await;
        let State { records, running } = &mut *state;
        let running = running.get_mut(&campus).ok_or(HostError::NotHosted)?;
        let record = records.hosts.iter().find(|it| it.campus_id == campus).ok_or(HostError::NotHosted)?;
        let port = if on {
            Some(running.open_lan(record.lan_port).await?)
        } else {
            running.close_lan().await;
            None
        };
        records.set_lan(campus, port);
        records.save(&self.data_dir)
    }

    /// Stops all relays politely. They stay remembered.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        futures::future::join_all(state.running.drain().map(|(_, running)| running.stop())).await;
    }
}

async fn start(data_dir: &Path, record: Record) -> (Record, Result<Running, HostError>) {
    let settings = running::settings(data_dir.join(HOSTED).join(&record.directory));
    let mut started = Running::start(settings, record.port).await;
    if let (Ok(running), true) = (&mut started, record.lan)
        && let Err(error) = running.open_lan(record.lan_port).await
    {
        // Its owner can still chat, and sees that it is not on the network.
        tracing::error!(%error, campus = %record.campus_id, "a hosted relay is not on the network");
    }
    (record, started)
}

/// Makes the next directory that is free: `1`, `2`, … Those of campuses that were left are kept, and never used again.
fn new_directory(hosted: &Path) -> Result<String, HostError> {
    std::fs::create_dir_all(hosted)?;
    let mut highest = 0_u32;
    for entry in std::fs::read_dir(hosted)? {
        let number = entry?.file_name().to_str().and_then(|it| it.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    let name = highest.saturating_add(1).to_string();
    std::fs::create_dir(hosted.join(&name))?;
    Ok(name)
}

fn remove(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, directory = %directory.display(), "what was begun could not be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
