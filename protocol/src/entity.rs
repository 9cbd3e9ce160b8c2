//! The entities of a campus and the changes that carry their state.
//!
//! Changes carry state, not deltas: applying one twice or late is harmless, and a reader keeps the state with the higher
//! `version` (design section 5).

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    ids::{CircleId, DeviceId, MessageId, PersonId},
    pos::{Pos, Seq},
    scope::Scope,
    time::UnixMs,
};

/// One entry of the campus log: an entity is now in a state.
///
/// The state is the entity's newest when the change was serialised. On replay it can be newer than `pos`: then
/// `version > pos`, and a later change repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Change {
    /// The position in the campus log.
    pub pos: Pos,
    /// The position of the previous change in the same scope; zero for the first. A reader that is complete in the
    /// scope up to `prev` and applies this change is complete up to `pos`.
    pub prev: Pos,
    /// Who may see it.
    pub scope: Scope,
    /// The entity in its new state.
    pub entity: Entity,
}

/// An entity in a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Entity {
    /// A person's profile.
    Person(Person),
    /// A circle.
    Circle(Circle),
    /// A person's membership in a circle.
    Membership(Membership),
    /// A message.
    Message(Message),
    /// A person's reaction to a message.
    Reaction(Reaction),
    /// How far a person has read a circle.
    ReadMarker(ReadMarker),
    /// A device was signed out; for its person's devices.
    RevokedDevice(RevokedDevice),
    /// Whether a person wants to be told of a circle's messages.
    Mute(Mute),
    /// What a person began to write in a circle.
    Draft(Draft),
}

impl Entity {
    /// The position of the entity's last change.
    pub fn version(&self) -> Pos {
        match self {
            Self::Person(it) => it.version,
            Self::Circle(it) => it.version,
            Self::Membership(it) => it.version,
            Self::Message(it) => it.version,
            Self::Reaction(it) => it.version,
            Self::ReadMarker(it) => it.version,
            Self::RevokedDevice(it) => it.version,
            Self::Mute(it) => it.version,
            Self::Draft(it) => it.version,
        }
    }
}

/// What a person may do, in a campus or in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    /// Reads, writes, invites.
    Member,
    /// Also removes people and deletes others' messages.
    Moderator,
    /// Also edits the circle or campus and appoints moderators.
    Owner,
}

/// An account in a campus. Scope: campus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Person {
    /// Made by the client that joined.
    pub id: PersonId,
    /// Display name, 1 to 64 characters. Not unique.
    pub name: String,
    /// Hue of the avatar, in degrees, 0 to 359.
    pub hue: u16,
    /// Role in the campus.
    pub role: Role,
    /// When the person joined.
    pub joined_at: UnixMs,
    /// Position of the last change.
    pub version: Pos,
}

/// Who may see and enter a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CircleKind {
    /// Listed; anyone in the campus may join and then reads all of its history.
    Open,
    /// Seen by its members only; they bring others in.
    Private,
}

/// A group chat. Scope: campus if open, the circle itself if private.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Circle {
    /// Made by the client that created it.
    pub id: CircleId,
    /// 1 to 64 characters. Not unique.
    pub name: String,
    /// What it is about, up to 256 characters; may be empty.
    pub topic: String,
    /// Open or private; fixed at creation.
    #[serde(rename = "access")]
    pub kind: CircleKind,
    /// Who created it.
    pub created_by: PersonId,
    /// When.
    pub created_at: UnixMs,
    /// Position of the last change.
    pub version: Pos,
}

/// How a person stands to a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum MembershipState {
    /// Is a member.
    Joined,
    /// Went.
    Left,
    /// Was removed.
    Removed,
}

/// A person's membership in a circle; one for each pair. Scope: the circle, and the person it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Membership {
    /// The circle.
    pub circle_id: CircleId,
    /// The person.
    pub person_id: PersonId,
    /// Whether they are in.
    pub state: MembershipState,
    /// What they may do while they are.
    pub role: Role,
    /// When the state began.
    pub since: UnixMs,
    /// Position of the last change.
    pub version: Pos,
}

/// A message. Scope: its circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Message {
    /// Made by the client that wrote it.
    pub id: MessageId,
    /// The circle.
    pub circle_id: CircleId,
    /// Its number in the circle.
    pub seq: Seq,
    /// Who wrote it.
    pub author_id: PersonId,
    /// What they wrote, up to 16 KiB; empty once deleted.
    pub text: String,
    /// The message of the same circle that it answers.
    pub reply_to: Option<MessageId>,
    /// When the relay accepted it.
    pub created_at: UnixMs,
    /// When the author pressed Enter, by the author's clock, if that was earlier (written offline).
    pub written_at: Option<UnixMs>,
    /// When it was last edited.
    pub edited_at: Option<UnixMs>,
    /// When it was deleted; then only this tombstone is left.
    pub deleted_at: Option<UnixMs>,
    /// Position of the last change.
    pub version: Pos,
}

/// A person's reaction to a message; one for each message, person and emoji. Scope: the circle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reaction {
    /// The circle of the message.
    pub circle_id: CircleId,
    /// The message.
    pub message_id: MessageId,
    /// Who reacts.
    pub person_id: PersonId,
    /// With what: one emoji, up to 64 bytes.
    pub emoji: String,
    /// False once taken back.
    pub on: bool,
    /// Position of the last change.
    pub version: Pos,
}

/// How far a person has read a circle. Scope: the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReadMarker {
    /// The circle.
    pub circle_id: CircleId,
    /// Who has read.
    pub person_id: PersonId,
    /// Everything up to this message. Only grows.
    pub seq: Seq,
    /// Position of the last change.
    pub version: Pos,
}

/// A device that was signed out. It is in the log so that every relay ends the device's streams, wherever they are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevokedDevice {
    /// The device.
    pub id: DeviceId,
    /// Whose it was.
    pub person_id: PersonId,
    /// When it was signed out.
    pub revoked_at: UnixMs,
    /// Position of the change.
    pub version: Pos,
}

/// Whether a person wants to be told of a circle's messages; one for each pair. Scope: the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Mute {
    /// The circle.
    pub circle_id: CircleId,
    /// Whose.
    pub person_id: PersonId,
    /// True: only of those that mention them.
    pub on: bool,
    /// When the person decided so, by the relay's clock. The newest decision wins, whichever arrives first.
    pub changed_at: UnixMs,
    /// Position of the last change.
    pub version: Pos,
}

/// What a person began to write in a circle and has not sent; one for each pair. Scope: the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Draft {
    /// The circle.
    pub circle_id: CircleId,
    /// Whose.
    pub person_id: PersonId,
    /// The text, up to 16 KiB; empty once it was sent or given up.
    pub text: String,
    /// The message that it will answer.
    pub reply_to: Option<MessageId>,
    /// The message that it will replace the text of.
    pub editing: Option<MessageId>,
    /// When it was written, by the relay's clock. What was written last wins, whichever arrives first.
    pub changed_at: UnixMs,
    /// Position of the last change.
    pub version: Pos,
}
