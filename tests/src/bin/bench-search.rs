//! Searches the cache of a person who holds conversations, as one types. `scripts/bench-search` makes the cache.

use std::{
    io::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_client::Client;
use circles_protocol::CampusId;

/// Each is asked for this often.
const ROUNDS: usize = 20;
/// Messages of the first page, as the interface asks for them.
const PAGE: u32 = 30;
/// Longer than this an index of 67,000 messages does not take.
const INDEX_PATIENCE: Duration = Duration::from_mins(2);
/// What people type: letter by letter, common and rare words, phrases, filters, other scripts, and nothing to be found.
const TYPED: &[&str] = &["borrow checker", "ubuntu server", "the", "wikimedia", "École"];
const QUERIES: &[&str] = &[
    "i t",
    "a b c d",
    "e z",
    "\"i have a\"",
    "\"apt-get install\"",
    "from:wiki",
    "from:a the",
    "in:rust lifetime",
    "in:#ubuntu a",
    "after:2013-01-01 how",
    "before:2010 grub",
    "on:2016 i",
    "数据库",
    "日",
    "привет",
    "👍",
    "nothingiscalledthis",
];

#[tokio::main]
async fn main() -> Result<()> {
    let data_dir = PathBuf::from(std::env::args().nth(1).context("name the data directory")?);
    let client = circles_tests::client(&data_dir).await?;
    let done = measure(&client).await;
    client.close().await;
    done
}

async fn measure(client: &Client) -> Result<()> {
    let campus = client.campuses().await?.first().context("the person is in no campus")?.id;
    let mut out = std::io::stdout();
    let began = Instant::now();
    let covered = loop {
        let covered = client.search(campus, "the", None, None, 1).await?.covered;
        if covered.searched == covered.total {
            break covered;
        }
        ensure!(began.elapsed() < INDEX_PATIENCE, "the index is not complete: {covered:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    writeln!(out, "the rest of the index of {} messages took {:.2} s", covered.total, began.elapsed().as_secs_f64())?;

    let letters = TYPED.iter().flat_map(|typed| typed.char_indices().map(|(at, it)| &typed[..at + it.len_utf8()]));
    let queries: Vec<&str> = letters.chain(QUERIES.iter().copied()).collect();
    let mut all = Vec::new();
    let mut slowest = Vec::new();
    for query in queries {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..ROUNDS {
            let (time, messages) = ask(client, campus, query).await?;
            times.push(time);
            found = messages;
        }
        all.extend_from_slice(&times);
        slowest.push((percentile(&mut times, 95), query, found));
    }
    writeln!(
        out,
        "{} searches: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        all.len(),
        percentile(&mut all, 50),
        percentile(&mut all, 95),
        percentile(&mut all, 99),
        percentile(&mut all, 100),
    )?;
    slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (p95, query, found) in slowest.into_iter().take(8) {
        writeln!(out, "  p95 {p95:6.1} ms  {found:3} found  {query}")?;
    }
    Ok(())
}

async fn ask(client: &Client, campus: CampusId, query: &str) -> Result<(f64, usize)> {
    let asked = Instant::now();
    let found = client.search(campus, query, None, None, PAGE).await?;
    Ok((asked.elapsed().as_secs_f64() * 1e3, found.messages.len()))
}

fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1]
}
