//! The client's updates on their way to the interface.

use std::sync::Arc;

use circles_client::{Client, view::Update};
use tauri::{AppHandle, Emitter, Runtime};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{notice, plugin::UPDATE_EVENT};

/// Sends an update to every window, and shows what a person should notice.
pub fn emit<R: Runtime>(app: &AppHandle<R>, update: &Update) {
    if let Err(error) = app.emit(UPDATE_EVENT, update) {
        tracing::warn!(%error, "an update did not reach the interface");
    }
    notice::show_if_away(app, update);
}

/// Hands on every update of the client, for as long as it lives. Where updates were lost because they came faster than
/// they were taken, the interface is told to take everything anew.
pub async fn forward(client: Client, mut updates: Receiver<Update>, on_update: Arc<dyn Fn(Update) + Send + Sync>) {
    loop {
        match updates.recv().await {
            Ok(update) => on_update(update),
            Err(RecvError::Lagged(lost)) => {
                tracing::debug!(lost, "the interface takes everything anew");
                on_update(Update::Campuses);
                match client.campuses().await {
                    Ok(campuses) => {
                        for campus in campuses {
                            on_update(Update::Timeline { campus_id: campus.id, circle_id: None });
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the campuses to take anew are not known"),
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}
