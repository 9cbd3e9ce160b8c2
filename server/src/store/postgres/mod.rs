//! Postgres: one database that any number of instances share.

mod schema;
mod session;

use std::sync::Arc;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_postgres::Config;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::session::Link;
use super::{OpenError, StoreError, StoreResult, ended, session::Session};
use crate::limits::{POSTGRES_CONNECT_TIMEOUT, POSTGRES_DEAD_AFTER, READER_WAIT};

/// The database of one campus. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    /// Of one connection: messages wait for no reader.
    writer: Pool,
    readers: Pool,
    /// Behind a pooler that may take another of its connections for each transaction.
    pooled: bool,
    runtime: Handle,
    place: Arc<str>,
}

impl Database {
    /// Connects and migrates, in a thread that may block. `create` runs in a transaction, one instance after the other.
    pub fn open<T>(
        url: &str,
        pooled: bool,
        connections: usize,
        runtime: &Handle,
        create: impl FnOnce(&dyn Session) -> StoreResult<T>,
    ) -> Result<(Self, T), OpenError> {
        let database = Self::connect(url, pooled, connections, runtime)?;
        let made = database.migrated(create)?;
        Ok((database, made))
    }

    /// Connects for something that is done beside running relays, in a thread that may block. What one of them brought to
    /// the present version is taken as it is.
    pub fn open_beside(url: &str, pooled: bool, runtime: &Handle) -> Result<Self, OpenError> {
        let database = Self::connect(url, pooled, 1, runtime)?;
        let link = database.link_blocking()?;
        link.begin_read()?;
        let (found, known) = (ended(&link, schema::version(&link))?, schema::known_version());
        drop(link);
        if found < known {
            database.migrated(|_| Ok(()))?;
        }
        if found > known { Err(OpenError::Newer { found, known }) } else { Ok(database) }
    }

    fn connect(url: &str, pooled: bool, connections: usize, runtime: &Handle) -> Result<Self, OpenError> {
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| OpenError::Address(cause(&error)))?;
        config.connect_timeout(POSTGRES_CONNECT_TIMEOUT).tcp_user_timeout(POSTGRES_DEAD_AFTER);
        config.application_name("circles-relay");
        let place = format!("postgres database {}", config.get_dbname().unwrap_or("of the user's name"));
        // Only a connection that the server closed is replaced: no query of its own for each use.
        let pool = |size| {
            let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            Pool::builder(Manager::from_config(config.clone(), tls(), manager))
                .max_size(size)
                .runtime(Runtime::Tokio1)
                .timeouts(Timeouts { wait: Some(READER_WAIT), create: Some(POSTGRES_CONNECT_TIMEOUT), recycle: None })
                .build()
                .map_err(|error| OpenError::Address(error.to_string()))
        };
        let (writer, readers) = (pool(1)?, pool(connections.saturating_sub(1).max(1))?);
        Ok(Self { writer, readers, pooled, runtime: runtime.clone(), place: place.into() })
    }

    /// Brings the schema to the present version and runs `create`: however many instances start together, one after the
    /// other does either.
    fn migrated<T>(&self, create: impl FnOnce(&dyn Session) -> StoreResult<T>) -> Result<T, OpenError> {
        let link = self.link_blocking()?;
        link.begin_to_start()?;
        ended(&link, schema::migrate(&link))?;
        link.begin_to_start()?;
        Ok(ended(&link, link.lock_campus().and_then(|()| create(&link)))?)
    }

    /// Which database it is, for people; without the password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The connection that writes, in a thread that may block.
    pub fn link_blocking(&self) -> StoreResult<Link> {
        Ok(self.link(self.runtime.block_on(self.writer.get())?))
    }

    fn link(&self, client: Client) -> Link {
        Link::new(self.clone(), client)
    }

    /// Closes the connections that nobody uses just now. Where one is of no use, those beside it mostly are not either, and each
    /// would have to be tried.
    fn leave_idle(&self) {
        for pool in [&self.writer, &self.readers] {
            pool.retain(|_, _| false);
        }
    }

    /// Runs `read` on a snapshot of the database.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&dyn Session) -> Result<T, E> + Send + 'static,
    {
        let client = self.readers.get().await.map_err(StoreError::from)?;
        let link = self.link(client);
        let work = move || {
            link.begin_read()?;
            let done = read(&link);
            link.end_read();
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Broken(error.to_string()))?
    }

    /// Ends all connections.
    pub fn close(&self) {
        self.writer.close();
        self.readers.close();
    }
}

/// Encrypted if the server or the address asks for it (`sslmode`), and then checked against the system's certificates.
fn tls() -> MakeRustlsConnect {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

/// The innermost cause says most. Of what the server answers its message alone: the details can quote a whole row.
fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return format!("{} ({})", answer.message(), answer.code().code());
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Closed => Self::Closed,
            PoolError::Backend(error) => Self::Unavailable(cause(&error)),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            // No answer of the server: the connection broke, or what came did not fit the type asked for.
            return if error.is_closed()
                || std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
            {
                Self::Unavailable(cause(&error))
            } else {
                Self::Broken(cause(&error))
            };
        };
        match code.code() {
            "53100" => Self::Full,
            // Connection exceptions, resources, an operator who stops the server, locks and serialisation, read-only
            // after a failover, a transaction that did nothing for too long (appendix A of the Postgres manual).
            it if ["08", "53", "57", "55", "40"].contains(&&it[..2]) => Self::Unavailable(cause(&error)),
            "25006" | "25P03" => Self::Unavailable(cause(&error)),
            // A prepared statement that is gone, or there already: it is on another connection than this relay's.
            "26000" | "42P05" => Self::Broken(format!("{}: behind a pooler, set database_pooled", cause(&error))),
            _ => Self::Broken(cause(&error)),
        }
    }
}
