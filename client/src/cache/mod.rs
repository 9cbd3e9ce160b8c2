//! The cache: every message that this device knows, and the outbox, in one SQLite database.
//!
//! One writer, several readers (WAL). The cache's own commits use `synchronous=NORMAL`: after a power loss an older cursor
//! just replays. The outbox commits with `FULL`, because what a person wrote is nowhere else (design 3.7); a commit that
//! is synced syncs all that were written before it.

pub mod absence;
pub mod apply;
pub mod campuses;
pub mod counts;
pub mod days;
pub mod drafts;
pub mod history;
pub mod ledger;
pub mod mutes;
pub mod outbox;
pub mod search;
pub mod set_aside;
pub mod stranded;
pub mod views;

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool_sqlite::{Config, Hook, HookError, Pool, PoolConfig, Runtime};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::task::JoinError;
use uuid::Uuid;

use crate::{
    error::ClientError,
    limits::{BUSY_TIMEOUT, OTHER_PROCESS_CHECK, OTHER_PROCESS_LATEST, READERS_MAX, WRITER_CACHE_KIB},
    outside::Threads,
    screen::Screen,
};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// How durable a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives a crash of the program: what the relay can send again.
    Cache,
    /// Survives a power loss: what a person wrote.
    Outbox,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Cache {
    writer: Arc<Mutex<Connection>>,
    /// None where work is done in place: nothing runs beside the writer then.
    readers: Option<Pool>,
    threads: Threads,
    /// None where work is done in place: nothing runs beside it then.
    screen: Option<Arc<Screen>>,
    /// Holds the lock of the directory while this process runs the engine.
    engine_lock: Arc<Mutex<Option<File>>>,
    engine: bool,
    log_file: Arc<Path>,
}

impl Cache {
    /// Opens and migrates the database in this directory. The first process on it runs the engine; others read, and write
    /// to the outbox.
    pub async fn open(dir: PathBuf, threads: Threads) -> Result<Self, ClientError> {
        let of_cache = threads.clone();
        done(threads.run(move || Self::open_blocking(&dir, of_cache)).await)
    }

    fn open_blocking(dir: &Path, threads: Threads) -> Result<Self, ClientError> {
        let engine_lock = take(dir).map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull => ClientError::DiskFull,
            _ => ClientError::Directory { path: dir.to_owned(), source },
        })?;
        let path = dir.join("circles.db");
        let mut writer = connect(&path)?;
        migrate(&mut writer)?;
        let engine = engine_lock.is_some();
        if engine {
            let opening = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            set_aside::ask_again(&opening, set_aside::VERSION)?;
            opening.commit()?;
        }
        Ok(Self {
            writer: Arc::new(Mutex::new(writer)),
            readers: matches!(threads, Threads::Blocking).then(|| readers(&path)),
            screen: matches!(threads, Threads::Blocking).then(Arc::default),
            threads,
            engine_lock: Arc::new(Mutex::new(engine_lock)),
            engine,
            log_file: dir.join("circles.db-wal").into(),
        })
    }

    /// Whether this process runs the engine.
    pub fn runs_engine(&self) -> bool {
        self.engine
    }

    /// Runs one transaction.
    pub async fn write<T, F>(&self, durability: Durability, change: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, ClientError> + Send + 'static,
    {
        done(self.threads.run(self.transaction(durability, change)).await)
    }

    /// The same for what nobody waits for.
    pub async fn write_behind<T, F>(&self, durability: Durability, change: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, ClientError> + Send + 'static,
    {
        done(self.threads.run_behind(self.transaction(durability, change)).await)
    }

    /// The page was given something to show, a place that the person went to or what it shows anew: [`Cache::give_way`]
    /// and [`Cache::given_way`] let it take that in.
    pub fn shown(&self, opens: bool) {
        if let Some(screen) = &self.screen {
            screen.given(Instant::now(), opens);
        }
    }

    /// Within [`Cache::write_behind`], again and again: waits a moment if the page is at work.
    pub fn give_way(&self) {
        std::thread::sleep(self.page_takes(Screen::wait));
    }

    /// The same before work of another kind that nobody waits for.
    pub async fn given_way(&self) {
        sleep_if_any(self.page_takes(Screen::wait)).await;
    }

    /// Waits while the page is at work on a place that the person went to.
    pub async fn opened(&self) {
        sleep_if_any(self.page_takes(Screen::opens)).await;
    }

    /// What the screen says, if there is one.
    fn page_takes(&self, how_long: fn(&Screen, Instant) -> Duration) -> Duration {
        self.screen.as_ref().map_or(Duration::ZERO, |it| how_long(it, Instant::now()))
    }

    fn transaction<T, F>(
        &self,
        durability: Durability,
        change: F,
    ) -> impl FnOnce() -> Result<T, ClientError> + Send + use<T, F>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, ClientError> + Send,
    {
        let writer = self.writer.clone();
        move || {
            let mut conn = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let synchronous = if durability == Durability::Outbox { "FULL" } else { "NORMAL" };
            conn.pragma_update(None, "synchronous", synchronous)?;
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        }
    }

    /// Runs `read` on a snapshot.
    pub async fn read<T, F>(&self, read: F) -> Result<T, ClientError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ClientError> + Send + 'static,
    {
        let on_snapshot = move |conn: &mut Connection| {
            let snapshot = conn.transaction()?;
            read(&snapshot)
        };
        let Some(readers) = &self.readers else {
            let writer = self.writer.clone();
            let read = move || on_snapshot(&mut writer.lock().unwrap_or_else(PoisonError::into_inner));
            return done(self.threads.run(read).await);
        };
        let reader = readers.get().await.map_err(|error| ClientError::Database(error.to_string()))?;
        reader.interact(on_snapshot).await.map_err(|error| ClientError::Database(error.to_string()))?
    }

    /// A number that changes when another process or connection commits.
    pub async fn version(&self) -> Result<i64, ClientError> {
        let writer = self.writer.clone();
        let read = move || {
            let conn = writer.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(conn.pragma_query_value(None, "data_version", |row| row.get(0))?)
        };
        done(self.threads.run(read).await)
    }

    /// Returns when any process may have written to the database. It looks at the write-ahead log's file, which grows or
    /// is rewritten with every commit: that costs a system call, where asking the database would cost a transaction. The
    /// file's time is coarse, so at the latest after [`OTHER_PROCESS_LATEST`] it returns anyway.
    pub async fn written(&self) {
        let stamp = || std::fs::metadata(&*self.log_file).ok().map(|it| (it.len(), it.modified().ok()));
        let before = stamp();
        let latest = tokio::time::Instant::now() + OTHER_PROCESS_LATEST;
        while tokio::time::Instant::now() < latest {
            tokio::time::sleep(OTHER_PROCESS_CHECK).await;
            // In place there is no other process, and the file's time would be another one in each run.
            if self.readers.is_some() && stamp() != before {
                return;
            }
        }
    }

    /// Closes the readers and gives the directory free.
    pub fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close();
        }
        drop(self.engine_lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The timer would take a millisecond for nothing too, and a simulation another order.
async fn sleep_if_any(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Work that panicked counts as a database that does not work.
fn done<T>(ran: Result<Result<T, ClientError>, JoinError>) -> Result<T, ClientError> {
    ran.unwrap_or_else(|error| Err(ClientError::Database(error.to_string())))
}

/// Makes the directory and locks it, if no other process has it.
fn take(dir: &Path) -> io::Result<Option<File>> {
    make_private(dir)?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join("client.lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Made for its owner alone: what people write in private is in it.
fn make_private(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // A statement that fires triggers keeps a copy of each page before it changes it: in memory, or each is a write to a file.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

fn migrate(conn: &mut Connection) -> Result<(), ClientError> {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(|it| i64::from(it.version())).max().unwrap_or(0);
    let exists: bool = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history')",
        [],
        |row| row.get(0),
    )?;
    if exists {
        let found: i64 =
            conn.query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))?;
        if found > known {
            return Err(ClientError::CacheNewer { found, known });
        }
    }
    runner.run(conn)?;
    Ok(())
}

fn readers(path: &Path) -> Pool {
    let config = Config { path: PathBuf::from(path), pool: Some(PoolConfig::new(READERS_MAX)) };
    config
        .builder(Runtime::Tokio1)
        .expect("a path is enough for a pool")
        .post_create(Hook::async_fn(|conn, _| {
            Box::pin(async move {
                conn.interact(|conn| {
                    conn.busy_timeout(BUSY_TIMEOUT)?;
                    conn.set_prepared_statement_cache_capacity(64);
                    conn.pragma_update(None, "query_only", true)
                })
                .await
                .map_err(|error| HookError::message(error.to_string()))?
                .map_err(HookError::Backend)
            })
        }))
        .build()
        .expect("the pool has a runtime")
}

/// A database without anything in it, in memory.
#[cfg(test)]
pub fn empty() -> Connection {
    let mut conn = Connection::open_in_memory().expect("memory");
    migrate(&mut conn).expect("the schema is sound");
    conn
}

/// An id as it is stored.
pub trait Blob {
    /// Its 16 bytes.
    fn blob(&self) -> [u8; 16];
}

macro_rules! blob {
    ($($id:ident)+) => {
        $(
            impl Blob for circles_protocol::$id {
                fn blob(&self) -> [u8; 16] {
                    self.uuid().into_bytes()
                }
            }
        )+
    };
}

blob!(CampusId CircleId PersonId DeviceId MessageId);

/// A column with the 16 bytes of an id.
pub fn uuid(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get::<_, [u8; 16]>(column).map(Uuid::from_bytes)
}

/// A column with a position or number. A negative one was not written by us.
pub fn number<T: TryFrom<i64>>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let value: i64 = row.get(column)?;
    T::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// A word of the wire types (`open`, `joined`, `owner` …) as it is stored.
pub fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("{other:?} is no word"),
    }
}

/// A column with such a word.
pub fn from_word<T: serde::de::DeserializeOwned>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}
