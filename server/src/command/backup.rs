//! `circles-relay backup`

use std::path::PathBuf;

use clap::Args;

use super::{options::Place, runtime};

/// The options of the command.
#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    place: Place,

    /// The file to write; it is replaced whole or not at all. `circles-relay restore` reads it.
    file: PathBuf,
}

impl Backup {
    /// Writes the backup.
    pub fn run(self) -> anyhow::Result<()> {
        let settings = self.place.settings()?;
        runtime()?.block_on(circles_relay::backup(&settings, &self.file))?;
        println!("{}", self.file.display());
        Ok(())
    }
}
