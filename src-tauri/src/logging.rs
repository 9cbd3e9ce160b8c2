//! What the app logs: to standard error, and to a bounded file that a person can send along with a report.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::limits::LOG_FILE_BYTES_MAX;

/// Starts logging. `CIRCLES_LOG` filters: `error`, `warn`, `info`, `debug`, or like `info,circles_client=debug`.
pub fn start(data_dir: &Path) -> anyhow::Result<()> {
    let filter = std::env::var("CIRCLES_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(filter)?;
    let file = LogFile::open(data_dir.join("circles.log"), LOG_FILE_BYTES_MAX);
    // A full disk must not keep the app from saying that the disk is full.
    let (file, refused) = match file {
        Ok(file) => (Some(fmt::layer().with_ansi(false).with_writer(Mutex::new(file)).boxed()), None),
        Err(error) => (None, Some(error)),
    };
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(io::stderr)).with(file).try_init()?;
    if let Some(error) = refused {
        tracing::warn!(%error, "the log goes to standard error alone");
    }
    Ok(())
}

/// A file that begins anew when it is full, and keeps the one before.
struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl LogFile {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes, bytes_max })
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("log.old"))?;
        *self = Self::open(self.path.clone(), self.bytes_max)?;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes.saturating_add(line.len() as u64) > self.bytes_max && self.bytes > 0 {
            self.begin_anew()?;
        }
        let written = self.file.write(line)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_stays_within_twice_its_size_and_keeps_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/circles.log");
        let mut log = LogFile::open(path.clone(), 100).unwrap();
        for n in 0..45 {
            writeln!(log, "line {n:04}").unwrap();
        }
        drop(log);
        // Opened again, it goes on where it was.
        writeln!(LogFile::open(path.clone(), 100).unwrap(), "the end").unwrap();
        let now = fs::read_to_string(&path).unwrap();
        let before = fs::read_to_string(path.with_extension("log.old")).unwrap();
        assert!(now.ends_with("line 0044\nthe end\n"), "{now}");
        assert!(now.len() <= 100 && before.len() <= 100 && before.lines().count() == 10);
    }
}
