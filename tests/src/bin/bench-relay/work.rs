//! The work that a server is given, and what it takes for it.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use circles_tests::processes::cpu_ms;
use tokio::task::JoinSet;

/// Length of a message: what rivals were measured with.
const TEXT_BYTES: usize = 300;

/// A server, and those who post to it.
pub trait Served: Send + Sync + 'static {
    /// The process that does the work.
    fn pid(&self) -> u32;

    /// Posts the message whose turn it is, and waits for the answer.
    fn post(&self, turn: usize) -> impl Future<Output = Result<()>> + Send;
}

/// A message that says when it was sent.
pub fn text() -> String {
    let mut text = format!("t={} ", now_us());
    text.push_str(&"x".repeat(TEXT_BYTES - text.len()));
    text
}

/// Microseconds since 1970.
pub fn now_us() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()
}

/// Posts at a rate for a while, in turn, and waits for the answers; how many, and how long that took.
pub async fn keep_posting(served: &Arc<impl Served>, rate: u32, seconds: Duration) -> Result<(usize, Duration)> {
    let begun = Instant::now();
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / f64::from(rate)));
    let mut posted = 0;
    let mut posts = JoinSet::new();
    while begun.elapsed() < seconds {
        pace.tick().await;
        let served = served.clone();
        posts.spawn(async move { served.post(posted).await });
        posted += 1;
    }
    while let Some(answered) = posts.join_next().await {
        answered??;
    }
    Ok((posted, begun.elapsed()))
}

/// What posting costs that nobody reads: the part of the other figures that is not delivering.
pub async fn posting_alone(served: &Arc<impl Served>, rate: u32, seconds: Duration) -> Result<()> {
    let cpu = cpu_ms(served.pid())?;
    let (posted, _) = keep_posting(served, rate, seconds).await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let each = (cpu_ms(served.pid())? - cpu) as f64 / posted as f64;
    println!("posting alone, {rate}/s: {each:.2} ms of processor time for each message");
    Ok(())
}
