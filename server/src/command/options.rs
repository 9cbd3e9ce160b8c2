//! Options that several commands share. A flag wins over the environment, that over the file, that over the default.

use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, time::Duration};

use circles_relay::{Settings, parse_duration};
use clap::{Args, ValueEnum};
use tracing::Level;
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};
use url::Url;

/// Where `serve` notes the address that it can be reached at.
const PUBLIC_URL_FILE: &str = "public-url";

/// Where it notes its port on the LAN, while it is there.
const LAN_PORT_FILE: &str = "lan-port";

/// Where the campus is.
#[derive(Args)]
pub struct Place {
    /// A TOML file with any of the settings, named like the flags with `_` for `-`: `stream_lifetime = "55s"`.
    #[arg(long, value_name = "FILE", env = "CIRCLES_CONFIG")]
    config: Option<PathBuf>,

    /// The directory in which the campus is kept [default: circles-relay].
    #[arg(long, value_name = "DIR", env = "CIRCLES_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// A Postgres database for the campus, such as postgres://circles:secret@db.example.edu/circles?sslmode=require;
    /// any number of instances may share it [default: SQLite in the data directory].
    #[arg(long, value_name = "URL", env = "CIRCLES_DATABASE", hide_env_values = true)]
    database: Option<String>,

    /// Most connections to Postgres of this instance [default: 8].
    #[arg(long, value_name = "N", env = "CIRCLES_DATABASE_CONNECTIONS")]
    database_connections: Option<usize>,

    /// --database leads to a pooler that hands out connections for one transaction at a time, such as PgBouncer in
    /// transaction mode. Statements are not kept prepared then, which costs the database some work [default: false].
    #[arg(long, value_name = "BOOL", env = "CIRCLES_DATABASE_POOLED", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    database_pooled: Option<bool>,

    /// The address that people reach the relay at, for invite links, such as https://chat.example.edu [default: http://
    /// and the address of --listen].
    #[arg(long, value_name = "URL", env = "CIRCLES_PUBLIC_URL")]
    public_url: Option<Url>,

    /// The address and port to listen on; 0.0.0.0:7080 for the whole network [default: 127.0.0.1:7080].
    #[arg(long, value_name = "ADDRESS", env = "CIRCLES_LISTEN")]
    listen: Option<SocketAddr>,
}

impl Place {
    /// [`Place::settings`], and the address that a running relay noted if none is given.
    pub fn settings_beside(&self) -> anyhow::Result<Settings> {
        let mut settings = self.settings()?;
        if settings.public_url.is_none() && self.listen.is_none() {
            // Absent before the first `serve`: then the default address is as good as any.
            let noted = std::fs::read_to_string(settings.data_dir.join(PUBLIC_URL_FILE)).ok();
            settings.public_url = noted.and_then(|it| it.parse().ok());
        }
        Ok(settings)
    }

    /// The port on the LAN that a running relay noted.
    pub fn noted_lan_port(settings: &Settings) -> Option<u16> {
        std::fs::read_to_string(settings.data_dir.join(LAN_PORT_FILE)).ok()?.parse().ok()
    }

    /// The settings of the file, and of these options above it.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
        set(&mut settings.data_dir, self.data_dir.as_ref());
        set(&mut settings.listen, self.listen.as_ref());
        set(&mut settings.database_connections, self.database_connections.as_ref());
        set(&mut settings.database_pooled, self.database_pooled.as_ref());
        if self.database.is_some() {
            settings.database.clone_from(&self.database);
        }
        if self.public_url.is_some() {
            settings.public_url.clone_from(&self.public_url);
        }
        Ok(settings)
    }
}

/// Keeps the address of the running relay in its data directory, so that `invite` makes links to it. Instances on a shared
/// database keep nothing on disk, and have one address in front of all of them.
pub fn note_public_url(settings: &Settings) -> std::io::Result<()> {
    if settings.database.is_some() {
        return Ok(());
    }
    std::fs::write(settings.data_dir.join(PUBLIC_URL_FILE), settings.public_url().as_str())
}

/// Keeps the port on the LAN in the data directory, or that there is none, so that `invite` makes links that lead there.
pub fn note_lan_port(settings: &Settings, port: Option<u16>) -> std::io::Result<()> {
    let path = settings.data_dir.join(LAN_PORT_FILE);
    match port {
        Some(port) => std::fs::write(path, port.to_string()),
        None => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// How the relay runs.
#[derive(Args)]
pub struct Running {
    /// Redis between the instances: redis://, rediss:// (TLS) or redis+sentinel://:password@host:port,host:port/service/db
    /// with ?sentinel_password=… if the sentinels have one. Needs --database. Messages arrive without it too, up to 2 s
    /// later.
    #[arg(long, value_name = "URL", env = "CIRCLES_REDIS", hide_env_values = true)]
    redis: Option<String>,

    /// Where to answer GET /metrics for Prometheus, such as 127.0.0.1:9090 [default: nowhere].
    #[arg(long, value_name = "ADDRESS", env = "CIRCLES_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,

    /// About how many changes the stream in Redis keeps [default: 1000].
    #[arg(long, value_name = "N", env = "CIRCLES_REDIS_STREAM_MAX")]
    redis_stream_max: Option<usize>,

    /// Be on the LAN too: people on this network join by link or typed code, with TLS and a key kept in the data
    /// directory. Without it the relay listens where --listen says and nowhere else.
    #[arg(long, value_name = "BOOL", env = "CIRCLES_LAN", num_args = 0..=1, default_missing_value = "true")]
    lan: Option<bool>,

    /// The port on the LAN [default: 7081].
    #[arg(long, value_name = "PORT", env = "CIRCLES_LAN_PORT")]
    lan_port: Option<u16>,

    /// Serve browsers on the LAN too, such as phones without the app. Their browser warns that it does not know the relay's
    /// certificate, and it is right: who listens in gets nothing, but a guest cannot tell this relay from one that pretends
    /// to be it. Only on networks whose people you trust [default: false].
    #[arg(long, value_name = "BOOL", env = "CIRCLES_LAN_GUESTS", num_args = 0..=1, default_missing_value = "true")]
    lan_guests: Option<bool>,

    /// The campus's name when it is created [default: Campus].
    #[arg(long, value_name = "NAME", env = "CIRCLES_CAMPUS_NAME")]
    campus_name: Option<String>,

    /// The relay ends each stream after this time, less a random 0 to 20 %, and clients open the next one before: set it
    /// below the time limit of your host or proxy. 0 means never [default: 55s].
    #[arg(long, value_name = "TIME", env = "CIRCLES_STREAM_LIFETIME", value_parser = parse_duration)]
    stream_lifetime: Option<Duration>,

    /// A heartbeat goes out after this much silence [default: 15s].
    #[arg(long, value_name = "TIME", env = "CIRCLES_HEARTBEAT", value_parser = parse_duration)]
    heartbeat: Option<Duration>,

    /// A relay that is told to stop goes on as before for this time, except that /readyz says no: set it above the time that
    /// your proxy takes to notice. Then it drains [default: 0].
    #[arg(long, value_name = "TIME", env = "CIRCLES_LEAVE", value_parser = parse_duration)]
    leave: Option<Duration>,

    /// Streams end spread over this time when the relay stops [default: 3s].
    #[arg(long, value_name = "TIME", env = "CIRCLES_DRAIN", value_parser = parse_duration)]
    drain: Option<Duration>,

    /// Most open streams of one person [default: 16].
    #[arg(long, value_name = "N", env = "CIRCLES_STREAMS_PER_PERSON")]
    streams_per_person: Option<usize>,

    /// Changes per second that one person may make on average [default: 20].
    #[arg(long, value_name = "N", env = "CIRCLES_WRITES_PER_SECOND")]
    writes_per_second: Option<u32>,

    /// Changes that one person may make at once [default: 200].
    #[arg(long, value_name = "N", env = "CIRCLES_WRITES_BURST")]
    writes_burst: Option<u32>,

    /// Reading requests per second of one person on average [default: 100].
    #[arg(long, value_name = "N", env = "CIRCLES_READS_PER_SECOND")]
    reads_per_second: Option<u32>,

    /// Reading requests of one person at once [default: 1000].
    #[arg(long, value_name = "N", env = "CIRCLES_READS_BURST")]
    reads_burst: Option<u32>,

    /// Uses of invites per second from one address on average [default: 2].
    #[arg(long, value_name = "N", env = "CIRCLES_JOINS_PER_SECOND")]
    joins_per_second: Option<u32>,

    /// Uses of invites at once from one address [default: 120].
    #[arg(long, value_name = "N", env = "CIRCLES_JOINS_BURST")]
    joins_burst: Option<u32>,

    /// A proxy in front sets X-Forwarded-For and X-Forwarded-Proto [default: false].
    #[arg(long, value_name = "BOOL", env = "CIRCLES_TRUST_PROXY", num_args = 0..=1, default_missing_value = "true")]
    trust_proxy: Option<bool>,

    /// How many proxies in a row add to X-Forwarded-For, with --trust-proxy [default: 1].
    #[arg(long, value_name = "N", env = "CIRCLES_PROXY_HOPS")]
    proxy_hops: Option<usize>,
}

impl Running {
    /// Sets these options in the settings.
    pub fn apply(&self, settings: &mut Settings) {
        set(&mut settings.lan, self.lan.as_ref());
        set(&mut settings.lan_guests, self.lan_guests.as_ref());
        set(&mut settings.lan_port, self.lan_port.as_ref());
        set(&mut settings.campus_name, self.campus_name.as_ref());
        set(&mut settings.redis_stream_max, self.redis_stream_max.as_ref());
        if self.metrics_listen.is_some() {
            settings.metrics_listen = self.metrics_listen;
        }
        if self.redis.is_some() {
            settings.redis.clone_from(&self.redis);
        }
        set(&mut settings.stream_lifetime, self.stream_lifetime.as_ref());
        set(&mut settings.heartbeat, self.heartbeat.as_ref());
        set(&mut settings.leave, self.leave.as_ref());
        set(&mut settings.drain, self.drain.as_ref());
        set(&mut settings.streams_per_person, self.streams_per_person.as_ref());
        set(&mut settings.writes_per_second, self.writes_per_second.as_ref());
        set(&mut settings.writes_burst, self.writes_burst.as_ref());
        set(&mut settings.reads_per_second, self.reads_per_second.as_ref());
        set(&mut settings.reads_burst, self.reads_burst.as_ref());
        set(&mut settings.joins_per_second, self.joins_per_second.as_ref());
        set(&mut settings.joins_burst, self.joins_burst.as_ref());
        set(&mut settings.trust_proxy, self.trust_proxy.as_ref());
        set(&mut settings.proxy_hops, self.proxy_hops.as_ref());
    }
}

fn set<T: Clone>(setting: &mut T, option: Option<&T>) {
    if let Some(value) = option {
        setting.clone_from(value);
    }
}

/// How the log is written, to standard error.
#[derive(Args)]
pub struct Logging {
    /// Lines for people or JSON for programs.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, env = "CIRCLES_LOG_FORMAT")]
    log_format: LogFormat,

    /// What to log: error, warn, info, debug, or a filter such as info,circles_relay=debug.
    #[arg(long, value_name = "FILTER", default_value = "info", env = "CIRCLES_LOG")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl Logging {
    /// Starts logging. Of the libraries nothing below `info` is logged, whatever is asked for: some of them print at `debug`
    /// what goes through them, headers with tokens and parameters of statements.
    pub fn start(&self) -> anyhow::Result<()> {
        let asked = EnvFilter::try_new(&self.log)?;
        let discreet = filter_fn(|it| *it.level() <= Level::INFO || it.target().starts_with("circles_"));
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
        let log = tracing_subscriber::registry().with(asked).with(discreet);
        match self.log_format {
            LogFormat::Text => log.with(lines).init(),
            LogFormat::Json => log.with(lines.json()).init(),
        }
        Ok(())
    }
}
