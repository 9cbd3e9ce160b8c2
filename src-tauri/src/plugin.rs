//! Circles as one Tauri plugin.

use tauri::{
    Manager, RunEvent, Runtime,
    plugin::{Builder, TauriPlugin},
};

use crate::{commands, invited::Invited, limits::CLOSE_PATIENCE, options::Options, shell::Shell, updates};

/// The event that carries every [`Update`](circles_client::view::Update) to the interface.
pub const UPDATE_EVENT: &str = "circles://update";

/// Circles, for [`tauri::Builder::plugin`]. Opens the client in the background; commands wait for it.
pub fn init<R: Runtime>(options: Options) -> TauriPlugin<R> {
    Builder::new("circles")
        .invoke_handler(commands::handler())
        .setup(move |app, _| {
            let to = app.clone();
            let shell = Shell::new(options, move |update| updates::emit(&to, &update));
            app.manage(shell.clone());
            app.manage(Invited::default());
            // In parallel to the window, which is there sooner than the first command.
            tauri::async_runtime::spawn(async move {
                if let Err(failure) = shell.open().await {
                    tracing::error!(code = %failure.code, message = %failure.message, "Circles did not open");
                }
            });
            Ok(())
        })
        .on_event(|app, event| {
            if matches!(event, RunEvent::Exit) {
                let shell = app.state::<Shell>().inner().clone();
                let closed =
                    tauri::async_runtime::block_on(async { tokio::time::timeout(CLOSE_PATIENCE, shell.close()).await });
                if closed.is_err() {
                    tracing::warn!("closing took too long; what was written is safe all the same");
                }
            }
        })
        .build()
}
