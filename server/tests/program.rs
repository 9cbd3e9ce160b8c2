//! The program as an operator runs it: what it logs, and what it leaves on the disk.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use circles_test_servers::{Postgres, Redis};
use common::Person;
use reqwest::Method;
use serde_json::json;

/// An address of loopback that is free for now.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The program with these arguments.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_circles-relay"));
    command.args(args);
    command
}

/// `circles-relay serve` on a free port, with a new campus.
struct Serving {
    child: Option<Child>,
    /// What it logs. A pipe that nobody reads would hold it up.
    log: tempfile::NamedTempFile,
    url: String,
    /// The code of the owner's invite.
    code: String,
}

impl Serving {
    fn start(args: &[&str]) -> Self {
        let listen = free_address();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = program(&["serve", "--listen", &listen])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // It says so once it listens.
        let link = said.into_iter().find_map(|line| line.split_once("/join#").map(|(_, code)| code.to_owned()));
        let Some(code) = link else { panic!("no invite: {}", fs::read_to_string(log.path()).unwrap()) };
        Self { child: Some(child), log, url: format!("http://{listen}"), code }
    }

    async fn owner(&self) -> Person {
        common::join(&common::http(), &self.url, &self.code, "Ada").await
    }

    /// Tells it to stop as a service manager does.
    fn terminate(&self) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Stops it; what it logged.
    fn stop(self) -> String {
        self.terminate();
        self.ended()
    }

    /// Waits until it has ended; what it logged.
    fn ended(mut self) -> String {
        let mut child = self.child.take().unwrap();
        assert!(child.wait().unwrap().success());
        fs::read_to_string(self.log.path()).unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Only where the test failed.
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Ada writes, edits, reacts, reads, and asks for what is not there. All of it has this word in it.
async fn secretive(ada: &Person) -> &'static str {
    let general = ada.general().await;
    let receipt = ada.post(general, "a xyzzy for your eyes").await;
    let edit = json!({ "text": "another xyzzy" });
    ada.ok::<serde_json::Value>(Method::PATCH, &format!("/v1/messages/{}", receipt.id), edit).await;
    ada.ok::<serde_json::Value>(Method::PATCH, "/v1/me", json!({ "name": "Ada xyzzy" })).await;
    ada.get::<serde_json::Value>(&format!("/v1/circles/{general}/messages?limit=50")).await;
    let mut events = ada.stream(None).await;
    ada.post(general, "live xyzzy").await;
    events.until_text("live xyzzy").await;
    "xyzzy"
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_however_detailed_has_what_people_write_or_their_keys() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    for format in ["text", "json"] {
        let database = postgres.database().unwrap();
        let relay = Serving::start(&[
            "--log-format",
            format,
            "--log",
            "trace,tokio_postgres=trace,tokio_postgres::query=trace,hyper=trace,redis=trace",
            "--database",
            &database,
            "--redis",
            &redis.url(),
        ]);
        let ada = relay.owner().await;
        let word = secretive(&ada).await;
        let (code, log) = (relay.code.clone(), relay.stop());
        assert!(log.contains("answered"), "it is as detailed as was asked for: {log}");
        let hash: [u8; 32] =
            sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &ada.token)).into();
        let half = |from| u128::from_be_bytes(*hash[from..].first_chunk().unwrap());
        let hex = format!("{:032x}{:032x}", half(0), half(16));
        let list = format!("{hash:?}");
        for secret in [word, &code, &ada.token, &hex, list.trim_matches(['[', ']'])] {
            let line = log.lines().find(|it| it.contains(secret));
            assert_eq!(line, None, "{secret:?} is in the log");
        }
    }
}

/// The files of a directory, and those below it, that others than their owner can read or write.
fn open_to_others(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    // What is gone again since it was listed is of no interest.
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let Ok(metadata) = entry.metadata() else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            found.push(format!("{} {mode:o}", entry.path().display()));
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&entry.path()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_and_backups_are_for_their_owner_alone_while_they_are_written_too() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    // Made beforehand, as an operator might, so that all may look into it.
    let (data, copies) = (at("data"), at("copies"));
    for dir in [&data, &copies] {
        fs::create_dir(dir).unwrap();
    }
    let relay = Serving::start(&["--data-dir", &data]);
    let ada = relay.owner().await;
    for n in 0..200 {
        ada.post(ada.general().await, &format!("{n} {}", "private ".repeat(500))).await;
    }
    let postgres = Postgres::start().unwrap();
    let database = postgres.database().unwrap();
    let elsewhere = Serving::start(&["--database", &database]);
    elsewhere.owner().await;
    for (name, place) in [("files", ["--data-dir", &data]), ("postgres", ["--database", &database])] {
        let target = format!("{copies}/{name}");
        let mut backup = program(&["backup"]).args(place).arg(&target).stdout(Stdio::null()).spawn().unwrap();
        let ended = loop {
            assert_eq!(open_to_others(Path::new(&copies)), [""; 0], "while it is written");
            if let Some(ended) = backup.try_wait().unwrap() {
                break ended;
            }
        };
        assert!(ended.success());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&copies).unwrap().count(), 1, "nothing is left beside it");
        let restored = at(&format!("restored {name}"));
        assert!(program(&["restore", "--data-dir", &restored, &target]).status().unwrap().success());
        assert_eq!(open_to_others(Path::new(&restored)), [""; 0]);
        fs::remove_file(target).unwrap();
    }
    let data_files: Vec<String> =
        open_to_others(Path::new(&data)).into_iter().filter(|it| it.contains(".db")).collect();
    assert_eq!(data_files, [""; 0]);
    relay.stop();
    elsewhere.stop();
}

/// Asks until the answer is as wanted.
async fn until(url: &str, wanted: impl Fn(u16, &str) -> bool) {
    let http = common::http();
    for _ in 0..500 {
        let answer = http.get(url).send().await.unwrap();
        let status = answer.status().as_u16();
        if wanted(status, &answer.text().await.unwrap()) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{url} does not answer as it should");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_leaves_is_not_ready_at_once_and_serves_until_people_are_sent_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let relay = Serving::start(&["--data-dir", home.path().to_str().unwrap(), "--leave", "3s"]);
    let ada = relay.owner().await;
    let (general, ready) = (ada.general().await, format!("{}/readyz", relay.url));
    until(&ready, |status, _| status == 200).await;
    relay.terminate();
    until(&ready, |status, _| status == 503).await;
    // By a connection that did not exist before.
    let ada = Person { http: common::http(), ..ada };
    ada.post(general, "still taken").await;
    let log = relay.ended();
    assert!(log.contains("closed"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_never_answered_is_in_the_log_and_in_the_metrics() {
    let (postgres, redis) = (Postgres::start().unwrap(), Redis::start().unwrap());
    let (database, metrics) = (postgres.database().unwrap(), free_address());
    let wrong = redis.url().replace("redis://", "redis://:wrong@");
    let relay = Serving::start(&["--database", &database, "--redis", &wrong, "--metrics-listen", &metrics]);
    until(&format!("http://{metrics}/metrics"), |_, text| text.contains("circles_redis_up 0")).await;
    let log = relay.stop();
    let lines = log.lines().filter(|it| it.contains("Redis cannot be")).count();
    assert_eq!(lines, 1, "once, and not with each try: {log}");
    assert!(!log.contains('\u{1b}'), "no colours in a file");
}
