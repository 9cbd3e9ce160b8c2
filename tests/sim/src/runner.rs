//! Runs seeds, each in a process of its own, as many side by side as there are processors.

use std::{
    collections::BTreeMap,
    fmt,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::ValueEnum;

use crate::{breakage::Breakage, report::Report, shared::lock};

/// How long one seed may take in real time: it takes about one second.
const SEED_TIME_MAX: Duration = Duration::from_mins(3);

/// After how many seeds one is told how far it is.
const PROGRESS_EVERY: u64 = 500;

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many were run.
    pub seeds: u64,
    /// Those with violations.
    pub failed: Vec<u64>,
    /// How often what happened, all together.
    pub counts: BTreeMap<String, u64>,
    /// The time that all of them lived.
    pub simulated: Duration,
    /// The time that it took.
    pub took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated.as_secs_f64() / 3_600.0;
        let took = self.took.as_secs_f64();
        writeln!(
            f,
            "{} seeds, {} with violations; {hours:.1} h of campus life in {took:.0} s",
            self.seeds,
            self.failed.len()
        )?;
        for (what, count) in &self.counts {
            writeln!(f, "    {what:<44} {count:>10}")?;
        }
        if !self.failed.is_empty() {
            writeln!(f, "Failed: {:?}. `make sim SEED=n` runs one of them again, the same way.", self.failed)?;
        }
        Ok(())
    }
}

/// How seeds are run.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The program that runs one.
    pub program: PathBuf,
}

impl Runner {
    /// Runs one seed; with its trace, if it is to be written somewhere.
    pub fn one(&self, seed: u64, breakage: Option<Breakage>, trace: Option<&Path>) -> anyhow::Result<Report> {
        let dir = tempfile::Builder::new().prefix("circles-sim").tempdir_in(scratch())?;
        let mut command = Command::new(&self.program);
        command.arg("--seed").arg(seed.to_string()).arg("--dir").arg(dir.path());
        if let Some(breakage) = breakage.and_then(|it| it.to_possible_value()) {
            command.arg("--breakage").arg(breakage.get_name());
        }
        if let Some(trace) = trace {
            command.arg("--trace").arg(trace);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (mut out, mut err) = (child.stdout.take().context("piped")?, child.stderr.take().context("piped")?);
        let errors = thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).map(|_| text)
        });
        let answer = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        });
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > SEED_TIME_MAX {
                child.kill()?;
                child.wait()?;
                // The others go on: whether it hangs or the machine stood still, one run of it alone will tell.
                let violations = vec![format!("it does not end within {} s", SEED_TIME_MAX.as_secs())];
                return Ok(Report { seed, violations, ..Report::default() });
            }
            thread::sleep(Duration::from_millis(5));
        };
        let answer = answer.join().expect("it only reads")?;
        let errors = errors.join().expect("it only reads")?;
        if status.success() {
            return serde_json::from_str(&answer).with_context(|| format!("seed {seed} says {answer:?}"));
        }
        // A panic of the programs under test is a finding as well.
        let said = errors.lines().filter(|it| !it.trim().is_empty()).take(6).collect::<Vec<_>>().join(" / ");
        Ok(Report { seed, violations: vec![format!("it ended with {status}: {said}")], ..Report::default() })
    }

    /// Runs many seeds; tells of each that failed at once.
    pub fn many(&self, seeds: Range<u64>, failed: impl Fn(&Report) + Sync) -> anyhow::Result<Summary> {
        let begun = Instant::now();
        let summary = Mutex::new(Summary::default());
        each(seeds, |seed| {
            let report = self.one(seed, None, None)?;
            if !report.is_well() {
                failed(&report);
            }
            let mut summary = lock(&summary);
            summary.seeds += 1;
            if summary.seeds.is_multiple_of(PROGRESS_EVERY) {
                eprintln!("{} seeds after {:.0} s", summary.seeds, begun.elapsed().as_secs_f64());
            }
            summary.simulated += Duration::from_millis(report.simulated_ms);
            for (what, count) in &report.counts {
                *summary.counts.entry(what.clone()).or_default() += count;
            }
            if !report.is_well() {
                summary.failed.push(seed);
            }
            Ok(true)
        })?;
        let mut summary = summary.into_inner().expect("no thread panicked");
        summary.failed.sort_unstable();
        summary.took = begun.elapsed();
        Ok(summary)
    }

    /// Runs seeds with something broken until one notices; says which, and after how many.
    pub fn until_noticed(&self, breakage: Breakage, seeds: Range<u64>) -> anyhow::Result<Option<(u64, Report)>> {
        let begin = seeds.start;
        let found: Mutex<Option<Report>> = Mutex::new(None);
        each(seeds, |seed| {
            let report = self.one(seed, Some(breakage), None)?;
            if !report.is_well() {
                let mut found = lock(&found);
                if found.as_ref().is_none_or(|it| it.seed > seed) {
                    *found = Some(report);
                }
                return Ok(false);
            }
            Ok(true)
        })?;
        Ok(found.into_inner().expect("no thread panicked").map(|it| (it.seed - begin + 1, it)))
    }
}

/// Memory instead of a disk, where there is such a thing: nothing here is about disks that fail.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Runs each seed until one says that it is enough.
fn each(seeds: Range<u64>, run: impl Fn(u64) -> anyhow::Result<bool> + Sync) -> anyhow::Result<()> {
    let (next, enough) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let side_by_side = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let worker = || -> anyhow::Result<()> {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || enough.load(Ordering::Relaxed) {
                    return Ok(());
                }
                if !run(seed)? {
                    enough.store(true, Ordering::Relaxed);
                }
            }
        };
        let workers: Vec<_> = (0..side_by_side).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|it| it.join().expect("it does not panic"))
    })
}
