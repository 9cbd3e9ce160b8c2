//! The wire types that the Circles relay, client and interface share.
//!
//! Everything that crosses the network is defined here once: the TypeScript types of the interface and the OpenAPI
//! document of the relay are generated from these types. `docs/protocol.md` tells how a message travels.

pub mod api;
pub mod cursor;
pub mod entity;
pub mod event;
pub mod ids;
pub mod invite;
pub mod lan;
pub mod limits;
pub mod pos;
pub mod problem;
pub mod scope;
pub mod time;

pub use cursor::{Cursor, Epoch};
pub use entity::{
    Change, Circle, CircleKind, Draft, Entity, Membership, MembershipState, Message, Mute, Person, Reaction,
    ReadMarker, RevokedDevice, Role,
};
pub use ids::{CampusId, CircleId, DeviceId, InviteId, MessageId, PersonId};
pub use invite::{InviteLink, LanPlace};
pub use pos::{Pos, Seq};
pub use problem::{Code, Problem};
pub use scope::Scope;
pub use time::UnixMs;
