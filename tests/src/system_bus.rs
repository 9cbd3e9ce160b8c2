//! A system bus of a test's own, with a logind on it that says what the test wants.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;
use zbus::{Connection, connection};

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A bus. It ends when dropped.
pub struct SystemBus {
    /// What `DBUS_SYSTEM_BUS_ADDRESS` is for a program that should use it.
    pub address: String,
    logind: Connection,
    child: Child,
    _dir: TempDir,
}

impl SystemBus {
    /// Starts a bus and takes logind's name on it.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("bus.conf");
        std::fs::write(&config, CONFIG)?;
        let mut child = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped())
            .spawn()
            .context("dbus-daemon is not installed")?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().context("it has an output")?).read_line(&mut address)?;
        let address = address.trim().to_owned();
        let logind = connection::Builder::address(address.as_str())?.name("org.freedesktop.login1")?.build().await?;
        Ok(Self { address, logind, child, _dir: dir })
    }

    /// Says that the computer is about to sleep, or that it woke up (org.freedesktop.login1(5), `PrepareForSleep`).
    pub async fn prepare_for_sleep(&self, start: bool) -> Result<()> {
        let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
        Ok(self.logind.emit_signal(None::<&str>, path, interface, "PrepareForSleep", &start).await?)
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
