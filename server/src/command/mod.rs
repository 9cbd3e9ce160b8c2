//! The command line.

// Doc comments of options are the text of `--help`, where Markdown would only be in the way.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

mod backup;
mod import;
mod invite;
mod migrate;
mod options;
mod restore;
mod serve;

use clap::{Parser, Subcommand};

/// Runs the relay of a Circles campus: group chat for a university, a dorm or a room.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay. At the first start it creates the campus and prints an invite link for its owner.
    Serve(Box<serve::Serve>),
    /// Make an invite link, also while the relay runs.
    Invite(invite::Invite),
    /// Fill the campus with people and messages from JSON lines. The relay must not be running.
    Import(import::Import),
    /// Copy the campus to a file, also while the relay runs.
    Backup(backup::Backup),
    /// Put a backup into an empty place. It begins another history: the apps of people notice, and compare.
    Restore(restore::Restore),
    /// Move a campus from SQLite into Postgres. Its relay must not be running; the history goes on.
    Migrate(migrate::Migrate),
}

impl Cli {
    /// Does what was asked for.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(it) => it.run(),
            Command::Invite(it) => it.run(),
            Command::Import(it) => it.run(),
            Command::Backup(it) => it.run(),
            Command::Restore(it) => it.run(),
            Command::Migrate(it) => it.run(),
        }
    }
}

/// For commands that do one thing.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
