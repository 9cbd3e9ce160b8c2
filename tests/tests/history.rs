//! Being removed from a circle, and a relay whose history is another one.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use anyhow::Result;
use circles_client::{
    Client,
    view::{CampusView, Connection},
};
use circles_protocol::{CircleKind, Epoch};
use circles_tests::{circle, client, relay::RelayProcess, shows, wait_for};
use tempfile::tempdir;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|it| (*it).to_owned()).collect()
}

async fn id_of(client: &Client, campus: &CampusView, name: &str) -> Result<circles_protocol::PersonId> {
    wait_for(name, async || {
        Ok(client.people(campus.id, None, "").await?.into_iter().find(|it| it.name == name).map(|it| it.id))
    })
    .await
}

/// Bob is removed while he is away; meanwhile `missed` messages come in a circle that he stays in.
async fn removed_while_away(missed: u32) -> Result<()> {
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &["--writes-burst", "2000"]).await?;
    let ada = client(&dir.path().join("ada")).await?;
    let campus = ada.join(&relay.invite("owner")?, "Ada").await?;
    let data = dir.path().join("bob");
    let bob = client(&data).await?;
    let bobs = bob.join(&relay.invite("member")?, "Bob").await?;
    let secret = ada.create_circle(campus.id, "Secret", "", CircleKind::Private).await?;
    let bob_id = id_of(&ada, &campus, "Bob").await?;
    ada.add_member(campus.id, secret.id, bob_id).await?;
    ada.send(campus.id, secret.id, "for members", None).await?;
    shows(&bob, &bobs, "Secret", &strings(&["for members"])).await?;
    bob.close().await;

    ada.remove_member(campus.id, secret.id, bob_id).await?;
    ada.send(campus.id, secret.id, "not for Bob", None).await?;
    let general = circle(&ada, &campus, "General").await?;
    let texts: Vec<String> = (0..missed).map(|n| format!("missed {n}")).collect();
    for text in &texts {
        ada.send(campus.id, general.id, text, None).await?;
    }
    shows(&ada, &campus, "Secret", &strings(&["for members", "not for Bob"])).await?;
    shows(&ada, &campus, "General", &texts).await?;

    let bob = client(&data).await?;
    shows(&bob, &bobs, "General", &texts).await?;
    wait_for("Bob to be out of the circle", async || {
        let joined = bob.circles(bobs.id).await?.into_iter().any(|it| it.joined && it.id == secret.id);
        Ok((!joined).then_some(()))
    })
    .await?;
    bob.close().await;
    let held: Vec<String> = rusqlite::Connection::open(data.join("circles.db"))?
        .prepare("SELECT text FROM message WHERE circle = ?1")?
        .query_map([secret.id.uuid().into_bytes()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    assert_eq!(held, ["for members"], "nothing reaches him after his removal (design 3.6)");
    ada.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_removed_while_away_learns_it_by_the_stream_and_gets_nothing_more() -> Result<()> {
    removed_while_away(3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_removed_while_away_learns_it_after_a_gap_and_gets_nothing_more() -> Result<()> {
    removed_while_away(1_100).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_begins_anew_is_compared_and_goes_on() -> Result<()> {
    let dir = tempdir()?;
    let data = dir.path().join("relay");
    let mut relay = RelayProcess::start(&data, &[]).await?;
    let ada = client(&dir.path().join("ada")).await?;
    let campus = ada.join(&relay.invite("owner")?, "Ada").await?;
    let bob = client(&dir.path().join("bob")).await?;
    let bobs = bob.join(&relay.invite("member")?, "Bob").await?;
    let general = circle(&ada, &campus, "General").await?;
    let mut texts: Vec<String> = (0..20).map(|n| format!("old {n}")).collect();
    for text in &texts {
        ada.send(campus.id, general.id, text, None).await?;
    }
    shows(&bob, &bobs, "General", &texts).await?;
    relay.kill()?;
    let changed = rusqlite::Connection::open(data.join("campus.db"))?
        .execute("UPDATE campus SET epoch = ?1", [Epoch::random(7).as_str()])?;
    assert_eq!(changed, 1);
    ada.send(campus.id, general.id, "written in between", None).await?;
    relay.restart().await?;
    bob.send(bobs.id, general.id, "new", None).await?;
    wait_for("both to have the new ones", async || {
        let now = circle(&ada, &campus, "General").await?;
        // Right after the other history began the circle's own head is not known: the campus says what is.
        let complete = ada.campuses().await?.remove(0).connection == Connection::Online { missing: 0 };
        Ok((now.head_seq.get() == 22 && complete && now.unsent == 0).then_some(()))
    })
    .await?;
    texts = circles_tests::everything(&ada, &campus, &general).await?.into_iter().map(|it| it.text).collect();
    assert_eq!(texts.len(), 22);
    assert!(texts.contains(&"written in between".to_owned()) && texts.contains(&"new".to_owned()));
    shows(&ada, &campus, "General", &texts).await?;
    shows(&bob, &bobs, "General", &texts).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}
