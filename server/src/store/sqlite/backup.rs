//! A copy of the database while the relay runs.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use circles_protocol::Epoch;
use rusqlite::Connection;

use crate::{private, store::OpenError};

/// Why there is no backup. The target is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target has no name or cannot be written.
    #[error("cannot write the backup to {}: {source}", path.display())]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy does not pass `integrity_check`.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// The database does not answer, or the disk is full.
    #[error("cannot copy the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The database to copy does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Writes a copy of a campus to `target`, whole or not at all. `write` makes it; then it gets a new epoch, because whoever
/// starts a relay from it begins another history (design section 2): cursors from after the backup must not fit it. The
/// file is its owner's alone, also while it is written, in a directory of its own beside the target.
pub fn backup(write: impl FnOnce(&Path) -> Result<(), BackupError>, target: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Target { path: target.to_owned(), source };
    let name = target.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let dir = target.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = private::scratch(dir).map_err(failed)?;
    let part = scratch.path().join(name);
    private::file(&part).map_err(failed)?;
    write(&part)?;
    check(&part)?;
    File::open(&part).and_then(|it| it.sync_all()).map_err(failed)?;
    fs::rename(&part, target).map_err(failed)?;
    File::open(dir).and_then(|it| it.sync_all()).map_err(failed)?;
    scratch.close().map_err(failed)
}

/// Copies a database of SQLite as of now.
pub fn vacuum(conn: &Connection, part: &Path) -> Result<(), BackupError> {
    conn.execute("VACUUM INTO ?", [part.to_string_lossy()])?;
    Ok(())
}

fn check(part: &Path) -> Result<(), BackupError> {
    let copy = Connection::open(part)?;
    copy.execute("UPDATE campus SET epoch = ?", [Epoch::random(rand::random()).as_str()])?;
    let verdict: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(BackupError::Damaged(verdict));
    }
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}
