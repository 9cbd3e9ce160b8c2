//! Relays, proxies and networks that misbehave: a clear state each, nothing lost, and back by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use circles_client::{
    Client,
    view::{CampusView, CircleView, Connection, ConnectionProblem},
};
use circles_tests::{
    beginning::{Beginning, joined},
    circle, client,
    meddler::{How, Meddler},
    relay::RelayProcess,
    shows, wait_for,
};
use tempfile::TempDir;

/// Ada directly at the relay, and Bob behind the meddler.
struct Scene {
    dir: TempDir,
    relay: RelayProcess,
    meddler: Meddler,
    ada: Client,
    bob: Client,
    campus: CampusView,
    bobs: CampusView,
    general: CircleView,
}

impl Scene {
    async fn new(flags: &[&str]) -> Result<Self> {
        let Beginning { dir, relay, ada, campus, general } = Beginning::new(flags).await?;
        let meddler = Meddler::start(&relay.url()).await?;
        let (bob, bobs) = joined(&dir.path().join("bob"), &meddler.invite(&relay.invite("member")?), "Bob").await?;
        let scene = Self { dir, relay, meddler, ada, bob, campus, bobs, general };
        scene.says("before").await?;
        scene.bob_has(&["before"]).await?;
        Ok(scene)
    }

    async fn says(&self, text: &str) -> Result<()> {
        self.ada.send(self.campus.id, self.general.id, text, None).await?;
        Ok(())
    }

    async fn bob_has(&self, texts: &[&str]) -> Result<()> {
        let texts: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
        shows(&self.bob, &self.bobs, "General", &texts).await
    }

    /// A stream that Bob opens from now on is meddled with, and he opens one.
    async fn meddle_with_stream(&self, how: How) -> Result<()> {
        let before = self.meddler.seen("/v1/stream").len();
        self.meddler.meddle("/v1/stream", how);
        self.bob.reconnect(self.bobs.id).await?;
        wait_for("another stream", async || Ok((self.meddler.seen("/v1/stream").len() > before).then_some(()))).await
    }

    async fn bob_is(&self, wanted: impl Fn(&Connection) -> bool) -> Result<()> {
        let mut last = None;
        let found = wait_for("the connection", async || {
            let now = self.bob.campuses().await?.remove(0).connection;
            let found = wanted(&now).then_some(());
            last = Some(now);
            Ok(found)
        });
        found.await.map_err(|error| error.context(format!("it is {last:?}")))
    }

    /// Among what Ada says is a change of a kind that Bob's app does not know, wherever it comes: in the stream and in the
    /// pages that fill gaps.
    async fn hears_of_a_poll(&self) -> Result<()> {
        let renames = |body: &str| {
            let mut out = String::new();
            for (index, part) in body.split(r#""kind":"message""#).enumerate() {
                if index > 0 {
                    let poll = part.contains(r#""text":"a poll""#);
                    out.push_str(if poll { r#""kind":"poll""# } else { r#""kind":"message""# });
                }
                out.push_str(part);
            }
            out.into_bytes()
        };
        self.meddler.meddle("/v1/", How::Rewrite(Arc::new(renames)));
        self.bob.reconnect(self.bobs.id).await?;
        for text in ["whole", "a poll", "whole again"] {
            self.says(text).await?;
        }
        wait_for("the circle to be complete", async || {
            let now = circle(&self.bob, &self.bobs, "General").await?;
            Ok((now.head_seq.get() == 4 && now.missing == 0).then_some(()))
        })
        .await
    }

    async fn set_aside(&self) -> Result<u32> {
        Ok(self.bob.status().await?.remove(0).set_aside)
    }

    async fn close(self) -> Result<()> {
        self.ada.close().await;
        self.bob.close().await;
        drop(self.relay);
        Ok(self.dir.close()?)
    }
}

fn offline(because: ConnectionProblem) -> impl Fn(&Connection) -> bool {
    move |it| matches!(it, Connection::Offline { problem, .. } if *problem == because)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_broken_in_the_stream_is_set_aside_and_fetched() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let breaks = |event: &str| event.replace(r#""text":"broken""#, r#""text":{"#).into_bytes();
    scene.meddle_with_stream(How::Rewrite(Arc::new(breaks))).await?;
    for text in ["whole", "broken", "whole again"] {
        scene.says(text).await?;
    }
    scene.bob_has(&["before", "whole", "broken", "whole again"]).await?;
    assert_eq!(scene.set_aside().await?, 1);
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_is_set_aside_and_the_stream_goes_on() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let grows =
        |event: &str| event.replace(r#""text":"large""#, &format!(r#""text":"{}""#, "x".repeat(300_000))).into_bytes();
    scene.meddle_with_stream(How::Rewrite(Arc::new(grows))).await?;
    scene.bob_is(|it| *it == Connection::Online { missing: 0 }).await?;
    let streams = scene.meddler.seen("/v1/stream").len();
    for text in ["small", "large", "small again"] {
        scene.says(text).await?;
    }
    scene.bob_has(&["before", "small", "large", "small again"]).await?;
    assert_eq!(scene.set_aside().await?, 1);
    assert_eq!(scene.meddler.seen("/v1/stream").len(), streams, "the stream went on");
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_newer_relay_is_set_aside_once_and_everything_else_is_complete() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    scene.hears_of_a_poll().await?;
    assert_eq!(scene.set_aside().await?, 1);
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_asked_for_again_by_another_version_of_the_app() -> Result<()> {
    let mut scene = Scene::new(&[]).await?;
    scene.hears_of_a_poll().await?;
    scene.bob.close().await;
    let data = scene.dir.path().join("bob");
    // The app of before, which did not know polls; this one does, because nobody meddles any more.
    let conn = rusqlite::Connection::open(data.join("circles.db"))?;
    assert_eq!(conn.execute("UPDATE campus SET opened_by = '0.0.1'", [])?, 1);
    drop(conn);
    scene.meddler.stop_meddling();
    scene.bob = client(&data).await?;
    scene.bob_has(&["before", "whole", "a poll", "whole again"]).await?;
    assert_eq!(scene.set_aside().await?, 0);
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_refused_says_so_and_shows_what_it_holds() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let body = r#"{"type":"about:blank","title":"This device is not signed in","status":401,"code":"unauthorized"}"#;
    let headers = vec![("content-type", "application/problem+json")];
    scene.meddle_with_stream(How::Answer(401, headers, body)).await?;
    scene.bob_is(|it| *it == Connection::SignedOut).await?;
    scene.bob_has(&["before"]).await?;
    let tries = scene.meddler.seen("/v1/stream").len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(scene.meddler.seen("/v1/stream").len() <= tries + 3, "it does not hammer the relay");
    // A mistake of a proxy passes.
    scene.meddler.stop_meddling();
    scene.says("after").await?;
    scene.bob_has(&["before", "after"]).await?;
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_names_a_time_is_not_asked_before_it() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let body = r#"{"type":"about:blank","title":"The relay is stopping","status":503,"code":"shutting_down"}"#;
    let headers = vec![("content-type", "application/problem+json"), ("retry-after", "3")];
    scene.meddle_with_stream(How::Answer(503, headers, body)).await?;
    scene.bob_is(offline(ConnectionProblem::RelayUnavailable)).await?;
    let refused = scene.meddler.seen("/v1/stream").len();
    scene.meddler.stop_meddling();
    scene.says("after").await?;
    scene.bob_has(&["before", "after"]).await?;
    let ago = scene.meddler.seen("/v1/stream");
    let waited = ago[refused - 1].checked_sub(ago[refused]).unwrap();
    assert!(waited >= Duration::from_secs(3), "{waited:?}");
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_page_and_an_empty_answer_are_no_streams_and_pass() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let mut texts = vec!["before"];
    let answers = [(200, vec![("content-type", "text/html")], "<html>Sign in</html>"), (204, vec![], "")];
    for ((status, headers, body), text) in answers.into_iter().zip(["after the page", "after nothing"]) {
        scene.meddle_with_stream(How::Answer(status, headers, body)).await?;
        scene.bob_is(offline(ConnectionProblem::NotARelay)).await?;
        scene.says(text).await?;
        scene.meddler.stop_meddling();
        texts.push(text);
        scene.bob_has(&texts).await?;
    }
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_goes_silent_is_left_for_another() -> Result<()> {
    let scene = Scene::new(&["--heartbeat", "1s"]).await?;
    scene.meddle_with_stream(How::Silence).await?;
    wait_for("the silent stream", async || Ok((scene.meddler.seen("/v1/stream").len() > 1).then_some(()))).await?;
    scene.meddler.stop_meddling();
    scene.says("said into the silence").await?;
    scene.bob_has(&["before", "said into the silence"]).await?;
    scene.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_answer_is_lost_is_sent_again_and_is_there_once() -> Result<()> {
    let scene = Scene::new(&[]).await?;
    let path = format!("/v1/circles/{}/messages", scene.general.id).leak();
    scene.meddler.meddle(path, How::LoseAnswer);
    for text in ["one", "two"] {
        scene.bob.send(scene.bobs.id, scene.general.id, text, None).await?;
    }
    wait_for("two attempts", async || Ok((scene.meddler.seen(path).len() >= 2).then_some(()))).await?;
    scene.meddler.stop_meddling();
    scene.bob_has(&["before", "one", "two"]).await?;
    scene.close().await
}
