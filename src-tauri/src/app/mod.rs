//! The Circles app: the plugin, with what an app of its own needs around it.

mod links;
mod tray;
mod window;

#[cfg(target_os = "linux")]
pub use window::PAINTS_WITHOUT_GPU;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use anyhow::ensure;
use clap::Parser;
use tauri::{AppHandle, Context, Manager, RunEvent, Wry, plugin::TauriPlugin};
use tauri_plugin_window_state::StateFlags;

use crate::{CommandLine, Options, invite, notice, plugin, shell::Shell};

/// The app's name on the session bus, where there is one.
const BUS_NAME: &str = "chat.circles.desktop";

/// Runs the app until the person quits. `link` is an invite link to open with. It is an error if Circles never opened,
/// though the window said so.
pub fn run(context: Context<Wry>, options: Options, link: Option<String>) -> anyhow::Result<()> {
    let data_dir = options.data_dir.clone();
    let app = tauri::Builder::default()
        // First, so that a second start ends before it opens anything.
        .plugin(single_instance(&data_dir))
        .plugin(
            tauri_plugin_window_state::Builder::new()
                .with_state_flags(
                    StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED | StateFlags::FULLSCREEN,
                )
                // An absolute path stands for itself where the plugin joins it to its own directory.
                .with_filename(data_dir.join("window.json").to_string_lossy())
                .build(),
        )
        .plugin(tauri_plugin_notification::init())
        // Links are opened by `links`, so that what may be opened is decided here and not in the page.
        .plugin(tauri_plugin_opener::Builder::new().open_js_links_on_click(false).build())
        .plugin(plugin::init(options))
        .setup(move |app| {
            window::open(app.handle(), &data_dir)?;
            tray::add(app.handle());
            quit_on_signal(app.handle());
            notice::on_click(app.handle(), window::focus)?;
            if let Some(link) = link {
                invite(app.handle(), link);
            }
            Ok(())
        })
        .build(context)?;
    let shell = app.state::<Shell>().inner().clone();
    let code = app.run_return(on_event);
    if let Some(failure) = shell.failure() {
        anyhow::bail!("{}", failure.message);
    }
    ensure!(code == 0, "the window ended with {code}");
    Ok(())
}

/// macOS hands over links that it opens in this way, and starts no second process.
fn on_event(app: &AppHandle, event: RunEvent) {
    #[cfg(target_os = "macos")]
    match event {
        RunEvent::Opened { urls } => {
            window::focus(app);
            if let Some(url) = urls.into_iter().find(|it| it.scheme() == "circles") {
                invite(app, url.into());
            }
        }
        RunEvent::Reopen { .. } => window::focus(app),
        _ => {}
    }
    #[cfg(not(target_os = "macos"))]
    let _ = (app, event);
}

/// A second start on the same data brings the first one's window to the front, and hands its invite link over. Where there is no session bus it goes on,
/// and the client says that its data is in use.
fn single_instance(data_dir: &Path) -> TauriPlugin<Wry> {
    tauri_plugin_single_instance::Builder::new()
        .callback(|app, args, _| {
            window::focus(app);
            if let Some(link) = CommandLine::try_parse_from(args).ok().and_then(|it| it.invite()) {
                invite(app, link);
            }
        })
        .dbus_id(bus_name(data_dir))
        .build()
}

fn bus_name(data_dir: &Path) -> String {
    if Options::default_data_dir().is_some_and(|it| it == data_dir) {
        return BUS_NAME.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    // An element of a name must not begin with a digit (D-Bus specification, "Bus names").
    format!("{BUS_NAME}.d{:016x}", hasher.finish())
}

/// Ctrl-C and a service manager's signal quit as politely as the menu does.
fn quit_on_signal(app: &AppHandle) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let app = app.clone();
        tauri::async_runtime::spawn(async move {
            let (mut interrupt, mut terminate) =
                match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
                    (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
                    (Err(error), _) | (_, Err(error)) => {
                        tracing::warn!(%error, "signals end the app at once");
                        return;
                    }
                };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            app.exit(0);
        });
    }
    #[cfg(not(unix))]
    let _ = app;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_directory_has_its_own_instance() {
        let one = bus_name(Path::new("/one"));
        assert_ne!(one, bus_name(Path::new("/other")));
        assert_eq!(one, bus_name(Path::new("/one")));
        let default = Options::default_data_dir().unwrap();
        assert_eq!(bus_name(&default), BUS_NAME);
    }
}
