//! Where a campus is kept. `sqlite` is embedded; its functions are grouped by noun and take the transaction that they
//! run in, so that the rules in `write` and the readers in `api` do not know how it began.

pub mod sqlite;

pub use sqlite::{OpenError, Store};

/// Why the store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk is full; nothing of the transaction was stored.
    #[error("the disk is full")]
    Full,
    /// Busy, locked, or its disk fails: trying later may help.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The relay is closing.
    #[error("the relay is closing")]
    Closed,
    /// What must not happen: a broken row, or SQL that does not fit the schema.
    #[error("the database is broken: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        match error.sqlite_error_code() {
            Some(E::DiskFull) => Self::Full,
            Some(
                E::DatabaseBusy
                | E::DatabaseLocked
                | E::SystemIoFailure
                | E::OutOfMemory
                | E::OperationInterrupted
                | E::CannotOpen
                | E::ReadOnly
                | E::FileLockingProtocolFailed,
            ) => Self::Unavailable(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}
