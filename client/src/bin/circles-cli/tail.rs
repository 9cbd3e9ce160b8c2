//! Messages as they come, and what becomes of them.

use std::collections::HashMap;

use anyhow::Result;
use circles_client::{
    Client,
    view::{Anchor, CampusView, CircleView, MessageView, ReactionView, Update},
};
use circles_protocol::{CircleId, MessageId, Seq};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::{read, watch::await_circle};

/// Messages of which it is kept what was told, so that nothing is told twice. Past it the oldest knowledge goes at once,
/// and a change of such a message is told with all that it has.
const TOLD_MAX: usize = 10_000;

/// Prints messages as they come; of those before, what is changed while one looks.
pub async fn tail(
    client: &Client,
    campus: &CampusView,
    circle: Option<&str>,
    since: Option<u64>,
    json: bool,
) -> Result<()> {
    let mut updates = client.subscribe();
    let only = match circle {
        Some(wanted) => Some(await_circle(client, campus, wanted).await?.id),
        None => None,
    };
    client.focus(Some(campus.id), only).await?;
    // What was printed last, of each circle. A circle that appears later is printed from its beginning.
    let mut printed: HashMap<CircleId, Seq> = HashMap::new();
    for it in client.circles(campus.id).await? {
        let start = match since {
            Some(since) => Seq::try_from(since)?,
            None => it.head_seq,
        };
        printed.insert(it.id, start);
    }
    let mut told = Told::default();
    let mut changed: Vec<(CircleId, MessageView)> = Vec::new();
    loop {
        let circles = client.circles(campus.id).await?;
        for it in circles.iter().filter(|it| it.joined && only.is_none_or(|id| id == it.id)) {
            let after = printed.get(&it.id).copied().unwrap_or(Seq::ZERO);
            // In order and without holes: what is not here yet is waited for, and never skipped (design 3.4).
            for message in contiguous(client, campus, it.id, after).await? {
                told.changes(&message);
                read::message(it, &message, json)?;
                printed.insert(it.id, message.seq.unwrap_or(after));
            }
        }
        for (id, message) in changed.drain(..) {
            let Some(circle) = circles.iter().find(|it| it.id == id && it.joined) else { continue };
            // Others are printed when it is their turn, as they then are.
            if message.seq.is_some_and(|seq| printed.get(&id).is_some_and(|last| seq <= *last)) {
                print(circle, &message, &told.changes(&message), json)?;
            }
        }
        let update = tokio::select! {
            update = updates.recv() => update,
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
        };
        match update {
            Ok(Update::Messages { campus_id, circle_id, messages, .. })
                if campus_id == campus.id && only.is_none_or(|id| id == circle_id) =>
            {
                changed.extend(messages.into_iter().map(|it| (circle_id, it)));
            }
            Err(RecvError::Closed) => return Ok(()),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
        }
    }
}

fn print(circle: &CircleView, it: &MessageView, changes: &[Change], json: bool) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    if json {
        say!("{}", json!({ "circle": circle.name, "circle_id": circle.id, "changed": it }));
        return Ok(());
    }
    let seq = it.seq.unwrap_or(Seq::ZERO);
    for change in changes {
        let what = match change {
            Change::Deleted => "was deleted".to_owned(),
            Change::Edited => format!("was edited: {}", it.text),
            Change::Reactions if it.reactions.is_empty() => "has no reactions any more".to_owned(),
            Change::Reactions => {
                let all: Vec<_> = it.reactions.iter().map(|it| format!("{} {}", it.emoji, it.count)).collect();
                format!("has reactions: {}", all.join(", "))
            }
        };
        say!("{} {}  message {seq} of <{}> {what}", read::when(it.at)?, circle.name, it.author.name);
    }
    Ok(())
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Deleted,
    Edited,
    Reactions,
}

/// What was told of each message.
#[derive(Default)]
struct Told(HashMap<MessageId, (String, bool, Vec<ReactionView>)>);

impl Told {
    /// What is new of a message, and is told from now on. Of one that was not printed here it is what it bears.
    fn changes(&mut self, it: &MessageView) -> Vec<Change> {
        if self.0.len() >= TOLD_MAX {
            self.0.clear();
        }
        let before = self.0.insert(it.id, (it.text.clone(), it.deleted, it.reactions.clone()));
        let mut changes = Vec::new();
        let (text, deleted, reactions) = match &before {
            Some((text, deleted, reactions)) => (*text != it.text, *deleted, reactions.as_slice()),
            None => (it.edited, false, [].as_slice()),
        };
        if it.deleted {
            if !deleted {
                changes.push(Change::Deleted);
            }
            return changes;
        }
        if text {
            changes.push(Change::Edited);
        }
        if reactions != it.reactions {
            changes.push(Change::Reactions);
        }
        changes
    }
}

/// What is held after a number, up to the first that is not.
async fn contiguous(client: &Client, campus: &CampusView, circle: CircleId, after: Seq) -> Result<Vec<MessageView>> {
    let mut ready = Vec::new();
    let mut last = after;
    loop {
        let anchor = Anchor::After { seq: last };
        let window = client.timeline(campus.id, circle, anchor, 200).await?;
        if window.to < window.from {
            return Ok(ready);
        }
        for message in window.messages {
            if message.seq != Some(last.next()) {
                return Ok(ready);
            }
            last = last.next();
            ready.push(message);
        }
        if last < window.to {
            return Ok(ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use circles_client::view::{Delivery, PersonView};
    use circles_protocol::{PersonId, Role, UnixMs};

    use super::*;

    fn message() -> MessageView {
        MessageView {
            id: MessageId::new(),
            seq: Some(Seq::ZERO.next()),
            author: PersonView { id: PersonId::new(), name: "Ada".to_owned(), hue: 1, role: Role::Member },
            mine: false,
            text: "hello".to_owned(),
            reply: None,
            reactions: Vec::new(),
            at: UnixMs(0),
            written_at: None,
            edited: false,
            deleted: false,
            delivery: Delivery::Sent,
        }
    }

    #[test]
    fn what_becomes_of_a_message_is_told_once() {
        let mut told = Told::default();
        let mut it = message();
        assert_eq!(told.changes(&it), []);
        it.delivery = Delivery::Sending;
        assert_eq!(told.changes(&it), [], "how far it got is nothing that becomes of it");
        (it.text, it.edited) = ("hello, all".to_owned(), true);
        assert_eq!(told.changes(&it), [Change::Edited]);
        it.reactions = vec![ReactionView { emoji: "👍".to_owned(), count: 1, mine: false, names: Vec::new() }];
        assert_eq!(told.changes(&it), [Change::Reactions]);
        it.reactions.clear();
        assert_eq!(told.changes(&it), [Change::Reactions]);
        assert_eq!(told.changes(&it), []);
        (it.text, it.deleted) = (String::new(), true);
        assert_eq!(told.changes(&it), [Change::Deleted]);
        assert_eq!(told.changes(&it), []);
    }

    #[test]
    fn of_an_older_message_it_tells_what_it_bears() {
        let mut it = message();
        it.edited = true;
        assert_eq!(Told::default().changes(&it), [Change::Edited]);
        it.deleted = true;
        assert_eq!(Told::default().changes(&it), [Change::Deleted]);
    }
}
