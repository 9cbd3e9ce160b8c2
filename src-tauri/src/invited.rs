//! Invite links that the system opens the app with, on their way to the interface.

use std::sync::{Mutex, PoisonError};

use tauri::{AppHandle, Emitter, Manager, Runtime};

use crate::limits::INVITE_LINK_BYTES_MAX;

/// The event that tells the interface to ask for the link. The link itself is a secret for one, and an event goes to all.
pub const INVITED_EVENT: &str = "circles://invited";

/// The link that waits for the interface: the last one, because that is what the person clicked on.
#[derive(Default)]
pub struct Invited(Mutex<Option<String>>);

impl Invited {
    fn put(&self, link: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }

    /// The link, once.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Shows the form to join with this link, as soon as there is an interface. What is no invite link is said there.
pub fn invite<R: Runtime>(app: &AppHandle<R>, link: String) {
    if link.len() > INVITE_LINK_BYTES_MAX {
        tracing::warn!(bytes = link.len(), "an invite link is never this long");
        return;
    }
    app.state::<Invited>().put(link);
    if let Err(error) = app.emit(INVITED_EVENT, ()) {
        tracing::warn!(%error, "an invite link did not reach the interface");
    }
}
