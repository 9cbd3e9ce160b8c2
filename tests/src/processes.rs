//! The processes of a running app: what they use, and stopping them.

use std::{collections::HashSet, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};

use crate::{app, wait_for};

/// A running app and all processes that it started.
pub struct AppProcesses {
    pid: u32,
}

impl AppProcesses {
    /// Those of the app that runs on a data directory.
    pub fn find(data: &Path) -> Result<Self> {
        Ok(Self { pid: app::pid(data)?.context("the app does not run")? })
    }

    /// When the app started, in ms since 1970. The kernel notes it in hundredths of a second.
    pub fn started_at_ms(&self) -> Result<f64> {
        let boot: f64 = fs::read_to_string("/proc/stat")?
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.parse().ok())
            .context("the kernel says when it started")?;
        // `btime` is in whole seconds: the precise moment is now, less the time since the start.
        let up: f64 = fs::read_to_string("/proc/uptime")?.split(' ').next().context("a number")?.parse()?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64();
        let precise = now - up;
        anyhow::ensure!((precise - boot).abs() < 2.0, "the clock was set while this ran");
        let ticks: f64 = stat(self.pid)?[19].parse()?;
        Ok((precise + ticks / 100.0) * 1_000.0)
    }

    /// Stops all of them at once, as sleep does; they do not notice.
    pub fn stop(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets them go on.
    pub fn go_on(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Asks the app to quit, and waits until all of them have ended: those of the web view end after the app, and write into
    /// its directory until then.
    pub async fn quit(self) -> Result<()> {
        let all = self.tree()?;
        signal(&[self.pid], "TERM")?;
        wait_for("the app to end", async || Ok(all.iter().all(|it| has_ended(*it)).then_some(()))).await
    }

    fn signal(&self, name: &str) -> Result<()> {
        signal(&self.tree()?, name)
    }

    /// Itself and its descendants.
    fn tree(&self) -> Result<Vec<u32>> {
        let mut tree = HashSet::from([self.pid]);
        loop {
            let before = tree.len();
            for pid in numbers_in("/proc")? {
                // It may have ended since it was listed.
                let Ok(stat) = stat(pid) else { continue };
                if stat[1].parse().is_ok_and(|parent| tree.contains(&parent)) {
                    tree.insert(pid);
                }
            }
            if tree.len() == before {
                return Ok(tree.into_iter().collect());
            }
        }
    }

    /// What each process has used so far, in ms, with its name.
    pub fn cpu_ms(&self) -> Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        let mut tree = self.tree()?;
        tree.sort_unstable();
        for pid in tree {
            all.push((fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned(), cpu_ms(pid)?));
        }
        Ok(all)
    }

    /// The process whose main thread runs the page.
    pub fn page(&self) -> Result<u32> {
        // The kernel keeps 15 bytes of a name.
        let is_page =
            |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it.trim() == "WebKitWebProces");
        self.tree()?.into_iter().find(is_page).context("the app has a page")
    }

    /// Whether a thread of the app's own process runs before all others of the machine.
    pub fn is_real_time(&self) -> Result<bool> {
        // A thread has its own line by its number, too. It may have ended since it was listed.
        let threads = numbers_in(&format!("/proc/{}/task", self.pid))?.into_iter().filter_map(|tid| stat(tid).ok());
        Ok(threads.map(|it| it[37].parse::<u32>()).collect::<Result<Vec<_>, _>>()?.iter().any(|it| *it > 0))
    }

    /// The proportional share of each process, with its name.
    pub fn memory_kib(&self) -> Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        for pid in self.tree()? {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let kib =
                rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
            let name = fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned();
            all.push((name, kib.context("the kernel says how much memory it takes")?));
        }
        all.sort();
        Ok(all)
    }
}

/// What became of a thread's time up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scheduled {
    /// It ran on a processor.
    pub ran: Duration,
    /// It could have run, but others had the processors.
    pub waited: Duration,
}

impl Scheduled {
    /// The main thread of a process, since it started.
    pub fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
        let mut ns = text.split_whitespace().map(str::parse);
        let mut next = || anyhow::Ok(Duration::from_nanos(ns.next().context("the kernel counts times")??));
        Ok(Self { ran: next()?, waited: next()? })
    }

    /// What became of the time from an earlier moment to this one.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// Processor time of a process so far, in ms. The kernel counts in 10 ms.
pub fn cpu_ms(pid: u32) -> Result<u64> {
    let stat = stat(pid)?;
    Ok((stat[11].parse::<u64>()? + stat[12].parse::<u64>()?) * 10)
}

/// Sends processes a signal, at once: `KILL`, `STOP` …
pub fn signal(pids: &[u32], name: &str) -> Result<()> {
    let sent = Command::new("kill").arg(format!("-{name}")).args(pids.iter().map(u32::to_string)).status()?;
    anyhow::ensure!(sent.success(), "one of the processes {pids:?} does not run");
    Ok(())
}

/// Also one whose end its parent has not asked about yet.
fn has_ended(pid: u32) -> bool {
    stat(pid).map_or(true, |it| it[0] == "Z")
}

/// The processes, or threads, that a directory of the kernel lists.
fn numbers_in(dir: &str) -> Result<Vec<u32>> {
    let names = fs::read_dir(dir)?.filter_map(|it| it.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// The fields of `/proc/PID/stat` after the name: the state is 0, the parent 1, the times 11 and 12, the start 19, the
/// real-time priority 37 (proc(5) counts from 3 there). Times are in hundredths of a second (`USER_HZ`).
fn stat(pid: u32) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("the name is in brackets")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
