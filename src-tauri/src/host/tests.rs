//! What hosting promises.

use std::net::{Ipv4Addr, TcpListener};

use super::*;

async fn answers(url: &Url) -> bool {
    let address = (url.host_str().unwrap(), url.port().unwrap());
    tokio::net::TcpStream::connect(address).await.is_ok()
}

#[tokio::test]
async fn a_hosted_campus_is_at_the_same_address_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = Hosts::open(dir.path()).await.unwrap();
    let new = hosts.create("  Nordhaus ").await.unwrap();
    let url = hosts.url(new.campus_id).await.unwrap();
    assert_eq!(new.invite.relay, url);
    assert_eq!(new.relay.campus(), (new.campus_id, "Nordhaus".to_owned()));
    let campus = new.campus_id;
    drop(new);
    hosts.close().await;
    assert!(!answers(&url).await);

    let hosts = Hosts::open(dir.path()).await.unwrap();
    assert!(answers(&url).await);
    let view = HostView { campus_id: campus, address: url.to_string(), lan: None, online: Vec::new() };
    assert_eq!(hosts.list().await.unwrap(), [view]);
    hosts.close().await;
}

#[tokio::test]
async fn another_port_is_used_and_remembered_when_the_old_one_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = Hosts::open(dir.path()).await.unwrap();
    let campus = hosts.create("Nordhaus").await.unwrap().campus_id;
    let before = hosts.url(campus).await.unwrap();
    hosts.close().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, before.port().unwrap())).unwrap();

    let hosts = Hosts::open(dir.path()).await.unwrap();
    let after = hosts.url(campus).await.unwrap();
    assert_ne!(after, before);
    hosts.close().await;
    drop(taken);

    let hosts = Hosts::open(dir.path()).await.unwrap();
    assert_eq!(hosts.url(campus).await, Some(after));
    hosts.close().await;
}

#[tokio::test]
async fn a_campus_that_was_left_is_not_started_again_and_its_data_stays() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = Hosts::open(dir.path()).await.unwrap();
    let campus = hosts.create("Nordhaus").await.unwrap().campus_id;
    let url = hosts.url(campus).await.unwrap();
    hosts.forget(campus).await.unwrap();
    assert!(!answers(&url).await);
    hosts.close().await;

    let hosts = Hosts::open(dir.path()).await.unwrap();
    assert!(hosts.campuses().await.is_empty());
    assert_eq!(hosts.revive(campus).await.unwrap(), None);
    assert!(dir.path().join("hosted/1/campus.db").exists());
    hosts.create("Südhaus").await.unwrap();
    assert!(dir.path().join("hosted/2/campus.db").exists());
    hosts.close().await;
}

#[tokio::test]
async fn nothing_stays_of_a_campus_that_was_not_joined() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = Hosts::open(dir.path()).await.unwrap();
    assert!(matches!(hosts.create("   ").await, Err(HostError::Name(_))));
    let campus = hosts.create("Nordhaus").await.unwrap().campus_id;
    hosts.discard(campus).await.unwrap();
    assert!(hosts.campuses().await.is_empty());
    assert_eq!(std::fs::read_dir(dir.path().join(HOSTED)).unwrap().count(), 0);
    hosts.close().await;
}

#[tokio::test]
async fn a_relay_that_does_not_start_leaves_the_others_running_and_starts_later() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = Hosts::open(dir.path()).await.unwrap();
    let one = hosts.create("One").await.unwrap().campus_id;
    let other = hosts.create("Other").await.unwrap().campus_id;
    hosts.close().await;
    // Somebody runs `circles-relay serve` on the directory.
    let elsewhere = Relay::open(running::settings(dir.path().join("hosted/1"))).await.unwrap();

    let hosts = Hosts::open(dir.path()).await.unwrap();
    assert_eq!(hosts.campuses().await, [one, other]);
    assert!(hosts.url(one).await.is_none() && hosts.url(other).await.is_some());
    assert!(matches!(hosts.revive(one).await, Err(HostError::Open(_))));
    elsewhere.close().await;
    let revived = hosts.revive(one).await.unwrap().unwrap();
    assert!(answers(&revived).await);
    hosts.close().await;
}
