//! `circles-relay backup`

use std::path::PathBuf;

use clap::Args;

use super::options::Place;

/// The options of the command.
#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    place: Place,

    /// The file to write; it is replaced whole or not at all. To restore, stop the relay and put the file into an empty
    /// data directory as campus.db: clients notice by the new epoch and fetch what they lack.
    file: PathBuf,
}

impl Backup {
    /// Writes the backup.
    pub fn run(self) -> anyhow::Result<()> {
        circles_relay::backup(&self.place.settings()?.data_dir, &self.file)?;
        println!("{}", self.file.display());
        Ok(())
    }
}
