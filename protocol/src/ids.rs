//! Typed ids. Ids of messages, circles, persons, devices and attachments are UUIDv7 (RFC 9562, 5.7) made by the client:
//! they are the idempotency keys (design section 2).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
        #[serde(transparent)]
        #[ts(export, type = "string")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid"))]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: UUIDv7 from the system clock and random bits.
            #[expect(clippy::new_without_default, reason = "two calls differ, which a default must not")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Wraps a UUID read from a store.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// Names a campus. Made by the relay when the campus is created; never changes, not even with a new epoch.
    CampusId
);
id!(
    /// Names a circle. Made by the client that creates it.
    CircleId
);
id!(
    /// Names a person: an account in one campus. Made by the client that joins.
    PersonId
);
id!(
    /// Names one installation of a person. Made by the client that joins.
    DeviceId
);
id!(
    /// Names a message. Made by the client that writes it.
    MessageId
);
id!(
    /// Names an invite, without being the secret that admits.
    InviteId
);
