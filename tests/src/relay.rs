//! A relay as a process of its own, which a test may kill and start again.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{port, program, wait_for};

/// A relay process on loopback. It is killed when dropped.
pub struct RelayProcess {
    dir: PathBuf,
    port: u16,
    flags: Vec<String>,
    child: Child,
}

impl RelayProcess {
    /// Starts a relay with a new campus in `dir` and waits until it is ready.
    pub async fn start(dir: &Path, flags: &[&str]) -> Result<Self> {
        let port = port()?;
        let flags = flags.iter().map(|it| (*it).to_owned()).collect();
        let child = spawn(dir, port, &flags)?;
        let mut relay = Self { dir: dir.to_owned(), port, flags, child };
        relay.ready().await?;
        Ok(relay)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A new invite link, made beside the running relay.
    pub fn invite(&self, role: &str) -> Result<String> {
        let output = Command::new(program("circles-relay")?)
            .args(["invite", "--role", role, "--uses", "100", "--data-dir"])
            .arg(&self.dir)
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let link = text.split_whitespace().find(|it| it.contains("/join#"));
        link.map(str::to_owned)
            .with_context(|| format!("no link in {text:?} {:?}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Kill −9.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same data and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.child = spawn(&self.dir, self.port, &self.flags)?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.port);
        wait_for("the relay to listen", async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the relay ended: {status}");
            }
            Ok(tokio::net::TcpStream::connect(&address).await.ok())
        })
        .await
        .map(drop)
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(dir: &Path, port: u16, flags: &Vec<String>) -> Result<Child> {
    Ok(Command::new(program("circles-relay")?)
        .args(["serve", "--campus-name", "Maple Dorm", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(dir)
        .args(flags)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

/// Fills the campus of a relay that is not running with conversations from a file.
pub fn import(dir: &Path, file: &Path) -> Result<()> {
    let output = Command::new(program("circles-relay")?).arg("import").arg(file).arg("--data-dir").arg(dir).output()?;
    if !output.status.success() {
        bail!("import: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
