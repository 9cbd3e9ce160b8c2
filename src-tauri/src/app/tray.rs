//! The icon in the tray. A convenience: everything is reachable without it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tauri::{
    AppHandle, Runtime,
    menu::{Menu, MenuItem},
    tray::TrayIconBuilder,
};

use super::window;

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
        TrayIconBuilder::new().tooltip("Circles").menu(&menu).on_menu_event(|app, event| match event.id().as_ref() {
            SHOW => window::focus(app),
            QUIT => app.exit(0),
            _ => {}
        });
    if let Some(icon) = app.default_window_icon() {
        tray = tray.icon(icon.clone());
    }
    tray.build(app)?;
    Ok(())
}
