//! `make sim`: runs seeds, each in a process of its own, and says what was found.

use std::{path::PathBuf, process::ExitCode};

use circles_sim::{breakage::Breakage, runner::Runner};
use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(about)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Runs this seed alone, and writes its trace.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Where the trace of a single seed goes.
    #[arg(long, default_value = "target/sim-trace.txt")]
    trace: PathBuf,
    /// Breaks something on purpose, and runs until it is noticed.
    #[arg(long, value_enum)]
    breakage: Option<Breakage>,
    /// Breaks each thing on purpose, one after the other.
    #[arg(long)]
    breakages: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runner = Runner { program: std::env::current_exe()?.with_file_name("sim-seed") };
    if let Some(seed) = options.seed {
        let report = runner.one(seed, options.breakage, Some(&options.trace))?;
        println!("{report:#?}\nThe trace is in {}.", options.trace.display());
        return Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if options.breakages || options.breakage.is_some() {
        let all = options.breakage.map_or_else(|| Breakage::value_variants().to_vec(), |it| vec![it]);
        return noticed(&runner, &all, options.from..options.from + options.seeds);
    }
    let summary = runner.many(options.from..options.from + options.seeds, |failed| {
        println!("seed {}:", failed.seed);
        failed.violations.iter().for_each(|it| println!("    {it}"));
    })?;
    print!("{summary}");
    Ok(if summary.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn noticed(runner: &Runner, all: &[Breakage], seeds: std::ops::Range<u64>) -> anyhow::Result<ExitCode> {
    let mut unnoticed = 0;
    for breakage in all {
        let name = breakage.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default();
        if let Some((after, report)) = runner.until_noticed(*breakage, seeds.clone())? {
            println!("{name:<18} noticed by seed {} (number {after}): {}", report.seed, report.violations[0]);
        } else {
            println!("{name:<18} NOT noticed by {} seeds", seeds.end - seeds.start);
            unnoticed += 1;
        }
    }
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
