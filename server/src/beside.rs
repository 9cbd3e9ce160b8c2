//! What is done to a campus while its relay may be running: both processes share the database.

use std::path::Path;

use circles_protocol::Epoch;
use tokio::runtime::Handle;

use crate::{
    clock, private,
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

/// An invite that was made beside the relay.
#[derive(Clone, Debug)]
pub struct MadeInvite {
    /// The secret that admits.
    pub code: String,
    /// Into which campus.
    pub campus_name: String,
}

/// Makes an invite into the campus that the settings name, and into the circle of that name.
pub async fn invite(settings: &Settings, invite: NewInvite, circle: Option<&str>) -> Result<MadeInvite, BesideError> {
    let (settings, circle, runtime) = (settings.clone(), circle.map(str::to_owned), Handle::current());
    blocking(move || {
        store::beside(&settings, &runtime, |conn| {
            let Some(of) = campus::get(conn)? else {
                return Ok(Err(OpenError::NoCampus(settings.data_dir.display().to_string()).into()));
            };
            let mut invite = invite;
            if let Some(name) = circle {
                let Some(found) = circles::by_name(conn, &name)? else { return Ok(Err(BesideError::NoCircle(name))) };
                invite.circle_id = Some(found.circle.id);
            }
            let code = invite.insert(conn, &of, clock::now())?;
            Ok(Ok(MadeInvite { code, campus_name: of.name }))
        })?
    })
    .await
}

/// Copies the campus that the settings name to a SQLite file, whole or not at all, verified, while relays may be running.
/// The copy begins a new epoch.
pub async fn backup(settings: &Settings, target: &Path) -> Result<(), BesideError> {
    let (settings, target, runtime) = (settings.clone(), target.to_owned(), Handle::current());
    blocking(move || {
        let write = |part: &Path| match &settings.database {
            Some(url) => {
                let copy = sqlite::open_copy(part)?;
                store::copy_from_postgres(url, settings.database_pooled, &runtime, &copy)?;
                // One file, without a write-ahead log beside it.
                copy.pragma_update(None, "journal_mode", "DELETE")?;
                copy.close().map_err(|(_, error)| error)?;
                Ok(())
            }
            None => backup::vacuum(&sqlite::open_beside(&settings.data_dir)?, part),
        };
        Ok(backup::backup(write, &target)?)
    })
    .await
}

/// Puts a backup where the settings say, which must have no campus; returns how many rows it has. It begins another
/// history: clients notice by the epoch, compare, and keep what they hold. The file is left as it is.
pub async fn restore(settings: &Settings, file: &Path) -> Result<u64, BesideError> {
    let (settings, file, runtime) = (settings.clone(), file.to_owned(), Handle::current());
    blocking(move || {
        // A backup of an older Circles is brought to the present version; not the file itself, but a copy.
        let cannot = |source| OpenError::Directory { dir: file.clone(), source };
        let scratch = private::scratch(&std::env::temp_dir()).map_err(cannot)?;
        let copy = scratch.path().join("restored.db");
        std::fs::copy(&file, &copy).map_err(cannot)?;
        let restored = sqlite::open_copy(&copy).and_then(|source| {
            let epoch = Epoch::random(rand::random());
            store::copy_into(&settings, &runtime, &source, Some(&epoch))
        });
        scratch.close().map_err(cannot)?;
        Ok(restored?)
    })
    .await
}

/// Moves the campus of a directory, whose relay must not be running, into the database that the settings name, which must
/// have none; returns how many rows it has. It is the same history: clients go on where they were. The directory is left
/// as it is.
pub async fn migrate(dir: &Path, settings: &Settings) -> Result<u64, BesideError> {
    let (dir, settings, runtime) = (dir.to_owned(), settings.clone(), Handle::current());
    blocking(move || {
        let (source, lock) = sqlite::open_alone(&dir)?;
        let rows = store::copy_into(&settings, &runtime, &source, None)?;
        drop(lock);
        Ok(rows)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BesideError> + Send + 'static,
) -> Result<T, BesideError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
