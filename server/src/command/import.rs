//! `circles-relay import`

use std::{
    fs::File,
    io::{BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use circles_relay::{ImportProgress, ImportReport, Relay};
use clap::Args;
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use super::options::{Logging, Place};

/// How often a line of progress is printed where there is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(2);

/// The options of the command.
#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    logging: Logging,

    /// Succeed even if some lines were not valid and were skipped.
    #[arg(long)]
    skip_invalid: bool,

    /// Files of JSON lines {"circle","n","at","from","text","reply_to"}, plain or gzipped. Stopped at any moment and run
    /// again, an import goes on where it was; nothing is stored twice.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Import {
    /// Imports the files one after the other.
    pub fn run(self) -> anyhow::Result<()> {
        self.logging.start()?;
        let settings = self.place.settings()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let invalid = runtime.block_on(async {
            let relay = Relay::open(settings).await?;
            if let Some(code) = relay.first_invite() {
                println!("The campus was created. Its owner joins with this link:\n\n    {}\n", relay.link(code));
            }
            let mut invalid = 0;
            for file in &self.files {
                let report = import(&relay, file).await.with_context(|| file.display().to_string());
                match report {
                    Ok(report) => invalid += report.total.invalid,
                    Err(error) => {
                        relay.close().await;
                        return Err(error);
                    }
                }
            }
            relay.close().await;
            anyhow::Ok(invalid)
        })?;
        if invalid > 0 && !self.skip_invalid {
            bail!("{invalid} lines were not valid and were skipped; all others are stored (see --skip-invalid)");
        }
        Ok(())
    }
}

async fn import(relay: &Relay, path: &Path) -> anyhow::Result<ImportReport> {
    let begun = Instant::now();
    let (reader, bar) = open(path)?;
    let mut printed = begun;
    let report = circles_relay::import(relay, reader, |progress| {
        if bar.is_hidden() {
            if printed.elapsed() >= PLAIN_INTERVAL {
                printed = Instant::now();
                println!("{}: {}", path.display(), line(progress, begun));
            }
        } else {
            bar.set_message(line(progress, begun));
        }
    })
    .await;
    bar.finish_and_clear();
    let report = report?;
    println!("{}: {}", path.display(), line(&report.total, begun));
    for (number, wrong) in &report.skipped {
        eprintln!("{}:{number}: {wrong}", path.display());
    }
    Ok(report)
}

/// The lines of a file, and a bar that moves with the bytes read of it.
fn open(path: &Path) -> anyhow::Result<(Box<dyn BufRead>, ProgressBar)> {
    let file = File::open(path)?;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(file.metadata()?.len()) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {eta} left")?);
    let counted = bar.wrap_read(file);
    let zipped = path.extension().is_some_and(|it| it == "gz");
    let reader: Box<dyn BufRead> =
        if zipped { Box::new(BufReader::new(MultiGzDecoder::new(counted))) } else { Box::new(BufReader::new(counted)) };
    Ok((reader, bar))
}

fn line(progress: &ImportProgress, begun: Instant) -> String {
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = progress.lines as f64 / seconds.max(0.001);
    let ImportProgress { lines, imported, present, invalid } = progress;
    format!("{lines} lines, {imported} imported, {present} already there, {invalid} invalid, {rate:.0} lines/s")
}
