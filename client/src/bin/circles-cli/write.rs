//! Commands that change something.

use std::io::Read as _;

use anyhow::{Context, Result, bail};
use circles_client::{
    Client,
    view::{Anchor, CampusView, Delivery, MessageView},
};
use circles_protocol::{CircleId, CircleKind, MessageId, Seq};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::watch::await_circle;

/// Sends a message, and waits until the relay has it.
pub async fn send(
    client: &Client,
    campus: &CampusView,
    circle: &str,
    text: &str,
    reply_to: Option<u64>,
    queue: bool,
    json: bool,
) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?.id;
    let text = if text == "-" {
        let mut read = String::new();
        std::io::stdin().read_to_string(&mut read).context("standard input cannot be read")?;
        read.trim_end_matches('\n').to_owned()
    } else {
        text.to_owned()
    };
    let reply_to = match reply_to {
        Some(seq) => Some(message(client, campus, circle, seq).await?.id),
        None => None,
    };
    let sent = client.send(campus.id, circle, &text, reply_to).await?;
    let sent = if queue { sent } else { settled(client, campus, circle, sent.id).await? };
    match (json, sent.seq) {
        (true, _) => say!("{}", json!({ "id": sent.id, "seq": sent.seq })),
        (false, Some(seq)) => say!("{seq}"),
        (false, None) => say!("queued"),
    }
    Ok(())
}

/// Waits until a message is in the log with all that was done to it, or failed.
async fn settled(client: &Client, campus: &CampusView, circle: CircleId, id: MessageId) -> Result<MessageView> {
    let mut updates = client.subscribe();
    let mut anchor = Anchor::Latest;
    loop {
        let window = client.timeline(campus.id, circle, anchor.clone(), 200).await?;
        let found = window.messages.into_iter().chain(window.unsent).find(|it| it.id == id);
        match found {
            Some(it) => match &it.delivery {
                Delivery::Sent if it.seq.is_some() => return Ok(it),
                Delivery::Failed { reason, .. } => bail!("{reason}"),
                Delivery::Blocked { .. } => bail!("it waits behind a message that was not sent"),
                _ => {
                    if let Some(seq) = it.seq {
                        anchor = Anchor::Around { seq };
                    }
                }
            },
            None => bail!("the message was discarded elsewhere"),
        }
        if let Err(RecvError::Closed) = updates.recv().await {
            bail!("the client was closed");
        }
    }
}

/// The message of that number, fetched if it is not held.
async fn message(client: &Client, campus: &CampusView, circle: CircleId, seq: u64) -> Result<MessageView> {
    let seq = Seq::try_from(seq)?;
    let held = async || {
        let window = client.timeline(campus.id, circle, Anchor::Around { seq }, 1).await?;
        anyhow::Ok(window.messages.into_iter().find(|it| it.seq == Some(seq)))
    };
    if let Some(found) = held().await? {
        return Ok(found);
    }
    client.fill(campus.id, circle, seq, seq).await?;
    held().await?.with_context(|| format!("there is no message {seq}"))
}

/// Changes the text of a message.
pub async fn edit(client: &Client, campus: &CampusView, circle: &str, seq: u64, text: &str) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?.id;
    let id = message(client, campus, circle, seq).await?.id;
    client.edit(campus.id, circle, id, text).await?;
    await_seq(client, campus, circle, seq).await
}

/// Deletes a message.
pub async fn delete(client: &Client, campus: &CampusView, circle: &str, seq: u64) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?.id;
    let id = message(client, campus, circle, seq).await?.id;
    client.delete(campus.id, circle, id).await?;
    await_seq(client, campus, circle, seq).await
}

/// Reacts to a message.
pub async fn react(client: &Client, campus: &CampusView, circle: &str, seq: u64, emoji: &str, on: bool) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?.id;
    let id = message(client, campus, circle, seq).await?.id;
    client.react(campus.id, circle, id, emoji, on).await?;
    await_seq(client, campus, circle, seq).await
}

/// Waits until what was done to the message of that number is done, or failed.
async fn await_seq(client: &Client, campus: &CampusView, circle: CircleId, seq: u64) -> Result<()> {
    let mut updates = client.subscribe();
    loop {
        match message(client, campus, circle, seq).await?.delivery {
            Delivery::Sent => return Ok(()),
            Delivery::Failed { reason, .. } => bail!("{reason}"),
            Delivery::Queued | Delivery::Blocked { .. } | Delivery::Sending => {}
        }
        if let Err(RecvError::Closed) = updates.recv().await {
            bail!("the client was closed");
        }
    }
}

/// Marks a circle as read.
pub async fn read(client: &Client, campus: &CampusView, circle: &str) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?;
    client.mark_read(campus.id, circle.id, circle.head_seq).await?;
    say!("read up to {}; told to the relay when it is reached", circle.head_seq);
    Ok(())
}

/// Mutes a circle, or no longer.
pub async fn mute(client: &Client, campus: &CampusView, circle: &str, on: bool) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?;
    client.set_muted(campus.id, circle.id, on).await?;
    let words = if on { "muted" } else { "not muted" };
    say!("{} is {words}; told to the relay when it is reached", circle.name);
    Ok(())
}

/// Creates a circle.
pub async fn create_circle(
    client: &Client,
    campus: &CampusView,
    name: &str,
    topic: &str,
    private: bool,
    json: bool,
) -> Result<()> {
    let access = if private { CircleKind::Private } else { CircleKind::Open };
    let circle = client.create_circle(campus.id, name, topic, access).await?;
    if json {
        say!("{}", serde_json::to_string(&circle)?);
    } else {
        say!("{}", circle.name);
    }
    Ok(())
}

/// Joins an open circle.
pub async fn join_circle(client: &Client, campus: &CampusView, circle: &str) -> Result<()> {
    let circle = await_circle(client, campus, circle).await?;
    Ok(client.join_circle(campus.id, circle.id).await?)
}

/// Makes an invite link.
pub async fn invite(
    client: &Client,
    campus: &CampusView,
    circle: Option<&str>,
    device: bool,
    json: bool,
) -> Result<()> {
    let circle = match circle {
        Some(wanted) => Some(await_circle(client, campus, wanted).await?.id),
        None => None,
    };
    let invite = client.create_invite(campus.id, circle, device).await?;
    if json {
        say!("{}", serde_json::to_string(&invite)?);
    } else {
        say!("{}", invite.link);
        if let Some(code) = invite.short_code {
            say!("or typed, on the same network: {code}");
        }
    }
    Ok(())
}
