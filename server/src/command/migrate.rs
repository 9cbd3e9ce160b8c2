//! `circles-relay migrate`

use anyhow::ensure;
use clap::Args;

use super::{options::Place, runtime};

/// The options of the command.
#[derive(Args)]
pub struct Migrate {
    /// The campus in --data-dir is moved into --database, which must be empty. The directory is left as it is.
    #[command(flatten)]
    place: Place,
}

impl Migrate {
    /// Moves the campus.
    pub fn run(self) -> anyhow::Result<()> {
        let settings = self.place.settings()?;
        ensure!(settings.database.is_some(), "say where to with --database postgres://…");
        let rows = runtime()?.block_on(circles_relay::migrate(&settings.data_dir, &settings))?;
        println!("moved {rows} rows; start the relay with the same --database from now on");
        Ok(())
    }
}
