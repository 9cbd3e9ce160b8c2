//! The icon in the tray, in which the app stays when its window is closed.

use std::{
    fs::File,
    io::ErrorKind,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use tauri::{
    AppHandle, Runtime,
    menu::{Menu, MenuItem},
    tray::TrayIconBuilder,
};
use tauri_plugin_notification::NotificationExt;

use super::window;
#[cfg(target_os = "linux")]
use crate::limits::TRAY_PATIENCE;

const ICON: &str = "circles";
const SHOW: &str = "show";
const QUIT: &str = "quit";

/// Adds the icon where there is a tray.
pub fn add<R: Runtime>(app: &AppHandle<R>) {
    // On Linux the tray's library is loaded when it is first used, and its absence is a panic (libappindicator-sys 0.9).
    match catch_unwind(AssertUnwindSafe(|| build(app))) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "there is no tray icon"),
        Err(_) => tracing::info!("there is no tray icon: its library is missing"),
    }
}

fn build<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<()> {
    let show = MenuItem::with_id(app, SHOW, "Show Circles", true, None::<&str>)?;
    let quit = MenuItem::with_id(app, QUIT, "Quit", true, None::<&str>)?;
    let menu = Menu::with_items(app, &[&show, &quit])?;
    let mut tray =
        TrayIconBuilder::with_id(ICON).tooltip("Circles").menu(&menu).on_menu_event(|app, event| {
            match event.id().as_ref() {
                SHOW => window::focus(app),
                QUIT => app.exit(0),
                _ => {}
            }
        });
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.build(app)?;
    Ok(())
}

/// Whether there is an icon, and something that shows it.
pub fn is_shown<R: Runtime>(app: &AppHandle<R>) -> bool {
    app.tray_by_id(ICON).is_some() && has_host()
}

/// On Linux an icon is made whether or not the desktop shows any; plain GNOME, for one, does not.
#[cfg(target_os = "linux")]
fn has_host() -> bool {
    host_on_bus().unwrap_or_else(|error| {
        tracing::debug!(%error, "nothing shows tray icons");
        false
    })
}

#[cfg(not(target_os = "linux"))]
fn has_host() -> bool {
    true
}

/// Asks for the property by which desktops say it (the status notifier specification, "The Watcher").
#[cfg(target_os = "linux")]
fn host_on_bus() -> zbus::Result<bool> {
    const WATCHER: &str = "org.kde.StatusNotifierWatcher";

    let bus = zbus::blocking::connection::Builder::session()?.method_timeout(TRAY_PATIENCE).build()?;
    let properties = Some("org.freedesktop.DBus.Properties");
    let asked = (WATCHER, "IsStatusNotifierHostRegistered");
    let answer = bus.call_method(Some(WATCHER), "/StatusNotifierWatcher", properties, "Get", &asked)?;
    Ok(answer.body().deserialize::<zbus::zvariant::Value>()?.try_into()?)
}

/// Says where the app went when its window was closed for the first time with this data; and once more when it was for the
/// first time while it hosts a campus of this name on the network, because that goes on too.
pub fn say_once<R: Runtime>(app: &AppHandle<R>, data_dir: &Path, hosted: Option<&str>) {
    let told = if hosted.is_some() { "told-of-hosting" } else { "told-of-tray" };
    let first = File::create_new(data_dir.join(told));
    if first.is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        return;
    }
    let (title, body) = match hosted {
        None => (
            "Circles is still open".to_owned(),
            "New messages go on arriving. Its icon in the tray shows the window again, and quits.",
        ),
        Some(name) => (
            format!("Circles is still open, and hosts {name}"),
            "People on this network stay connected, and can join with an invite. Its icon in the tray shows the window again; to quit there ends the hosting too.",
        ),
    };
    if let Err(error) = app.notification().builder().title(title).body(body).show() {
        tracing::debug!(%error, "no notification was shown");
    }
}
