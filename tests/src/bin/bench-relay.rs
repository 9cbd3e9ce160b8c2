//! Measures the relay: what fan-out costs, how late messages are, what a stream takes in memory, how a storm of reconnects
//! passes, and how many messages a second are committed. `make bench-relay` runs it.
//!
//! The relay has a core of its own, the readers and writers have the others, so that its processor time is its own.

use std::{
    fs,
    path::Path,
    pin::Pin,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_protocol::{
    CircleId, CircleKind, Cursor, DeviceId, MessageId, PersonId,
    api::{Circles, CreateCircle, Join, Me, PostMessage},
};
use circles_test_servers::Postgres;
use circles_tests::program;
use clap::Parser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};

/// A message of about 300 bytes on the wire's text, as rivals were measured with.
const TEXT_BYTES: usize = 300;
/// So many people post in turn, where many do: nobody writes that often alone.
const WRITERS: usize = 100;
/// Of so many streams one measures latency: more would measure the reader.
const SAMPLED: usize = 20;
/// Nothing came for so long: longer than the relay waits before it tells who came online.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Parser)]
struct Options {
    /// Seconds for each rate.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only what has this word in its name: fanout, lifetimes, circles, idle, storm, resume, commit; or profile, which says
    /// where the processor time of fan-out goes.
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
    let writers = bench.writers(&[bench.general; WRITERS]).await?;
    bench.posting_alone(50, seconds, &writers).await?;
    let reader = bench.person("Reader").await?;
    let readers = Readers::open(&bench, &vec![reader; 1_000], None).await?;
    for rate in [10, 50, 100, 200, 400] {
        let held = readers.measure(&bench, &format!("1,000 streams × {rate}/s"), rate, seconds, &writers).await?;
        if !held {
            break;
        }
    }
    Ok(())
}

/// Where the relay's processor time goes with 1,000 streams on one circle at 50 messages/s: samples of the process by time,
/// because virtual machines have no counters. The relay's own names are there if it is built with symbols.
async fn profile(seconds: Duration) -> Result<()> {
    let bench = Bench::start(None).await?;
    let writers = bench.writers(&[bench.general; WRITERS]).await?;
    let reader = bench.person("Reader").await?;
    let readers = Readers::open(&bench, &vec![reader; 1_000], None).await?;
    let samples = bench.dir.path().join("perf.data");
    let mut recording = Command::new("perf")
        .args(["record", "--quiet", "--event", "cpu-clock", "--freq", "999", "--pid", &bench.child.id().to_string()])
        .arg("--output")
        .arg(&samples)
        .args(["--", "sleep", &seconds.as_secs().to_string()])
        .spawn()
        .context("perf is not installed")?;
    readers.measure(&bench, "1,000 streams × 50/s", 50, seconds, &writers).await?;
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

/// Streams that the relay ends after some seconds, and streams that last: side by side, so that both have the same machine.
async fn lifetimes(seconds: Duration) -> Result<()> {
    let (short, lasting) = tokio::join!(lifetime("5s", seconds), lifetime("0", seconds));
    short.and(lasting)
}

async fn lifetime(lifetime: &str, seconds: Duration) -> Result<()> {
    const STREAMS: usize = 500;
    let bench = Bench::start_with(None, lifetime).await?;
    let writers = bench.writers(&[bench.general; WRITERS]).await?;
    let reader = bench.person("Reader").await?;
    let readers = Readers::open(&bench, &vec![reader; STREAMS], None).await?;
    let before = bench.cursor().await?;
    let what = format!("{STREAMS} streams of lifetime {lifetime} × 10/s");
    readers.measure(&bench, &what, 10, seconds, &writers).await?;
    let all = (bench.cursor().await?.pos.get() - before.pos.get()) * STREAMS as u64;
    let resumed = readers.counts.resumed.load(Ordering::Relaxed);
    println!(
        "lifetime {lifetime}: {resumed} times a stream followed another; {} deliveries of {all}",
        readers.deliveries()
    );
    ensure!(readers.deliveries() == all, "each message once");
    Ok(())
}

/// 200 circles with 20 streams each.
async fn circles(seconds: Duration) -> Result<()> {
    let bench = Bench::start(None).await?;
    let mut circles = Vec::new();
    for n in 0..200 {
        circles.push(bench.create(&format!("Circle {n}")).await?);
    }
    let writers = bench.writers(&circles).await?;
    let people = writers.iter().flat_map(|it| std::iter::repeat_n(it.person.clone(), 20)).collect::<Vec<_>>();
    bench.posting_alone(400, seconds, &writers).await?;
    let readers = Readers::open(&bench, &people, None).await?;
    readers.wait_for_quiet().await?;
    readers.measure(&bench, "200 circles × 20 streams, 400/s in all", 400, seconds, &writers).await?;
    Ok(())
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
    wait_until_closed(&bench).await?;
    let (cpu, begun) = (bench.cpu_ms()?, Instant::now());
    let readers = Readers::open(&bench, &vec![reader; STREAMS], Some(&bench.cursor().await?)).await?;
    println!(
        "storm: {STREAMS} streams are open again after {} ms, {} ms of processor time",
        begun.elapsed().as_millis(),
        bench.cpu_ms()? - cpu
    );
    drop(readers);
    Ok(())
}

/// 1,000 streams that resume after 200 messages.
async fn resume() -> Result<()> {
    let bench = Bench::start(None).await?;
    let reader = bench.person("Reader").await?;
    let cursor = bench.cursor().await?;
    let writers = bench.writers(&[bench.general]).await?;
    for _ in 0..200 {
        bench.post(&writers[0]).await?;
    }
    let (cpu, begun) = (bench.cpu_ms()?, Instant::now());
    let readers = Readers::open(&bench, &vec![reader; 1_000], Some(&cursor)).await?;
    while readers.deliveries() < 200_000 {
        ensure!(begun.elapsed() < Duration::from_mins(1), "only {} deliveries", readers.deliveries());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "resume: 1,000 streams have their 200 messages after {} ms, {} ms of processor time",
        begun.elapsed().as_millis(),
        bench.cpu_ms()? - cpu
    );
    Ok(())
}

async fn commit(on_postgres: bool) -> Result<()> {
    let postgres = if on_postgres { Some(Postgres::start()?) } else { None };
    let database = postgres.as_ref().map(Postgres::database).transpose()?;
    let bench = Bench::start(database.as_deref()).await?;
    let people = bench.writers(&[bench.general; 256]).await?;
    for writers in [1, 16, 64, 256] {
        let count = Arc::new(AtomicU64::new(0));
        let until = Instant::now() + Duration::from_secs(5);
        let mut tasks = JoinSet::new();
        for writer in &people[..writers] {
            let (bench, count, writer) = (bench.clone(), count.clone(), writer.clone());
            tasks.spawn(async move {
                while Instant::now() < until {
                    bench.post(&writer).await?;
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

/// A relay on a core of its own, and an owner.
struct Bench {
    child: Child,
    port: u16,
    http: reqwest::Client,
    invite: String,
    owner: Person,
    general: CircleId,
    dir: tempfile::TempDir,
}

#[derive(Clone)]
struct Person {
    token: String,
}

/// Somebody who posts to a circle.
#[derive(Clone)]
struct Writer {
    person: Person,
    circle: CircleId,
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Bench {
    async fn start(database: Option<&str>) -> Result<Arc<Self>> {
        Self::start_with(database, "0").await
    }

    /// With streams of that lifetime; zero: for ever.
    async fn start_with(database: Option<&str>, lifetime: &str) -> Result<Arc<Self>> {
        let dir = tempfile::tempdir()?;
        let port = circles_tests::port()?;
        let relay = program("circles-relay")?;
        let flags = [
            &["--stream-lifetime", lifetime, "--heartbeat", "1h", "--streams-per-person", "100000"][..],
            &["--writes-per-second", "1000000", "--writes-burst", "1000000", "--reads-burst", "1000000"],
            &["--reads-per-second", "1000000", "--joins-burst", "100000"],
        ]
        .concat();
        let place = database.map_or_else(Vec::new, |it| vec!["--database", it]);
        let child = Command::new("taskset")
            .args(["--cpu-list", "0"])
            .arg(&relay)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir.path())
            .args(&place)
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(512).build()?;
        circles_tests::wait_for("the relay", async || {
            Ok(http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.ok())
        })
        .await?;
        let invite = |role| invite(&relay, dir.path(), &place, role);
        let (owner_code, code) = (invite("owner")?, invite("member")?);
        let owner = join(&http, port, &owner_code, "Owner").await?;
        let list = http.get(format!("http://127.0.0.1:{port}/v1/circles")).bearer_auth(&owner.token).send().await?;
        let general = list.json::<Circles>().await?.circles.first().context("there is General")?.circle.id;
        Ok(Arc::new(Self { child, port, http, invite: code, owner, general, dir }))
    }

    async fn person(&self, name: &str) -> Result<Person> {
        join(&self.http, self.port, &self.invite, name).await
    }

    /// People who joined a circle each.
    async fn writers(&self, circles: &[CircleId]) -> Result<Vec<Writer>> {
        let mut writers = Vec::new();
        for (n, circle) in circles.iter().enumerate() {
            let person = self.person(&format!("Writer {n}")).await?;
            self.post_nothing(&format!("v1/circles/{circle}/join"), &person.token).await?;
            writers.push(Writer { person, circle: *circle });
        }
        Ok(writers)
    }

    async fn create(&self, name: &str) -> Result<CircleId> {
        let id = CircleId::new();
        let create = CreateCircle { id, name: name.to_owned(), topic: String::new(), access: CircleKind::Open };
        self.send("v1/circles", &self.owner, &create).await?;
        Ok(id)
    }

    /// Posts a message that says when it was sent.
    async fn post(&self, from: &Writer) -> Result<()> {
        let mut text = format!("t={} ", now_us());
        text.push_str(&"x".repeat(TEXT_BYTES - text.len()));
        let post = PostMessage { id: MessageId::new(), text, reply_to: None, written_at: None };
        self.send(&format!("v1/circles/{}/messages", from.circle), &from.person, &post).await
    }

    /// Posts at a rate for a while, in turn, and waits for the answers; how many, and how long that took.
    async fn keep_posting(
        self: &Arc<Self>,
        rate: u32,
        seconds: Duration,
        writers: &[Writer],
    ) -> Result<(usize, Duration)> {
        let begun = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(rate)));
        let mut posted = 0;
        let mut posts = JoinSet::new();
        while begun.elapsed() < seconds {
            pace.tick().await;
            let (bench, writer) = (self.clone(), writers[posted % writers.len()].clone());
            posts.spawn(async move { bench.post(&writer).await });
            posted += 1;
        }
        while let Some(answered) = posts.join_next().await {
            answered??;
        }
        Ok((posted, begun.elapsed()))
    }

    /// What posting costs that nobody reads: the part of the other figures that is not delivering.
    async fn posting_alone(self: &Arc<Self>, rate: u32, seconds: Duration, writers: &[Writer]) -> Result<()> {
        let cpu = self.cpu_ms()?;
        let (posted, _) = self.keep_posting(rate, seconds, writers).await?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = (self.cpu_ms()? - cpu) as f64 / posted as f64;
        println!("posting alone, {rate}/s: {each:.2} ms of processor time for each message");
        Ok(())
    }

    async fn send(&self, path: &str, person: &Person, body: &impl serde::Serialize) -> Result<()> {
        let request = self.http.post(format!("http://127.0.0.1:{}/{path}", self.port)).bearer_auth(&person.token);
        request.json(body).send().await?.error_for_status()?;
        Ok(())
    }

    async fn post_nothing(&self, path: &str, token: &str) -> Result<()> {
        let request = self.http.post(format!("http://127.0.0.1:{}/{path}", self.port)).bearer_auth(token);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn cursor(&self) -> Result<Cursor> {
        let request = self.http.get(format!("http://127.0.0.1:{}/v1/me", self.port)).bearer_auth(&self.owner.token);
        Ok(request.send().await?.json::<Me>().await?.cursor)
    }

    /// Processor time of the relay so far. The kernel counts in 10 ms.
    fn cpu_ms(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("the name is in brackets")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        Ok((fields[11].parse::<u64>()? + fields[12].parse::<u64>()?) * 10)
    }

    fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).context("it has memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

fn invite(relay: &Path, dir: &Path, place: &[&str], role: &str) -> Result<String> {
    let mut command = Command::new(relay);
    command.args(["invite", "--role", role, "--uses", "10000", "--data-dir"]).arg(dir).args(place);
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let code = text.trim().rsplit('#').next().context("a link")?.to_owned();
    ensure!(!code.is_empty(), "no invite: {}", String::from_utf8_lossy(&output.stderr));
    Ok(code)
}

async fn join(http: &reqwest::Client, port: u16, code: &str, name: &str) -> Result<Person> {
    let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let join = Join {
        code: code.to_owned(),
        person_id: PersonId::new(),
        name: name.to_owned(),
        device_id: DeviceId::new(),
        device_name: "bench".to_owned(),
        token: token.clone(),
    };
    http.post(format!("http://127.0.0.1:{port}/v1/join")).json(&join).send().await?.error_for_status()?;
    Ok(Person { token })
}

/// Microseconds since 1970.
fn now_us() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_micros()
}

/// Open streams, each a socket that is read and counted. They close when dropped.
struct Readers {
    tasks: Vec<JoinHandle<()>>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    current: AtomicU64,
    deliveries: AtomicU64,
    /// Streams that followed one which said `bye`.
    resumed: AtomicU64,
    bytes: AtomicU64,
    late_us: Mutex<Vec<u128>>,
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Readers {
    /// Opens a stream for each person (the same may have many), and waits until all are current.
    async fn open(bench: &Bench, people: &[Person], cursor: Option<&Cursor>) -> Result<Self> {
        let cursor = match cursor {
            Some(it) => it.to_string(),
            None => bench.cursor().await?.to_string(),
        };
        let counts = Arc::new(Counts::default());
        let mut tasks = Vec::with_capacity(people.len());
        for (n, person) in people.iter().enumerate() {
            let (port, token, cursor, counts) = (bench.port, person.token.clone(), cursor.clone(), counts.clone());
            tasks.push(tokio::spawn(async move {
                // A socket that is refused is opened again, as a client would.
                while let Err(error) = read(port, &token, &cursor, &counts, n % SAMPLED == 0).await {
                    eprintln!("a stream broke: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }));
        }
        let readers = Self { tasks, counts };
        let begun = Instant::now();
        while readers.counts.current.load(Ordering::Relaxed) < people.len() as u64 {
            ensure!(begun.elapsed() < Duration::from_mins(1), "the streams do not open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(readers)
    }

    fn deliveries(&self) -> u64 {
        self.counts.deliveries.load(Ordering::Relaxed)
    }

    /// Waits until nothing more comes: who is online is told to all some time after they came.
    async fn wait_for_quiet(&self) -> Result<()> {
        let bytes = || self.counts.bytes.load(Ordering::Relaxed);
        circles_tests::wait_for("the streams to become quiet", async || {
            let before = bytes();
            tokio::time::sleep(QUIET).await;
            Ok((bytes() == before).then_some(()))
        })
        .await
    }

    /// Posts at a rate for a while, and says what it cost. False if the relay did not keep up.
    async fn measure(
        &self,
        bench: &Arc<Bench>,
        what: &str,
        rate: u32,
        seconds: Duration,
        writers: &[Writer],
    ) -> Result<bool> {
        let late = || self.counts.late_us.lock().unwrap_or_else(PoisonError::into_inner);
        late().clear();
        let (deliveries, bytes, cpu) = (self.deliveries(), self.counts.bytes.load(Ordering::Relaxed), bench.cpu_ms()?);
        let (posted, took) = bench.keep_posting(rate, seconds, writers).await?;
        // The last ones are on their way.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (deliveries, bytes, cpu) =
            (self.deliveries() - deliveries, self.counts.bytes.load(Ordering::Relaxed) - bytes, bench.cpu_ms()? - cpu);
        let mut late: Vec<u128> = std::mem::take(&mut *late());
        late.sort_unstable();
        let at = |part: usize| late.get(late.len() * part / 100).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        {
            println!(
                "{what}: {posted} posted, {:.0} deliveries/s, {:.2} ms of processor time per 1,000, p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms, {:.1} MB/s",
                deliveries as f64 / took.as_secs_f64(),
                cpu as f64 * 1_000.0 / deliveries.max(1) as f64,
                at(50) as f64 / 1_000.0,
                at(99) as f64 / 1_000.0,
                late.last().copied().unwrap_or_default() as f64 / 1_000.0,
                bytes as f64 / 1e6 / took.as_secs_f64(),
            );
        }
        Ok(at(99) < 1_000_000 && took < seconds + Duration::from_secs(1))
    }
}

async fn open(port: u16, token: &str, cursor: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nLast-Event-ID: {cursor}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    Ok(socket)
}

/// Reads a stream for ever. After its `bye` the next is opened, and this one left when that has begun.
async fn read(port: u16, token: &str, cursor: &str, counts: &Counts, sampled: bool) -> Result<()> {
    let mut socket = open(port, token, cursor).await?;
    let mut buffer = vec![0; 16 * 1024];
    let mut rest: Vec<u8> = Vec::new();
    let (mut is_current, mut last) = (false, 0);
    let mut next: Option<Pin<Box<dyn Future<Output = Result<TcpStream>> + Send>>> = None;
    loop {
        let read = tokio::select! {
            biased;
            opened = async { next.as_mut().expect("it is opened").await }, if next.is_some() => {
                (socket, next) = (opened?, None);
                rest.clear();
                counts.resumed.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            read = socket.read(&mut buffer) => read?,
        };
        if read == 0 {
            // On a busy machine the next one may not have begun yet: a client waits for it, as the relay told it to open it.
            socket = next.take().context("it was closed")?.await?;
            rest.clear();
            counts.resumed.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        counts.bytes.fetch_add(read as u64, Ordering::Relaxed);
        rest.extend_from_slice(&buffer[..read]);
        let mut from = 0;
        while let Some(end) = find(&rest[from..], b"\n\n") {
            let block = &rest[from..from + end];
            from += end + 2;
            if find(block, b"event: change").is_some() {
                let pos = cursor_of(block)?.pos.get();
                if pos <= last {
                    continue;
                }
                last = pos;
                counts.deliveries.fetch_add(1, Ordering::Relaxed);
                if sampled && let Some(at) = find(block, b"t=") {
                    let digits: String =
                        block[at + 2..].iter().take_while(|it| it.is_ascii_digit()).map(|it| char::from(*it)).collect();
                    let late = now_us().saturating_sub(digits.parse().unwrap_or_else(|_| now_us()));
                    counts.late_us.lock().unwrap_or_else(PoisonError::into_inner).push(late);
                }
            } else if !is_current && find(block, b"event: ping").is_some() {
                is_current = true;
                counts.current.fetch_add(1, Ordering::Relaxed);
            } else if find(block, b"event: bye").is_some() {
                let (token, cursor) = (token.to_owned(), cursor_of(block)?.to_string());
                next = Some(Box::pin(async move {
                    let socket = open(port, &token, &cursor).await?;
                    socket.readable().await?;
                    Ok(socket)
                }));
            }
        }
        rest.drain(..from);
    }
}

/// The cursor of an event.
fn cursor_of(block: &[u8]) -> Result<Cursor> {
    let at = find(block, b"id: ").context("it says where one stands")? + 4;
    let line = block[at..].split(|it| *it == b'\n').next().unwrap_or_default();
    Ok(std::str::from_utf8(line)?.parse()?)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}

async fn wait_until_closed(bench: &Bench) -> Result<()> {
    circles_tests::wait_for("the streams to end", async || {
        let sockets = fs::read_dir(format!("/proc/{}/fd", bench.child.id()))?.count();
        Ok((sockets < 200).then_some(()))
    })
    .await
}
