//! Typing and presence between real clients over a real relay: seen at once, gone by itself, and never shown offline.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use anyhow::{Result, bail};
use circles_client::view::Update;
use circles_protocol::CircleId;
use circles_tests::{
    PATIENCE,
    beginning::{Beginning, joined},
    circle, wait_for,
};
use tokio::sync::broadcast::Receiver;

/// The names of those who type in a circle, at the next time that this changes.
async fn typing(updates: &mut Receiver<Update>, circle: CircleId) -> Result<Vec<String>> {
    let next = async {
        loop {
            match updates.recv().await? {
                Update::Typing { circle_id, people, .. } if circle_id == circle => {
                    return Ok(people.into_iter().map(|it| it.name).collect());
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await?
}

#[tokio::test(flavor = "multi_thread")]
async fn who_types_and_who_is_online_is_seen_and_passes_by_itself() -> Result<()> {
    let Beginning { dir, mut relay, ada, campus, general } = Beginning::new(&["--stream-lifetime", "1s"]).await?;
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
    let general = general.id;
    circle(&bob, &bobs, "General").await?;
    let present = async |wanted: usize| {
        wait_for(&format!("{wanted} people online"), async || {
            let online = ada.presence(campus.id, general).await?;
            Ok((online.len() == wanted).then_some(online))
        })
        .await
    };
    let both = present(2).await?;
    assert!(both.contains(&campus.me.id) && both.contains(&bobs.me.id));

    let mut updates = ada.subscribe();
    for _ in 0..20 {
        bob.typing(bobs.id, general, true).await?;
    }
    assert_eq!(typing(&mut updates, general).await?, ["Bob"]);
    assert!(typing(&mut updates, general).await?.is_empty(), "nothing more was heard");
    bob.typing(bobs.id, general, true).await?;
    assert_eq!(typing(&mut updates, general).await?, ["Bob"]);
    bob.send(bobs.id, general, "here it is", None).await?;
    assert!(typing(&mut updates, general).await?.is_empty());

    // Streams ended every second all the while, and nobody went by it.
    while let Ok(update) = updates.try_recv() {
        if let Update::Presence { person_id: Some(_), online: false, .. } = update {
            bail!("a stream that ended was told as a person who went");
        }
    }
    bob.close().await;
    assert_eq!(present(1).await?, [campus.me.id]);
    relay.kill()?;
    assert!(present(0).await?.is_empty());
    ada.close().await;
    Ok(())
}
