//! The SSE id: where a reader stands in which history.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::pos::Pos;

/// Longest epoch, in characters.
const EPOCH_CHARS_MAX: usize = 32;

/// Names one continuous history of a campus; a new one at create, restore and promote. 1 to 32 of `0-9a-z`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(export, type = "string")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
pub struct Epoch(String);

impl Epoch {
    /// A new epoch, different from every other (it is the text of a random number).
    pub fn random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Epoch {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Self, CursorError> {
        let valid = (1..=EPOCH_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        if valid { Ok(Self(text)) } else { Err(CursorError::Epoch) }
    }
}

impl FromStr for Epoch {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        text.to_owned().try_into()
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> String {
        epoch.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SSE id, `<epoch>.<pos>`: the reader has everything of that history up to and with `pos`. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(try_from = "String", into = "String")]
#[ts(export, type = "string")]
pub struct Cursor {
    /// The history.
    pub epoch: Epoch,
    /// The last position that the reader has.
    pub pos: Pos,
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Cursor {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        String::schema()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Cursor {}

/// Why a text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// There is no dot.
    #[error("a cursor is <epoch>.<pos>")]
    Shape,
    /// The epoch is empty, too long, or has other characters than `0-9a-z`.
    #[error("an epoch is 1 to {EPOCH_CHARS_MAX} of 0-9a-z")]
    Epoch,
    /// The position is no integer from 0 to 2^53 − 1 written without sign or leading zeros.
    #[error("a position is an integer from 0 to 2^53 − 1")]
    Pos,
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (epoch, pos) = text.split_once('.').ok_or(CursorError::Shape)?;
        let canonical = !pos.is_empty()
            && pos.len() <= 16
            && pos.bytes().all(|byte| byte.is_ascii_digit())
            && (pos == "0" || !pos.starts_with('0'));
        if !canonical {
            return Err(CursorError::Pos);
        }
        let pos: u64 = pos.parse().map_err(|_| CursorError::Pos)?;
        Ok(Self { epoch: epoch.parse()?, pos: pos.try_into().map_err(|_| CursorError::Pos)? })
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> String {
        cursor.to_string()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.pos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_what_it_wrote(bits: u64, pos in 0..=crate::limits::INTEGER_MAX) {
            let cursor = Cursor { epoch: Epoch::random(bits), pos: pos.try_into().expect("in range") };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }

        #[test]
        fn any_text_is_refused_or_is_the_only_spelling_of_its_cursor(text in "[0-9a-z.]{0,40}|.{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
