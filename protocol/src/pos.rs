//! Positions in the log of a campus and numbers of messages in a circle.

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::limits::INTEGER_MAX;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        #[serde(try_from = "u64", into = "u64")]
        #[ts(export, type = "number")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = u64))]
        pub struct $name(u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);
            /// The largest that JavaScript holds exactly.
            pub const MAX: Self = Self(INTEGER_MAX);

            /// The number as an integer.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The following number.
            ///
            /// # Panics
            /// Past 2^53 − 1: at a million changes a second that is in 285 years.
            #[must_use]
            pub const fn next(self) -> Self {
                assert!(self.0 < INTEGER_MAX, "numbers stay below 2^53");
                Self(self.0 + 1)
            }

            /// The preceding number, or zero at zero.
            #[must_use]
            pub const fn before(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl TryFrom<u64> for $name {
            type Error = TooLarge;

            fn try_from(value: u64) -> Result<Self, TooLarge> {
                if value <= INTEGER_MAX { Ok(Self(value)) } else { Err(TooLarge(value)) }
            }
        }

        impl TryFrom<i64> for $name {
            type Error = TooLarge;

            fn try_from(value: i64) -> Result<Self, TooLarge> {
                u64::try_from(value).map_err(|_| TooLarge(u64::MAX))?.try_into()
            }
        }

        impl From<$name> for u64 {
            fn from(value: $name) -> u64 {
                value.0
            }
        }

        impl From<$name> for i64 {
            fn from(value: $name) -> i64 {
                i64::try_from(value.0).expect("below 2^53")
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A change's position in the campus log: dense, from 1, below 2^53. Zero stands before the first change.
    Pos
);
number!(
    /// A message's number in its circle: dense, from 1; it never changes and orders the timeline. Zero stands before
    /// the first message.
    Seq
);

/// A number that is negative or not exact in JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not between 0 and 2^53 − 1")]
pub struct TooLarge(u64);
