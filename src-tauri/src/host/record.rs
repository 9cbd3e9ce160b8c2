//! `hosts.json`: the relays that the app starts with.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use circles_protocol::CampusId;
use serde::{Deserialize, Serialize};

use super::HostError;

/// The file, inside the data directory.
const FILE: &str = "hosts.json";

/// What is remembered of all relays, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    pub hosts: Vec<Record>,
}

/// What is remembered of one relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its campus.
    pub campus_id: CampusId,
    /// The name of its directory.
    pub directory: String,
    /// Where it listened last on this computer.
    pub port: u16,
    /// Whether it is on the LAN.
    #[serde(default)]
    pub lan: bool,
    /// Its port there. Kept, because other devices know it.
    #[serde(default = "lan_port")]
    pub lan_port: u16,
}

fn lan_port() -> u16 {
    circles_protocol::lan::PORT
}

impl Records {
    /// Reads the file; nothing is remembered if there is none. A file that is no such list is left as it is: to begin a
    /// new one would forget campuses.
    pub fn load(data_dir: &Path) -> Result<Self, HostError> {
        let path = data_dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            // A file in place of the directory holds no list either; the client says what is wrong with it.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(HostError::Io(error)),
        };
        serde_json::from_slice(&text).map_err(|source| HostError::Records { path, source })
    }

    /// Writes the file whole or not at all: it is written beside, made durable, and put in its place.
    pub fn save(&self, data_dir: &Path) -> Result<(), HostError> {
        fs::create_dir_all(data_dir)?;
        let mut file = tempfile::NamedTempFile::new_in(data_dir)?;
        let path = data_dir.join(FILE);
        serde_json::to_writer_pretty(&mut file, self)
            .map_err(|source| HostError::Records { path: path.clone(), source })?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        sync_directory(data_dir)?;
        Ok(())
    }

    /// Notes where a relay listens now; whether that is news.
    pub fn set_port(&mut self, campus: CampusId, port: u16) -> bool {
        let record = self.hosts.iter_mut().find(|it| it.campus_id == campus && it.port != port);
        record.is_some_and(|it| {
            it.port = port;
            true
        })
    }

    /// Notes whether a relay is on the LAN, and where.
    pub fn set_lan(&mut self, campus: CampusId, port: Option<u16>) {
        if let Some(record) = self.hosts.iter_mut().find(|it| it.campus_id == campus) {
            record.lan = port.is_some();
            record.lan_port = port.unwrap_or(record.lan_port);
        }
    }

    /// A relay that begins on loopback alone.
    pub fn add(&mut self, campus_id: CampusId, directory: String, port: u16) {
        self.hosts.push(Record { campus_id, directory, port, lan: false, lan_port: lan_port() });
    }

    /// Forgets a relay.
    pub fn remove(&mut self, campus: CampusId) -> Option<Record> {
        let at = self.hosts.iter().position(|it| it.campus_id == campus)?;
        Some(self.hosts.remove(at))
    }
}

/// Makes a rename in the directory durable. Windows has no such thing, and needs none.
fn sync_directory(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_nothing_else_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Records::load(dir.path()).unwrap(), Records::default());
        let campus_id = CampusId::new();
        let mut records = Records::default();
        records.add(campus_id, "1".into(), 4_000);
        records.save(dir.path()).unwrap();
        assert!(records.set_port(campus_id, 4_001) && !records.set_port(campus_id, 4_001));
        records.set_lan(campus_id, Some(7_082));
        records.save(dir.path()).unwrap();
        assert_eq!(Records::load(dir.path()).unwrap(), records);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_list_from_before_lan_mode_is_of_relays_that_are_not_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let campus_id = CampusId::new();
        let before = format!("{{\"hosts\":[{{\"campus_id\":\"{campus_id}\",\"directory\":\"1\",\"port\":4000}}]}}");
        fs::write(dir.path().join(FILE), before).unwrap();
        let mut wanted = Records::default();
        wanted.add(campus_id, "1".into(), 4_000);
        assert_eq!(Records::load(dir.path()).unwrap(), wanted);
    }

    #[test]
    fn a_damaged_list_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        fs::write(&path, "{\"hosts\":[{").unwrap();
        assert!(matches!(Records::load(dir.path()), Err(HostError::Records { .. })));
        assert_eq!(fs::read_to_string(path).unwrap(), "{\"hosts\":[{");
    }
}
