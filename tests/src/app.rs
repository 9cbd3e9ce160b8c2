//! The desktop app as a process, and its window.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use fantoccini::Client;
use serde_json::json;

use crate::{
    driver::{self, Driver},
    processes, program,
};

/// Starts the app on a data directory, as a person would start it with these further arguments, and waits until it shows
/// something.
pub async fn start(driver: &Driver, data: &Path, args: &[&str]) -> Result<Client> {
    let page = start_unopened(driver, data, args).await?;
    driver::find(&page, "html[data-painted]").await?;
    Ok(page)
}

/// The same where Circles cannot open.
pub async fn start_unopened(driver: &Driver, data: &Path, args: &[&str]) -> Result<Client> {
    let data = data.to_str().context("the path is text")?;
    let args = [&["--data-dir", data, "--no-keyring"], args].concat();
    driver
        .session(json!({ "webkitgtk:browserOptions": { "binary": program("circles")?, "args": args } }))
        .await
        .context("the window did not open; is there a display? (scripts/with-display)")
}

/// The process of the app that runs on a data directory.
pub fn pid(data: &Path) -> Result<Option<u32>> {
    let wanted = program("circles")?;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(line) = std::fs::read(path.join("cmdline")) else { continue };
        let args: Vec<&[u8]> = line.split(|it| *it == 0).collect();
        let of_app = args.first() == Some(&wanted.as_os_str().as_encoded_bytes());
        if of_app && args.contains(&data.as_os_str().as_encoded_bytes()) {
            let pid = path.file_name().and_then(|it| it.to_str()).context("a process has a number")?;
            return Ok(Some(pid.parse()?));
        }
    }
    Ok(None)
}

/// Kill −9 of the app that runs on a data directory.
pub fn kill(data: &Path) -> Result<()> {
    signal(data, "KILL")
}

/// Asks the app that runs on a data directory to quit.
pub fn quit(data: &Path) -> Result<()> {
    signal(data, "TERM")
}

fn signal(data: &Path, name: &str) -> Result<()> {
    processes::signal(&[pid(data)?.context("the app is not running")?], name)
}

/// Runs the command line on a directory; what it printed.
pub async fn cli(data: &Path, args: &[&str]) -> Result<String> {
    let command = cli_on(Command::new(program("circles-cli")?), data, args);
    let output = tokio::process::Command::from(command).output().await?;
    anyhow::ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The command line on a directory: the program, or what runs it elsewhere, with its arguments.
pub fn cli_on(mut program: Command, data: &Path, args: &[&str]) -> Command {
    program.args(["--no-keyring", "--data-dir"]).arg(data).args(args);
    program
}
