//! The desktop shell of Circles.
//!
//! Everything of Circles in it is one Tauri plugin, so that another Tauri app holds Circles with one line:
//!
//! ```no_run
//! let options = circles_desktop::Options::new("circles-data".into());
//! tauri::Builder::<tauri::Wry>::new().plugin(circles_desktop::init(options));
//! ```
//!
//! Such an app names the commands in its build script, as this one's does with [`COMMANDS`], and allows its windows those
//! that they call; its interface is `ui/`, or one's own on the same commands and the event [`UPDATE_EVENT`]. If it also
//! holds `tauri-plugin-notification`, messages that come while no window has the focus are shown as notifications.
//!
//! - [`plugin`](init) with `commands`: the intents of the interface, thin
//! - `shell`: the client and the hosted relays, opened in the background
//! - `invited`: invite links that the system opens the app with
//! - `host`: relays that run inside the app
//! - `sleep`: hearing from the system that the computer woke up
//! - [`app`]: the Circles app itself around the plugin: window, tray, single instance

pub mod app;
mod commands;
mod host;
mod invited;
mod limits;
pub mod logging;
mod notice;
mod options;
mod plugin;
mod qr;
mod shell;
#[cfg(target_os = "linux")]
mod sleep;
mod updates;

pub use commands::COMMANDS;
pub use invited::{INVITED_EVENT, invite};
pub use options::{CommandLine, Options};
pub use plugin::{UPDATE_EVENT, init};
