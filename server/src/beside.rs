//! What is done to a campus while its relay may be running: both processes share the database.

use std::path::Path;

use tokio::runtime::Handle;

use crate::{
    clock,
    relay::NewInvite,
    settings::Settings,
    store::{
        self, OpenError, StoreError, campus, circles,
        sqlite::{
            self,
            backup::{self, BackupError},
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
    Database(#[from] StoreError),
    /// There is no circle of that name.
    #[error("there is no circle named {0:?}")]
    NoCircle(String),
    /// There is no backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Makes an invite into the campus that the settings name, and into the circle of that name; returns its code.
pub async fn invite(settings: &Settings, invite: NewInvite, circle: Option<&str>) -> Result<String, BesideError> {
    let (settings, circle, runtime) = (settings.clone(), circle.map(str::to_owned), Handle::current());
    let work = move || {
        store::beside(&settings, &runtime, |conn| {
            let Some(of) = campus::get(conn)? else {
                return Ok(Err(OpenError::NoCampus(settings.data_dir.display().to_string()).into()));
            };
            let mut invite = invite;
            if let Some(name) = circle {
                let Some(found) = circles::by_name(conn, &name)? else { return Ok(Err(BesideError::NoCircle(name))) };
                invite.circle_id = Some(found.circle.id);
            }
            Ok(Ok(invite.insert(conn, &of, clock::now())?))
        })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?
}

/// Copies the campus in a directory to a file, whole or not at all, verified. The copy begins a new epoch.
pub fn backup(dir: &Path, target: &Path) -> Result<(), BesideError> {
    let conn = sqlite::open_beside(dir)?;
    Ok(backup::backup(&conn, target)?)
}
