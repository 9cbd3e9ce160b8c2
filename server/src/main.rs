//! `circles-relay`: runs a campus, invites into it, fills it and backs it up.

mod command;

use std::process::ExitCode;

use clap::Parser;

/// The system's looks for space among what thousands of streams left behind as they opened: 13 % of the processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match command::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("circles-relay: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without those that the text before them quotes.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = std::io::Error::other("no space");
        let error = Err::<(), _>(circles_relay::SettingsError::Read { path: "a.toml".into(), source: cause });
        let error = error.context("cannot start").unwrap_err();
        assert_eq!(told(&error), "cannot start: cannot read a.toml: no space");
    }
}
