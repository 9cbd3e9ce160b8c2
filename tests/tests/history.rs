//! Being removed from a circle, a relay whose history is another one, and what is told after an absence.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use circles_client::{
    Client,
    view::{CampusView, Connection},
};
use circles_protocol::{CircleKind, Epoch};
use circles_tests::{
    beginning::{Beginning, joined},
    circle, client, program, shows, wait_for,
};

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
    let Beginning { dir, relay, ada, campus, general } = Beginning::new(&["--writes-burst", "2000"]).await?;
    let data = dir.path().join("bob");
    let (bob, bobs) = joined(&data, &relay.invite("member")?, "Bob").await?;
    let secret = ada.create_circle(campus.id, "Secret", "", CircleKind::Private).await?;
    let bob_id = id_of(&ada, &campus, "Bob").await?;
    ada.add_member(campus.id, secret.id, bob_id).await?;
    ada.send(campus.id, secret.id, "for members", None).await?;
    shows(&bob, &bobs, "Secret", &strings(&["for members"])).await?;
    bob.close().await;

    ada.remove_member(campus.id, secret.id, bob_id).await?;
    ada.send(campus.id, secret.id, "not for Bob", None).await?;
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
    let Beginning { dir, mut relay, ada, campus, general } = Beginning::new(&[]).await?;
    let data = dir.path().join("relay");
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
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

/// Runs the relay's program beside it.
fn relay_command(arguments: &[&str], data: &Path) -> Result<()> {
    let output = Command::new(program("circles-relay")?).args(arguments).arg("--data-dir").arg(data).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

async fn campus_of(client: &Client) -> Result<CampusView> {
    Ok(client.campuses().await?.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_relay_loses_by_a_restore_comes_back_from_its_authors_and_stays_with_the_others() -> Result<()> {
    let Beginning { dir, mut relay, ada, campus, general } = Beginning::new(&[]).await?;
    let (data, copy) = (dir.path().join("relay"), dir.path().join("copy.db"));
    let bobs_data = dir.path().join("bob");
    let (bob, bobs) = joined(&bobs_data, &relay.invite("member")?, "Bob").await?;
    ada.send(campus.id, general.id, "before", None).await?;
    let edited = ada.send(campus.id, general.id, "with a mistake", None).await?.id;
    shows(&bob, &bobs, "General", &strings(&["before", "with a mistake"])).await?;
    let copied = copy.to_str().context("a path of text")?;
    relay_command(&["backup", copied], &data)?;

    // All of this the relay acknowledges, and loses.
    ada.edit(campus.id, general.id, edited, "without a mistake").await?;
    ada.react(campus.id, general.id, edited, "👍", true).await?;
    ada.send(campus.id, general.id, "of Ada, lost", None).await?;
    shows(&bob, &bobs, "General", &strings(&["before", "without a mistake", "of Ada, lost"])).await?;
    bob.send(bobs.id, general.id, "of Bob, lost", None).await?;
    let all = strings(&["before", "without a mistake", "of Ada, lost", "of Bob, lost"]);
    shows(&ada, &campus, "General", &all).await?;
    shows(&bob, &bobs, "General", &all).await?;
    bob.close().await;
    relay.kill()?;
    std::fs::rename(&data, dir.path().join("lost"))?;
    relay_command(&["restore", copied], &data)?;
    relay.restart().await?;

    // Bob's device sleeps: his message is not at the relay, and Ada is told that only her device has it.
    wait_for("Ada to have compared", async || {
        let now = campus_of(&ada).await?;
        Ok(now.renewal.is_some_and(|it| !it.comparing && it.offered == 2).then_some(()))
    })
    .await?;
    shows(&ada, &campus, "General", &strings(&["before", "without a mistake", "of Ada, lost"])).await?;
    let kept: Vec<_> = ada.kept(campus.id).await?.into_iter().map(|it| (it.circle, it.author, it.text)).collect();
    assert_eq!(kept, [("General".to_owned(), "Bob".to_owned(), "of Bob, lost".to_owned())]);
    assert_eq!(campus_of(&ada).await?.kept, 1);

    // A new message takes the number that Bob's had, before he is back.
    ada.send(campus.id, general.id, "after", None).await?;
    shows(&ada, &campus, "General", &strings(&["before", "without a mistake", "of Ada, lost", "after"])).await?;
    let bob = client(&bobs_data).await?;
    let all = strings(&["before", "without a mistake", "of Ada, lost", "after", "of Bob, lost"]);
    shows(&bob, &bobs, "General", &all).await?;
    shows(&ada, &campus, "General", &all).await?;
    wait_for("Ada to know that nothing is lost", async || Ok((campus_of(&ada).await?.kept == 0).then_some(()))).await?;
    let reactions = circles_tests::everything(&bob, &bobs, &general).await?.remove(1).reactions;
    assert_eq!(reactions.iter().map(|it| &*it.emoji).collect::<Vec<_>>(), ["👍"]);

    ada.put_notices_aside(campus.id).await?;
    assert_eq!(campus_of(&ada).await?.renewal, None);
    ada.close().await;
    bob.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_is_summed_up_once_everything_is_here() -> Result<()> {
    let Beginning { dir, relay, ada, campus, general } = Beginning::new(&[]).await?;
    let data = dir.path().join("bob");
    let (bob, bobs) = joined(&data, &relay.invite("member")?, "Bob").await?;
    ada.send(campus.id, general.id, "hello @Bob", None).await?;
    shows(&bob, &bobs, "General", &strings(&["hello @Bob"])).await?;
    bob.close().await;

    let texts = strings(&["hello @Bob", "@bobby is another", "is @bob there?", "no"]);
    for text in &texts[1..] {
        ada.send(campus.id, general.id, text, None).await?;
    }
    shows(&ada, &campus, "General", &texts).await?;
    // Two hours and a quarter pass: for Bob's device, which did not hear the stream in them.
    let away = 8_100_000;
    rusqlite::Connection::open(data.join("circles.db"))?
        .execute("UPDATE campus SET heard_at = heard_at - ?1", [away])?;

    let bob = client(&data).await?;
    shows(&bob, &bobs, "General", &texts).await?;
    let absence = wait_for("the absence", async || Ok(campus_of(&bob).await?.absence)).await?;
    assert_eq!((absence.messages, absence.circles, absence.mentions), (3, 1, 1));
    assert!(absence.until.0 - absence.since.0 >= away);
    bob.put_notices_aside(bobs.id).await?;
    assert_eq!(campus_of(&bob).await?.absence, None);
    ada.close().await;
    bob.close().await;
    Ok(())
}
