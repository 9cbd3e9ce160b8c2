//! The main window.

use std::path::Path;

use tauri::{
    AppHandle, Manager, Runtime, Theme, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent,
    webview::{Color, NewWindowResponse},
};

use super::{links, tray};
use crate::shell::Shell;

const LABEL: &str = "main";

/// What tells `WebKit` to paint without a graphics card; the program sets it for itself where there is none.
#[cfg(target_os = "linux")]
pub const PAINTS_WITHOUT_GPU: &str = "WEBKIT_DISABLE_COMPOSITING_MODE";

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
    rest_the_caret();
    let window = window.build()?;
    let dark = window.theme()? == Theme::Dark || prefers_dark();
    let paper = if dark { PAPER_DARK } else { PAPER_LIGHT };
    window.set_background_color(Some(paper))?;
    stay_when_closed(&window, data_dir);
    #[cfg(target_os = "linux")]
    outlive_the_page(&window)?;
    #[cfg(target_os = "linux")]
    run_no_thread_before_others(&window)?;
    window.show()
}

/// Whether the page will find a dark system where Tauri finds none: it asks the desktop portal alone, the page asks GTK.
#[cfg(target_os = "linux")]
fn prefers_dark() -> bool {
    use gtk::prelude::GtkSettingsExt;

    // GTK itself lets the variable win (GTK 3 manual, "Running GTK+ Applications").
    if let Ok(theme) = std::env::var("GTK_THEME") {
        return theme.ends_with(":dark") || theme.to_lowercase().ends_with("-dark");
    }
    gtk::Settings::default().is_some_and(|it| {
        it.is_gtk_application_prefer_dark_theme()
            || it.gtk_theme_name().is_some_and(|name| name.to_lowercase().ends_with("-dark"))
    })
}

#[cfg(not(target_os = "linux"))]
fn prefers_dark() -> bool {
    false
}

/// Without a graphics card each blink of the caret paints by hand, the most expensive thing in a window in which nothing
/// happens: 0.6 % of a core. So there the caret stays lit. (`gtk-cursor-blink` off does not do it: `WebKit` 2.50 then
/// blinks as fast as it can.)
#[cfg(target_os = "linux")]
fn rest_the_caret() {
    use gtk::prelude::ObjectExt;

    /// The largest that the setting takes, in ms: some 25 days.
    const BLINK_TIME_MS: i32 = i32::MAX;
    if std::env::var_os(PAINTS_WITHOUT_GPU).is_some()
        && let Some(settings) = gtk::Settings::default()
    {
        settings.set_property("gtk-cursor-blink-time", BLINK_TIME_MS);
    }
}

#[cfg(not(target_os = "linux"))]
fn rest_the_caret() {}

/// The page has a process of its own, which the system ends first when memory runs out: the window would be empty until the
/// app is started again. It is loaded anew; what it showed is in the cache.
#[cfg(target_os = "linux")]
fn outlive_the_page<R: Runtime>(window: &WebviewWindow<R>) -> tauri::Result<()> {
    use std::{
        cell::Cell,
        time::{Duration, Instant},
    };

    use webkit2gtk::WebViewExt;

    use crate::limits::{PAGE_LIVES_MIN, PAGE_RESTS};

    window.with_webview(|it| {
        let loaded_at = Cell::new(None::<Instant>);
        it.inner().connect_web_process_terminated(move |page, reason| {
            // One that never lives for long is loaded at intervals, and so does not take the processor from what goes on.
            let again = loaded_at.get().is_some_and(|it| it.elapsed() < PAGE_LIVES_MIN);
            let wait = if again { PAGE_RESTS } else { Duration::ZERO };
            tracing::warn!(?reason, ?wait, "the page's process ended; the page is loaded anew");
            loaded_at.set(Some(Instant::now() + wait));
            let page = page.clone();
            gtk::glib::timeout_add_local_once(wait, move || page.reload());
        });
    })
}

/// `WebKit` makes its threads that receive what the page sends real-time ones where it may (`RealTimeThreads.cpp`), and the locks
/// of its allocator spin. So when one of them comes while the window's thread holds such a lock, on the same processor, it
/// keeps the window from running until the kernel moves that to another: 60 to 210 ms were measured with two processors.
/// Each load may have begun a process, and with it such a thread.
#[cfg(target_os = "linux")]
fn run_no_thread_before_others<R: Runtime>(window: &WebviewWindow<R>) -> tauri::Result<()> {
    use webkit2gtk::{LoadEvent, WebViewExt};

    window.with_webview(|it| {
        it.inner().connect_load_changed(|_, event| {
            if event == LoadEvent::Finished {
                tauri::async_runtime::spawn_blocking(|| {
                    if let Err(error) = schedule_as_others() {
                        tracing::debug!(%error, "some threads of the window run before others");
                    }
                });
            }
        });
    })
}

/// Gives all threads of this process the usual policy; how nice each is stays. There is no call for it that is safe in
/// Rust's sense; `chrt` comes with util-linux, as `mount` does.
#[cfg(target_os = "linux")]
fn schedule_as_others() -> std::io::Result<()> {
    let mut chrt = std::process::Command::new("chrt");
    chrt.args(["--all-tasks", "--other", "--pid", "0", &std::process::id().to_string()]);
    let done = chrt.output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(std::io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

/// Closing the window leaves the app where its icon is to be seen, so that messages go on arriving and are notified of.
/// Where there is no such place, or nothing is open, it quits: nobody could reach it any more.
fn stay_when_closed<R: Runtime>(window: &WebviewWindow<R>, data_dir: &Path) {
    let app = window.app_handle().clone();
    let data_dir = data_dir.to_owned();
    window.on_window_event(move |event| {
        let WindowEvent::CloseRequested { api, .. } = event else { return };
        if app.state::<Shell>().failure().is_some() || !tray::is_shown(&app) {
            return;
        }
        let Some(window) = app.get_webview_window(LABEL) else { return };
        match window.hide() {
            Ok(()) => {
                api.prevent_close();
                let (app, data_dir) = (app.clone(), data_dir.clone());
                tauri::async_runtime::spawn(async move {
                    let hosted = app.state::<Shell>().hosted_on_lan().await;
                    tray::say_once(&app, &data_dir, hosted.as_deref());
                });
            }
            Err(error) => tracing::warn!(%error, "the window does not hide, so it closes"),
        }
    });
}

/// Brings the window to the front.
pub fn focus<R: Runtime>(app: &AppHandle<R>) {
    let Some(window) = app.get_webview_window(LABEL) else { return };
    if let Err(error) = window.show().and_then(|()| window.unminimize()).and_then(|()| window.set_focus()) {
        tracing::warn!(%error, "the window was not brought to the front");
    }
}
