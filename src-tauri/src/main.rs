//! The Circles desktop app.

// A console window of its own would open beside the app on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

use circles_desktop::{CommandLine, app, logging};
use clap::Parser;

fn main() -> ExitCode {
    // Answers --help and --version before anything of a window is touched.
    let line = CommandLine::parse();
    let invite = line.invite();
    let started = line.options().and_then(|options| {
        anyhow::ensure!(
            has_display(),
            "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. `circles-cli` works without one"
        );
        logging::start(&options.data_dir)?;
        app::run(tauri::generate_context!(), options, invite)
    });
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("circles: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Without a display the window's library would end the program without saying why.
fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|it| !it.is_empty());
    !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}
