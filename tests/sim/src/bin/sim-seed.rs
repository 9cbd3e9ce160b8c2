//! Runs one seed in this process, whose clocks and random numbers then belong to the simulation, and prints the result as
//! one line of JSON.

use std::path::PathBuf;

use anyhow::Context;
use circles_sim::{
    breakage::Breakage,
    campus::{self, Config},
};
use clap::Parser;
use mad_turmoil_rand::{SeedableRng, rngs::StdRng};

#[derive(Parser)]
struct Options {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// An empty directory for the databases.
    #[arg(long)]
    dir: PathBuf,
    /// What to break on purpose.
    #[arg(long, value_enum)]
    breakage: Option<Breakage>,
    /// Where to write everything that happened.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Show what the programs log.
    #[arg(long)]
    log: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.log {
        tracing_subscriber::fmt()
            .with_env_filter("circles_client=trace,circles_relay=debug")
            .with_writer(std::io::stderr)
            .init();
    }
    // From here on the operating system's randomness and clocks are the seed's, for every library in this process.
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(options.seed));
    let clocks = mad_turmoil::time::SimClocksGuard::init();
    let (report, lines) = campus::live(&Config {
        seed: options.seed,
        dir: options.dir,
        breakage: options.breakage,
        keep_trace: options.trace.is_some(),
    })?;
    drop(clocks);
    println!("{}", serde_json::to_string(&report)?);
    if let Some(path) = options.trace {
        std::fs::write(&path, lines.join("\n")).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
