//! Postgres: one database that any number of instances share.

mod session;

use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use self::session::Link;
use super::{OpenError, StoreError, StoreResult, in_write, session::Session};
use crate::limits::{POSTGRES_CONNECT_TIMEOUT, POSTGRES_DEAD_AFTER, READER_WAIT};

mod migrations {
    refinery::embed_migrations!("src/store/migrations/postgres");
}

/// The key of the advisory lock under which instances that start together migrate one after the other ("circles").
const MIGRATION_LOCK: i64 = 0x0063_6972_636c_6573;

/// A statement that takes longer than this is given up, so that a stuck lock does not hold up the relay for ever.
const STATEMENT_TIMEOUTS: &str =
    "-c statement_timeout=20s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s";

/// The database of one campus. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    runtime: Handle,
    place: Arc<str>,
}

impl Database {
    /// Connects and migrates, in a thread that may block. `create` runs in a transaction, one instance after the other.
    pub fn open<T>(
        url: &str,
        connections: usize,
        runtime: &Handle,
        create: impl FnOnce(&dyn Session) -> StoreResult<T>,
    ) -> Result<(Self, T), OpenError> {
        let database = Self::connect(url, connections, runtime)?;
        let made = database.migrated(create)?;
        Ok((database, made))
    }

    /// Connects for something that is done beside running relays, in a thread that may block. What one of them brought to
    /// the present version is taken as it is.
    pub fn open_beside(url: &str, runtime: &Handle) -> Result<Self, OpenError> {
        let database = Self::connect(url, 1, runtime)?;
        let client = runtime.block_on(database.pool.get()).map_err(StoreError::from)?;
        let (found, known) = (runtime.block_on(version(&client))?, known_version());
        drop(client);
        if found < known {
            database.migrated(|_| Ok(()))?;
        }
        if found > known { Err(OpenError::Newer { found, known }) } else { Ok(database) }
    }

    fn connect(url: &str, connections: usize, runtime: &Handle) -> Result<Self, OpenError> {
        let mut config: Config =
            url.parse().map_err(|error: tokio_postgres::Error| OpenError::Address(cause(&error)))?;
        config.connect_timeout(POSTGRES_CONNECT_TIMEOUT).tcp_user_timeout(POSTGRES_DEAD_AFTER);
        config.application_name("circles-relay").options(STATEMENT_TIMEOUTS);
        let place = format!("postgres database {}", config.get_dbname().unwrap_or("of the user's name"));
        // Only a connection that the server closed is replaced: no query of its own for each use.
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, tls(), manager))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: Some(READER_WAIT), create: Some(POSTGRES_CONNECT_TIMEOUT), recycle: None })
            .build()
            .map_err(|error| OpenError::Address(error.to_string()))?;
        Ok(Self { pool, runtime: runtime.clone(), place: place.into() })
    }

    /// Brings the schema to the present version and runs `create`, under a lock: however many instances start together,
    /// one after the other does it.
    fn migrated<T>(&self, create: impl FnOnce(&dyn Session) -> StoreResult<T>) -> Result<T, OpenError> {
        let mut client = self.runtime.block_on(self.pool.get()).map_err(StoreError::from)?;
        self.runtime.block_on(migrate(&mut client))?;
        let link = Link::new(self.runtime.clone(), client);
        let made = in_write(&link, create);
        link.script(&unlock())?;
        Ok(made?)
    }

    /// Which database it is, for people; without the password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A connection, in a thread that may block.
    pub fn link_blocking(&self) -> StoreResult<Link> {
        Ok(Link::new(self.runtime.clone(), self.runtime.block_on(self.pool.get())?))
    }

    /// Runs `read` on a snapshot of the database.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&dyn Session) -> Result<T, E> + Send + 'static,
    {
        let client = self.pool.get().await.map_err(StoreError::from)?;
        let link = Link::new(self.runtime.clone(), client);
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
        self.pool.close();
    }
}

/// Takes the lock that [`unlock`] gives back, and brings the schema to the present version.
async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let lock = format!("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock({MIGRATION_LOCK})");
    client.batch_execute(&lock).await.map_err(StoreError::from)?;
    let (found, known) = (version(client).await?, known_version());
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    runner().run_async(client).await?;
    Ok(())
}

/// The version of the schema; zero if there is none.
async fn version(client: &Client) -> StoreResult<i64> {
    let exists = client.query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[]).await?;
    if !exists.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0)::BIGINT FROM refinery_schema_history";
    Ok(client.query_one(newest, &[]).await?.get(0))
}

/// The newest version that this program knows.
fn known_version() -> i64 {
    runner().get_migrations().iter().map(|it| i64::from(it.version())).max().expect("there is a first migration")
}

fn runner() -> refinery::Runner {
    migrations::migrations::runner().set_abort_missing(true)
}

fn unlock() -> String {
    format!("SELECT pg_advisory_unlock({MIGRATION_LOCK}); RESET statement_timeout; RESET lock_timeout")
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
            // after a failover (appendix A of the Postgres manual).
            it if ["08", "53", "57", "55", "40"].contains(&&it[..2]) => Self::Unavailable(cause(&error)),
            "25006" => Self::Unavailable(cause(&error)),
            _ => Self::Broken(cause(&error)),
        }
    }
}
