//! What a desktop has on its session bus, in place of the real things: a notification service and a tray.
//!
//! `scripts/with-display` gives each run a bus of its own, so there is one of each for all tests of a program: tests that
//! use them share a lock.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unused_self,
    clippy::used_underscore_binding,
    reason = "the interface macro makes these of what the specifications prescribe"
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use zbus::{
    Connection, connection, interface,
    message::Header,
    zvariant::{OwnedObjectPath, OwnedValue, Value},
};

/// What a click on the notification itself is called.
const DEFAULT_ACTION: &str = "default";

/// A notification that a program wanted to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its first line.
    pub summary: String,
    /// What it says, in the specification's markup.
    pub body: String,
    /// A click on it does something: it offers the action `default`.
    pub can_be_clicked: bool,
}

/// A desktop with notifications and a tray. It goes when dropped.
pub struct Desktop {
    bus: Connection,
    shown: Arc<Mutex<Vec<Shown>>>,
    icons: Arc<Mutex<Vec<(String, String)>>>,
}

impl Desktop {
    /// Takes the two names on the session bus.
    pub async fn start() -> Result<Self> {
        let shown = Arc::default();
        let icons = Arc::default();
        let bus = connection::Builder::session()?
            .serve_at("/org/freedesktop/Notifications", Notifications(Arc::clone(&shown)))?
            .serve_at("/StatusNotifierWatcher", Watcher(Arc::clone(&icons)))?
            .name("org.freedesktop.Notifications")?
            .name("org.kde.StatusNotifierWatcher")?
            .build()
            .await
            .context("there is no session bus of one's own (scripts/with-display)")?;
        Ok(Self { bus, shown, icons })
    }

    /// The notifications so far, oldest first.
    pub fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Clicks on the newest notification.
    pub async fn click(&self) -> Result<()> {
        let shown = self.shown();
        let newest = shown.last().context("nothing was shown")?;
        ensure!(newest.can_be_clicked, "{newest:?} offers no action");
        let (path, of) = ("/org/freedesktop/Notifications", "org.freedesktop.Notifications");
        let id = u32::try_from(shown.len())?;
        self.bus.emit_signal(None::<&str>, path, of, "ActionInvoked", &(id, DEFAULT_ACTION)).await?;
        Ok(())
    }

    /// Whether an icon is in the tray.
    pub fn has_icon(&self) -> bool {
        !self.icons.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Chooses from the menu of the newest icon in the tray.
    pub async fn choose(&self, label: &str) -> Result<()> {
        let (owner, path) = {
            let icons = self.icons.lock().unwrap_or_else(PoisonError::into_inner);
            icons.last().cloned().context("no icon is in the tray")?
        };
        let asked = ("org.kde.StatusNotifierItem", "Menu");
        let properties = Some("org.freedesktop.DBus.Properties");
        let answer = self.bus.call_method(Some(owner.as_str()), path, properties, "Get", &asked).await?;
        let menu: OwnedObjectPath = answer.body().deserialize::<Value<'_>>()?.try_into()?;

        let dbusmenu = Some("com.canonical.dbusmenu");
        let whole = (0_i32, -1_i32, Vec::<String>::new());
        let answer = self.bus.call_method(Some(owner.as_str()), &menu, dbusmenu, "GetLayout", &whole).await?;
        let body = answer.body();
        let (_, (_, _, children)): (u32, MenuItem) = body.deserialize()?;
        let mut labels = Vec::new();
        for child in children {
            let (id, of_item, _): MenuItem = child.try_into()?;
            let found: String = of_item.get("label").context("an item has a label")?.try_clone()?.try_into()?;
            if found == label {
                let clicked = (id, "clicked", Value::from(0_i32), 0_u32);
                self.bus.call_method(Some(owner.as_str()), &menu, dbusmenu, "Event", &clicked).await?;
                return Ok(());
            }
            labels.push(found);
        }
        anyhow::bail!("no {label:?} among {labels:?}")
    }
}

/// An item of a menu: its id, its properties, and what is in it (com.canonical.dbusmenu).
type MenuItem = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

struct Notifications(Arc<Mutex<Vec<Shown>>>);

/// Desktop Notifications Specification 1.2, "D-BUS Protocol".
#[interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    #[expect(clippy::too_many_arguments, reason = "the specification has them")]
    fn notify(
        &self,
        _app_name: String,
        _replaces_id: u32,
        _app_icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expire_timeout_ms: i32,
    ) -> u32 {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let can_be_clicked = actions.iter().step_by(2).any(|it| it == DEFAULT_ACTION);
        shown.push(Shown { summary, body, can_be_clicked });
        u32::try_from(shown.len()).unwrap_or(u32::MAX)
    }

    fn close_notification(&self, _id: u32) {}

    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).into()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("circles-tests".to_owned(), "Circles".to_owned(), "1".to_owned(), "1.2".to_owned())
    }
}

/// Who owns an icon, and at which path.
struct Watcher(Arc<Mutex<Vec<(String, String)>>>);

/// The status notifier specification, "The Watcher". The host is this one too.
#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String, #[zbus(header)] header: Header<'_>) {
        // Ayatana's library sends its path, and means itself.
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        let icon = if service.starts_with('/') { (sender, service) } else { (service, "/StatusNotifierItem".into()) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(icon);
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}
