//! `circles-relay`: runs a campus, invites into it, fills it and backs it up.

mod command;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("circles-relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}
