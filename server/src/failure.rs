//! Why a request is refused: what every layer below the HTTP edge answers with.

use circles_protocol::Code;

use crate::{limits::RETRY_AFTER_S, store::StoreError};

/// A refusal with its stable code (design 3.10).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.title(), detail.as_deref().unwrap_or("no more is known"))]
pub struct Failure {
    /// For programs.
    pub code: Code,
    /// What was wrong this time, for people.
    pub detail: Option<String>,
    /// When to try again, in seconds.
    pub retry_after_s: Option<u32>,
}

impl Failure {
    /// A refusal without more to say.
    pub fn of(code: Code) -> Self {
        let retry_after_s = matches!(code, Code::StoreUnavailable | Code::ShuttingDown).then_some(RETRY_AFTER_S);
        Self { code, detail: None, retry_after_s }
    }

    /// A refusal with what was wrong.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::of(code) }
    }

    /// A parameter of the path or query is wrong.
    pub fn parameter(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameter, detail)
    }

    /// There is no such thing, or the person may not know of it.
    pub fn not_found() -> Self {
        Self::of(Code::NotFound)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::of(Code::StorageFull),
            StoreError::Closed => Self::of(Code::ShuttingDown),
            StoreError::Unavailable(reason) => {
                tracing::warn!(%reason, "the database is not available");
                Self::of(Code::StoreUnavailable)
            }
            StoreError::Broken(reason) => {
                tracing::error!(%reason, "the database answered what it must not");
                Self::of(Code::Internal)
            }
        }
    }
}
