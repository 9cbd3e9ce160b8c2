//! Commands that share a transaction, of which one fails.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use circles_protocol::{Code, api::Receipt};
use circles_relay::Settings;
use circles_test_servers::Postgres;
use common::{TestRelay, execute, message, problem, quick};
use reqwest::Method;
use serde_json::Value;

/// Postgres refuses this text, whatever the relay thinks of it.
const REFUSED: &str = "poison";

async fn refuse_in(database: &str) {
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.text = '{REFUSED}' THEN RAISE 'refused by a trigger'; END IF; RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    execute(database, &trigger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_undoes_its_own_command_and_no_other_of_the_batch() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let relay = TestRelay::with(Settings { database: Some(database.clone()), ..quick() }).await;
    let ada = relay.owner("Ada").await;
    let general = ada.general().await;
    refuse_in(&database).await;
    let path = format!("/v1/circles/{general}/messages");
    // Every tenth fails in the database, every tenth is refused before it gets there.
    let posts = (0..200).map(|n| {
        let (ada, path) = (ada.clone(), path.clone());
        async move {
            let mut post = message(if n % 10 == 3 { REFUSED } else { "fine" });
            if n % 10 == 7 {
                post.reply_to = Some(circles_protocol::MessageId::new());
            }
            let response = ada.send(Method::POST, &path, Some(&serde_json::to_value(post).unwrap())).await;
            match n % 10 {
                3 => assert_eq!(problem(response).await, Code::Internal),
                7 => assert_eq!(problem(response).await, Code::ReplyUnknown),
                _ => return Some(response.json::<Receipt>().await.unwrap()),
            }
            None
        }
    });
    let receipts: Vec<Receipt> = futures::future::join_all(posts).await.into_iter().flatten().collect();
    let seqs: BTreeSet<u64> = receipts.iter().map(|it| it.seq.get()).collect();
    assert_eq!(seqs, (1..=160).collect(), "each of the others is stored once, under a number of its own");
    let page: Value = ada.get(&format!("{path}?limit=200")).await;
    let stored = page["messages"].as_array().unwrap();
    assert_eq!(stored.len(), 160);
    assert!(receipts.iter().all(|receipt| stored.iter().any(|it| it["id"] == receipt.id.to_string()
        && it["seq"] == receipt.seq.get()
        && it["version"] == receipt.pos.get())));
    relay.stop().await;
}
