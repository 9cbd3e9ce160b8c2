//! Measures what a long absence costs the real desktop app: it is stopped as sleep stops it, conversations are imported into
//! the relay meanwhile, and then it goes on. `make bench-client` builds it and gives it a display.
//!
//! Every run begins with the same cache, in which the app shows the end of the largest conversation. In half of the runs the
//! page presses "Jump to latest" as soon as it is offered; in the others it stays at what was missed first.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use circles_client::view::Connection;
use circles_tests::{
    app,
    beginning::{join_circles, joined},
    driver::{self, Driver},
    processes::{AppProcesses, Scheduled},
    relay::{self, RelayProcess},
    screen::Screen,
    wait_for,
};
use clap::Parser;
use fantoccini::Client;
use flate2::read::MultiGzDecoder;
use rusqlite::{OpenFlags, OptionalExtension};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

/// Messages of the largest conversation that the app holds at least before it misses any.
const HELD_MIN: usize = 100;
/// How long the app is left alone before it is stopped, and after it is complete.
const SETTLES: Duration = Duration::from_secs(3);
/// How often the database is asked whether all is there. Like all that watches, it takes time from what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often memory is looked at. It costs the processes a few milliseconds.
const MEMORY_EVERY: Duration = Duration::from_millis(500);
/// How often the kernel is asked about the page's thread.
const SCHEDULED_EVERY: Duration = Duration::from_millis(4);
/// How often the window is pinged.
const PING_EVERY: Duration = Duration::from_millis(10);
/// How often a key is pressed or released. The web view hands on one such event after the other.
const KEY_EVERY: Duration = Duration::from_millis(20);

#[derive(Parser)]
struct Options {
    /// Conversations, gzipped lines of JSON as `circles-relay import` takes them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many messages of the largest of them are missed.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 500, 5_000, 50_000])]
    missed: Vec<usize>,
    /// Without those that jump to the latest.
    #[arg(long)]
    staying: bool,
    /// Runs of each kind; the median and the worst of them are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let mut scene = Scene::prepare(&options).await?;
    println!("the cache holds {} messages, {} of them in {}", scene.held_in_all, scene.held, scene.circle);
    let mut table = Vec::new();
    for missed in options.missed {
        if missed > scene.rest.len() {
            println!("{missed} messages more are not in the files");
            continue;
        }
        let mut runs = Vec::new();
        for n in 1..=options.runs {
            for jump in [false, true].into_iter().filter(|jump| !(options.staying && *jump)) {
                let run = scene.run(missed, jump).await?;
                println!("{missed} missed, run {n}, {}: {run:?}", if jump { "jumping" } else { "staying" });
                runs.push(run);
            }
        }
        table.push((missed, runs));
    }
    print(&table);
    Ok(())
}

/// What one absence cost. Times are from the moment that the app went on, in ms.
#[derive(Debug)]
struct Run {
    /// The first missed message is on the screen, below the divider.
    first_ms: Option<f64>,
    /// The newest message is, after a jump to it.
    newest_ms: Option<f64>,
    /// Everything is held, by the cache's own ledger.
    complete_ms: f64,
    /// Processor time until then, of the app and of the web view's processes.
    app_cpu_ms: u64,
    web_cpu_ms: u64,
    /// The most memory (PSS) of all of them.
    memory_mib: u64,
    /// The longest time until the page was told of a key that was pressed: what a person who types notices.
    key_waited: Duration,
    /// The longest time in which no timer of the page ran.
    page: Block,
    /// The same of GTK's main loop, by its answers to pings.
    window: Block,
}

/// A time in which a thread did nothing else; what is left of it the thread waited for other things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    took: Duration,
    of_it: Scheduled,
    /// When it ended, since 1970: for whoever records what else the machine did.
    until: Duration,
}

/// A relay, a cache and a base of both to which every run returns.
struct Scene {
    dir: TempDir,
    relay: RelayProcess,
    circle: String,
    /// Messages that the cache holds of the circle, and of all.
    held: usize,
    held_in_all: usize,
    /// The rest of the largest conversation, a line each.
    rest: Vec<String>,
}

impl Scene {
    async fn prepare(options: &Options) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut files = options.files.iter().map(|it| lines(it)).collect::<Result<Vec<_>>>()?;
        files.sort_by_key(Vec::len);
        let held_in_all: usize = files.iter().map(Vec::len).sum();
        let mut largest = files.pop().context("no file")?;
        let most = options.missed.iter().copied().filter(|it| it + HELD_MIN <= largest.len()).max();
        let rest = largest.split_off(largest.len() - most.unwrap_or_default());
        let (held, held_in_all) = (largest.len(), held_in_all - rest.len());
        let circle = circle_of(&largest[0])?;

        let mut relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
        let invite = relay.invite("owner")?;
        relay.kill()?;
        files.push(largest);
        relay::import_lines(&dir.path().join("relay"), files.iter().flatten())?;
        relay.restart().await?;
        let (ada, campus) = joined(&dir.path().join("app"), &invite, "Ada").await?;
        let of_files = files.iter().map(|it| circle_of(&it[0])).collect::<Result<Vec<_>>>()?;
        join_circles(&ada, campus.id, &of_files, held_in_all).await?;
        wait_for("everything to be held", async || {
            let campus = ada.campuses().await?.remove(0);
            Ok((campus.connection == Connection::Online { missing: 0 }).then_some(()))
        })
        .await?;
        // To make the search's index takes some seconds, and is nothing that an absence costs.
        wait_for("everything to be found", async || {
            let covered = ada.search(campus.id, "the", None, None, 1).await?.covered;
            Ok((covered.searched == covered.total).then_some(()))
        })
        .await?;
        ada.close().await;
        // Connections are closed on threads of their own, and the last one may take the log away.
        let app = dir.path().join("app");
        wait_for("the app's database to be closed", async || Ok((!has_open(&app)?).then_some(()))).await?;
        relay.kill()?;
        for name in ["relay", "app"] {
            copy(&dir.path().join(name), &dir.path().join(format!("base-{name}")))?;
        }
        Ok(Self { dir, relay, circle, held, held_in_all, rest })
    }

    async fn run(&mut self, missed: usize, jump: bool) -> Result<Run> {
        let data = self.dir.path().join("app");
        self.relay.kill()?;
        for name in ["relay", "app"] {
            copy(&self.dir.path().join(format!("base-{name}")), &self.dir.path().join(name))?;
        }
        self.relay.restart().await?;
        let driver = Driver::start("WebKitWebDriver").await?;
        let page = app::start(&driver, &data, &[]).await?;
        let window = app::pid(&data)?.context("the app runs")?;
        Screen::open()?.focus(window)?;
        driver::press(&page, &self.circle).await?;
        driver::find(&page, &format!("[role=log] article[data-seq='{}']", self.held)).await?;
        tokio::time::sleep(SETTLES).await;
        let head = self.held + missed;
        page.execute(PROBE, vec![json!(self.held), json!(head), json!(jump)]).await?;
        same_clock(&page).await?;

        let processes = AppProcesses::find(&data)?;
        processes.stop()?;
        self.relay.kill()?;
        relay::import_lines(&self.dir.path().join("relay"), &self.rest[..missed])?;
        self.relay.restart().await?;
        let head_pos = head_pos(self.dir.path(), &self.circle)?;
        let cpu = Cpu::of(&processes)?;
        let woke_ms = now_ms();
        processes.go_on()?;

        let of_page = processes.page()?;
        let scheduling = Watch::start(SCHEDULED_EVERY, move || Scheduled::of(of_page));
        let (screen, keyboard) = (Screen::open()?, Screen::open()?);
        let pings = Watch::start(PING_EVERY, move || ping(&screen, window));
        let shift = keyboard.shift()?;
        let mut down = false;
        let keys = Watch::start(KEY_EVERY, move || {
            down = !down;
            keyboard.key(shift, down)
        });
        let of_app = AppProcesses::find(&data)?;
        let memory = Watch::start(MEMORY_EVERY, move || Ok(of_app.memory_kib()?.iter().map(|it| it.1).sum::<u64>()));
        let complete_ms = wait_until_complete(&data, woke_ms, head_pos)? - woke_ms;
        let used = Cpu::of(&processes)?;
        tokio::time::sleep(SETTLES).await;
        let seen = wait_for("the missed messages on the screen", async || {
            let seen: Seen = serde_json::from_value(page.execute("return window.bench", Vec::new()).await?)?;
            let painted = if jump { seen.newest } else { seen.first };
            Ok((missed == 0 || painted.is_some()).then_some(seen))
        })
        .await;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                driver::picture(&page, "in-vain").await?;
                anyhow::bail!("{error:#}; the page shows {}", page.execute(SHOWN, Vec::new()).await?)
            }
        };
        let blocked = during(&scheduling.end()?, seen.longest_block(woke_ms))?;
        let key_waited = key_waited(&page, &keys.end()?).await?;
        // Whoever starts next on this display is not to find it pressed.
        Screen::open()?.key(shift, false)?;
        let window_blocked = pings.most()?;
        let memory_mib = memory.most()? / 1024;
        processes.quit().await?;
        drop((page, driver));
        Ok(Run {
            first_ms: seen.first.filter(|_| !jump).map(|at| at - woke_ms),
            newest_ms: seen.newest.filter(|_| jump).map(|at| at - woke_ms),
            complete_ms,
            app_cpu_ms: used.app - cpu.app,
            web_cpu_ms: used.web - cpu.web,
            memory_mib,
            key_waited,
            page: blocked,
            window: window_blocked,
        })
    }
}

/// Notes in the page, by its own clock in ms since 1970: when messages are painted, when it is told of keys, and each time in
/// which no timer ran for long. The interval is its heartbeat; a frame is painted when the task after it runs. As a person's
/// hand does, a press of a button comes between two pieces of work.
const PROBE: &str = r#"
    const [held, head, jump] = arguments;
    const clock = () => performance.timeOrigin + performance.now();
    const bench = (window.bench = { first: null, newest: null, blocks: [], keys: [] });
    for (const what of ['keydown', 'keyup']) addEventListener(what, () => bench.keys.push(clock()), true);
    const noted = new Set();
    const onScreen = (seq) => {
        const box = document.querySelector(`[role=log] article[data-seq="${seq}"]`)?.getBoundingClientRect();
        return box && box.bottom > 0 && box.top < innerHeight;
    };
    const note = (what, seq) => {
        if (noted.has(what) || !onScreen(seq)) return;
        noted.add(what);
        requestAnimationFrame(() => setTimeout(() => (bench[what] = clock())));
    };
    const look = () => {
        if (head === held) return;
        note('first', held + 1);
        note('newest', head);
        const button = jump && !noted.has('jump') && document.querySelector('button[aria-label^="Jump to latest, "]');
        if (!button) return;
        noted.add('jump');
        setTimeout(() => button.click());
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
    let before = clock();
    setInterval(() => {
        const now = clock();
        if (now - before > 20) bench.blocks.push([before, now]);
        before = now;
        look();
    }, 10);
"#;

/// What the page shows of the conversation: the first and the last message that it has, those on the screen, and all else
/// that there is to read.
const SHOWN: &str = "
    const all = [...document.querySelectorAll('[role=log] article')];
    const seqs = (rows) => rows.map((row) => row.dataset.seq ?? 'unsent');
    const on = all.filter((row) => {
        const box = row.getBoundingClientRect();
        return box.bottom > 0 && box.top < innerHeight;
    });
    const others = [...document.querySelectorAll('[role=log] button, [role=log] [role=separator], header, [aria-label^=\"Jump to latest\"], [aria-label^=\"First unread\"]')];
    return { all: seqs([all[0], all.at(-1)].filter(Boolean)), on: seqs(on), focus: document.hasFocus(),
        others: others.map((it) => it.textContent.trim()).filter(Boolean), bench: { ...window.bench, blocks: [], keys: [] } };
";

/// What [`PROBE`] noted.
#[derive(Deserialize)]
struct Seen {
    first: Option<f64>,
    newest: Option<f64>,
    blocks: Vec<(f64, f64)>,
}

impl Seen {
    /// What lies before waking is the stop itself.
    fn longest_block(&self, woke_ms: f64) -> (f64, f64) {
        let since = self.blocks.iter().map(|(from, until)| (from.max(woke_ms), *until)).filter(|it| it.0 < it.1);
        since.max_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap_or((woke_ms, woke_ms))
    }
}

/// The page's clock and this program's are the same, or times between the two would mean nothing.
async fn same_clock(page: &Client) -> Result<()> {
    let before = now_ms();
    let there = page.execute("return performance.timeOrigin + performance.now()", Vec::new()).await?;
    let there = there.as_f64().context("a number")?;
    ensure!(there > before - 2.0 && there < now_ms() + 2.0, "the page's clock is off by {} ms", there - before);
    Ok(())
}

/// Waits until the stream was heard and every scope is covered from the beginning to its head, which is at `head_pos` or
/// later. When that was, in ms since 1970.
fn wait_until_complete(data: &Path, woke_ms: f64, head_pos: i64) -> Result<f64> {
    let cache = rusqlite::Connection::open_with_flags(data.join("circles.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut complete = cache.prepare(
        "SELECT (SELECT heard_at FROM campus) >= ?1 AND (SELECT max(pos) FROM scope_head) >= ?2
         AND NOT EXISTS (SELECT 1 FROM scope_head AS head WHERE NOT EXISTS (
             SELECT 1 FROM coverage AS held WHERE held.campus = head.campus AND held.scope = head.scope
             AND held.after = 0 AND held.until >= head.pos))",
    )?;
    while now_ms() < woke_ms + circles_tests::PATIENCE.as_secs_f64() * 1_000.0 {
        let now = now_ms();
        if complete.query_row((woke_ms.floor(), head_pos), |row| row.get(0)).optional()? == Some(true) {
            return Ok(now);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    anyhow::bail!("the app did not become complete")
}

/// The position of the last message of a circle, in the relay's database.
fn head_pos(dir: &Path, circle: &str) -> Result<i64> {
    let campus = rusqlite::Connection::open(dir.join("relay/campus.db"))?;
    let sql = "SELECT max(created_pos) FROM message WHERE circle_id = (SELECT id FROM circle WHERE name = ?1)";
    Ok(campus.query_row(sql, [circle], |row| row.get(0))?)
}

/// What a thread did between two moments, of what the kernel said all along.
fn during(all: &[(f64, Scheduled)], (from, until): (f64, f64)) -> Result<Block> {
    let at = |when: f64| all.iter().min_by(|a, b| (a.0 - when).abs().total_cmp(&(b.0 - when).abs()));
    let ((_, before), (_, after)) = at(from).zip(at(until)).context("the thread was watched")?;
    Ok(Block { took: duration(until - from), of_it: after.since(before), until: duration(until) })
}

/// The longest time from pressing or releasing a key until the page was told, once it was told of all.
async fn key_waited(page: &Client, keys: &[(f64, ())]) -> Result<Duration> {
    let told: Vec<f64> = wait_for("the page to be told of all keys", async || {
        let told: Vec<f64> = serde_json::from_value(page.execute("return window.bench.keys", Vec::new()).await?)?;
        Ok((told.len() >= keys.len()).then_some(told))
    })
    .await?;
    ensure!(told.len() == keys.len(), "the page was told of {} keys and not of {}", told.len(), keys.len());
    let waited = keys.iter().zip(&told).map(|(key, told)| told - key.0).max_by(f64::total_cmp);
    // The page's clock counts whole ms.
    Ok(duration(waited.context("a key was pressed")?.max(0.0)))
}

/// How long the window of a process took to answer, and what its main thread did meanwhile.
fn ping(screen: &Screen, window: u32) -> Result<Block> {
    let before = Scheduled::of(window)?;
    let took = screen.ping(window)?;
    let of_it = Scheduled::of(window)?.since(&before);
    Ok(Block { took, of_it, until: duration(now_ms()) })
}

/// Processor time so far, in ms. The kernel counts in 10 ms.
struct Cpu {
    app: u64,
    web: u64,
}

impl Cpu {
    fn of(processes: &AppProcesses) -> Result<Self> {
        let (app, web): (Vec<_>, Vec<_>) = processes.cpu_ms()?.into_iter().partition(|(name, _)| name == "circles");
        let sum = |of: Vec<(String, u64)>| of.into_iter().map(|it| it.1).sum();
        Ok(Self { app: sum(app), web: sum(web) })
    }
}

/// Looks again and again on a thread of its own, until it is asked for what it saw: with the moments at which it began to
/// look, in ms since 1970.
struct Watch<T> {
    stop: mpsc::Sender<()>,
    watching: JoinHandle<Result<Vec<(f64, T)>>>,
}

impl<T: Send + 'static> Watch<T> {
    fn start(every: Duration, mut look: impl FnMut() -> Result<T> + Send + 'static) -> Self {
        let (stop, stopped) = mpsc::channel();
        let watching = std::thread::spawn(move || {
            let mut all = Vec::new();
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                all.push((now_ms(), look()?));
            }
            Ok(all)
        });
        Self { stop, watching }
    }

    fn end(self) -> Result<Vec<(f64, T)>> {
        drop(self.stop);
        self.watching.join().map_err(|_| anyhow::anyhow!("the watch ended"))?
    }

    fn most(self) -> Result<T>
    where
        T: Ord + Default,
    {
        Ok(self.end()?.into_iter().map(|it| it.1).max().unwrap_or_default())
    }
}

fn circle_of(line: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Line {
        circle: String,
    }
    Ok(serde_json::from_str::<Line>(line)?.circle)
}

fn lines(file: &Path) -> Result<Vec<String>> {
    let open = File::open(file).with_context(|| file.display().to_string())?;
    Ok(BufReader::new(MultiGzDecoder::new(open)).lines().collect::<Result<_, _>>()?)
}

/// Whether this program has a file of a directory open.
fn has_open(dir: &Path) -> Result<bool> {
    for open in fs::read_dir("/proc/self/fd")? {
        // The one that reads this directory is gone by then.
        if fs::read_link(open?.path()).is_ok_and(|it| it.starts_with(dir)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    ensure!(
        Command::new("cp").args(["--archive", "--no-target-directory"]).args([from, to]).status()?.success(),
        "{} is not copied",
        from.display()
    );
    Ok(())
}

fn duration(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1_000.0)
}

fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// The table for `docs/performance.md`: the median, and the worst in brackets.
fn print(table: &[(usize, Vec<Run>)]) {
    println!(
        "| missed | first missed painted | newest painted | complete | messages/s | processor time: app, page | memory | a key waited | page blocked | it ran | it waited | window blocked |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (missed, runs) in table {
        let ms = |of: &dyn Fn(&Run) -> Option<f64>| {
            let mut all: Vec<f64> = runs.iter().filter_map(of).collect();
            all.sort_by(f64::total_cmp);
            match all.as_slice() {
                [] => "–".to_owned(),
                [.., worst] => format!("{:.0} ms ({worst:.0})", all[all.len() / 2]),
            }
        };
        let block = |of: &dyn Fn(&Run) -> Duration| ms(&|it| Some(of(it).as_secs_f64() * 1_000.0));
        let mut complete: Vec<f64> = runs.iter().map(|it| it.complete_ms).collect();
        complete.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = *missed as f64 * 1_000.0 / complete[complete.len() / 2];
        #[expect(clippy::cast_precision_loss, reason = "some thousand milliseconds")]
        let seconds = |of: &dyn Fn(&Run) -> u64| {
            let mut all: Vec<u64> = runs.iter().map(of).collect();
            all.sort_unstable();
            all[all.len() / 2] as f64 / 1_000.0
        };
        println!(
            "| {missed} | {} | {} | {} | {rate:.0} | {:.2} s, {:.2} s | {} MiB | {} | {} | {} | {} | {} |",
            ms(&|it| it.first_ms),
            ms(&|it| it.newest_ms),
            ms(&|it| Some(it.complete_ms)),
            seconds(&|it| it.app_cpu_ms),
            seconds(&|it| it.web_cpu_ms),
            runs.iter().map(|it| it.memory_mib).max().unwrap_or_default(),
            block(&|it| it.key_waited),
            block(&|it| it.page.took),
            block(&|it| it.page.of_it.ran),
            block(&|it| it.page.of_it.waited),
            block(&|it| it.window.took),
        );
    }
}
