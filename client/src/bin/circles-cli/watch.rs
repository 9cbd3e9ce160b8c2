//! Commands that stay.

use std::{collections::HashMap, time::Instant};

use anyhow::{Result, bail};
use circles_client::{
    Client,
    view::{CampusView, Connection, Update},
};
use circles_protocol::{CircleId, Seq};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::read;

/// Prints messages as they come.
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
    loop {
        for it in client.circles(campus.id).await? {
            if !it.joined || only.is_some_and(|id| id != it.id) {
                continue;
            }
            let after = printed.get(&it.id).copied().unwrap_or(Seq::ZERO);
            // In order and without holes: what is not here yet is waited for, and never skipped (design 3.4).
            let ready = contiguous(client, campus, it.id, after).await?;
            for message in ready {
                read::message(&it, &message, json)?;
                printed.insert(it.id, message.seq.unwrap_or(after));
            }
        }
        tokio::select! {
            update = updates.recv() => if let Err(RecvError::Closed) = update { return Ok(()) },
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
        }
    }
}

async fn contiguous(
    client: &Client,
    campus: &CampusView,
    circle: CircleId,
    after: Seq,
) -> Result<Vec<circles_client::view::MessageView>> {
    let mut ready = Vec::new();
    let mut last = after;
    loop {
        let anchor = circles_client::view::Anchor::After { seq: last };
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

/// The circle, as soon as the client has heard of it: right after joining it has not.
pub async fn await_circle(
    client: &Client,
    campus: &CampusView,
    wanted: &str,
) -> Result<circles_client::view::CircleView> {
    let mut updates = client.subscribe();
    loop {
        match crate::circle(client, campus, wanted).await {
            Ok(circle) => return Ok(circle),
            Err(error) => {
                let connection = campus_now(client, campus).await?.connection;
                if let Connection::Online { missing: 0 } | Connection::Offline { .. } | Connection::SignedOut =
                    connection
                {
                    return Err(error);
                }
                if !client.runs_engine() {
                    return Err(error);
                }
            }
        }
        if let Err(RecvError::Closed) = updates.recv().await {
            bail!("the client was closed");
        }
    }
}

async fn campus_now(client: &Client, campus: &CampusView) -> Result<CampusView> {
    match client.campuses().await?.into_iter().find(|it| it.id == campus.id) {
        Some(now) => Ok(now),
        None => bail!("{} was left", campus.name),
    }
}

/// Stays connected and says how it stands.
pub async fn watch(
    client: &Client,
    campus: &CampusView,
    focus: Option<&str>,
    until_complete: bool,
    json: bool,
) -> Result<()> {
    if !client.runs_engine() {
        bail!("Circles is already open with this data, and stays connected by itself");
    }
    let started = Instant::now();
    let mut updates = client.subscribe();
    let mut told = None;
    let mut newest_page = None;
    let mut focused = false;
    loop {
        let now = campus_now(client, campus).await?;
        let circles = client.circles(campus.id).await?;
        if let Some(wanted) = focus.filter(|_| !focused)
            && let Some(it) = circles.iter().find(|it| it.joined && it.name.eq_ignore_ascii_case(wanted))
        {
            client.focus(Some(campus.id), Some(it.id)).await?;
            focused = true;
        }
        if newest_page.is_none()
            && let Some(it) = circles.iter().find(|it| {
                it.joined && it.head_seq > Seq::ZERO && focus.is_none_or(|wanted| it.name.eq_ignore_ascii_case(wanted))
            })
        {
            let window = client.timeline(campus.id, it.id, circles_client::view::Anchor::Latest, 50).await?;
            let held = u64::try_from(window.messages.len())?;
            if held > 0 && held == window.to.get() + 1 - window.from.get() {
                newest_page = Some(started.elapsed());
            }
        }
        if told.as_ref() != Some(&now.connection) {
            if json {
                say!("{}", json!({ "seconds": started.elapsed().as_secs_f64(), "connection": now.connection }));
            } else {
                say!("{:8.3} s  {}", started.elapsed().as_secs_f64(), read::words(&now.connection));
            }
            told = Some(now.connection.clone());
        }
        if until_complete && matches!(now.connection, Connection::SignedOut) {
            bail!("the relay does not know this device any more");
        }
        if until_complete && matches!(now.connection, Connection::Online { missing: 0 }) && newest_page.is_some() {
            let complete = started.elapsed();
            let messages: u64 = client.status().await?.iter().flat_map(|it| &it.circles).map(|it| it.held).sum();
            say!(
                "{}",
                json!({
                    "newest_page_s": newest_page.map(|it| it.as_secs_f64()),
                    "complete_s": complete.as_secs_f64(),
                    "messages": messages,
                })
            );
            return Ok(());
        }
        tokio::select! {
            update = updates.recv() => if let Err(RecvError::Closed) = update { return Ok(()) },
            stopped = tokio::signal::ctrl_c() => return Ok(stopped?),
        }
        // A burst of updates is one look.
        while let Ok(
            Update::Circles { .. }
            | Update::Timeline { .. }
            | Update::Messages { .. }
            | Update::Typing { .. }
            | Update::Presence { .. },
        ) = updates.try_recv()
        {}
    }
}
