//! Commands that print what is held.

use std::time::Duration;

use anyhow::Result;
use circles_client::{
    Client,
    view::{
        Anchor, CampusStatus, CampusView, CircleView, Connection, ConnectionProblem, Delivery, MessageView, Severity,
        Wrote,
    },
};
use circles_protocol::{Seq, UnixMs};
use serde_json::json;

use crate::watch::{campus_now, in_sync, settled};

/// How long relays are listened for: they answer within a second.
const LISTEN: Duration = Duration::from_secs(3);

/// Most lines of a list within the status: who wants all of it asks for JSON.
const LISTED_MAX: usize = 10;

/// Lists the relays on this network.
pub async fn nearby(client: &Client, json: bool) -> Result<()> {
    for it in client.nearby(LISTEN).await? {
        if json {
            say!("{}", serde_json::to_string(&it)?);
            continue;
        }
        let address = it.address.as_deref().unwrap_or("no address");
        say!("{}  {}  {address}{}", it.name, it.words, if it.joined { "  (you are in it)" } else { "" });
    }
    Ok(())
}

/// Says what stands in the way.
pub async fn doctor(client: &Client, json: bool) -> Result<()> {
    for it in client.doctor().await? {
        if json {
            say!("{}", serde_json::to_string(&it)?);
            continue;
        }
        let mark = match it.severity {
            Severity::Good => "ok ",
            Severity::Note => "note",
            Severity::Bad => "BAD",
        };
        say!("{mark:<4} {}", it.says);
        if let Some(advice) = it.advice {
            say!("     {advice}");
        }
    }
    Ok(())
}

/// Lists the circles, once it is known which there are: right after joining it is not.
pub async fn circles(client: &Client, campus: &CampusView, json: bool) -> Result<()> {
    in_sync(client, campus).await?;
    let connection = campus_now(client, campus).await?.connection;
    if client.runs_engine() && connection != (Connection::Online { missing: 0 }) {
        eprintln!("circles-cli: {}; these are the circles that are known so far", words(&connection));
    }
    for circle in client.circles(campus.id).await? {
        if json {
            say!("{}", serde_json::to_string(&circle)?);
            continue;
        }
        let marks = match (circle.joined, circle.unread) {
            (false, _) => "  (open: join-circle)".to_owned(),
            (true, 0) => String::new(),
            (true, unread) => format!("  {unread} unread"),
        };
        say!("{}{marks}", circle.name);
    }
    Ok(())
}

/// Prints the last messages of a circle.
pub async fn history(client: &Client, campus: &CampusView, circle: &str, n: u64, json: bool) -> Result<()> {
    let circle = crate::circle(client, campus, circle).await?;
    let from = circle.head_seq.get().saturating_sub(n);
    print_after(client, campus, &circle, Seq::try_from(from)?, json).await.map(drop)
}

/// Prints what is held after a number, and says where something is not held. Returns the last number that was printed or
/// is known to be missing.
pub async fn print_after(
    client: &Client,
    campus: &CampusView,
    circle: &CircleView,
    after: Seq,
    json: bool,
) -> Result<Seq> {
    let mut printed = after;
    loop {
        let window = client.timeline(campus.id, circle.id, Anchor::After { seq: printed }, 200).await?;
        if window.to < window.from {
            return Ok(printed);
        }
        let mut expected = window.from;
        for message in &window.messages {
            let seq = message.seq.unwrap_or(expected);
            if seq > expected {
                gap(expected, seq.before(), json)?;
            }
            self::message(circle, message, json)?;
            expected = seq.next();
        }
        if expected <= window.to {
            gap(expected, window.to, json)?;
        }
        printed = window.to;
    }
}

fn gap(from: Seq, to: Seq, json: bool) -> Result<()> {
    if json {
        say!("{}", json!({ "gap": [from, to] }));
    } else {
        say!("  … {} messages are not here yet …", to.get() - from.get() + 1);
    }
    Ok(())
}

/// Prints a message.
pub fn message(circle: &CircleView, it: &MessageView, json: bool) -> Result<()> {
    if json {
        say!("{}", json!({ "circle": circle.name, "circle_id": circle.id, "message": it }));
        return Ok(());
    }
    let text = if it.deleted { "(deleted)" } else { &it.text };
    let mark = match &it.delivery {
        Delivery::Sent => String::new(),
        Delivery::Queued | Delivery::Sending => "  (not sent yet)".to_owned(),
        Delivery::Blocked { .. } => "  (waits behind a message that was not sent)".to_owned(),
        Delivery::Failed { what, reason, text } => {
            let text = text.as_deref().map(|it| format!("; the text was: {it}")).unwrap_or_default();
            format!("  ({}: {reason}{text})", not_done(*what))
        }
    };
    say!("{} {} <{}> {text}{mark}", when(it.at)?, circle.name, it.author.name);
    Ok(())
}

/// That something was refused, in words.
fn not_done(what: Wrote) -> &'static str {
    match what {
        Wrote::Post => "not sent",
        Wrote::Edit => "edit not sent",
        Wrote::Delete => "not deleted",
        Wrote::React => "reaction not sent",
    }
}

/// A moment, to the minute, in this computer's time zone.
pub fn when(at: UnixMs) -> Result<String> {
    let at = jiff::Timestamp::from_millisecond(at.0)?.to_zoned_datetime(jiff::tz::TimeZone::system());
    Ok(at.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Says what is held and what is missing, and how the first attempt to connect went.
pub async fn status(client: &Client, json: bool) -> Result<()> {
    settled(client, |it| it.connection != Connection::Connecting).await?;
    for status in client.status().await? {
        if json {
            say!("{}", serde_json::to_string(&status)?);
            continue;
        }
        let connection = if client.runs_engine() {
            words(&status.campus.connection)
        } else {
            "Circles is open with this data, and connects by itself".to_owned()
        };
        say!("{} ({}): {connection}", status.campus.name, status.campus.relay);
        if status.set_aside > 0 {
            say!("  {} events could not be understood and were set aside", status.set_aside);
        }
        for it in status.events_set_aside.iter().take(LISTED_MAX) {
            say!("    {}: {}", it.event, it.reason);
        }
        more(status.events_set_aside.len())?;
        if let Some(it) = &status.campus.renewal {
            let comparing = if it.comparing { "; still comparing" } else { "" };
            say!("  the relay was set back to an earlier state: {} things go to it again{comparing}", it.offered);
        }
        if status.campus.kept > 0 {
            say!("  {} messages that the relay lost are kept on this device", status.campus.kept);
        }
        let as_of = as_of(&status)?;
        for it in &status.circles {
            let missing = if it.gaps.is_empty() { "" } else { ", but for what is missing" };
            say!(
                "  {}: {} of {} messages held, {as_of}{missing}; {} unread, {} unsent, {} failed",
                it.name,
                it.held,
                it.head_seq,
                it.unread,
                it.unsent,
                it.failed
            );
            for (after, until) in it.gaps.iter().take(LISTED_MAX) {
                say!("    missing: changes {} to {until}", after + 1);
            }
            more(it.gaps.len())?;
        }
        for it in status.stranded {
            let circle = it.circle.unwrap_or_else(|| "a circle that is gone".to_owned());
            let state =
                it.reason.map_or_else(|| "waits".to_owned(), |reason| format!("{}: {reason}", not_done(it.what)));
            say!("  in {circle}, which you are not in any more: {} ({state})", it.text);
        }
    }
    Ok(())
}

/// Says that a list was cut.
fn more(listed: usize) -> Result<()> {
    if let Some(more @ 1..) = listed.checked_sub(LISTED_MAX) {
        say!("    and {more} more");
    }
    Ok(())
}

/// Up to when everything is held that is not listed as missing. Only with a stream that has nothing to fetch is that now.
fn as_of(status: &CampusStatus) -> Result<String> {
    Ok(match (&status.campus.connection, status.heard_at) {
        (Connection::Online { missing: 0 }, _) => "complete to now".to_owned(),
        (Connection::Online { .. }, _) => "catching up".to_owned(),
        (Connection::Connecting, Some(at)) => format!("as of {}", when(at)?),
        (_, Some(at)) => format!("as of {}, offline", when(at)?),
        (_, None) => "never connected".to_owned(),
    })
}

/// How it stands with the relay, in words.
pub fn words(connection: &Connection) -> String {
    match connection {
        Connection::Connecting => "connecting".to_owned(),
        Connection::Online { missing: 0 } => "online, everything is here".to_owned(),
        Connection::Online { missing } => format!("online, catching up: {missing} changes to go"),
        Connection::Offline { problem: ConnectionProblem::WrongKey, .. } => {
            "offline: another relay answers in the place of this one, with another key; nothing is sent to it"
                .to_owned()
        }
        Connection::Offline { problem, .. } => format!("offline ({problem:?})"),
        Connection::SignedOut => "signed out: the relay does not know this device any more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use circles_client::view::{PersonView, TokenPlace};
    use circles_protocol::{CampusId, PersonId, Role};

    use super::*;

    #[test]
    fn only_who_is_online_and_lacks_nothing_is_said_to_be_complete_to_now() {
        let status = |connection, heard_at| CampusStatus {
            campus: CampusView {
                id: CampusId::new(),
                name: String::new(),
                relay: String::new(),
                me: PersonView { id: PersonId::new(), name: String::new(), hue: 0, role: Role::Member },
                connection,
                hosted: false,
                token_place: TokenPlace::File,
                renewal: None,
                kept: 0,
                stranded: 0,
                absence: None,
            },
            cursor: None,
            heard_at,
            set_aside: 0,
            events_set_aside: Vec::new(),
            circles: Vec::new(),
            stranded: Vec::new(),
        };
        let offline =
            Connection::Offline { since: UnixMs(0), problem: ConnectionProblem::Unreachable, retry_at: UnixMs(0) };
        let (never, once) = (None, Some(UnixMs(0)));
        let said = |connection: &Connection, heard_at| as_of(&status(connection.clone(), heard_at)).unwrap();
        assert_eq!(said(&Connection::Online { missing: 0 }, once), "complete to now");
        assert_eq!(said(&Connection::Online { missing: 1 }, once), "catching up");
        assert_eq!(said(&offline, once), format!("as of {}, offline", when(UnixMs(0)).unwrap()));
        assert_eq!(said(&offline, never), "never connected");
    }
}
