//! Links in messages: they open in the system's browser, never in the window.

use tauri::{AppHandle, Runtime, Url};
use tauri_plugin_opener::OpenerExt;

/// Whether the page itself is at this address: Tauri's own protocol, or the server of `tauri dev`.
pub fn is_own(url: &Url, dev_url: Option<&Url>) -> bool {
    let served = match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        // Windows has no schemes of one's own.
        "http" | "https" => cfg!(windows) && url.host_str() == Some("tauri.localhost"),
        _ => false,
    };
    served || (tauri::is_dev() && dev_url.is_some_and(|dev| dev.origin() == url.origin()))
}

/// Opens a link that a person wrote, if it is one for a browser or a mail program: others, like `file:` or a program's
/// own, could do more than show a page.
pub fn open<R: Runtime>(app: &AppHandle<R>, url: &Url) {
    if !may_open(url) {
        tracing::warn!(scheme = url.scheme(), "a link of this kind is not opened");
        return;
    }
    if let Err(error) = app.opener().open_url(url.as_str(), None::<&str>) {
        tracing::warn!(%error, "the system opened no browser");
    }
}

fn may_open(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https" | "mailto")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_page_itself_opens_in_the_window() {
        assert!(is_own(&url("tauri://localhost/index.html"), None));
        assert!(!is_own(&url("tauri://elsewhere/"), None));
        assert!(!is_own(&url("https://example.org/"), None));
        assert!(!is_own(&url("data:text/html,hello"), None));
    }

    #[test]
    fn only_pages_and_mail_are_opened() {
        assert!(may_open(&url("https://example.org/")) && may_open(&url("mailto:a@example.org")));
        assert!(!may_open(&url("file:///etc/passwd")) && !may_open(&url("javascript:alert(1)")));
        assert!(!may_open(&url("smb://server/share")));
    }
}
