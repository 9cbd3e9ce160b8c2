//! Notifications of the operating system: somebody wrote while the person looks elsewhere.

use std::borrow::Cow;

use circles_client::view::Update;
use tauri::{AppHandle, Manager, Runtime};
use tauri_plugin_notification::{Notification, NotificationExt};

/// Shows a notice, unless a window of the app has the focus, or the app holds no notification plugin.
pub fn show_if_away<R: Runtime>(app: &AppHandle<R>, update: &Update) {
    let Update::Notice { circle_name, author, text, .. } = update else { return };
    let focused = app.webview_windows().values().any(|it| it.is_focused().unwrap_or(false));
    if focused || app.try_state::<Notification<R>>().is_none() {
        return;
    }
    let shown = app.notification().builder().title(format!("{author} in {circle_name}")).body(body(text)).show();
    if let Err(error) = shown {
        // There is no notification service, as in a bare session. The unread count tells the same.
        tracing::debug!(%error, "no notification was shown");
    }
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
