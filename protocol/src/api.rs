//! Requests and responses of the HTTP API under `/v1`. Routes are named on each type; `docs/protocol.md` lists them all.

use garde::Validate;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    cursor::{Cursor, Epoch},
    entity::{Change, Circle, CircleKind, Draft, Membership, Message, Mute, Person, Reaction, Role},
    ids::{CampusId, CircleId, DeviceId, InviteId, MessageId, PersonId},
    limits::{
        EMOJI_BYTES_MAX, INVITE_LIFE_S_MAX, INVITE_USES_MAX, MESSAGE_TEXT_BYTES_MAX, NAME_CHARS_MAX, TOPIC_CHARS_MAX,
    },
    pos::{Pos, Seq},
    scope::Scope,
    time::UnixMs,
};

macro_rules! wire {
    ($($(#[$meta:meta])* pub struct $name:ident $body:tt)+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
            #[ts(export)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            $(#[$meta])*
            pub struct $name $body
        )+
    };
}

// ---- joining -------------------------------------------------------------------------------------------------------

wire! {
    /// `POST /v1/invites/preview`: what an invite leads to, without using it up. No token needed.
    #[derive(Validate)]
    pub struct PreviewInvite {
        /// The secret from the invite link.
        #[garde(length(max = 128))]
        pub code: String,
    }

    /// What an invite leads to.
    pub struct InvitePreview {
        /// The campus.
        pub campus_id: CampusId,
        /// Its name.
        pub campus_name: String,
        /// The circle that it also leads into.
        pub circle_name: Option<String>,
        /// Who made it; none for the relay itself.
        pub invited_by: Option<String>,
        /// For an invite that adds a device: the person whose device it becomes.
        pub person: Option<Person>,
    }

    /// `POST /v1/join`: enter the campus with an invite and become a person with a device, or add a device to a person.
    /// Repeating the same request gets the same answer, so that a lost answer does not use up the invite.
    #[derive(Validate)]
    pub struct Join {
        /// The secret from the invite link.
        #[garde(length(max = 128))]
        pub code: String,
        /// A new id; ignored by an invite that adds a device.
        #[garde(skip)]
        pub person_id: PersonId,
        /// Display name, 1 to 64 characters after trimming; ignored by an invite that adds a device.
        #[garde(custom(valid_name))]
        pub name: String,
        /// A new id.
        #[garde(skip)]
        pub device_id: DeviceId,
        /// What the person calls this device, 1 to 64 characters.
        #[garde(custom(valid_name))]
        pub device_name: String,
        /// The device's token, made by the client from 256 random bits: 64 of `0-9a-f`. The relay keeps its SHA-256.
        #[garde(custom(valid_token))]
        pub token: String,
    }

    /// The answer to [`Join`]. Also sets the cookie `circles_token`, for a browser's `EventSource`.
    pub struct Joined {
        /// The campus.
        pub campus_id: CampusId,
        /// Its name.
        pub campus_name: String,
        /// Who one now is.
        pub person: Person,
        /// On which device.
        pub device_id: DeviceId,
        /// The circle that the invite also led into.
        pub circle_id: Option<CircleId>,
        /// The history that one joined: what the relay answers before the first event of the stream is of it, or the stream
        /// begins with a `reset`. None from a relay before this field.
        #[serde(default)]
        #[ts(optional)]
        pub epoch: Option<Epoch>,
    }

    /// `POST /v1/invites`: make an invite. Members invite into the campus and into circles of theirs.
    #[derive(Validate)]
    pub struct CreateInvite {
        /// A new id.
        #[garde(skip)]
        pub id: InviteId,
        /// Who comes in joins this circle too.
        #[garde(skip)]
        pub circle_id: Option<CircleId>,
        /// True: it adds one device to the person who makes it, and nobody else. Then `max_uses` is 1.
        #[serde(default)]
        #[garde(skip)]
        pub device: bool,
        /// How often it can be used, 1 to 10,000.
        #[garde(range(min = 1, max = INVITE_USES_MAX))]
        pub max_uses: u32,
        /// For how many seconds it holds, 60 to a year's.
        #[garde(range(min = 60, max = INVITE_LIFE_S_MAX))]
        #[ts(type = "number")]
        pub life_s: u64,
    }

    /// An invite. The link is told once, to its maker.
    pub struct Invite {
        /// The name of the invite, which admits nobody.
        pub id: InviteId,
        /// The invite link (`https://relay/join#code`); none when it is listed later.
        pub link: Option<String>,
        /// The circle that it also leads into.
        pub circle_id: Option<CircleId>,
        /// Whether it adds a device to its maker.
        pub device: bool,
        /// Who made it; none for the relay itself.
        pub created_by: Option<PersonId>,
        /// Until when it holds.
        pub expires_at: UnixMs,
        /// How often it can be used.
        pub max_uses: u32,
        /// How often it was.
        pub uses: u32,
        /// When it was taken back.
        pub revoked_at: Option<UnixMs>,
    }

    /// `GET /v1/invites`: the invites that the person made; all of the campus for its owner.
    pub struct Invites {
        /// Newest first, at most 200.
        pub invites: Vec<Invite>,
    }
}

// ---- oneself -------------------------------------------------------------------------------------------------------

wire! {
    /// `GET /v1/me`: everything that a client without a cache needs to begin, as of one position.
    pub struct Me {
        /// The campus.
        pub campus_id: CampusId,
        /// Its name.
        pub campus_name: String,
        /// Open the stream from here to miss nothing of what follows.
        pub cursor: Cursor,
        /// Who one is.
        pub person: Person,
        /// On which device.
        pub device_id: DeviceId,
        /// The circles that one is a member of.
        pub circles: Vec<CircleState>,
    }

    /// `PATCH /v1/me`: change the profile; what is left out stays.
    #[derive(Validate)]
    pub struct EditProfile {
        /// Display name, 1 to 64 characters.
        #[garde(inner(custom(valid_name)))]
        pub name: Option<String>,
        /// Hue of the avatar, 0 to 359 degrees.
        #[garde(inner(range(max = 359)))]
        pub hue: Option<u16>,
    }

    /// A device of the person.
    pub struct Device {
        /// Its id.
        pub id: DeviceId,
        /// What the person calls it.
        pub name: String,
        /// When it joined.
        pub created_at: UnixMs,
        /// When it last opened a stream or sent something, to within a minute.
        pub last_seen_at: UnixMs,
        /// Whether it is the one that asks.
        pub this: bool,
    }

    /// `GET /v1/devices`. `DELETE /v1/devices/{id}` revokes one: its streams end and its token is refused.
    pub struct Devices {
        /// Oldest first.
        pub devices: Vec<Device>,
    }
}

// ---- circles -------------------------------------------------------------------------------------------------------

wire! {
    /// A circle as one person sees it.
    pub struct CircleState {
        /// The circle.
        pub circle: Circle,
        /// How the person stands to it; none if they never joined.
        pub membership: Option<Membership>,
        /// How many members it has.
        pub members: u32,
        /// Position of the circle's last change.
        pub head_pos: Pos,
        /// Number of its last message.
        pub head_seq: Seq,
        /// How far the person has read.
        pub read_seq: Seq,
        /// Messages after `read_seq` that others wrote.
        pub unread: u32,
        /// Its last message, for members.
        pub last: Option<Message>,
        /// That message's author, for members.
        pub last_author: Option<Person>,
        /// Whether the person muted it, for members; none if they never did.
        #[serde(default)]
        pub mute: Option<Mute>,
        /// What the person began to write there, for members; none if they never did.
        #[serde(default)]
        pub draft: Option<Draft>,
    }

    /// `GET /v1/circles`: the open circles, and the person's private ones. `GET /v1/circles/{id}` gets one.
    pub struct Circles {
        /// By name.
        pub circles: Vec<CircleState>,
    }

    /// `POST /v1/circles`: create one and become its owner.
    #[derive(Validate)]
    pub struct CreateCircle {
        /// A new id.
        #[garde(skip)]
        pub id: CircleId,
        /// 1 to 64 characters.
        #[garde(custom(valid_name))]
        pub name: String,
        /// Up to 256 characters.
        #[serde(default)]
        #[garde(length(chars, max = TOPIC_CHARS_MAX))]
        pub topic: String,
        /// Open or private.
        #[garde(skip)]
        pub access: CircleKind,
    }

    /// `PATCH /v1/circles/{id}`, for its owners and moderators; what is left out stays.
    #[derive(Validate)]
    pub struct EditCircle {
        /// 1 to 64 characters.
        #[garde(inner(custom(valid_name)))]
        pub name: Option<String>,
        /// Up to 256 characters.
        #[garde(inner(length(chars, max = TOPIC_CHARS_MAX)))]
        pub topic: Option<String>,
    }

    /// `POST /v1/circles/{id}/members`: a member brings a person of the campus in. `POST /v1/circles/{id}/join` enters an
    /// open circle oneself, `POST /v1/circles/{id}/leave` leaves one. All three answer with the [`CircleState`].
    pub struct AddMember {
        /// Whom.
        pub person_id: PersonId,
    }

    /// A member of a circle.
    pub struct Member {
        /// Who.
        pub person: Person,
        /// Since when and as what.
        pub membership: Membership,
    }

    /// `GET /v1/circles/{id}/members?after=&limit=`: those who are in, by person id. `DELETE
    /// /v1/circles/{id}/members/{person}` removes one, for owners and moderators.
    pub struct Members {
        /// At most `limit`, which is 1,000 at the most.
        pub members: Vec<Member>,
        /// Where the next page starts (`after=`); none at the end.
        pub next: Option<PersonId>,
    }

    /// `PATCH /v1/circles/{id}/members/{person}`: an owner changes a member's role.
    pub struct EditMember {
        /// The new role.
        pub role: Role,
    }

    /// `POST /v1/circles/{id}/typing`: tells the circle's members who listen now, and is not kept. Answers with 204. To be
    /// repeated every three seconds while it lasts.
    pub struct SetTyping {
        /// Whether one types.
        pub on: bool,
    }

    /// `GET /v1/circles/{id}/presence?after=&limit=`: the members who are online, by person id. One is online while a
    /// stream of theirs is open, and for some seconds after, because streams end and are opened anew.
    pub struct OnlineMembers {
        /// At most `limit`, which is 1,000 at the most.
        pub online: Vec<PersonId>,
        /// Where the next page starts (`after=`); none at the end.
        pub next: Option<PersonId>,
    }

    /// `PUT /v1/circles/{id}/read`: read up to here. A lower number than the present one changes nothing.
    pub struct MarkRead {
        /// The last message read.
        pub seq: Seq,
    }

    /// `PUT /v1/circles/{id}/mute`: be told of its messages, or only of those that mention one; answers with the [`Mute`] as
    /// it then is, which is a newer one if there is.
    pub struct SetMute {
        /// Whether it is muted.
        pub on: bool,
        /// How long ago the person decided so, in ms. Not a time: clocks of devices differ. What is longer ago than fits,
        /// 49 days, is as old as can be.
        #[serde(default)]
        pub age_ms: u32,
    }

    /// `PUT /v1/circles/{id}/draft`: what stands in the composer, for the person's other devices; answers with the [`Draft`]
    /// as it then is, which is a newer one if there is. Whether there are such messages is not looked at: they may still
    /// have to be sent.
    #[derive(Validate)]
    pub struct SetDraft {
        /// Up to 16 KiB of UTF-8; empty if nothing stands there any more.
        #[garde(custom(valid_draft))]
        pub text: String,
        /// The message that it will answer.
        #[garde(skip)]
        pub reply_to: Option<MessageId>,
        /// The message that it will replace the text of.
        #[garde(skip)]
        pub editing: Option<MessageId>,
        /// How long ago it was written, in ms, as in [`SetMute`].
        #[serde(default)]
        #[garde(skip)]
        pub age_ms: u32,
    }
}

// ---- messages ------------------------------------------------------------------------------------------------------

wire! {
    /// `POST /v1/circles/{id}/messages`. The same id again gets the same [`Receipt`]; with another content, 409.
    #[derive(Validate)]
    pub struct PostMessage {
        /// A new id.
        #[garde(skip)]
        pub id: MessageId,
        /// 1 byte to 16 KiB of UTF-8, not only white space.
        #[garde(custom(valid_text))]
        pub text: String,
        /// The message of the same circle that it answers.
        #[garde(skip)]
        pub reply_to: Option<MessageId>,
        /// When it was written, if that was earlier; not part of the content that the id stands for.
        #[garde(skip)]
        pub written_at: Option<UnixMs>,
    }

    /// Where a message stands. It is durable (design 3.1).
    pub struct Receipt {
        /// The message.
        pub id: MessageId,
        /// The circle.
        pub circle_id: CircleId,
        /// Its number in the circle.
        pub seq: Seq,
        /// Position of the change that created it.
        pub pos: Pos,
        /// When the relay accepted it.
        pub created_at: UnixMs,
        /// When it was written, as everybody sees it: what the first attempt said, if the relay believes that.
        pub written_at: Option<UnixMs>,
    }

    /// `PATCH /v1/messages/{id}`, for its author; answers with the [`Message`]. `DELETE /v1/messages/{id}`, also for
    /// moderators, answers with the tombstone. Both may be repeated.
    #[derive(Validate)]
    pub struct EditMessage {
        /// The new text.
        #[garde(custom(valid_text))]
        pub text: String,
    }

    /// `PUT /v1/messages/{id}/reactions`: react, or take a reaction back; answers with the [`Reaction`].
    #[derive(Validate)]
    pub struct React {
        /// One emoji, up to 64 bytes, without white space or control characters.
        #[garde(custom(valid_emoji))]
        pub emoji: String,
        /// False takes it back.
        #[garde(skip)]
        pub on: bool,
    }

    /// `GET /v1/circles/{id}/messages?before=&after=&around=&limit=`: messages by `seq`. One of the three at the most;
    /// none means the newest. Deleted ones are among them as tombstones, so that `seq` has no holes.
    pub struct MessagesPage {
        /// Ascending by `seq`.
        pub messages: Vec<Message>,
        /// The reactions to these, also those taken back.
        pub reactions: Vec<Reaction>,
        /// The messages that these answer and that lie outside of the page.
        pub context: Vec<Message>,
        /// The authors of all these, and who reacted.
        pub people: Vec<Person>,
        /// The number of the circle's last message.
        pub head_seq: Seq,
        /// The log as of which this was read.
        pub cursor: Cursor,
    }

    /// `GET /v1/people?after=&limit=`: everyone in the campus, by id.
    pub struct People {
        /// At most `limit`, which is 1,000 at the most.
        pub people: Vec<Person>,
        /// Where the next page starts (`after=`); none at the end.
        pub next: Option<PersonId>,
    }

    /// `GET /v1/changes?scope=&after=&until=&order=newest|oldest&limit=`: the changes of a scope in `(after, until]`.
    ///
    /// Each entity comes once with its newest state, so `changes` can have fewer entries than the stretch has positions.
    pub struct ChangesPage {
        /// The scope.
        pub scope: Scope,
        /// The history; positions of another mean nothing here.
        pub epoch: Epoch,
        /// This page covers the scope from here …
        pub after: Pos,
        /// … to here: nothing of the scope in `(after, until]` is left out.
        pub until: Pos,
        /// Ascending by `pos`.
        pub changes: Vec<Change>,
    }
}

/// In which direction `GET /v1/changes` works through a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Order {
    /// The page covers the upper end of the stretch.
    Newest,
    /// The page covers the lower end of the stretch.
    Oldest,
}

// ---- rules of the fields -------------------------------------------------------------------------------------------

/// A name is 1 to 64 characters after trimming, without control characters.
pub fn valid_name<C>(value: &str, _: &C) -> garde::Result {
    let chars = value.trim().chars().count();
    if chars == 0 || chars > NAME_CHARS_MAX {
        return Err(garde::Error::new(format!("must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if value.chars().any(char::is_control) {
        return Err(garde::Error::new("must not have control characters"));
    }
    Ok(())
}

/// A text is 1 byte to 16 KiB and not only white space.
pub fn valid_text<C>(value: &str, _: &C) -> garde::Result {
    if value.trim().is_empty() {
        return Err(garde::Error::new("must not be empty"));
    }
    valid_draft(value, &())
}

/// A draft is what may become a text: at most 16 KiB.
pub fn valid_draft<C>(value: &str, _: &C) -> garde::Result {
    if value.len() > MESSAGE_TEXT_BYTES_MAX {
        return Err(garde::Error::new(format!(
            "must have at most {MESSAGE_TEXT_BYTES_MAX} bytes, has {}",
            value.len()
        )));
    }
    // Postgres cannot store it, and nobody types it.
    if value.contains('\0') {
        return Err(garde::Error::new("must not have the character U+0000"));
    }
    Ok(())
}

/// An emoji is 1 to 64 bytes, not ASCII, without white space or control characters.
pub fn valid_emoji<C>(value: &str, _: &C) -> garde::Result {
    let valid = !value.is_empty()
        && value.len() <= EMOJI_BYTES_MAX
        && !value.is_ascii()
        && !value.chars().any(|it| it.is_whitespace() || it.is_control());
    if valid { Ok(()) } else { Err(garde::Error::new("must be one emoji")) }
}

/// A token is 64 of `0-9a-f`: 256 bits.
pub fn valid_token<C>(value: &str, _: &C) -> garde::Result {
    let valid = value.len() == 64 && value.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    if valid { Ok(()) } else { Err(garde::Error::new("must be 64 of 0-9a-f")) }
}
