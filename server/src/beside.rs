//! What is done to a campus while its relay may be running: both processes share the database.

use std::path::Path;

use crate::{
    clock,
    relay::NewInvite,
    store::{
        OpenError,
        sqlite::{
            self,
            backup::{self, BackupError},
            campus, circles,
        },
    },
};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] rusqlite::Error),
    /// There is no circle of that name.
    #[error("there is no circle named {0:?}")]
    NoCircle(String),
    /// There is no backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Makes an invite into the campus in a directory, and into the circle of that name; returns its code.
pub fn invite(dir: &Path, mut invite: NewInvite, circle: Option<&str>) -> Result<String, BesideError> {
    let conn = sqlite::open_beside(dir)?;
    let of = campus::get(&conn)?.ok_or_else(|| OpenError::NoCampus { dir: dir.to_owned() })?;
    if let Some(name) = circle {
        let found = circles::by_name(&conn, name)?.ok_or_else(|| BesideError::NoCircle(name.to_owned()))?;
        invite.circle_id = Some(found.circle.id);
    }
    Ok(invite.insert(&conn, &of, clock::now())?)
}

/// Copies the campus in a directory to a file, whole or not at all, verified. The copy begins a new epoch.
pub fn backup(dir: &Path, target: &Path) -> Result<(), BesideError> {
    let conn = sqlite::open_beside(dir)?;
    Ok(backup::backup(&conn, target)?)
}
