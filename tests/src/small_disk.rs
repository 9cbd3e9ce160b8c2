//! A file system of a few megabytes, to fill up: a tmpfs in a mount namespace of its own.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The file system. It goes when dropped, and with it whatever was started in it and still runs.
pub struct SmallDisk {
    /// Where it is, for programs that were started by [`SmallDisk::command`]; others see an empty directory there.
    pub path: PathBuf,
    holder: Child,
    root: bool,
}

impl SmallDisk {
    /// Mounts one of that size, in KiB, on an empty directory.
    pub fn mount(path: &Path, size_kib: u32) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
        let mut unshare = Command::new("unshare");
        if !root {
            unshare.args(["--user", "--map-root-user"]);
        }
        let script =
            format!("mount -t tmpfs -o size={size_kib}k,mode=0700 tmpfs \"$0\" && echo mounted && exec sleep 600");
        let mut holder = unshare
            .args(["--mount", "sh", "-c", &script])
            .arg(path)
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare is missing")?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("it has an output")?).read_line(&mut line)?;
        ensure!(line == "mounted\n", "this machine does not let a test mount a tmpfs in a namespace");
        Ok(Self { path: path.to_owned(), holder, root })
    }

    /// A program that sees the file system.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !self.root {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// Takes up space, in KiB, with a file of that name.
    pub fn fill(&self, name: &str, kib: u32) -> Result<()> {
        let size = format!("{kib}KiB");
        let status = self.command("fallocate").args(["--length", &size]).arg(self.path.join(name)).status()?;
        ensure!(status.success(), "the file system is too small for {size}");
        Ok(())
    }

    /// Gives the space of that file free.
    pub fn free(&self, name: &str) -> Result<()> {
        ensure!(self.command("rm").arg(self.path.join(name)).status()?.success(), "{name} is not there");
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
