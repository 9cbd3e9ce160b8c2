//! Things broken on purpose, to see that a run notices each. Nothing of it is in the programs: what they send, hear and
//! store is changed on its way, as it would be if their code were wrong.

use std::path::Path;

use bytes::Bytes;
use clap::ValueEnum;
use rand::Rng;
use rusqlite::Connection;
use serde_json::Value;

use crate::shared::{Device, Shared, lock};

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Breakage {
    /// The stream leaves out a change.
    DropChange,
    /// The client does not look at `prev`: every change seems to follow the beginning.
    IgnorePrev,
    /// The client does not take up a `gap`.
    SkipGap,
    /// The client does not take up a `reset`.
    IgnoreReset,
    /// A page of changes lacks one that it covers.
    ShortPage,
    /// The client stores the relay's head as its cursor before it has stored what lies up to it.
    CursorEarly,
    /// A crash makes the client forget its gaps.
    ForgetGaps,
    /// A crash loses an item of the outbox.
    LoseUnsent,
    /// The outbox does not keep the order.
    SwapUnsent,
    /// A message that is sent again has another id.
    SentTwice,
    /// An older state replaces a newer one.
    OlderOverNewer,
    /// A change that comes twice counts twice.
    AppliedTwice,
    /// The relay answers before what it answers for is on the disk, and loses it in a crash.
    AnsweredEarly,
    /// The relay shows changes of a circle to everybody.
    Leak,
    /// The relay tells of a removal that it does not store.
    RemovedStays,
    /// The relay accepts an edit and does not store it.
    EditLost,
    /// The relay gives a wrong `prev` to some changes.
    WrongPrev,
}

/// An event on its way to a client.
pub fn frame(shared: &Shared, device: &Device, frame: String) -> String {
    let is = |name: &str| frame.starts_with(&format!("event: {name}\n"));
    match shared.breakage {
        Some(Breakage::DropChange) if is("change") && strikes(shared, 10) => String::new(),
        Some(Breakage::SkipGap) if is("gap") => count(shared, String::new()),
        Some(Breakage::IgnoreReset) if is("reset") => count(shared, String::new()),
        Some(Breakage::IgnorePrev) if is("change") => altered(&frame, |change| change["prev"] = 0.into()),
        Some(Breakage::OlderOverNewer) if is("change") => older(shared, &frame),
        Some(Breakage::Leak) if is("change") => leaked(shared, device, &frame),
        _ => frame,
    }
}

/// A page of changes on its way to a client.
pub fn page(shared: &Shared, body: Bytes) -> Bytes {
    if !shared.breaks(Breakage::ShortPage) || !strikes(shared, 3) {
        return body;
    }
    let Ok(mut page) = serde_json::from_slice::<Value>(&body) else { return body };
    if let Some(changes) = page["changes"].as_array_mut() {
        changes.pop();
    }
    page.to_string().into()
}

/// Once in so many times.
fn strikes(shared: &Shared, of: u32) -> bool {
    let strikes = lock(&shared.mischief).random_ratio(1, of);
    if strikes {
        shared.count("broken on purpose");
    }
    strikes
}

fn count(shared: &Shared, it: String) -> String {
    shared.count("broken on purpose");
    it
}

fn altered(frame: &str, alter: impl FnOnce(&mut Value)) -> String {
    let Some((head, data)) = frame.split_once("data: ") else { return frame.to_owned() };
    let Ok(mut change) = serde_json::from_str::<Value>(data) else { return frame.to_owned() };
    alter(&mut change);
    format!("{head}data: {change}\n\n")
}

/// The text of a message as it first was, under the number of its newest state.
fn older(shared: &Shared, frame: &str) -> String {
    let mut first_texts = lock(&shared.first_texts);
    altered(frame, |change| {
        let entity = &mut change["entity"];
        if let (Some(id), Some(text)) = (entity["id"].as_str(), entity["text"].as_str()) {
            let first = first_texts.entry(id.to_owned()).or_insert_with(|| text.to_owned()).clone();
            entity["text"] = first.into();
        }
    })
}

/// The frame, and one that was meant for somebody else.
fn leaked(shared: &Shared, device: &Device, frame: &str) -> String {
    let mut kept = lock(&shared.kept_frames);
    let other = kept.iter().rev().find(|it| it.0 != device.person).map(|it| it.1.clone());
    kept.push((device.person, frame.to_owned()));
    format!("{}{frame}", other.unwrap_or_default())
}

/// The files of a device after its crash.
pub fn after_crash(shared: &Shared, dir: &Path, head: i64) -> rusqlite::Result<()> {
    let sql = match shared.breakage {
        Some(Breakage::CursorEarly) => format!("UPDATE campus SET pos = max(pos, {head}) WHERE epoch IS NOT NULL"),
        Some(Breakage::ForgetGaps) => "INSERT OR REPLACE INTO coverage (campus, scope, after, until)
                 SELECT campus, scope, 0, pos FROM scope_head;
             DELETE FROM coverage WHERE after > 0 AND EXISTS (SELECT 1 FROM coverage AS it WHERE it.scope = coverage.scope
                 AND it.after = 0)"
            .to_owned(),
        Some(Breakage::LoseUnsent) => {
            "DELETE FROM outbox WHERE n = (SELECT min(n) FROM outbox WHERE kind <> 'read')".to_owned()
        }
        Some(Breakage::SwapUnsent) => "CREATE TEMP TABLE two AS SELECT min(a.n) AS a, min(b.n) AS b FROM outbox AS a
                 JOIN outbox AS b ON b.circle = a.circle AND b.n > a.n WHERE a.kind = 'post' AND b.kind = 'post'
                 AND a.state = 'queued' AND b.state = 'queued';
             UPDATE outbox SET n = -1 WHERE n = (SELECT a FROM two);
             UPDATE outbox SET n = (SELECT a FROM two) WHERE n = (SELECT b FROM two);
             UPDATE outbox SET n = (SELECT b FROM two) WHERE n = -1"
            .to_owned(),
        _ => return Ok(()),
    };
    let path = dir.join("circles.db");
    if path.exists() {
        Connection::open(path)?.execute_batch(&sql)?;
        shared.count("broken on purpose");
    }
    Ok(())
}

/// Lays into a device's cache what changes its writes.
pub fn into_cache(shared: &Shared, dir: &Path) -> rusqlite::Result<()> {
    if shared.breaks(Breakage::AppliedTwice) {
        Connection::open(dir.join("circles.db"))?.execute_batch(
            "CREATE TRIGGER IF NOT EXISTS broken AFTER UPDATE ON message WHEN new.id = old.id BEGIN
                 UPDATE circle_head SET seq = seq + 1 WHERE circle = new.circle;
             END",
        )?;
    }
    Ok(())
}

/// Lays into the relay's database what changes its writes.
pub fn into_relay(shared: &Shared, dir: &Path) -> rusqlite::Result<()> {
    let sql = match shared.breakage {
        Some(Breakage::RemovedStays) => {
            "CREATE TRIGGER IF NOT EXISTS broken BEFORE UPDATE ON membership WHEN new.state = 2 BEGIN
                 SELECT raise(IGNORE);
             END"
        }
        Some(Breakage::EditLost) => {
            "CREATE TRIGGER IF NOT EXISTS broken AFTER UPDATE ON message WHEN new.deleted_at IS NULL BEGIN
                 UPDATE message SET text = old.text WHERE id = new.id;
             END"
        }
        Some(Breakage::WrongPrev) => {
            "CREATE TRIGGER IF NOT EXISTS broken AFTER INSERT ON log WHEN new.pos % 5 = 0 BEGIN
                 UPDATE log SET prev = 0 WHERE pos = new.pos;
             END"
        }
        _ => return Ok(()),
    };
    Connection::open(dir.join("campus.db"))?.execute_batch(sql)
}
