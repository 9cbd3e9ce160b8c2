//! `circles-relay restore`

use std::path::PathBuf;

use clap::Args;

use super::{options::Place, runtime};

/// The options of the command.
#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    place: Place,

    /// A file that `circles-relay backup` wrote. It is left as it is.
    file: PathBuf,
}

impl Restore {
    /// Restores the backup.
    pub fn run(self) -> anyhow::Result<()> {
        let settings = self.place.settings()?;
        settings.check()?;
        let rows = runtime()?.block_on(circles_relay::restore(&settings, &self.file))?;
        println!("restored {rows} rows; the campus begins another history");
        Ok(())
    }
}
