//! What only SQLite has: a file, its lock, and copies of it.

mod common;

use std::collections::BTreeSet;

use circles_protocol::{
    Code,
    api::{Me, Receipt},
};
use circles_relay::{NewInvite, OpenError, Relay, Settings};
use common::{TestRelay, message, problem};
use futures::StreamExt;
use reqwest::Method;
use tempfile::TempDir;

#[tokio::test]
async fn a_relay_with_a_full_queue_says_so_and_loses_nothing_that_it_acknowledged() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    // Another process holds the database: the writer waits for it, and the queue fills.
    let beside = rusqlite::Connection::open(relay.dir().join("campus.db")).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let posts = (0..1_300).map(|at| {
        let ada = ada.clone();
        tokio::spawn(async move {
            let path = format!("/v1/circles/{general}/messages");
            let body = serde_json::to_value(message(&at.to_string())).unwrap();
            let response = ada.send(Method::POST, &path, Some(&body)).await;
            if response.status().is_success() {
                return Some(response.json::<Receipt>().await.unwrap());
            }
            assert_eq!(problem(response).await, Code::StoreUnavailable);
            None
        })
    });
    let mut answers: futures::stream::FuturesUnordered<_> = posts.collect();
    assert_eq!(answers.next().await.unwrap().unwrap(), None, "nothing is acknowledged while nothing can be stored");
    beside.execute_batch("COMMIT").unwrap();
    let answers: Vec<_> = answers.collect().await;
    let receipts: Vec<Receipt> = answers.into_iter().filter_map(Result::unwrap).collect();
    assert!((1_000..1_300).contains(&receipts.len()), "{} were taken", receipts.len());
    let stored: BTreeSet<(i64, [u8; 16])> = beside
        .prepare("SELECT seq, id FROM message WHERE circle_id = ?1")
        .unwrap()
        .query_map([general.uuid().into_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let acknowledged = receipts.iter().map(|it| (i64::from(it.seq), it.id.uuid().into_bytes())).collect();
    assert_eq!(stored, acknowledged, "neither lost nor stored without saying so");
    drop(beside);
    relay.stop().await;
}

/// The writer remembers what it looked at, as long as the head of the log is where it left it.
#[tokio::test]
async fn what_another_program_wrote_counts_for_the_next_command() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    for text in ["read from the database", "and remembered"] {
        ada.post(general, text).await;
    }
    let beside = rusqlite::Connection::open(relay.dir().join("campus.db")).unwrap();
    beside
        .execute_batch(
            "BEGIN IMMEDIATE;
             UPDATE campus SET head = head + 1;
             INSERT INTO log (pos, scope_kind, scope_id, prev, kind, entity, subject)
                 SELECT head, 1, circle_id, head - 1, 2, CAST(circle_id || person_id AS BLOB), person_id
                     FROM membership, campus;
             UPDATE membership SET state = 1, version = version + 1;
             COMMIT",
        )
        .unwrap();
    let path = format!("/v1/circles/{general}/messages");
    let body = serde_json::to_value(message("from outside")).unwrap();
    assert_eq!(problem(ada.send(Method::POST, &path, Some(&body)).await).await, Code::NotMember);
    drop(beside);
    relay.stop().await;
}

#[tokio::test]
async fn a_directory_is_opened_by_one_relay_and_a_newer_database_by_none() {
    let relay = TestRelay::start().await;
    let (dir, settings) = relay.stop().await;
    let first = Relay::open(settings.clone()).await.unwrap();
    assert!(matches!(Relay::open(settings.clone()).await, Err(OpenError::InUse { .. })));
    first.close().await;
    let file = dir.path().join("campus.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute("INSERT INTO refinery_schema_history VALUES (9999, 'future', '', '0')", []).unwrap();
    conn.close().unwrap();
    let before = std::fs::read(&file).unwrap();
    assert!(matches!(Relay::open(settings).await, Err(OpenError::Newer { found: 9999, .. })));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_backup_of_a_running_relay_opens_as_another_history() {
    let relay = TestRelay::start().await;
    let ada = relay.owner("Ada").await;
    ada.post(ada.general().await, "kept").await;
    let before: Me = ada.get("/v1/me").await;
    let copy = TempDir::new().unwrap();
    circles_relay::invite(relay.settings(), NewInvite::OWNER, None).await.unwrap();
    let file = copy.path().join("backup.db");
    circles_relay::backup(relay.settings(), &file).await.unwrap();
    let (_dir, settings) = relay.stop().await;
    // The old place has a campus, which is not overwritten.
    assert!(circles_relay::restore(&settings, &file).await.is_err());
    let settings = Settings { data_dir: copy.path().join("restored"), ..settings };
    circles_relay::restore(&settings, &file).await.unwrap();
    let restored = Relay::open(settings).await.unwrap();
    assert_eq!(restored.campus().0, before.campus_id);
    restored.close().await;
}
