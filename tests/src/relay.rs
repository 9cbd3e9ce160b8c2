//! A relay as a process of its own, which a test may kill and start again.

use std::{
    fmt::Display,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

use crate::{port, processes, program, small_disk::SmallDisk, wait_for};

/// A relay process on loopback. It is killed when dropped.
pub struct RelayProcess {
    setup: Setup,
    child: Child,
}

struct Setup {
    dir: PathBuf,
    port: u16,
    flags: Vec<String>,
    /// What runs the program: the program itself, or one that enters a namespace first.
    run: Box<dyn Fn() -> Result<Command> + Send + Sync>,
}

impl RelayProcess {
    /// Starts a relay with a new campus in `dir` and waits until it is ready.
    pub async fn start(dir: &Path, flags: &[&str]) -> Result<Self> {
        Self::run(dir, flags, Box::new(|| Ok(Command::new(program("circles-relay")?)))).await
    }

    /// The same on a file system that can be filled up.
    pub async fn start_on(disk: &Arc<SmallDisk>, flags: &[&str]) -> Result<Self> {
        let held = disk.clone();
        Self::run(&disk.path, flags, Box::new(move || Ok(held.command(program("circles-relay")?)))).await
    }

    async fn run(dir: &Path, flags: &[&str], run: Box<dyn Fn() -> Result<Command> + Send + Sync>) -> Result<Self> {
        let flags = flags.iter().map(|it| (*it).to_owned()).collect();
        let setup = Setup { dir: dir.to_owned(), port: port()?, flags, run };
        let mut relay = Self { child: setup.spawn()?, setup };
        relay.ready().await?;
        Ok(relay)
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.setup.port
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.setup.port)
    }

    /// A new invite link, made beside the running relay.
    pub fn invite(&self, role: &str) -> Result<String> {
        let mut command = (self.setup.run)()?;
        command.args(["invite", "--role", role, "--uses", "1000", "--data-dir"]).arg(&self.setup.dir);
        if let Some(at) = self.setup.flags.iter().position(|it| it == "--database") {
            command.args(["--public-url", &self.url()]).args(&self.setup.flags[at..at + 2]);
        }
        let output = command.output()?;
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

    /// Stops the process without ending it: its connections stay open and nothing answers, as on a network that is gone.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Kill −9, and the same data and port again after `down`.
    pub async fn crash(&mut self, down: std::time::Duration) -> Result<()> {
        self.kill()?;
        tokio::time::sleep(down).await;
        self.restart().await
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        processes::signal(&[self.child.id()], name)
    }

    /// Starts it again on the same data and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.child = self.setup.spawn()?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.setup.port);
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

impl Setup {
    fn spawn(&self) -> Result<Child> {
        let listen = format!("127.0.0.1:{}", self.port);
        Ok((self.run)()?
            .args(["serve", "--campus-name", "Maple Dorm", "--listen", &listen, "--data-dir"])
            .arg(&self.dir)
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?)
    }
}

/// Fills the campus of a relay that is not running with conversations from a file.
pub fn import(dir: &Path, file: &Path) -> Result<()> {
    let output = Command::new(program("circles-relay")?).arg("import").arg(file).arg("--data-dir").arg(dir).output()?;
    if !output.status.success() {
        bail!("import: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// [`import`], from lines.
pub fn import_lines(dir: &Path, lines: impl IntoIterator<Item = impl Display>) -> Result<()> {
    let mut file = BufWriter::new(NamedTempFile::new()?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    import(dir, file.into_inner()?.path())
}
