//! What can go wrong with an intent, in plain words.

use std::{error::Error, io, path::PathBuf};

use circles_protocol::{
    Code, Problem,
    invite::InviteLinkError,
    lan::{Fingerprint, ShortCodeError},
};

use crate::view::Failure;

/// Why an intent was not carried out. Nothing was changed, unless the variant says so.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The relay does not answer.
    #[error("the relay cannot be reached: {0}")]
    Offline(String),
    /// The relay answers, but not this, or not in time.
    #[error("the relay cannot be reached: operation timed out")]
    Late,
    /// Something in front of the relay answered in its place.
    #[error("the relay cannot be reached: a proxy answered {0}")]
    Proxy(http::StatusCode),
    /// The stream is open and nothing comes, or only what was sent long ago.
    #[error("the relay cannot be reached: the stream went silent")]
    Silent,
    /// Something that is no relay answered.
    #[error("something answered that is not a relay; this network may want you to sign in first")]
    NotARelay,
    /// Another relay answered than the one that one was invited to. Nothing was said to it.
    #[error(
        "another relay answered in the place of this one: its key ({}) is not the one that you were invited to. Somebody may pretend to be this relay, or it was set up anew: ask its host in person",
        found.words()
    )]
    WrongKey {
        /// Its key.
        found: Fingerprint,
    },
    /// No relay on this network is the one that a typed code names.
    #[error(
        "no relay with this code is to be found on this network. Are you on the same Wi-Fi as its host? If the network hides computers from each other, use the link, or type the host's address after the code: CODE@192.168.1.5"
    )]
    NotNearby,
    /// The typed code is no code.
    #[error(transparent)]
    ShortCode(#[from] ShortCodeError),
    /// The relay refused.
    #[error("{}", problem_text(.0))]
    Relay(Box<Problem>, Option<u64>),
    /// The invite link is not whole.
    #[error(transparent)]
    InviteLink(#[from] InviteLinkError),
    /// The disk is full.
    #[error("the disk is full: free some space, then try again. Nothing is lost")]
    DiskFull,
    /// The cache was written by a newer Circles.
    #[error(
        "this data was written by a newer Circles (version {found}; this one knows {known}): install the newer one. Nothing was changed"
    )]
    CacheNewer {
        /// The version of the database.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// One belongs to this campus already.
    #[error("you are in this campus already")]
    AlreadyJoined,
    /// There is no such campus, circle or message on this device.
    #[error("there is no such {0} on this device")]
    NotFound(&'static str),
    /// A text or name is out of bounds.
    #[error("the {0}")]
    Invalid(String),
    /// The outbox is full.
    #[error("too much waits to be sent already; it goes out when the relay is back")]
    OutboxFull,
    /// Another process of Circles has the data open and must do this.
    #[error("Circles is already open with this data: do this there, or close it first")]
    InUse,
    /// The database does not work.
    #[error("the local database does not work: {0}")]
    Database(String),
    /// The token cannot be stored or read.
    #[error("the key of this device cannot be kept: {0}")]
    Token(String),
    /// The data directory cannot be used.
    #[error("Circles keeps its data in {}, and cannot write there: {}", path.display(), reason(.source))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why a directory cannot be used, as one would say it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "there is a file in its place".to_owned(),
        io::ErrorKind::PermissionDenied => "it belongs to somebody else".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the disk can only be read".to_owned(),
        _ => error.to_string(),
    }
}

fn problem_text(problem: &Problem) -> String {
    match &problem.detail {
        Some(detail) => format!("{}: {detail}", problem.title),
        None => problem.title.clone(),
    }
}

impl ClientError {
    /// Whether the same might succeed later without anyone doing anything.
    pub fn passes(&self) -> bool {
        match self {
            Self::Offline(_) | Self::Late | Self::Proxy(_) | Self::Silent | Self::NotARelay | Self::WrongKey { .. } => {
                true
            }
            Self::Relay(problem, _) => problem.status >= 500 || problem.status == 429 || problem.status == 408,
            _ => false,
        }
    }

    /// Whether it may be of what was asked for alone, and something else succeed meanwhile: the network carries requests, the
    /// device is known, and this person has not asked for too much.
    pub fn is_of_one(&self) -> bool {
        match self {
            Self::Late | Self::Proxy(_) | Self::NotARelay => true,
            Self::Relay(problem, _) => !self.signed_out() && problem.status != 429,
            _ => false,
        }
    }

    /// Whether the relay refuses this device.
    pub fn signed_out(&self) -> bool {
        matches!(self, Self::Relay(problem, _) if problem.code == Code::Unauthorized)
    }

    /// Whether the relay does not have what a message answers.
    pub fn lacks_reply(&self) -> bool {
        matches!(self, Self::Relay(problem, _) if problem.code == Code::ReplyUnknown)
    }

    /// Whether one is not a member of the circle that was asked for, or there is no such circle.
    pub fn is_out(&self) -> bool {
        matches!(self, Self::Relay(problem, _) if problem.status == 403 || problem.status == 404)
    }

    /// After how many seconds the relay wants to be asked again.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Relay(_, after) => *after,
            _ => None,
        }
    }
}

impl From<rusqlite::Error> for ClientError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(error.to_string()),
        }
    }
}

impl From<refinery::Error> for ClientError {
    fn from(error: refinery::Error) -> Self {
        // What SQLite says is somewhere below what refinery says.
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(at) = cause {
            let sqlite = at.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
            if sqlite == Some(rusqlite::ErrorCode::DiskFull) {
                return Self::DiskFull;
            }
            cause = at.source();
        }
        Self::Database(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Offline(_) | ClientError::Late | ClientError::Proxy(_) | ClientError::Silent => {
                "offline".to_owned()
            }
            ClientError::NotARelay => "not_a_relay".to_owned(),
            ClientError::Relay(problem, _) => serde_json::to_value(problem.code)
                .ok()
                .and_then(|it| it.as_str().map(str::to_owned))
                .unwrap_or_else(|| "internal".to_owned()),
            ClientError::InviteLink(_) => "invite_link".to_owned(),
            ClientError::ShortCode(_) => "short_code".to_owned(),
            ClientError::WrongKey { .. } => "wrong_key".to_owned(),
            ClientError::NotNearby => "not_nearby".to_owned(),
            ClientError::DiskFull => "disk_full".to_owned(),
            ClientError::CacheNewer { .. } => "cache_newer".to_owned(),
            ClientError::AlreadyJoined => "already_joined".to_owned(),
            ClientError::NotFound(_) => "not_found".to_owned(),
            ClientError::Invalid(_) | ClientError::OutboxFull => "invalid_body".to_owned(),
            ClientError::InUse | ClientError::Database(_) | ClientError::Token(_) | ClientError::Directory { .. } => {
                "internal".to_owned()
            }
        };
        Self { code, message: error.to_string() }
    }
}
