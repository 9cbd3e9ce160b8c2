//! Instances behind a pooler, which may take another of its few connections for each transaction.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use circles_relay::Settings;
use circles_test_servers::{Pooler, Postgres};
use common::{Person, TestRelay, quick};
use serde_json::Value;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_connections_of_a_pooler() {
    let pooler = Pooler::before(Postgres::shared().unwrap()).unwrap();
    let settings = Settings { database: Some(pooler.database().unwrap()), database_pooled: true, ..quick() };
    // They also start together.
    let (first, second) = tokio::join!(TestRelay::with(settings.clone()), TestRelay::with(settings));
    let ada = first.owner("Ada").await;
    let general = ada.general().await;
    let at_second = Person { url: second.url.clone(), ..ada.clone() };
    let path = format!("/v1/circles/{general}/messages?limit=60");
    let posts = (0..60).map(|n| {
        let (person, path) = (if n % 2 == 0 { ada.clone() } else { at_second.clone() }, path.clone());
        async move {
            let receipt = person.post(general, &format!("message {n}")).await;
            let page: Value = person.get(&path).await;
            let held = page["messages"].as_array().unwrap().iter().any(|it| it["id"] == receipt.id.to_string());
            assert!(held, "what was stored is read");
            receipt.seq.get()
        }
    });
    let seqs: BTreeSet<u64> = futures::future::join_all(posts).await.into_iter().collect();
    assert_eq!(seqs, (1..=60).collect(), "each is stored once, under a number of its own");
    let dir = TempDir::new().unwrap();
    let copy = dir.path().join("campus.backup");
    circles_relay::backup(first.settings(), &copy).await.unwrap();
    assert!(copy.exists());
    first.stop().await;
    second.stop().await;
}
