//! Streams that are read.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_protocol::Cursor;
use circles_tests::processes::cpu_ms;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

use super::{
    relay::{Bench, Person},
    work::{Served, keep_posting, now_us},
};

/// Of so many streams one measures latency: more would measure the reader.
const SAMPLED: usize = 20;
/// Nothing came for so long: longer than the relay waits before it tells who came online.
const QUIET: Duration = Duration::from_secs(2);

/// Open streams, each a socket that is read and counted. They close when dropped.
pub struct Readers {
    tasks: Vec<JoinHandle<()>>,
    pub counts: Arc<Counts>,
}

/// What a server took for its work.
pub struct Measured {
    /// Processor time for 1,000 deliveries.
    pub each_ms: f64,
    /// How late the latest hundredth of messages was, at least.
    pub p99_ms: f64,
    /// It kept up.
    pub held: bool,
}

#[derive(Default)]
pub struct Counts {
    current: AtomicU64,
    deliveries: AtomicU64,
    /// Streams that followed one which said `bye`.
    pub resumed: AtomicU64,
    bytes: AtomicU64,
    late_us: Mutex<Vec<u128>>,
}

impl Counts {
    /// How late a message is, by what it says of when it was sent.
    fn note_late(&self, block: &[u8]) {
        let Some(at) = find(block, b"t=") else { return };
        let digits: String =
            block[at + 2..].iter().take_while(|it| it.is_ascii_digit()).map(|it| char::from(*it)).collect();
        let late = now_us().saturating_sub(digits.parse().unwrap_or_else(|_| now_us()));
        self.late_us.lock().unwrap_or_else(PoisonError::into_inner).push(late);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Readers {
    /// Opens a stream for each person (the same may have many), and waits until all are current.
    pub async fn open(bench: &Bench, people: &[Person], cursor: Option<&Cursor>) -> Result<Self> {
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
        Self { tasks, counts }.all_current().await
    }

    /// Opens a stream of Server-Sent Events at each path of another server.
    pub async fn open_plain(port: u16, paths: &[String]) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let tasks = paths.iter().enumerate().map(|(n, path)| {
            let (path, counts) = (path.clone(), counts.clone());
            tokio::spawn(async move {
                if let Err(error) = read_plain(port, &path, &counts, n % SAMPLED == 0).await {
                    eprintln!("a stream broke: {error}");
                }
            })
        });
        Self { tasks: tasks.collect(), counts: counts.clone() }.all_current().await
    }

    async fn all_current(self) -> Result<Self> {
        let begun = Instant::now();
        while self.counts.current.load(Ordering::Relaxed) < self.tasks.len() as u64 {
            ensure!(begun.elapsed() < Duration::from_mins(1), "the streams do not open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(self)
    }

    pub fn deliveries(&self) -> u64 {
        self.counts.deliveries.load(Ordering::Relaxed)
    }

    /// Waits until nothing more comes: who is online is told to all some time after they came.
    pub async fn wait_for_quiet(&self) -> Result<()> {
        let bytes = || self.counts.bytes.load(Ordering::Relaxed);
        circles_tests::wait_for("the streams to become quiet", async || {
            let before = bytes();
            tokio::time::sleep(QUIET).await;
            Ok((bytes() == before).then_some(()))
        })
        .await
    }

    /// Posts at a rate for a while, and says what it cost. Each message comes to so many of the streams.
    pub async fn measure(
        &self,
        served: &Arc<impl Served>,
        what: &str,
        streams_each: usize,
        rate: u32,
        seconds: Duration,
    ) -> Result<Measured> {
        let late = || self.counts.late_us.lock().unwrap_or_else(PoisonError::into_inner);
        late().clear();
        let (before, bytes, cpu) =
            (self.deliveries(), self.counts.bytes.load(Ordering::Relaxed), cpu_ms(served.pid())?);
        let (posted, took) = keep_posting(served, rate, seconds).await?;
        let all = (posted * streams_each) as u64;
        circles_tests::wait_for("the last messages", async || Ok((self.deliveries() - before >= all).then_some(())))
            .await?;
        let (deliveries, bytes, cpu) = (
            self.deliveries() - before,
            self.counts.bytes.load(Ordering::Relaxed) - bytes,
            cpu_ms(served.pid())? - cpu,
        );
        ensure!(deliveries == all, "each message once: {deliveries} deliveries of {all}");
        let mut late: Vec<u128> = std::mem::take(&mut *late());
        late.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let at = |part: usize| late.get(late.len() * part / 100).or(late.last()).map_or(0.0, |it| *it as f64 / 1_000.0);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each_ms = cpu as f64 * 1_000.0 / deliveries.max(1) as f64;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        {
            println!(
                "{what}: {posted} posted, {:.0} deliveries/s, {each_ms:.2} ms of processor time per 1,000, p50 {:.1} ms, p99 {:.1} ms, worst {:.1} ms, {:.1} MB/s",
                deliveries as f64 / took.as_secs_f64(),
                at(50),
                at(99),
                at(100),
                bytes as f64 / 1e6 / took.as_secs_f64(),
            );
        }
        Ok(Measured { each_ms, p99_ms: at(99), held: at(99) < 1_000.0 && took < seconds + Duration::from_secs(1) })
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
                if sampled {
                    counts.note_late(block);
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

/// Reads a stream of another server until it ends. It is current when its answer has begun.
async fn read_plain(port: u16, path: &str, counts: &Counts, sampled: bool) -> Result<()> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 16 * 1024];
    let mut rest: Vec<u8> = Vec::new();
    let mut is_current = false;
    loop {
        let read = socket.read(&mut buffer).await?;
        ensure!(read > 0, "it was closed");
        counts.bytes.fetch_add(read as u64, Ordering::Relaxed);
        rest.extend_from_slice(&buffer[..read]);
        if !is_current && find(&rest, b"\r\n\r\n").is_some() {
            ensure!(rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
            is_current = true;
            counts.current.fetch_add(1, Ordering::Relaxed);
        }
        let mut from = 0;
        while let Some(end) = find(&rest[from..], b"\n\n") {
            let block = &rest[from..from + end];
            from += end + 2;
            if find(block, b"data: t=").is_some() {
                counts.deliveries.fetch_add(1, Ordering::Relaxed);
                if sampled {
                    counts.note_late(block);
                }
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
