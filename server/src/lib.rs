//! The Circles relay: the log of a campus, its API, and its stream of changes (design section 5).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use circles_relay::{Relay, Settings};
//! let relay = Relay::open(Settings { data_dir: "campus".into(), ..Settings::default() }).await?;
//! let app = axum::Router::new().merge(relay.router());
//! # drop(app); relay.close().await; Ok(()) }
//! ```
//!
//! A request passes `api` (translates), `write` (decides, in the writer's transaction) and `store` (SQL); what is durable
//! passes `transport` into the `ring`, from where each `stream` takes it. `ephemeral` carries what is not kept.

mod access;
mod api;
mod audience;
mod beside;
mod clock;
mod ephemeral;
mod failure;
mod import;
mod lan;
mod limits;
pub mod metrics;
mod pace;
mod private;
mod rates;
mod relay;
mod secret;
mod serving;
mod settings;
mod sightings;
mod store;
mod stream;
mod transport;
mod ui;
mod write;

pub use beside::{BesideError, MadeInvite, backup, invite, migrate, restore};
pub use failure::Failure;
pub use import::{ImportError, ImportProgress, ImportReport, import};
pub use lan::{Identity, IdentityError, LanError, LanHost, OnLan};
pub use limits::{LAN_HEARTBEAT, LISTEN_BACKLOG};
pub use pace::Pace;
pub use relay::{NewInvite, Relay};
pub use serving::Listener;
pub use settings::{Settings, SettingsError, parse_duration};
pub use store::{OpenError, sqlite::backup::BackupError};
