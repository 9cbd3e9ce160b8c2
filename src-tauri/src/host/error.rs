//! Why a relay is not hosted.

use std::{io, path::PathBuf};

use circles_client::view::Failure;
use circles_protocol::Code;
use circles_relay::{ImportError, OpenError, SettingsError};

use crate::limits::HOSTS_MAX;

/// Why a relay was not created, started or forgotten.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The name of the campus does not do.
    #[error("{0}")]
    Name(#[from] SettingsError),
    /// The list of hosted relays is damaged, or was written by another program.
    #[error("the list of hosted relays in {} cannot be read: {source}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A file or directory cannot be made, read or written.
    #[error("cannot use the data directory: {0}")]
    Io(#[from] io::Error),
    /// This computer gives no port to listen on.
    #[error("cannot listen on this computer: {0}")]
    Listen(io::Error),
    /// The relay has no key, or does not listen on the network.
    #[error(transparent)]
    Lan(#[from] circles_relay::LanError),
    /// This app does not host the campus.
    #[error("this app does not host this campus, or its relay did not start")]
    NotHosted,
    /// The campus does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The relay refused.
    #[error(transparent)]
    Relay(#[from] circles_relay::Failure),
    /// The demo's conversations were not stored.
    #[error(transparent)]
    Demo(#[from] ImportError),
    /// More would be a mistake.
    #[error("this app hosts {HOSTS_MAX} campuses already")]
    TooMany,
}

impl HostError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "invalid_parameter",
            Self::Io(error) | Self::Open(OpenError::Directory { source: error, .. })
                if error.kind() == io::ErrorKind::StorageFull =>
            {
                "disk_full"
            }
            Self::Relay(failure) | Self::Demo(ImportError::Store(failure)) if failure.code == Code::StorageFull => {
                "disk_full"
            }
            Self::Open(OpenError::Newer { .. }) => "cache_newer",
            _ => "internal",
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}
