//! Where a campus is kept: SQLite, embedded, or Postgres, for several instances.
//!
//! The functions on the data are grouped by noun and take the transaction that they run in, a [`session::Session`]. So the
//! rules in `write` and the readers in `api` know neither how it began nor which database it is.

pub mod campus;
pub mod circles;
pub mod copy;
pub mod devices;
pub mod drafts;
pub mod invites;
pub mod log;
pub mod memberships;
pub mod messages;
pub mod mutes;
pub mod people;
mod postgres;
pub mod reactions;
pub mod read_markers;
pub mod session;
pub mod sqlite;
mod value;

use std::{io, path::PathBuf};

use circles_protocol::{Epoch, Pos};
use session::Session;
use tokio::runtime::Handle;

use crate::{pace::Pace, settings::Settings};

/// What a store answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing of the transaction was stored.
    #[error("the disk is full")]
    Full,
    /// Busy, locked, away, or its disk fails: trying later may help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The relay is closing.
    #[error("the relay is closing")]
    Closed,
    /// What must not happen: a broken row, or SQL that does not fit the schema.
    #[error("the database is broken: {0}")]
    Broken(String),
}

/// Why a store did not open. Nothing was changed, except after `Migrate`, which rolls back to the version before.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("cannot use the data directory {}: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another relay (or import) is running on it.
    #[error("another relay is already running on {}; stop it first", dir.display())]
    InUse {
        /// Which.
        dir: PathBuf,
    },
    /// The database was written by a newer Circles.
    #[error(
        "the database is of version {found}, and this Circles knows versions up to {known}: install a newer Circles. Nothing was changed"
    )]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// There is a campus in the database already, which is not overwritten.
    #[error("there is a campus in {0} already; choose an empty place")]
    NotEmpty(String),
    /// There is no campus in the database yet.
    #[error("there is no campus in {0} yet: start `circles-relay serve` first")]
    NoCampus(String),
    /// A migration failed.
    #[error("cannot bring the database to the present version: {0}")]
    Migrate(#[from] refinery::Error),
    /// The database does not answer.
    #[error("cannot open the database: {0}")]
    Database(#[from] StoreError),
    /// The address of the database does not parse.
    #[error("the database's address is not of the form postgres://user:password@host/database: {0}")]
    Address(String),
    /// The transport's address does not parse, or it does not answer at all.
    #[error("cannot use Redis: {0}")]
    Redis(String),
    /// The writer's thread cannot be started.
    #[error("cannot start the writer: {0}")]
    Writer(io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The database of one campus.
pub enum Store {
    /// A file that this process alone has open for writing.
    Sqlite(sqlite::Database),
    /// A server that several instances share.
    Postgres(postgres::Database),
}

/// What the writer works with. It belongs to one thread.
pub enum WriterLink {
    /// The connection that writes.
    Sqlite(rusqlite::Connection),
    /// Where to get one, for each batch.
    Postgres(postgres::Database),
}

impl WriterLink {
    /// Lends a session for one batch.
    pub fn with<T>(&self, work: impl FnOnce(&dyn Session) -> T) -> StoreResult<T> {
        match self {
            Self::Sqlite(conn) => Ok(work(conn)),
            Self::Postgres(database) => Ok(work(&database.link_blocking()?)),
        }
    }

    /// Whether other processes may write too.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The last thing that a writer does.
    pub fn finish(self) {
        if let Self::Sqlite(conn) = self
            && let Err(error) = conn.script("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            // The log stays in the WAL file, which the next start reads.
            tracing::warn!(%error, "the last checkpoint failed");
        }
    }
}

impl Store {
    /// Opens and migrates the database that the settings name, in a thread that may block. With a `pace` it is read in place. `create` runs once, in a
    /// transaction, however many instances open it together.
    pub fn open<T>(
        settings: &Settings,
        runtime: &Handle,
        pace: Option<Pace>,
        create: impl FnOnce(&dyn Session) -> StoreResult<T>,
    ) -> Result<(Self, WriterLink, T), OpenError> {
        if let Some(url) = &settings.database {
            let (pooled, connections) = (settings.database_pooled, settings.database_connections);
            let (database, made) = postgres::Database::open(url, pooled, connections, runtime, create)?;
            return Ok((Self::Postgres(database.clone()), WriterLink::Postgres(database), made));
        }
        let (database, writer) = sqlite::Database::open(&settings.data_dir, pace)?;
        let made = in_write(&writer, create)?;
        Ok((Self::Sqlite(database), WriterLink::Sqlite(writer), made))
    }

    /// Where the campus is, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(database) => database.path().display().to_string(),
            Self::Postgres(database) => database.place().to_owned(),
        }
    }

    /// Whether other processes may write to it.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Runs `read` on a snapshot of the database.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&dyn Session) -> Result<T, E> + Send + 'static,
    {
        match self {
            Self::Sqlite(database) => database.read(read).await,
            Self::Postgres(database) => database.read(read).await,
        }
    }

    /// Whether the database still goes on from there. One that lost what was told already gets another epoch.
    pub async fn follows(&self, epoch: &Epoch, head: Pos) -> StoreResult<bool> {
        match self {
            // Nobody else writes to it.
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(database) => {
                let (database, epoch) = (database.clone(), epoch.clone());
                let look = move || {
                    in_write(&database.link_blocking()?, |conn| {
                        let history = campus::history(conn)?;
                        history.part_if_lost(conn, &epoch, head)?;
                        Ok(history.follows(&epoch, head))
                    })
                };
                let looked = tokio::task::spawn_blocking(look).await;
                looked.map_err(|error| StoreError::Broken(error.to_string()))?
            }
        }
    }

    /// Ends reading and gives the database free. The writer must have ended.
    pub fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close(),
            Self::Postgres(database) => database.close(),
        }
    }
}

/// Works on the campus that the settings name, beside a relay that may be running on it: for an invite or a backup.
pub fn beside<T>(
    settings: &Settings,
    runtime: &Handle,
    work: impl FnOnce(&dyn Session) -> StoreResult<T>,
) -> Result<T, OpenError> {
    match &settings.database {
        Some(url) => {
            let database = postgres::Database::open_beside(url, settings.database_pooled, runtime)?;
            Ok(in_write(&database.link_blocking()?, work)?)
        }
        None => Ok(in_write(&sqlite::open_beside(&settings.data_dir)?, work)?),
    }
}

/// Copies the campus of a SQLite database into the place that the settings name, which must have none. With another epoch
/// it goes on as another history; without, as the same.
pub fn copy_into(
    settings: &Settings,
    runtime: &Handle,
    source: &rusqlite::Connection,
    epoch: Option<&Epoch>,
) -> Result<u64, OpenError> {
    let mut occupied = false;
    let fill = |to: &dyn Session| {
        if campus::get(to)?.is_some() {
            occupied = true;
            return Ok(0);
        }
        source.begin_read()?;
        let rows = copy::campus(source, to);
        source.script("COMMIT")?;
        if let Some(epoch) = epoch {
            campus::set_epoch(to, epoch)?;
        }
        rows
    };
    let (store, link, rows) = Store::open(settings, runtime, None, fill)?;
    link.finish();
    store.close();
    if occupied { Err(OpenError::NotEmpty(store.place())) } else { Ok(rows) }
}

/// Copies the campus of a Postgres database, as of one moment, into an empty SQLite database.
pub fn copy_from_postgres(
    url: &str,
    pooled: bool,
    runtime: &Handle,
    to: &rusqlite::Connection,
) -> Result<u64, OpenError> {
    let from = postgres::Database::open_beside(url, pooled, runtime)?.link_blocking()?;
    from.begin_read()?;
    let rows = in_write(to, |to| copy::campus(&from, to));
    from.script("COMMIT")?;
    Ok(rows?)
}

/// One transaction that writes.
fn in_write<T>(session: &dyn Session, work: impl FnOnce(&dyn Session) -> StoreResult<T>) -> StoreResult<T> {
    session.begin_write()?;
    ended(session, work(session))
}

/// Ends a transaction: for good if all went well.
fn ended<T, E: From<StoreError>>(session: &dyn Session, done: Result<T, E>) -> Result<T, E> {
    let done = done.and_then(|it| Ok(session.settle().map(|()| it)?));
    match done {
        Ok(_) => session.script("COMMIT")?,
        Err(_) if session.is_open() => session.script("ROLLBACK")?,
        Err(_) => {}
    }
    done
}
