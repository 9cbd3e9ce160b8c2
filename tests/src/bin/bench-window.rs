//! Measures the real desktop window on a cache that is there: from start to the circle painted, the memory of all its
//! processes, and the processor's work while nothing happens. `make bench-window` prepares the cache and gives a display.
//!
//! Usage: `bench-window DATA_DIR [STARTS] [IDLE_SECONDS]`

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use circles_tests::{
    driver::{self, Driver},
    program,
};
use fantoccini::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let data = PathBuf::from(args.next().context("usage: bench-window DATA_DIR [STARTS] [IDLE_SECONDS]")?);
    let starts: usize = args.next().map_or(Ok(5), |it| it.parse())?;
    let idle = Duration::from_secs(args.next().map_or(Ok(60), |it| it.parse())?);

    let mut painted_ms = Vec::new();
    for n in 1..=starts {
        let driver = Driver::start("WebKitWebDriver").await?;
        let page = window(&driver, &data).await?;
        let app = App::find(&data)?;
        let painted = painted_at_ms(&page).await? - app.started_at_ms()?;
        println!("start {n}: {painted:.0} ms from start to the circle painted");
        painted_ms.push(painted);
        if n == starts {
            // The cache is complete; what a start leaves to do is done after a moment.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let before = app.cpu_ms()?;
            tokio::time::sleep(idle).await;
            let after = app.cpu_ms()?;
            let mut used_ms = 0;
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                println!("idle for {} s: {name} used {} ms of processor time", idle.as_secs(), after - before);
                used_ms += after - before;
            }
            #[expect(clippy::cast_precision_loss, reason = "some milliseconds")]
            let percent = used_ms as f64 / 10.0 / idle.as_secs_f64();
            println!("idle for {} s: {used_ms} ms of processor time, {percent:.2} % of a core", idle.as_secs());
            for (name, kib) in app.memory_kib()? {
                println!("memory (PSS): {name} {} MiB", kib / 1024);
            }
            println!("memory (PSS): all {} MiB", app.memory_kib()?.iter().map(|it| it.1).sum::<u64>() / 1024);
        }
        // After a minute the driver's own way of closing a window leaves the app as it is; people close it by the window
        // manager, which works.
        circles_tests::app::quit(&data)?;
        drop((page, driver));
        // While it still closes, a new start would only wake it.
        circles_tests::wait_for("the app to end", async || Ok(circles_tests::app::pid(&data)?.is_none().then_some(())))
            .await?;
    }
    painted_ms.sort_by(f64::total_cmp);
    println!("painted: median {:.0} ms, worst {:.0} ms", painted_ms[painted_ms.len() / 2], painted_ms[starts - 1]);
    Ok(())
}

async fn window(driver: &Driver, data: &Path) -> Result<Client> {
    let options = json!({ "binary": program("circles")?, "args": ["--data-dir", data, "--no-keyring"] });
    let page = driver.session(json!({ "webkitgtk:browserOptions": options })).await?;
    driver::find(&page, "html[data-painted=circle]").await?;
    Ok(page)
}

/// When the first circle was painted, in ms since 1970: the page notes it by itself, so waiting for it costs nothing.
async fn painted_at_ms(page: &Client) -> Result<f64> {
    circles_tests::wait_for("the mark of the first circle", async || {
        let script = "const [mark] = performance.getEntriesByName('painted-circle');
            return mark ? performance.timeOrigin + mark.startTime : null";
        Ok(page.execute(script, Vec::new()).await?.as_f64())
    })
    .await
}

/// The app and all processes that it started.
struct App {
    pid: u32,
}

impl App {
    fn find(data: &Path) -> Result<Self> {
        let binary = program("circles")?;
        let mut found = processes()?.into_iter().filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let args: Vec<&[u8]> = line.split(|it| *it == 0).collect();
            args.first() == Some(&binary.as_os_str().as_encoded_bytes())
                && args.contains(&data.as_os_str().as_encoded_bytes())
        });
        Ok(Self { pid: found.next().context("the app does not run")? })
    }

    /// In ms since 1970. The kernel notes it in hundredths of a second.
    fn started_at_ms(&self) -> Result<f64> {
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

    /// Itself and its descendants.
    fn tree(&self) -> Result<Vec<u32>> {
        let mut tree = HashSet::from([self.pid]);
        loop {
            let before = tree.len();
            for pid in processes()? {
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
    fn cpu_ms(&self) -> Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        let mut tree = self.tree()?;
        tree.sort_unstable();
        for pid in tree {
            let stat = stat(pid)?;
            let ticks = stat[11].parse::<u64>()? + stat[12].parse::<u64>()?;
            all.push((fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned(), ticks * 10));
        }
        Ok(all)
    }

    /// The proportional share of each process, with its name.
    fn memory_kib(&self) -> Result<Vec<(String, u64)>> {
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

fn processes() -> Result<Vec<u32>> {
    let names = fs::read_dir("/proc")?.filter_map(|it| it.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

/// The fields of `/proc/PID/stat` after the name: the state is 0, the parent 1, the times 11 and 12, the start 19
/// (proc(5) counts from 3 there). Times are in hundredths of a second (`USER_HZ`).
fn stat(pid: u32) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(") ").context("the name is in brackets")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
