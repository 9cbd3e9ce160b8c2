//! A relay that is killed in the middle of its work: what it acknowledged is there, under the number that it gave.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use circles_protocol::{
    CircleId, DeviceId, MessageId, PersonId,
    api::{Circles, Join, PostMessage, Receipt},
};
use circles_tests::relay::RelayProcess;
use tempfile::tempdir;

/// People who write at the same time.
const WRITERS: usize = 16;
/// How often the relay is killed.
const KILLS: usize = 6;

/// What one writer was told, by message.
type Acknowledged = Arc<Mutex<BTreeMap<MessageId, Receipt>>>;

struct Writer {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Writer {
    async fn join(http: &reqwest::Client, relay: &RelayProcess, invite: &str, n: usize) -> Result<Self> {
        let token = format!("{n:064x}");
        let join = Join {
            code: invite.rsplit('#').next().context("the link has a code")?.to_owned(),
            person_id: PersonId::new(),
            name: format!("Writer {n}"),
            device_id: DeviceId::new(),
            device_name: "test".to_owned(),
            token: token.clone(),
        };
        http.post(format!("{}/v1/join", relay.url())).json(&join).send().await?.error_for_status()?;
        Ok(Self { http: http.clone(), url: relay.url(), token })
    }

    async fn general(&self) -> Result<CircleId> {
        let request = self.http.get(format!("{}/v1/circles", self.url)).bearer_auth(&self.token);
        let circles: Circles = request.send().await?.error_for_status()?.json().await?;
        Ok(circles.circles.first().context("there is General")?.circle.id)
    }

    /// Posts one message after the other; one without an answer again, under its id, until there is one.
    async fn write(self, circle: CircleId, acknowledged: Acknowledged, stop: tokio_util::sync::CancellationToken) {
        let mut n = 0;
        while !stop.is_cancelled() {
            let post = PostMessage { id: MessageId::new(), text: format!("{n}"), reply_to: None, written_at: None };
            n += 1;
            let mut first = None;
            while first.is_none() && !stop.is_cancelled() {
                let path = format!("{}/v1/circles/{circle}/messages", self.url);
                let answer = self.http.post(path).bearer_auth(&self.token).json(&post).send().await;
                match answer {
                    Ok(answer) if answer.status().is_success() => {
                        // The answer may be cut off by the kill: then it was none.
                        first = answer.json::<Receipt>().await.ok();
                    }
                    // Killed, or not up yet.
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            if let Some(receipt) = first {
                acknowledged.lock().unwrap().insert(post.id, receipt);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_again_and_again_while_many_write_loses_nothing_it_acknowledged() -> Result<()> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let dir = tempdir()?;
    let data = dir.path().join("relay");
    let mut relay = RelayProcess::start(&data, &["--writes-burst", "1000000"]).await?;
    let invite = relay.invite("member")?;
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let stop = tokio_util::sync::CancellationToken::new();
    let acknowledged = Acknowledged::default();
    let mut writers = Vec::new();
    let mut general = None;
    for n in 0..WRITERS {
        let writer = Writer::join(&http, &relay, &invite, n).await?;
        let circle = writer.general().await?;
        general = Some(circle);
        writers.push(tokio::spawn(writer.write(circle, acknowledged.clone(), stop.clone())));
    }
    let count = || acknowledged.lock().unwrap().len();
    for _ in 0..KILLS {
        let before = count();
        circles_tests::wait_for("some messages", async || Ok((count() >= before + 200).then_some(()))).await?;
        relay.kill()?;
        relay.restart().await?;
    }
    stop.cancel();
    for writer in writers {
        writer.await?;
    }

    let stored: BTreeMap<[u8; 16], (i64, i64)> = rusqlite::Connection::open(data.join("campus.db"))?
        .prepare("SELECT id, seq, created_pos FROM message WHERE circle_id = ?1")?
        .query_map([general.unwrap().uuid().into_bytes()], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    let acknowledged = acknowledged.lock().unwrap();
    for (id, receipt) in acknowledged.iter() {
        let place = (i64::from(receipt.seq), i64::from(receipt.pos));
        assert_eq!(stored.get(&id.uuid().into_bytes()), Some(&place), "{id} was acknowledged");
    }
    let seqs: BTreeSet<i64> = stored.values().map(|it| it.0).collect();
    assert_eq!(seqs, (1..=i64::try_from(stored.len())?).collect(), "numbers are dense");
    // Each writer can have one that was stored and whose answer was lost when it stopped.
    assert!(stored.len() - acknowledged.len() <= WRITERS, "nothing is doubled");
    Ok(())
}
