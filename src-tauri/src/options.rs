//! How the app is started.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

/// How the Circles plugin runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where everything is kept: cache, outbox, log and hosted campuses.
    pub data_dir: PathBuf,
    /// What this device is called where the person's devices are listed.
    pub device_name: String,
    /// Whether tokens may go into the keyring of the operating system.
    pub keyring: bool,
}

impl Options {
    /// The usual options with this data directory.
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, device_name: device_name(), keyring: true }
    }

    /// Where everything is kept if nothing else is said; `circles-cli` looks in the same place.
    pub fn default_data_dir() -> Option<PathBuf> {
        dirs::data_dir().map(|it| it.join("circles"))
    }
}

/// Circles: group chat for a campus.
#[derive(Debug, Parser)]
#[command(name = "circles", version)]
pub struct CommandLine {
    /// The directory in which everything is kept [default: circles in the data directory of the user].
    #[arg(long, value_name = "DIR", env = "CIRCLES_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Keep tokens in a file that only this user can read, instead of the keyring.
    #[arg(long, env = "CIRCLES_NO_KEYRING")]
    no_keyring: bool,

    /// An invite link, `circles://join?…` or `https://…/join#…`: the window opens with it, ready to join.
    #[arg(value_name = "LINK")]
    invite: Option<String>,
}

impl CommandLine {
    /// The invite link that the app is started with: by a person, or by the system that opened such a link.
    pub fn invite(&self) -> Option<String> {
        self.invite.clone()
    }

    /// The options that the command line asks for.
    pub fn options(self) -> anyhow::Result<Options> {
        let data_dir = self
            .data_dir
            .or_else(Options::default_data_dir)
            .context("the system names no data directory for this user: say where with --data-dir")?;
        // The working directory may differ for what is started later.
        let data_dir = std::path::absolute(&data_dir)
            .with_context(|| format!("{} is no directory to keep data in", data_dir.display()))?;
        Ok(Options { keyring: !self.no_keyring, ..Options::new(data_dir) })
    }
}

/// The computer's name, as far as it has one.
fn device_name() -> String {
    let named = if cfg!(windows) {
        std::env::var("COMPUTERNAME").ok()
    } else {
        // Linux tells it here; elsewhere the shell may have it.
        std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok())
    };
    let name: String =
        named.unwrap_or_default().trim().chars().take(circles_protocol::limits::NAME_CHARS_MAX).collect();
    if name.is_empty() { "This computer".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_link_may_follow() {
        let line = CommandLine::parse_from(["circles", "--no-keyring", "circles://join?relay=r&code=c"]);
        assert_eq!(line.invite().as_deref(), Some("circles://join?relay=r&code=c"));
        assert_eq!(CommandLine::parse_from(["circles"]).invite(), None);
    }

    #[test]
    fn the_data_directory_is_absolute_wherever_the_app_is_started() {
        let line = CommandLine::parse_from(["circles", "--data-dir", "here", "--no-keyring"]);
        let options = line.options().unwrap();
        assert!(options.data_dir.is_absolute() && options.data_dir.ends_with("here"));
        assert!(!options.keyring);
        assert!(!options.device_name.is_empty());
    }
}
