//! Measures the relay: what fan-out costs, how late messages are, what a stream takes in memory, how a storm of reconnects
//! passes, and how many messages a second are committed. `make bench-relay` runs it.
//!
//! The relay has a core of its own, the readers and writers have the others, so that its processor time is its own.

mod nchan;
mod readers;
mod relay;
mod work;

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_test_servers::Postgres;
use circles_tests::processes::cpu_ms;
use clap::Parser;
use tokio::task::JoinSet;

use self::{
    nchan::Nchan,
    readers::Readers,
    relay::{Bench, Posting},
    work::{Served, posting_alone},
};

/// So many people post in turn, where many do: nobody writes that often alone.
const WRITERS: usize = 100;
/// Streams on one circle.
const FAN_OUT: usize = 1_000;
/// Small circles, and the streams of each.
const CIRCLES: usize = 200;
const STREAMS_EACH: usize = 20;
/// Messages a second in all of them together.
const CIRCLES_RATE: u32 = 400;
/// How often two servers take turns.
const ROUNDS: usize = 9;

#[derive(Parser)]
struct Options {
    /// Seconds for each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only what has this word in its name: fanout, lifetimes, circles, idle, storm, resume, commit; or one of these, which
    /// are not run otherwise: profile, which says where the processor time of fan-out goes, and nchan, which gives the work
    /// of `circles` to that server too, in turns.
    #[arg(long)]
    only: Option<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    stay_off_the_relays_core()?;
    drop(rustls::crypto::ring::default_provider().install_default());
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let seconds = Duration::from_secs(options.seconds);
    if options.only.as_deref() == Some("profile") {
        return profile(seconds).await;
    }
    if options.only.as_deref() == Some("nchan") {
        return beside_nchan(seconds).await;
    }
    if wanted("fanout") {
        fan_out(seconds).await?;
    }
    if wanted("lifetimes") {
        lifetimes(seconds).await?;
    }
    if wanted("circles") {
        circles(seconds).await?;
    }
    if wanted("idle") || wanted("storm") {
        idle_and_storm().await?;
    }
    if wanted("resume") {
        resume().await?;
    }
    if wanted("commit") {
        for database in [false, true] {
            commit(database).await?;
        }
    }
    Ok(())
}

/// Moves this program to the cores that the relay does not have.
fn stay_off_the_relays_core() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores > 1, "the relay needs a core of its own");
    let mut moved = Command::new("taskset");
    moved.args(["--all-tasks", "--pid", "--cpu-list", &format!("1-{}", cores - 1), &std::process::id().to_string()]);
    ensure!(moved.stdout(Stdio::null()).status()?.success(), "taskset failed");
    Ok(())
}

/// 1,000 streams on one circle.
async fn fan_out(seconds: Duration) -> Result<()> {
    let bench = Bench::start(None).await?;
    let posting = bench.posting(&[bench.general; WRITERS]).await?;
    posting_alone(&posting, 50, seconds).await?;
    let reader = bench.person("Reader").await?;
    let readers = Readers::open(&bench, &vec![reader; FAN_OUT], None).await?;
    for rate in [10, 50, 100, 200, 400] {
        let what = format!("1,000 streams × {rate}/s");
        if !readers.measure(&posting, &what, FAN_OUT, rate, seconds).await?.held {
            break;
        }
    }
    Ok(())
}

/// Where the relay's processor time goes with 1,000 streams on one circle at 50 messages/s: samples of the process by time,
/// because virtual machines have no counters. The relay's own names are there if it is built with symbols.
async fn profile(seconds: Duration) -> Result<()> {
    let bench = Bench::start(None).await?;
    let posting = bench.posting(&[bench.general; WRITERS]).await?;
    let reader = bench.person("Reader").await?;
    let readers = Readers::open(&bench, &vec![reader; FAN_OUT], None).await?;
    let samples = bench.dir.path().join("perf.data");
    let mut recording = Command::new("perf")
        .args(["record", "--quiet", "--event", "cpu-clock", "--freq", "999", "--pid", &bench.pid().to_string()])
        .arg("--output")
        .arg(&samples)
        .args(["--", "sleep", &seconds.as_secs().to_string()])
        .spawn()
        .context("perf is not installed")?;
    readers.measure(&posting, "1,000 streams × 50/s", FAN_OUT, 50, seconds).await?;
    ensure!(tokio::task::spawn_blocking(move || recording.wait()).await??.success(), "perf failed");
    for (by, least) in [("dso", "1"), ("dso,symbol", "0.7")] {
        let mut report = Command::new("perf");
        report.args(["report", "--stdio", "--sort", by, "--percent-limit", least, "--input"]).arg(&samples);
        let report = String::from_utf8(report.output()?.stdout)?;
        println!("by {by}:");
        report
            .lines()
            .filter(|it| !it.is_empty() && !it.starts_with('#'))
            .for_each(|it| println!("{}", it.trim_end_matches([' ', '-'])));
    }
    Ok(())
}

/// Streams that the relay ends, after some seconds or after as long as it does by default, and streams that last. They take
/// turns: side by side they would be in one another's way, and the machine's speed varies. A stream of the default lifetime
/// is followed by another only in turns that are longer.
async fn lifetimes(seconds: Duration) -> Result<()> {
    const STREAMS: usize = 500;
    const TURNS: usize = 3;
    let mut relays = Vec::new();
    for lifetime in ["5s", "55s", "0"] {
        let bench = Bench::start_with(None, lifetime).await?;
        relays.push((lifetime, bench.posting(&[bench.general; WRITERS]).await?, bench.person("Reader").await?));
    }
    let mut p99_ms = vec![Vec::new(); relays.len()];
    for _ in 0..TURNS {
        for ((lifetime, posting, reader), p99_ms) in relays.iter().zip(&mut p99_ms) {
            let readers = Readers::open(&posting.bench, &vec![reader.clone(); STREAMS], None).await?;
            let what = format!("{STREAMS} streams of lifetime {lifetime} × 10/s");
            p99_ms.push(readers.measure(posting, &what, STREAMS, 10, seconds).await?.p99_ms);
            println!("  {} times a stream followed another", readers.counts.resumed.load(Ordering::Relaxed));
            drop(readers);
            posting.bench.wait_until_closed().await?;
        }
    }
    for ((lifetime, ..), p99_ms) in relays.iter().zip(p99_ms) {
        println!("lifetime {lifetime}: median p99 {:.1} ms", median(p99_ms));
    }
    Ok(())
}

/// 200 circles with 20 streams each.
async fn circles(seconds: Duration) -> Result<()> {
    let posting = in_circles().await?;
    posting_alone(&posting, CIRCLES_RATE, seconds).await?;
    let readers = Readers::open(&posting.bench, &posting.readers(STREAMS_EACH), None).await?;
    readers.wait_for_quiet().await?;
    let what = "200 circles × 20 streams, 400/s in all";
    readers.measure(&posting, what, STREAMS_EACH, CIRCLES_RATE, seconds).await?;
    Ok(())
}

/// A relay with a person in each of some circles.
async fn in_circles() -> Result<Arc<Posting>> {
    let bench = Bench::start(None).await?;
    let mut circles = Vec::new();
    for n in 0..CIRCLES {
        circles.push(bench.create(&format!("Circle {n}")).await?);
    }
    bench.posting(&circles).await
}

/// The same work for this relay and for nchan. Both stand there with their streams and are given it in turns, because the
/// machine's speed varies by more than what is to be told; at the same time they would take the core's caches from each other.
async fn beside_nchan(seconds: Duration) -> Result<()> {
    let (posting, nchan) = (in_circles().await?, Nchan::start().await?);
    let ours = Readers::open(&posting.bench, &posting.readers(STREAMS_EACH), None).await?;
    let paths: Vec<String> = (0..CIRCLES * STREAMS_EACH).map(|it| Nchan::stream(it / STREAMS_EACH)).collect();
    let theirs = Readers::open_plain(nchan.port, &paths).await?;
    ours.wait_for_quiet().await?;
    let what = "200 × 20 streams, 400/s in all";
    let mut each_ms = [Vec::new(), Vec::new()];
    let (our_work, their_work) = (format!("Circles, {what}"), format!("nchan, {what}"));
    for _ in 0..ROUNDS {
        each_ms[0].push(ours.measure(&posting, &our_work, STREAMS_EACH, CIRCLES_RATE, seconds).await?.each_ms);
        each_ms[1].push(theirs.measure(&nchan, &their_work, STREAMS_EACH, CIRCLES_RATE, seconds).await?.each_ms);
    }
    let [circles, nchan] = each_ms.map(median);
    println!("median processor time per 1,000 deliveries: Circles {circles:.2} ms, nchan {nchan:.2} ms");
    Ok(())
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

async fn idle_and_storm() -> Result<()> {
    const STREAMS: usize = 5_000;
    let bench = Bench::start(None).await?;
    let reader = bench.person("Reader").await?;
    // What the first streams cost once is not counted.
    let warm = Readers::open(&bench, &vec![reader.clone(); 200], None).await?;
    let before = bench.memory_kib()?;
    let readers = Readers::open(&bench, &vec![reader.clone(); STREAMS], None).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = bench.memory_kib()? - before;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let each = grown as f64 / STREAMS as f64;
    println!("idle: {STREAMS} streams take {grown} KiB, {each:.1} KiB each");
    drop((warm, readers));
    bench.wait_until_closed().await?;
    let (cpu, begun) = (cpu_ms(bench.pid())?, Instant::now());
    let readers = Readers::open(&bench, &vec![reader; STREAMS], Some(&bench.cursor().await?)).await?;
    println!(
        "storm: {STREAMS} streams are open again after {} ms, {} ms of processor time",
        begun.elapsed().as_millis(),
        cpu_ms(bench.pid())? - cpu
    );
    drop(readers);
    Ok(())
}

/// 1,000 streams that resume after 200 messages.
async fn resume() -> Result<()> {
    let bench = Bench::start(None).await?;
    let reader = bench.person("Reader").await?;
    let cursor = bench.cursor().await?;
    let posting = bench.posting(&[bench.general]).await?;
    for turn in 0..200 {
        posting.post(turn).await?;
    }
    let (cpu, begun) = (cpu_ms(bench.pid())?, Instant::now());
    let readers = Readers::open(&bench, &vec![reader; 1_000], Some(&cursor)).await?;
    while readers.deliveries() < 200_000 {
        ensure!(begun.elapsed() < Duration::from_mins(1), "only {} deliveries", readers.deliveries());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "resume: 1,000 streams have their 200 messages after {} ms, {} ms of processor time",
        begun.elapsed().as_millis(),
        cpu_ms(bench.pid())? - cpu
    );
    Ok(())
}

async fn commit(on_postgres: bool) -> Result<()> {
    let postgres = if on_postgres { Some(Postgres::start()?) } else { None };
    let database = postgres.as_ref().map(Postgres::database).transpose()?;
    let bench = Bench::start(database.as_deref()).await?;
    let posting = bench.posting(&[bench.general; 256]).await?;
    for writers in [1, 16, 64, 256] {
        let count = Arc::new(AtomicU64::new(0));
        let until = Instant::now() + Duration::from_secs(5);
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let (posting, count) = (posting.clone(), count.clone());
            tasks.spawn(async move {
                while Instant::now() < until {
                    posting.post(writer).await?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        let name = if on_postgres { "Postgres" } else { "SQLite" };
        println!("commit: {name}, {writers} writers: {} messages/s", count.load(Ordering::Relaxed) / 5);
    }
    Ok(())
}
