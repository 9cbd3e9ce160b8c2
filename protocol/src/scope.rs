//! Who may see a change.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::ids::{CircleId, PersonId};

/// Who may see a change, and the chain that its `prev` belongs to. On the wire: `campus`, `circle:<id>`, `person:<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(export, type = "string")]
pub enum Scope {
    /// Everyone in the campus: profiles, and circles that are open.
    Campus,
    /// The members of a circle; a membership change also reaches the person that it is about.
    Circle(CircleId),
    /// The devices of one person: read markers, mutes, drafts.
    Person(PersonId),
}

/// A text that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a scope is campus, circle:<id> or person:<id>")]
pub struct ScopeError;

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        match text.split_once(':') {
            None if text == "campus" => Ok(Self::Campus),
            Some(("circle", id)) => id.parse().map(Self::Circle).map_err(|_| ScopeError),
            Some(("person", id)) => id.parse().map(Self::Person).map_err(|_| ScopeError),
            _ => Err(ScopeError),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Campus => f.write_str("campus"),
            Self::Circle(id) => write!(f, "circle:{id}"),
            Self::Person(id) => write!(f, "person:{id}"),
        }
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Scope {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Scope {}
