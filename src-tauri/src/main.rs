//! The Circles desktop app.

// A console window of its own would open beside the app on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::process::ExitCode;

use circles_desktop::{CommandLine, app, logging};
use clap::Parser;

fn main() -> ExitCode {
    if let Err(error) = paint_without_gpu() {
        eprintln!("circles: the page is painted as it comes: {error}");
    }
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

/// Without a graphics card the page would be composed by OpenGL in software, the whole window anew at each blink of the
/// caret: 2 % of a core for a window in which nothing happens. `WebKit` reads the variable when it starts, so the program
/// starts itself again with it. (Its setting for a page that is there already ends the page's process, in version 2.50.)
#[cfg(target_os = "linux")]
fn paint_without_gpu() -> std::io::Result<()> {
    use std::os::unix::process::CommandExt;

    let mut devices = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let has_card = devices.any(|it| it.file_name().as_encoded_bytes().starts_with(b"renderD"));
    if has_card || std::env::var_os(app::PAINTS_WITHOUT_GPU).is_some() {
        return Ok(());
    }
    let mut own = std::process::Command::new(std::env::current_exe()?);
    // It returns only if it failed.
    Err(own.args(std::env::args_os().skip(1)).env(app::PAINTS_WITHOUT_GPU, "1").exec())
}

#[cfg(not(target_os = "linux"))]
fn paint_without_gpu() -> std::io::Result<()> {
    Ok(())
}
