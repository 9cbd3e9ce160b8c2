//! Notifications of the operating system: somebody wrote while the person looks elsewhere.

use std::borrow::Cow;

use circles_client::view::Update;
use circles_protocol::{CampusId, CircleId};
use serde::{Deserialize, Serialize};
use tauri::{AppHandle, Emitter, Manager, Runtime};
use tauri_plugin_notification::{Notification, NotificationExt};

/// The event that tells the interface which circle the notification was about that the person clicked on.
const CLICKED_EVENT: &str = "circles://notice-clicked";

/// What a notification was about, kept with it.
const ABOUT: &str = "about";

#[derive(Clone, Copy, Serialize, Deserialize)]
struct About {
    campus_id: CampusId,
    circle_id: CircleId,
}

/// Shows a notice, unless a window of the app has the focus, or the app holds no notification plugin.
pub fn show_if_away<R: Runtime>(app: &AppHandle<R>, update: &Update) {
    let Update::Notice { campus_id, circle_id, circle_name, author, text } = update else { return };
    let focused = app.webview_windows().values().any(|it| it.is_focused().unwrap_or(false));
    if focused || app.try_state::<Notification<R>>().is_none() {
        return;
    }
    let about = About { campus_id: *campus_id, circle_id: *circle_id };
    let notice = app.notification().builder().title(format!("{author} in {circle_name}")).body(body(text));
    let shown = notice.extra(ABOUT, about).show();
    if let Err(error) = shown {
        // There is no notification service, as in a bare session. The unread count tells the same.
        tracing::debug!(%error, "no notification was shown");
    }
}

/// From now on a click on a notification brings the app to the front by `focus`, at the circle that it was about.
pub fn on_click<R: Runtime>(app: &AppHandle<R>, focus: fn(&AppHandle<R>)) -> tauri_plugin_notification::Result<()> {
    let to = app.clone();
    app.notification().on_action(move |clicked| {
        focus(&to);
        let about = clicked.notification().and_then(|it| it.extra().get(ABOUT));
        if let Some(about) = about.and_then(|it| About::deserialize(it).ok())
            && let Err(error) = to.emit(CLICKED_EVENT, about)
        {
            tracing::warn!(%error, "a click on a notification did not reach the interface");
        }
    })
}

/// On Linux a body may hold markup, even images (Desktop Notifications Specification, "Markup"): what a person wrote is
/// text.
fn body(text: &str) -> Cow<'_, str> {
    if cfg!(target_os = "linux") && text.contains(['&', '<', '>']) {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_person_wrote_is_no_markup() {
        assert_eq!(super::body("a < b && <img src='x'>"), "a &lt; b &amp;&amp; &lt;img src='x'&gt;");
    }
}
