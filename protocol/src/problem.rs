//! Errors on the wire: RFC 9457 problem details with a stable `code`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What went wrong, for programs. Codes are never renamed; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Code {
    /// 400: the body is no JSON of the right shape, or a field is out of bounds.
    InvalidBody,
    /// 400: a path or query parameter, or the cursor, does not parse or is out of bounds.
    InvalidParameter,
    /// 401: no token, an unknown one, or one that was revoked.
    Unauthorized,
    /// 403: the person may not do this.
    Forbidden,
    /// 403: the person is not a member of this circle.
    NotMember,
    /// 403: a browser sent this from another site.
    CrossSite,
    /// 404: there is no such thing, or the person may not know of it.
    NotFound,
    /// 404: there is no such invite.
    InviteUnknown,
    /// 410: the invite is past its time.
    InviteExpired,
    /// 410: the invite was used as often as it may be.
    InviteUsedUp,
    /// 410: the invite was taken back.
    InviteRevoked,
    /// 405: not with this method.
    MethodNotAllowed,
    /// 409: this id was used before with another content.
    IdConflict,
    /// 400: what is answered is no message of this circle; after a restore the relay may have lost it.
    ReplyUnknown,
    /// 410: the message was deleted.
    MessageDeleted,
    /// 409: the circle's last owner cannot leave while others stay.
    LastOwner,
    /// 413: the body is larger than 128 KiB.
    TooLarge,
    /// 415: the body is not `application/json`.
    UnsupportedMediaType,
    /// 429: too many requests; see `Retry-After`.
    RateLimited,
    /// 429: this person has too many streams open.
    TooManyStreams,
    /// 503: the database cannot be reached or is busy; see `Retry-After`.
    StoreUnavailable,
    /// 507: the relay's disk is full. Nothing was stored.
    StorageFull,
    /// 503: the relay is stopping; see `Retry-After`.
    ShuttingDown,
    /// 500: a fault of the relay; its log has the details under the `request_id`.
    Internal,
    /// A code of a newer relay.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// The HTTP status that goes with the code.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidBody | Self::InvalidParameter | Self::ReplyUnknown => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::NotMember | Self::CrossSite => 403,
            Self::NotFound | Self::InviteUnknown => 404,
            Self::MethodNotAllowed => 405,
            Self::IdConflict | Self::LastOwner => 409,
            Self::InviteExpired | Self::InviteUsedUp | Self::InviteRevoked | Self::MessageDeleted => 410,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RateLimited | Self::TooManyStreams => 429,
            Self::Internal | Self::Unknown => 500,
            Self::StoreUnavailable | Self::ShuttingDown => 503,
            Self::StorageFull => 507,
        }
    }

    /// A title for people, the same for every occurrence (RFC 9457, 3.1.4).
    pub const fn title(self) -> &'static str {
        match self {
            Self::InvalidBody => "The request's body is not valid",
            Self::InvalidParameter => "A parameter of the request is not valid",
            Self::Unauthorized => "This device is not signed in",
            Self::Forbidden => "You may not do this",
            Self::NotMember => "You are not a member of this circle",
            Self::CrossSite => "Requests from other sites are refused",
            Self::NotFound => "There is no such thing here",
            Self::InviteUnknown => "This invite does not exist",
            Self::InviteExpired => "This invite has expired",
            Self::InviteUsedUp => "This invite has been used up",
            Self::InviteRevoked => "This invite was taken back",
            Self::MethodNotAllowed => "This method is not allowed here",
            Self::IdConflict => "This id was used before with another content",
            Self::ReplyUnknown => "The message that this answers is not there",
            Self::MessageDeleted => "The message was deleted",
            Self::LastOwner => "A circle needs an owner while it has members",
            Self::TooLarge => "The request is too large",
            Self::UnsupportedMediaType => "The request's body must be application/json",
            Self::RateLimited => "Too many requests",
            Self::TooManyStreams => "Too many open streams",
            Self::StoreUnavailable => "The relay's database is not available",
            Self::StorageFull => "The relay's disk is full",
            Self::ShuttingDown => "The relay is stopping",
            Self::Internal => "The relay made a mistake",
            Self::Unknown => "Unknown problem",
        }
    }
}

/// An error response, `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `about:blank`: the status and code say it all (RFC 9457, 4.2.1).
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Code::title`].
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For programs.
    pub code: Code,
    /// What was wrong this time, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub detail: Option<String>,
    /// The request in the relay's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub request_id: Option<String>,
}

impl Problem {
    /// The problem with that code, and what was wrong this time.
    pub fn new(code: Code, detail: impl Into<Option<String>>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            request_id: None,
        }
    }
}
