//! What the plugin holds: the client and the hosted relays, opened once, in the background.

use std::sync::{Arc, Mutex, PoisonError};

use circles_client::{
    Client,
    view::{CampusView, Failure, Update},
};
use circles_protocol::CampusId;
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

#[cfg(target_os = "linux")]
use crate::sleep;
use crate::{
    host::{Hosts, NewHost},
    options::Options,
    updates,
};

type OnUpdate = Arc<dyn Fn(Update) + Send + Sync>;

/// The plugin's state. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Shell(Arc<Inner>);

struct Inner {
    options: Options,
    on_update: OnUpdate,
    open: OnceCell<Open>,
    /// Why it did not open, at the last attempt.
    failure: Mutex<Option<Failure>>,
}

/// Circles while it is open.
pub struct Open {
    /// The client library.
    pub client: Client,
    /// The relays inside this app.
    pub hosts: Hosts,
    _forwarding: AbortOnDropHandle<()>,
    #[cfg(target_os = "linux")]
    _sleeping: AbortOnDropHandle<()>,
}

impl Shell {
    /// Nothing is opened yet. `on_update` gets every update from the moment that it is.
    pub fn new(options: Options, on_update: impl Fn(Update) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            options,
            on_update: Arc::new(on_update),
            open: OnceCell::new(),
            failure: Mutex::default(),
        }))
    }

    /// Circles, once it is open. What did not open, for a full disk or because another process has it, is tried again by
    /// the next caller: the interface offers that with the reason.
    pub async fn open(&self) -> Result<&Open, Failure> {
        let opened = self.0.open.get_or_try_init(|| Open::open(&self.0.options, self.0.on_update.clone())).await;
        *self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) = opened.as_ref().err().cloned();
        opened
    }

    /// Why the last attempt to open did not succeed, if there was one.
    pub fn failure(&self) -> Option<Failure> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The client, once it is open.
    pub async fn client(&self) -> Result<&Client, Failure> {
        self.open().await.map(|open| &open.client)
    }

    /// The name of a campus that this app hosts on the network, if it does.
    pub async fn hosted_on_lan(&self) -> Option<String> {
        self.0.open.get()?.hosts.on_lan().await
    }

    /// Closes the client, then the relays that it may still have been talking to.
    pub async fn close(&self) {
        if let Some(open) = self.0.open.get() {
            open.close().await;
        }
    }
}

impl Open {
    async fn open(options: &Options, on_update: OnUpdate) -> Result<Self, Failure> {
        // First the relays, so that the client finds those of this app at its first attempt.
        let hosts = Hosts::open(&options.data_dir).await?;
        let opened = circles_client::Options {
            data_dir: options.data_dir.clone(),
            device_name: options.device_name.clone(),
            keyring: options.keyring,
        };
        let client = match Client::open(opened).await {
            Ok(client) => client,
            Err(error) => {
                hosts.close().await;
                return Err(error.into());
            }
        };
        let forwarding = tokio::spawn(updates::forward(client.clone(), client.subscribe(), on_update));
        #[cfg(target_os = "linux")]
        let sleeping = tokio::spawn(sleep::follow(client.clone()));
        let open = Self {
            client,
            hosts,
            _forwarding: AbortOnDropHandle::new(forwarding),
            #[cfg(target_os = "linux")]
            _sleeping: AbortOnDropHandle::new(sleeping),
        };
        if let Err(failure) = open.match_hosts().await {
            // Whoever tries again needs the directory free.
            open.close().await;
            return Err(failure);
        }
        Ok(open)
    }

    async fn close(&self) {
        self.client.clone().close().await;
        self.hosts.close().await;
    }

    /// Tells the client which campuses are hosted here, and where: a port may have been taken since. A relay whose campus
    /// was never joined, or was left, is stopped: the app ended in between.
    async fn match_hosts(&self) -> Result<(), Failure> {
        let joined: Vec<CampusId> = self.client.campuses().await?.into_iter().map(|it| it.id).collect();
        for campus in self.hosts.campuses().await {
            if !joined.contains(&campus) {
                self.hosts.forget(campus).await?;
            } else if let Some(url) = self.hosts.url(campus).await {
                self.client.set_hosted(campus, true, url).await?;
            }
        }
        Ok(())
    }

    /// Starts a relay with a new campus in this app, joins it as its owner, and lets people on the network in if `lan`.
    pub async fn host(&self, campus_name: &str, name: &str, lan: bool) -> Result<CampusView, Failure> {
        let new = self.hosts.create(campus_name).await?;
        let campus = self.join_own(new, name).await?;
        if lan {
            self.hosts.set_lan(campus.id, true).await?;
        }
        Ok(campus)
    }

    /// Joins a campus that was just created here. If that fails, nothing of the campus stays.
    pub async fn join_own(&self, new: NewHost, name: &str) -> Result<CampusView, Failure> {
        match self.client.join(&new.invite.to_string(), name).await {
            Ok(mut campus) => {
                self.client.set_hosted(campus.id, true, new.invite.relay).await?;
                campus.hosted = true;
                Ok(campus)
            }
            Err(error) => {
                self.hosts.discard(new.campus_id).await?;
                Err(error.into())
            }
        }
    }

    /// Forgets a campus on this device; a relay of this app for it is stopped, and its data stays on disk.
    pub async fn leave_campus(&self, campus: CampusId) -> Result<(), Failure> {
        self.client.leave_campus(campus).await?;
        Ok(self.hosts.forget(campus).await?)
    }

    /// Tries to connect at once; a relay of this app that did not start is tried again before.
    pub async fn reconnect(&self, campus: CampusId) -> Result<(), Failure> {
        if let Some(url) = self.hosts.revive(campus).await? {
            self.client.set_hosted(campus, true, url).await?;
        }
        Ok(self.client.reconnect(campus).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_did_not_open_opens_when_the_reason_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("hosts.json");
        std::fs::write(&list, "damaged").unwrap();
        let options = Options { keyring: false, ..Options::new(dir.path().to_owned()) };
        let shell = Shell::new(options, |_| {});

        let failure = shell.open().await.map(|_| ()).unwrap_err();
        assert_eq!(failure.code, "internal");
        assert_eq!(shell.failure().map(|it| it.code), Some(failure.code));
        assert!(failure.message.contains("hosts.json"), "{}", failure.message);

        std::fs::remove_file(&list).unwrap();
        assert!(shell.client().await.unwrap().campuses().await.unwrap().is_empty());
        assert!(shell.failure().is_none());
        shell.close().await;
    }
}
