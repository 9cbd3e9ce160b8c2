//! The main window.

use std::path::Path;

use tauri::{
    AppHandle, Manager, Runtime, Theme, WebviewUrl, WebviewWindow, WebviewWindowBuilder,
    webview::{Color, NewWindowResponse},
};

use super::links;

const LABEL: &str = "main";

/// `--paper` of `ui/src/styles/tokens.css`, light and dark: the window has it before the page is there, so that nothing
/// flashes.
const PAPER_LIGHT: Color = Color(0xff, 0xff, 0xff, 0xff);
const PAPER_DARK: Color = Color(0x1b, 0x1a, 0x18, 0xff);

/// Opens the window. What the page keeps (sizes, the last circle) is in the data directory with everything else.
pub fn open<R: Runtime>(app: &AppHandle<R>, data_dir: &Path) -> tauri::Result<()> {
    let navigating = app.clone();
    let opening = app.clone();
    let kept = data_dir.join("webview");
    // On a full or broken disk the window opens all the same, to say so.
    let forgetful = std::fs::create_dir_all(&kept).is_err();
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::default())
        .title("Circles")
        .inner_size(1100.0, 760.0)
        .min_inner_size(420.0, 480.0)
        .visible(false)
        .on_navigation(move |url| {
            let own = links::is_own(url, navigating.config().build.dev_url.as_ref());
            if !own {
                links::open(&navigating, url);
            }
            own
        })
        .on_new_window(move |url, _| {
            links::open(&opening, &url);
            NewWindowResponse::Deny
        })
        // The page counts unread messages in its title.
        .on_document_title_changed(|window, title| {
            if let Err(error) = window.set_title(&title) {
                tracing::debug!(%error, "the window's title was not set");
            }
        });
    let window = if forgetful { window.incognito(true) } else { window.data_directory(kept) };
    let window = window.build()?;
    paint_without_gpu(&window);
    let paper = if window.theme()? == Theme::Dark { PAPER_DARK } else { PAPER_LIGHT };
    window.set_background_color(Some(paper))?;
    window.show()
}

/// Without a graphics card the page would be composed by OpenGL in software, anew at each blink of the caret: 2 % of a core
/// for a window in which nothing happens. Painting what changed costs a tenth of that.
#[cfg(target_os = "linux")]
fn paint_without_gpu<R: Runtime>(window: &WebviewWindow<R>) {
    use webkit2gtk::{HardwareAccelerationPolicy, SettingsExt, WebViewExt};

    let cards = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    if cards.into_iter().any(|it| it.file_name().as_encoded_bytes().starts_with(b"renderD")) {
        return;
    }
    let set = window.with_webview(|page| {
        if let Some(settings) = WebViewExt::settings(&page.inner()) {
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
        }
    });
    if let Err(error) = set {
        tracing::debug!(%error, "the page is painted as it comes");
    }
}

#[cfg(not(target_os = "linux"))]
fn paint_without_gpu<R: Runtime>(_: &WebviewWindow<R>) {}

/// Brings the window to the front.
pub fn focus<R: Runtime>(app: &AppHandle<R>) {
    let Some(window) = app.get_webview_window(LABEL) else { return };
    if let Err(error) = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus()) {
        tracing::warn!(%error, "the window was not brought to the front");
    }
}
