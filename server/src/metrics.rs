//! What a relay counts, for Prometheus. The names are stable; each is described where it is declared.
//!
//! Counting costs a few nanoseconds while nobody asks for it. `circles-relay serve --metrics-listen` answers `GET /metrics`
//! at an address of its own, which need not be reachable for people.

use axum::{Router, routing::get};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

const STREAMS: &str = "circles_streams_open";
const CHANGES: &str = "circles_changes_total";
const BATCH: &str = "circles_commit_batch_commands";
const COMMIT: &str = "circles_commit_seconds";
const RING: &str = "circles_ring_reads_total";
const REPLAY: &str = "circles_replay_changes";
const GAPS: &str = "circles_gaps_total";
const REDIS: &str = "circles_redis_up";
const HEALED: &str = "circles_healed_changes_total";
const LAG: &str = "circles_lag_positions";
const LAG_TIME: &str = "circles_lag_seconds";
const REQUESTS: &str = "circles_requests_total";
const REQUEST_TIME: &str = "circles_request_seconds";

/// Bounds of the histograms of times, in seconds: from a commit on a fast disk to a request that is given up.
const SECONDS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Bounds of the histograms of counts.
const COUNTS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 1_000.0];

/// Begins to count, once for the process; gives what answers `GET /metrics`.
pub fn start() -> Result<Router, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(metrics_exporter_prometheus::Matcher::Full(BATCH.to_owned()), &COUNTS)?
        .set_buckets_for_metric(metrics_exporter_prometheus::Matcher::Full(REPLAY.to_owned()), &COUNTS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(BuildError::FailedToSetGlobalRecorder)?;
    describe();
    Ok(Router::new().route("/metrics", get(move || std::future::ready(render(&handle)))))
}

fn render(handle: &PrometheusHandle) -> ([(&'static str, &'static str); 1], String) {
    // Old values of histograms are folded as they are asked for.
    handle.run_upkeep();
    ([("content-type", "text/plain; version=0.0.4")], handle.render())
}

fn describe() {
    describe_gauge!(STREAMS, "Streams that are open at this instance");
    describe_counter!(CHANGES, "Changes that this instance committed");
    describe_histogram!(BATCH, "Commands that shared one transaction");
    describe_histogram!(COMMIT, Unit::Seconds, "Time of one transaction with its commit");
    describe_counter!(
        RING,
        "Reads of streams: from the ring (hit), or from the database because it had moved on (miss)"
    );
    describe_histogram!(REPLAY, "Changes between a stream's cursor and the head when it opened");
    describe_counter!(GAPS, "Streams that were told of a gap instead of a replay");
    describe_gauge!(REDIS, "1 if Redis answers, else 0; absent without Redis");
    describe_counter!(HEALED, "Changes that the database had to bring because nothing else did");
    describe_gauge!(LAG, "Positions that this instance's ring is behind the database");
    describe_gauge!(LAG_TIME, Unit::Seconds, "For how long it has been behind, or has not known");
    describe_counter!(REQUESTS, "Requests by route and status");
    describe_histogram!(REQUEST_TIME, Unit::Seconds, "Time to the first byte of an answer");
}

/// A stream opened (1) or ended (−1).
pub fn streams(change: i8) {
    gauge!(STREAMS).increment(f64::from(change));
}

/// A transaction of the writer.
pub fn committed(commands: usize, changes: usize, seconds: f64) {
    counter!(CHANGES).increment(changes as u64);
    #[expect(clippy::cast_precision_loss, reason = "at most a few dozen")]
    histogram!(BATCH).record(commands as f64);
    histogram!(COMMIT).record(seconds);
}

/// A stream read from the ring, or had to read from the database.
pub fn ring(hit: bool) {
    // Each with labels that are known beforehand: to put them together costs as much as the read.
    let reads = if hit { counter!(RING, "from" => "hit") } else { counter!(RING, "from" => "miss") };
    reads.increment(1);
}

/// A stream opened so far behind the head.
pub fn replay(changes: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    histogram!(REPLAY).record(changes as f64);
}

/// A stream was told of a gap.
pub fn gap() {
    counter!(GAPS).increment(1);
}

/// Redis answers, or does not.
pub fn redis(up: bool) {
    gauge!(REDIS).set(if up { 1.0 } else { 0.0 });
}

/// The database brought changes that nothing else did.
pub fn healed(changes: u64) {
    counter!(HEALED).increment(changes);
}

/// How far the ring is behind the database.
pub fn lag(positions: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    gauge!(LAG).set(positions as f64);
}

/// The ring is behind since then, or the database does not say.
pub fn lag_time(since: tokio::time::Instant) {
    gauge!(LAG_TIME).set(since.elapsed().as_secs_f64());
}

/// The ring is at the head of the log.
pub fn is_current() {
    gauge!(LAG_TIME).set(0.0);
}

/// A request was answered.
pub fn request(route: &str, status: u16, seconds: f64) {
    counter!(REQUESTS, "route" => route.to_owned(), "status" => status.to_string()).increment(1);
    histogram!(REQUEST_TIME, "route" => route.to_owned()).record(seconds);
}
