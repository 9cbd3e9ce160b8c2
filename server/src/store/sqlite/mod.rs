//! SQLite: one file, many readers, one writer (WAL).

pub mod backup;
mod session;

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use deadpool_sqlite::{Config, Hook, HookError, Pool, PoolConfig, Runtime};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::{OpenError, StoreError, session::Session};
use crate::{
    limits::{BUSY_TIMEOUT, READER_WAIT, READERS_MAX},
    pace::{Pace, in_place},
    private,
};

mod migrations {
    refinery::embed_migrations!("src/store/migrations/sqlite");
}

/// The database's file in the data directory.
const DATABASE_FILE: &str = "campus.db";
/// So many pages (16 MiB) are written to the log before they are copied into the database, for which the writer stops. A page
/// that changed many times meanwhile is copied once.
const WAL_PAGES: u32 = 4_096;
/// The file whose kernel lock says that a relay is running on the directory.
const LOCK_FILE: &str = "relay.lock";

/// The database of one campus, opened by this process alone.
pub struct Database {
    path: PathBuf,
    readers: Readers,
    lock: Mutex<Option<File>>,
}

/// What reads beside the writer.
enum Readers {
    /// Several connections, each on a thread that may block.
    Pool(Pool),
    /// One, in place; none once it is closed.
    InPlace(Mutex<Option<Connection>>, Pace),
}

impl Database {
    /// Locks the directory, opens and migrates the database; returns the store and the writer's connection.
    pub fn open(dir: &Path, pace: Option<Pace>) -> Result<(Self, Connection), OpenError> {
        let directory = |source| OpenError::Directory { dir: dir.to_owned(), source };
        private::directory(dir).map_err(directory)?;
        let lock = lock(dir)?;
        let path = dir.join(DATABASE_FILE);
        private::file(&path).map_err(directory)?;
        let writer = connect(&path)?;
        let readers = match pace {
            None => Readers::Pool(pool(&path)),
            Some(pace) => {
                let reader = Connection::open(&path)?;
                prepare_reader(&reader)?;
                Readers::InPlace(Mutex::new(Some(reader)), pace)
            }
        };
        Ok((Self { path, readers, lock: Mutex::new(Some(lock)) }, writer))
    }

    /// Where the database's file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on a snapshot of the database.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&dyn Session) -> Result<T, E> + Send + 'static,
    {
        let on_snapshot = move |conn: &mut Connection| {
            let snapshot = conn.transaction().map_err(StoreError::from)?;
            read(&*snapshot)
        };
        match &self.readers {
            Readers::Pool(pool) => {
                let reader = pool.get().await.map_err(|error| {
                    if pool.is_closed() { StoreError::Closed } else { StoreError::Unavailable(error.to_string()) }
                })?;
                reader.interact(on_snapshot).await.map_err(|error| StoreError::Broken(error.to_string()))?
            }
            Readers::InPlace(reader, pace) => {
                let read = || match &mut *reader.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(reader) => on_snapshot(reader),
                    None => Err(StoreError::Closed.into()),
                };
                in_place(pace, read).await
            }
        }
    }

    /// Ends reading and gives the directory free. The writer must have ended.
    pub fn close(&self) {
        match &self.readers {
            Readers::Pool(pool) => pool.close(),
            Readers::InPlace(reader, _) => drop(reader.lock().unwrap_or_else(PoisonError::into_inner).take()),
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Opens the database of a campus that exists, beside a relay that may be running on it: for an invite or a backup.
pub fn open_beside(dir: &Path) -> Result<Connection, OpenError> {
    let path = dir.join(DATABASE_FILE);
    if !path.exists() {
        return Err(OpenError::NoCampus(dir.display().to_string()));
    }
    connect(&path)
}

/// Opens a campus that no relay has open, for as long as the lock is held: to move it elsewhere.
pub fn open_alone(dir: &Path) -> Result<(Connection, File), OpenError> {
    if !dir.join(DATABASE_FILE).exists() {
        return Err(OpenError::NoCampus(dir.display().to_string()));
    }
    let lock = lock(dir)?;
    Ok((connect(&dir.join(DATABASE_FILE))?, lock))
}

/// Opens the copy of a campus in a file of its own, and brings it to the present version.
pub fn open_copy(path: &Path) -> Result<Connection, OpenError> {
    connect(path)
}

/// A lock of the kernel, which ends with the process however it ends.
fn lock(dir: &Path) -> Result<File, OpenError> {
    let directory = |source| OpenError::Directory { dir: dir.to_owned(), source };
    let path = dir.join(LOCK_FILE);
    private::file(&path).map_err(directory)?;
    let file = File::options().write(true).open(path).map_err(directory)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(directory(source)),
    }
}

/// A connection that writes, to a database of the present version.
fn connect(path: &Path) -> Result<Connection, OpenError> {
    refuse_newer(path)?;
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    // The order matters: WAL first, then FULL, which makes each commit durable (design 3.1).
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    conn.set_prepared_statement_cache_capacity(128);
    migrations::migrations::runner().set_abort_missing(true).run(&mut conn)?;
    Ok(conn)
}

/// Looks before anything is written: a database of a newer version is left as it is.
fn refuse_newer(path: &Path) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    let migrated: Option<i64> = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'", [], |row| row.get(0))
        .optional()?;
    if migrated.is_none() {
        return Ok(());
    }
    let found: i64 =
        conn.query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))?;
    let known = migrations::migrations::runner()
        .get_migrations()
        .iter()
        .map(|it| i64::from(it.version()))
        .max()
        .expect("there is a first migration");
    if found > known { Err(OpenError::Newer { found, known }) } else { Ok(()) }
}

fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "query_only", true)
}

fn pool(path: &Path) -> Pool {
    let mut pool = PoolConfig::new(READERS_MAX);
    pool.timeouts.wait = Some(READER_WAIT);
    let mut config = Config::new(path);
    config.pool = Some(pool);
    let Ok(builder) = config.builder(Runtime::Tokio1);
    builder
        .post_create(Hook::async_fn(|conn, _| {
            Box::pin(async move {
                conn.interact(|conn| prepare_reader(conn))
                    .await
                    .map_err(|error| HookError::message(error.to_string()))?
                    .map_err(HookError::Backend)
            })
        }))
        .build()
        .expect("a pool with a runtime can be built")
}
