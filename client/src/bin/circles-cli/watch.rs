//! Commands that stay.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use circles_client::{
    Client,
    view::{CampusView, Connection, Update},
};
use circles_protocol::Seq;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::read;

/// How long a command waits to be connected and in sync before it prints what is there.
pub const SYNC_PATIENCE: Duration = Duration::from_secs(10);

/// Waits until it holds of all campuses, [`SYNC_PATIENCE`] at the most. Beside the app nobody here connects, and nothing is
/// waited for. Returns whether it holds.
pub async fn settled(client: &Client, holds: impl Fn(&CampusView) -> bool) -> Result<bool> {
    let mut updates = client.subscribe();
    let deadline = tokio::time::Instant::now() + SYNC_PATIENCE;
    loop {
        if !client.runs_engine() || client.campuses().await?.iter().all(&holds) {
            return Ok(true);
        }
        match tokio::time::timeout_at(deadline, updates.recv()).await {
            Ok(Err(RecvError::Closed)) => bail!("the client was closed"),
            Ok(_) => {}
            Err(_) => return Ok(false),
        }
    }
}

/// Waits until what was missed is here, as [`settled`] does; not without a connection.
pub async fn in_sync(client: &Client, campus: &CampusView) -> Result<bool> {
    let id = campus.id;
    settled(client, |it| {
        it.id != id || !matches!(it.connection, Connection::Connecting | Connection::Online { missing: 1.. })
    })
    .await
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

pub async fn campus_now(client: &Client, campus: &CampusView) -> Result<CampusView> {
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
        // Where nobody has written yet there is no page to wait for.
        let silent = !circles.is_empty() && circles.iter().all(|it| !it.joined || it.head_seq == Seq::ZERO);
        let is_complete = matches!(now.connection, Connection::Online { missing: 0 });
        if until_complete && is_complete && (newest_page.is_some() || silent) {
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
            | Update::CirclesGone { .. }
            | Update::Timeline { .. }
            | Update::Messages { .. }
            | Update::Typing { .. }
            | Update::Presence { .. },
        ) = updates.try_recv()
        {}
    }
}
