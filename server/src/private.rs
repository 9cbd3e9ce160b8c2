//! Files and directories for their owner alone, from their first moment: they hold what people write in private, and the
//! campus's secret.

use std::{
    fs::{DirBuilder, File},
    io,
    path::Path,
};

use tempfile::TempDir;

/// Makes a directory if need be, and those above it.
pub fn directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Makes an empty file if there is none, for SQLite to fill: it gives the files beside it the same mode.
pub fn file(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

/// Makes a directory of a name that nobody can guess; it is gone when dropped, with all that is in it.
pub fn scratch(parent: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".circles-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir_in(parent)
}
