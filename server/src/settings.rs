//! The relay's settings. All have defaults; a file, the environment and flags set them (see the binary's `--help`).

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use circles_protocol::limits::REPLAY_CHANGES_MAX;
use serde::Deserialize;
use url::Url;

use crate::limits::{REST_EACH, RING_CHANGES_MAX};

/// How a relay runs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Settings {
    /// Where the campus is kept.
    pub data_dir: PathBuf,
    /// A Postgres database, `postgres://…`, for several instances; without it the campus is in `data_dir`, in SQLite.
    pub database: Option<String>,
    /// Most connections to Postgres of this instance: one for its writer, the others for its readers.
    pub database_connections: usize,
    /// Whether a pooler hands out connections to Postgres for one transaction at a time: then no statement stays prepared.
    pub database_pooled: bool,
    /// Redis between the instances: `redis://`, `rediss://` (TLS), or `redis+sentinel://host,host/service`.
    pub redis: Option<String>,
    /// About how many changes the stream in Redis keeps (`MAXLEN ~`).
    pub redis_stream_max: usize,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where to answer `GET /metrics`, for Prometheus; an address that people need not reach.
    pub metrics_listen: Option<SocketAddr>,
    /// The address under which people reach the relay, for invite links; else `http://` and the address of `listen`.
    pub public_url: Option<Url>,
    /// Whether the relay is on the LAN too, with TLS and a key that clients pin.
    pub lan: bool,
    /// The port there; 0 for any.
    pub lan_port: u16,
    /// Whether browsers are served on the LAN too, under a certificate that they do not know: they warn of it, rightly.
    pub lan_guests: bool,
    /// The campus's name when it is created.
    pub campus_name: String,
    /// After which time streams end, less a random 0 to 20 %. Below the limit of the host or proxy; zero: never.
    #[serde(with = "duration")]
    pub stream_lifetime: Duration,
    /// After which silence a `ping` is sent.
    #[serde(with = "duration")]
    pub heartbeat: Duration,
    /// For how long after their last stream ended a person counts as online: as long as opening the next one may take.
    #[serde(with = "duration")]
    pub presence_grace: Duration,
    /// For how long a stopping relay goes on as before, except that it is not ready: until whoever sends people to it has
    /// noticed. Then it drains.
    #[serde(with = "duration")]
    pub leave: Duration,
    /// Over which time streams end when the relay stops.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Most open streams of one person: some devices, each with two while it changes over.
    pub streams_per_person: usize,
    /// Changes per second that one person may make on average.
    pub writes_per_second: u32,
    /// Changes that one person may make at once: an outbox that was offline for a day.
    pub writes_burst: u32,
    /// Requests per second that one person may read with on average.
    pub reads_per_second: u32,
    /// Requests that one person may read with at once: a fresh client fills its cache.
    pub reads_burst: u32,
    /// Attempts per second to use or look at an invite from one address, on average. A dorm shares an address.
    pub joins_per_second: u32,
    /// Attempts at once from one address.
    pub joins_burst: u32,
    /// Whether a proxy in front sets `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub trust_proxy: bool,
    /// Most missed changes that a stream replays by itself. Not to be set by people: simulations of few changes need it
    /// small.
    #[serde(skip)]
    pub replay_changes_max: u64,
    /// Most changes in the ring. Not to be set by people either.
    #[serde(skip)]
    pub ring_changes_max: usize,
    /// How long a circle rests for each stream that a change of it woke. Not to be set by people: simulations of few streams
    /// need it long.
    #[serde(skip)]
    pub rest_each: Duration,
    /// How many proxies in a row add to `X-Forwarded-For`: the address of a person is the one that the first of them added.
    pub proxy_hops: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("circles-relay"),
            database: None,
            database_connections: 8,
            database_pooled: false,
            redis: None,
            redis_stream_max: 1_000,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7080)),
            metrics_listen: None,
            public_url: None,
            lan: false,
            lan_port: circles_protocol::lan::PORT,
            lan_guests: false,
            campus_name: "Campus".to_owned(),
            stream_lifetime: Duration::from_secs(55),
            heartbeat: Duration::from_secs(15),
            presence_grace: Duration::from_secs(10),
            leave: Duration::ZERO,
            drain: Duration::from_secs(3),
            streams_per_person: 16,
            writes_per_second: 20,
            writes_burst: 200,
            reads_per_second: 100,
            reads_burst: 1_000,
            joins_per_second: 2,
            joins_burst: 120,
            trust_proxy: false,
            replay_changes_max: REPLAY_CHANGES_MAX,
            ring_changes_max: RING_CHANGES_MAX,
            rest_each: REST_EACH,
            proxy_hops: 1,
        }
    }
}

/// Why settings are of no use.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has a wrong value or a key that does not exist.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value is out of bounds.
    #[error("{0}")]
    Value(&'static str),
}

impl Settings {
    /// The settings of a TOML file, with defaults for what it leaves out.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| SettingsError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    /// Refuses values that a relay cannot run with.
    pub fn check(&self) -> Result<(), SettingsError> {
        let name = self.campus_name.trim().chars().count();
        if name == 0 || name > circles_protocol::limits::NAME_CHARS_MAX {
            return Err(SettingsError::Value("campus_name must have 1 to 64 characters"));
        }
        if self.heartbeat < Duration::from_millis(10) {
            return Err(SettingsError::Value("heartbeat must be at least 10ms"));
        }
        if !self.stream_lifetime.is_zero() && self.stream_lifetime < Duration::from_millis(100) {
            return Err(SettingsError::Value("stream_lifetime must be 0 or at least 100ms"));
        }
        if self.redis.is_some() && self.database.is_none() {
            return Err(SettingsError::Value(
                "redis serves several instances, which need a database they share: set both",
            ));
        }
        if self.database_connections < 2 {
            return Err(SettingsError::Value("database_connections must be at least 2: one writes, the others read"));
        }
        if self.proxy_hops == 0 {
            return Err(SettingsError::Value("proxy_hops must be at least 1; without a proxy leave trust_proxy off"));
        }
        if self.lan && self.database.is_some() {
            return Err(SettingsError::Value(
                "lan is for a campus in data_dir, which keeps the relay's key: leave database out",
            ));
        }
        if self.lan && self.trust_proxy {
            return Err(SettingsError::Value("trust_proxy would believe whatever people on the LAN say: choose one"));
        }
        if self.streams_per_person == 0 {
            return Err(SettingsError::Value("streams_per_person must be at least 1"));
        }
        Ok(())
    }

    /// Where invites lead.
    pub fn public_url(&self) -> Url {
        self.public_url
            .clone()
            .unwrap_or_else(|| Url::parse(&format!("http://{}/", self.listen)).expect("a socket address makes a URL"))
    }
}

/// A duration of a setting: an integer and its unit, `ms`, `s`, `m` or `h`; `0` needs none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len()));
    let millis = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if number == "0" => 1,
        _ => return Err(format!("{text:?} is no duration; write for example 55s, 500ms or 2m")),
    };
    let number: u32 = number.parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    Ok(Duration::from_millis(u64::from(number) * millis))
}

mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error};

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("55s"), Ok(Duration::from_secs(55)));
        assert_eq!(parse_duration("500 ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert!(parse_duration("55").is_err());
        assert!(parse_duration("s").is_err());
        assert!(parse_duration("-1s").is_err());
    }

    #[test]
    fn an_unknown_key_of_the_file_is_an_error() {
        assert!(toml::from_str::<Settings>("heartbeat = \"5s\"").is_ok());
        assert!(toml::from_str::<Settings>("hartbeat = \"5s\"").is_err());
        assert!(toml::from_str::<Settings>("replay_changes_max = 5").is_err(), "not for people");
        assert_eq!(toml::from_str::<Settings>(""), Ok(Settings::default()));
    }
}
