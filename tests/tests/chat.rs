//! Real relay processes and real clients: what people write arrives once, in order, whatever happens in between.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use circles_client::{Client, ClientError, Options, view::Connection};
use circles_tests::{
    beginning::{Beginning, joined},
    circle, client, everything, program, relay,
    relay::RelayProcess,
    shows, wait_for,
};
use tempfile::tempdir;

fn texts(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|n| format!("message {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_the_relay_is_dead_arrives_once_and_in_order() -> Result<()> {
    let Beginning { dir, mut relay, ada, campus, general } = Beginning::new(&[]).await?;
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;

    for text in texts(1, 20) {
        ada.send(campus.id, general.id, &text, None).await?;
    }
    shows(&bob, &bobs, "General", &texts(1, 20)).await?;

    relay.kill()?;
    for text in texts(21, 40) {
        ada.send(campus.id, general.id, &text, None).await?;
    }
    wait_for("the client to say that it is offline", async || {
        let campus = ada.campuses().await?.remove(0);
        Ok(matches!(campus.connection, Connection::Offline { .. }).then_some(()))
    })
    .await?;
    // The app is closed and opened again while it is offline: what waits is still there.
    ada.close().await;
    let ada = client(&dir.path().join("ada")).await?;
    assert_eq!(circle(&ada, &campus, "General").await?.unsent, 20);

    relay.restart().await?;
    shows(&ada, &campus, "General", &texts(1, 40)).await?;
    shows(&bob, &bobs, "General", &texts(1, 40)).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_every_second_loses_and_doubles_nothing() -> Result<()> {
    let Beginning { dir, relay, ada, campus, general } = Beginning::new(&["--stream-lifetime", "1s"]).await?;
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
    for text in texts(1, 100) {
        pace.tick().await;
        ada.send(campus.id, general.id, &text, None).await?;
    }
    shows(&bob, &bobs, "General", &texts(1, 100)).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_missed_more_than_a_stream_replays_has_everything_as_in_the_database() -> Result<()> {
    let dir = tempdir()?;
    let data = dir.path().join("relay");
    let mut relay = RelayProcess::start(&data, &[]).await?;
    let (ada, campus) = joined(&dir.path().join("ada"), &relay.invite("owner")?, "Ada").await?;
    wait_for("Ada to be complete", async || {
        let campus = ada.campuses().await?.remove(0);
        Ok((campus.connection == Connection::Online { missing: 0 }).then_some(()))
    })
    .await?;
    relay.kill()?;
    for name in ["ubuntu", "rust", "mediawiki"] {
        let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../src-tauri/demo/{name}.jsonl.gz"));
        relay::import(&data, &sample)?;
    }
    relay.restart().await?;
    ada.reconnect(campus.id).await?;
    let open = wait_for("the imported circles", async || {
        let open: Vec<_> = ada.circles(campus.id).await?.into_iter().filter(|it| !it.joined).collect();
        Ok((open.len() == 3).then_some(open))
    })
    .await?;
    for it in &open {
        ada.join_circle(campus.id, it.id).await?;
    }
    let database = rusqlite::Connection::open(data.join("campus.db"))?;
    for it in &open {
        wait_for("the circle to be complete", async || {
            let now = ada.circles(campus.id).await?.into_iter().find(|now| now.id == it.id);
            Ok(now.is_some_and(|now| now.missing == 0 && now.head_seq.get() == 500).then_some(()))
        })
        .await?;
        let held: Vec<(i64, String)> = everything(&ada, &campus, it)
            .await?
            .into_iter()
            .map(|it| (it.seq.map_or(0, i64::from), it.id.to_string()))
            .collect();
        let stored: Vec<(i64, String)> = database
            .prepare("SELECT seq, lower(hex(id)) FROM message WHERE circle_id = ?1 ORDER BY seq")?
            .query_map([it.id.uuid().into_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let plain = |id: &str| id.replace('-', "");
        let held: Vec<_> = held.into_iter().map(|(seq, id)| (seq, plain(&id))).collect();
        assert_eq!(held, stored);
    }
    ada.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_the_middle_of_sending_loses_and_doubles_nothing() -> Result<()> {
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let data = dir.path().join("ada");
    let (ada, campus) = joined(&data, &relay.invite("owner")?, "Ada").await?;
    circle(&ada, &campus, "General").await?;
    ada.close().await;

    let cli = |args: &[&str]| {
        let mut command = Command::new(program("circles-cli").unwrap());
        command.arg("--no-keyring").arg("--data-dir").arg(&data).args(args);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command
    };
    for text in texts(1, 30) {
        assert!(cli(&["send", "--queue", "General", &text]).status()?.success());
    }
    // The engine is killed again and again while it sends; each time a little further.
    for ms in [5, 20, 40, 60, 80] {
        let mut engine = cli(&["watch"]).spawn()?;
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        engine.kill()?;
        engine.wait()?;
    }
    let ada = client(&data).await?;
    shows(&ada, &campus, "General", &texts(1, 30)).await?;
    let (bob, bobs) = joined(&dir.path().join("bob"), &relay.invite("member")?, "Bob").await?;
    shows(&bob, &bobs, "General", &texts(1, 30)).await?;
    ada.close().await;
    bob.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_reads_and_writes_through_the_first() -> Result<()> {
    let dir = tempdir()?;
    let relay = RelayProcess::start(&dir.path().join("relay"), &[]).await?;
    let data = dir.path().join("ada");
    let (app, campus) = joined(&data, &relay.invite("owner")?, "Ada").await?;
    let general = circle(&app, &campus, "General").await?;
    let beside = client(&data).await?;
    assert!(app.runs_engine() && !beside.runs_engine());
    beside.send(campus.id, general.id, "from beside", None).await?;
    shows(&app, &campus, "General", &["from beside".to_owned()]).await?;
    shows(&beside, &campus, "General", &["from beside".to_owned()]).await?;
    beside.close().await;
    app.close().await;
    Ok(())
}

#[tokio::test]
async fn a_cache_of_a_newer_circles_is_refused_and_left_as_it_is() -> Result<()> {
    let dir = tempdir()?;
    client(dir.path()).await?.close().await;
    let database = dir.path().join("circles.db");
    rusqlite::Connection::open(&database)?.execute(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'later', '', '0')",
        [],
    )?;
    let options = Options { data_dir: dir.path().to_owned(), device_name: "test".to_owned(), keyring: false };
    let error = Client::open(options).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, ClientError::CacheNewer { found: 999, .. }), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_page_of_the_network_is_told_from_a_relay() -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempdir()?;
    let portal = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let link = format!("http://{}/join#abc", portal.local_addr()?);
    let serving = tokio::spawn(async move {
        let (mut socket, _) = portal.accept().await?;
        let mut request = [0; 4096];
        let read = socket.read(&mut request).await?;
        assert!(read > 0);
        let page = "<html>Sign in to the Wi-Fi</html>";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
            page.len()
        );
        socket.write_all(answer.as_bytes()).await
    });
    let ada = client(dir.path()).await?;
    let error = ada.join(&link, "Ada").await.unwrap_err();
    assert!(matches!(error, ClientError::NotARelay), "{error}");
    serving.await??;
    ada.close().await;
    Ok(())
}
