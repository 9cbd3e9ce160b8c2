//! The stream as others read it: `curl -N`, and an SSE library that is not ours, both without any of Circles' code.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::Result;
use circles_tests::{beginning::Beginning, relay::RelayProcess, shows};
use tempfile::TempDir;

/// A relay whose streams end every second, Ada with a hundred messages in General, and her token.
async fn campus() -> Result<(TempDir, RelayProcess, String)> {
    let Beginning { dir, relay, ada, campus, general } = Beginning::new(&["--stream-lifetime", "1s"]).await?;
    let texts: Vec<String> = (1..=100).map(|n| format!("message {n}")).collect();
    for text in &texts {
        ada.send(campus.id, general.id, text, None).await?;
    }
    shows(&ada, &campus, "General", &texts).await?;
    ada.close().await;
    let token = std::fs::read_dir(dir.path().join("ada/tokens"))?.next().unwrap()?.path();
    Ok((dir, relay, std::fs::read_to_string(token)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_the_stream_and_resumes_it() -> Result<()> {
    let (_dir, relay, token) = campus().await?;
    let curl = |last: Option<&str>| {
        let mut command = Command::new("curl");
        command.args(["-sN", "--max-time", "10", "-i", "-H", &format!("Authorization: Bearer {token}")]);
        if let Some(last) = last {
            command.args(["-H", &format!("Last-Event-ID: {last}")]);
        }
        command.arg(format!("{}/v1/stream", relay.url()));
        let output = command.output().unwrap();
        // The relay ended the stream by itself: to curl that is a whole transfer.
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let text = curl(None);
    let head = text.to_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream"));
    assert!(head.contains("cache-control: no-store, no-transform"));
    assert!(head.contains("x-accel-buffering: no"));
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(body.starts_with("retry: "), "{body}");
    let events: Vec<&str> = body.split("\n\n").filter(|it| it.contains("event: ")).collect();
    assert!(events[0].contains("event: hello"));
    assert!(events.iter().all(|it| it.contains("id: ")), "every event has an id");
    assert!(events.last().unwrap().contains("event: bye") || events.iter().any(|it| it.contains("event: bye")));
    let changes: Vec<&&str> = events.iter().filter(|it| it.contains("event: change")).collect();
    assert!(changes.len() >= 100, "{}", changes.len());

    let middle = changes[changes.len() / 2].lines().find_map(|it| it.strip_prefix("id: ")).unwrap().to_owned();
    let resumed = curl(Some(&middle));
    let after = changes.len() - changes.len() / 2 - 1;
    assert_eq!(resumed.matches("event: change").count(), after);
    assert!(!resumed.contains("event: gap"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sse_library_that_is_not_ours_reads_every_change_once() -> Result<()> {
    let (_dir, relay, token) = campus().await?;
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/eventsource.mjs");
    let output = Command::new("node")
        .arg(script)
        .args([&format!("{}/v1/stream", relay.url()), &token, "100"])
        .stderr(Stdio::piped())
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let positions: Vec<u64> = String::from_utf8(output.stdout)?.lines().map(str::parse).collect::<Result<_, _>>()?;
    assert_eq!(positions.len(), 100);
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    Ok(())
}
