//! What the interface shows: the state of the client, in the shape in which it is rendered.
//!
//! These types are the edge between Rust and TypeScript. `ui/src/lib/circles.ts` declares the intents and who serves them:
//! the desktop shell from the cache, the browser from the relay.

use circles_protocol::{CampusId, CircleId, CircleKind, DeviceId, InviteId, MessageId, PersonId, Role, Seq, UnixMs};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

macro_rules! view {
    ($($(#[$meta:meta])* pub $kind:ident $name:ident $body:tt)+) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
            #[ts(export)]
            $(#[$meta])*
            pub $kind $name $body
        )+
    };
}

mod search;

pub use search::{CircleCoverage, FoundMessage, SearchCoverage, SearchView, SnippetPart};

// ---- campuses ------------------------------------------------------------------------------------------------------

view! {
    /// A campus that the person belongs to.
    pub struct CampusView {
        /// The campus.
        pub id: CampusId,
        /// Its name.
        pub name: String,
        /// The relay's address, for people.
        pub relay: String,
        /// Who one is there.
        pub me: PersonView,
        /// How it stands with the relay.
        pub connection: Connection,
        /// Whether this app hosts the relay.
        pub hosted: bool,
        /// Where the token is kept.
        pub token_place: TokenPlace,
        /// The relay's history is another one than before, and the person has not put that aside yet.
        pub renewal: Option<Renewal>,
        /// Messages of a history before that only this device has, as far as it knows.
        pub kept: u32,
        /// How much one wrote that was not sent, in circles that one is not in any more.
        pub stranded: u32,
        /// What was missed while one was away, once all of it is here; until the person puts it aside.
        pub absence: Option<Absence>,
    }

    /// An absence, and what others wrote in it.
    #[derive(Copy)]
    pub struct Absence {
        /// When the stream was heard last.
        pub since: UnixMs,
        /// When everything was here again.
        pub until: UnixMs,
        /// Messages that came meanwhile.
        pub messages: u32,
        /// In how many circles.
        pub circles: u32,
        /// Those of them that name one (`@name`).
        pub mentions: u32,
        /// How long it took from the open stream until everything was here, in ms.
        pub took_ms: u32,
    }

    /// The relay was restored from a copy or replaced, and what it lost is made good as far as this device can.
    pub struct Renewal {
        /// When this device noticed.
        pub at: UnixMs,
        /// Circles are still compared: the number below can grow.
        pub comparing: bool,
        /// How many messages of one's own, edits and deletions were put into the outbox again; they may still wait there.
        pub offered: u32,
    }

    /// A message of a history before that the relay does not have any more.
    pub struct KeptMessage {
        /// The message.
        pub id: MessageId,
        /// The name that its circle had.
        pub circle: String,
        /// Who wrote it.
        pub author: String,
        /// What they wrote.
        pub text: String,
        /// When.
        pub at: UnixMs,
    }

    /// What one wrote or did in a circle that one is not in any more, and that was not sent.
    pub struct StrandedView {
        /// The message that it is or was about.
        pub message_id: MessageId,
        /// The circle.
        pub circle_id: CircleId,
        /// Its name, if it is still known.
        pub circle: Option<String>,
        /// What it is.
        pub what: Wrote,
        /// The text, or the reaction; empty for a deletion.
        pub text: String,
        /// When it was written.
        pub at: UnixMs,
        /// Why it was not sent; none if it waits.
        pub reason: Option<String>,
    }

    /// How it stands with the relay. The words for it are the interface's.
    #[serde(tag = "state", rename_all = "snake_case")]
    pub enum Connection {
        /// Opening a stream for the first time since the app started or woke.
        Connecting,
        /// The stream is open and everything up to now is held, but for gaps that are being filled.
        Online {
            /// Changes that are still to be fetched, at the most, as far as known; zero: complete to now.
            #[ts(type = "number")]
            missing: u64,
        },
        /// No stream.
        Offline {
            /// When the stream was heard last, perhaps days ago; if never, since the first attempt.
            since: UnixMs,
            /// Why.
            problem: ConnectionProblem,
            /// When the next attempt is made.
            retry_at: UnixMs,
        },
        /// The relay refuses this device; only the person can change that.
        SignedOut,
    }

    /// Why there is no stream.
    #[serde(rename_all = "snake_case")]
    pub enum ConnectionProblem {
        /// No answer: no network, wrong address, or the relay is off.
        Unreachable,
        /// Something answered that is not a relay: a sign-in page of the Wi-Fi, or a proxy.
        NotARelay,
        /// Another relay answered: its key is not the one that was pinned.
        WrongKey,
        /// The relay answered that it cannot serve now.
        RelayUnavailable,
        /// The stream went silent.
        Silent,
        /// The relay speaks a version that this app does not.
        Incompatible,
        /// The cache cannot be written: the disk is full.
        DiskFull,
    }

    /// Where a device's token is kept.
    #[serde(rename_all = "snake_case")]
    pub enum TokenPlace {
        /// In the keyring of the operating system.
        Keyring,
        /// In a file that only this user can read, because there is no keyring.
        File,
        /// In a cookie of the browser.
        Cookie,
    }

    /// What an invite link leads to, before it is used.
    pub struct InviteView {
        /// The campus.
        pub campus_name: String,
        /// The circle that it also leads into.
        pub circle_name: Option<String>,
        /// Who made it.
        pub invited_by: Option<String>,
        /// The relay's address, for people.
        pub relay: String,
        /// For an invite that adds a device: whose.
        pub person_name: Option<String>,
    }

    /// A relay that says it is on this network. Nothing of it is proven before one joins with an invite.
    pub struct NearbyView {
        /// The campus's name.
        pub name: String,
        /// Its key's fingerprint in words, to compare with what its host sees.
        pub words: String,
        /// One of its addresses.
        pub address: Option<String>,
        /// Whether one is in this campus already, if it is the one that it says.
        pub joined: bool,
    }

    /// Something that the network doctor found, in plain words.
    pub struct Finding {
        /// How bad it is.
        pub severity: Severity,
        /// What it is.
        pub says: String,
        /// What to do about it.
        pub advice: Option<String>,
    }

    /// How bad something is.
    #[serde(rename_all = "snake_case")]
    pub enum Severity {
        /// As it should be.
        Good,
        /// To be known; nothing is broken.
        Note,
        /// It keeps one from chatting.
        Bad,
    }

    /// An invite that was made just now.
    pub struct NewInvite {
        /// Names it, to take it back.
        pub id: InviteId,
        /// The link for a browser or the app.
        pub link: String,
        /// The same to be read aloud and typed, on the relay's own network.
        pub short_code: Option<String>,
        /// Until when it holds.
        pub expires_at: UnixMs,
        /// How often it can be used.
        pub max_uses: u32,
    }

    /// An invite that was made before and still admits.
    pub struct MadeInviteView {
        /// Names it.
        pub id: InviteId,
        /// Whether it adds a device.
        pub device: bool,
        /// Until when it holds.
        pub expires_at: UnixMs,
        /// How often it was used.
        pub uses: u32,
        /// How often it can be.
        pub max_uses: u32,
    }

    /// A device of the person.
    pub struct DeviceView {
        /// Its id.
        pub id: DeviceId,
        /// What the person calls it.
        pub name: String,
        /// When it joined.
        pub created_at: UnixMs,
        /// When it was last seen.
        pub last_seen_at: UnixMs,
        /// Whether it is this one.
        pub this: bool,
    }
}

// ---- circles and people --------------------------------------------------------------------------------------------

view! {
    /// A person, as shown.
    pub struct PersonView {
        /// Who.
        pub id: PersonId,
        /// Display name.
        pub name: String,
        /// Hue of the avatar, in degrees.
        pub hue: u16,
        /// Role: in the campus, or in the circle whose people are listed.
        pub role: Role,
    }

    /// A circle in the list.
    pub struct CircleView {
        /// The circle.
        pub id: CircleId,
        /// Its name.
        pub name: String,
        /// What it is about; may be empty.
        pub topic: String,
        /// Open or private.
        pub access: CircleKind,
        /// Whether one is a member. Open circles that one could join are listed too.
        pub joined: bool,
        /// One's role, as a member.
        pub role: Option<Role>,
        /// How many members it has, as far as known.
        pub members: Option<u32>,
        /// Number of the last message.
        pub head_seq: Seq,
        /// How far one has read.
        pub read_seq: Seq,
        /// Messages after that by others.
        pub unread: u32,
        /// Those of them that name one (`@name`), among the newest 2,000 and as far as they are held.
        pub mentions: u32,
        /// Number of the first of these.
        pub first_mention: Option<Seq>,
        /// The last message.
        pub last: Option<LastMessage>,
        /// Messages that are missing from the cache, and one if only other changes are; zero: complete to now.
        #[ts(type = "number")]
        pub missing: u64,
        /// Messages that wait to be sent.
        pub unsent: u32,
        /// Messages that failed.
        pub failed: u32,
        /// Whether a draft is kept.
        pub draft: bool,
        /// Whether one wants to be told of its messages only if they mention one.
        pub muted: bool,
    }

    /// The last message of a circle, in short.
    pub struct LastMessage {
        /// Its author's name.
        pub author: String,
        /// Whether that is oneself.
        pub mine: bool,
        /// The first 140 characters; empty if deleted.
        pub text: String,
        /// Whether it was deleted.
        pub deleted: bool,
        /// When it was sent.
        pub at: UnixMs,
    }
}

// ---- timeline ------------------------------------------------------------------------------------------------------

view! {
    /// Which part of a timeline is wanted. A window is a range of `seq`.
    #[serde(tag = "at", rename_all = "snake_case")]
    pub enum Anchor {
        /// The end.
        Latest,
        /// Around the first unread message, or the end if there is none.
        Unread,
        /// Just before this message.
        Before {
            /// Its number.
            seq: Seq,
        },
        /// Just after this message.
        After {
            /// Its number.
            seq: Seq,
        },
        /// Around this message.
        Around {
            /// Its number.
            seq: Seq,
        },
    }

    /// A stretch of a circle's timeline: `from..=to`. A `seq` of the stretch without a message is not held: the interface
    /// shows a gap row for every run of such (design 3.4).
    pub struct TimelineView {
        /// First `seq` of the window; above `to` if the window is empty.
        pub from: Seq,
        /// Last `seq` of the window.
        pub to: Seq,
        /// Number of the circle's last message, as far as known.
        pub head_seq: Seq,
        /// How far one has read: the unread divider goes after it.
        pub read_seq: Seq,
        /// Nothing is missing after `read_seq` up to here: what lies beyond cannot have been passed over.
        pub held_seq: Seq,
        /// What is held of the window, ascending by `seq`.
        pub messages: Vec<MessageView>,
        /// What one wrote that is not yet in the log, in the order written. Shown after the end.
        pub unsent: Vec<MessageView>,
    }

    /// A message, as shown.
    pub struct MessageView {
        /// The message.
        pub id: MessageId,
        /// Its number; none while it is unsent.
        pub seq: Option<Seq>,
        /// Who wrote it.
        pub author: PersonView,
        /// Whether that is oneself.
        pub mine: bool,
        /// What they wrote; an edit that waits is already shown. Markdown; empty if deleted.
        pub text: String,
        /// What it answers.
        pub reply: Option<ReplyView>,
        /// In the order in which each emoji first appeared.
        pub reactions: Vec<ReactionView>,
        /// When the relay accepted it, or when it was written while it is unsent.
        pub at: UnixMs,
        /// When it was written, if that was over a minute earlier.
        pub written_at: Option<UnixMs>,
        /// Whether it was edited.
        pub edited: bool,
        /// Whether it was deleted.
        pub deleted: bool,
        /// How far it, or what was last done to it, got.
        pub delivery: Delivery,
    }

    /// What a message answers.
    pub struct ReplyView {
        /// The other message.
        pub id: MessageId,
        /// Its number, if known.
        pub seq: Option<Seq>,
        /// Its author's name; none if the message is not held.
        pub author: Option<String>,
        /// Its first 140 characters; none if the message is not held or was deleted.
        pub text: Option<String>,
    }

    /// Everyone's reactions with one emoji.
    pub struct ReactionView {
        /// The emoji.
        pub emoji: String,
        /// How many.
        pub count: u32,
        /// Whether one is among them.
        pub mine: bool,
        /// The names of the first ten.
        pub names: Vec<String>,
    }

    /// How far something that one wrote has got.
    #[serde(tag = "state", rename_all = "snake_case")]
    pub enum Delivery {
        /// In the log.
        Sent,
        /// In the outbox, waiting for its turn or for the network.
        Queued,
        /// In the outbox, behind another message of the circle that was refused: nothing goes on before the person decided
        /// about that one.
        Blocked {
            /// The other message.
            by: MessageId,
        },
        /// Under way.
        Sending,
        /// The relay refused it; the person can retry, change or discard it. What is shown is as it was before.
        Failed {
            /// What was refused.
            what: Wrote,
            /// Why, for people.
            reason: String,
            /// Of an edit: the text that it had.
            text: Option<String>,
        },
    }

    /// What one wrote or did.
    #[derive(Copy)]
    #[serde(rename_all = "snake_case")]
    pub enum Wrote {
        /// A message.
        Post,
        /// Another text for one.
        Edit,
        /// The deletion of one.
        Delete,
        /// A reaction to one, or its end.
        React,
    }

    /// What stands in a circle's composer.
    #[derive(Default)]
    pub struct DraftView {
        /// The text.
        pub text: String,
        /// The message that it will answer.
        pub reply_to: Option<MessageId>,
        /// The message that it will replace the text of.
        pub editing: Option<MessageId>,
    }
}

// ---- updates -------------------------------------------------------------------------------------------------------

view! {
    /// What changed. An update says which view to take anew, or brings it along where that is cheap.
    #[serde(tag = "update", rename_all = "snake_case")]
    pub enum Update {
        /// A campus was joined or left: ask for the list.
        Campuses,
        /// A campus changed, mostly its connection.
        Campus {
            /// It now.
            campus: Box<CampusView>,
        },
        /// Circles changed (head, unread, name, completeness, unsent …), or were joined or left.
        Circles {
            /// Their campus.
            campus_id: CampusId,
            /// They now.
            circles: Vec<CircleView>,
        },
        /// Circles are not to be seen any more: one was removed from a private one, or it is gone. Nothing of them stays on
        /// the screen.
        CirclesGone {
            /// Their campus.
            campus_id: CampusId,
            /// They.
            circles: Vec<CircleId>,
        },
        /// Messages came or changed, at most 100.
        Messages {
            /// Their campus.
            campus_id: CampusId,
            /// Their circle.
            circle_id: CircleId,
            /// They now.
            messages: Vec<MessageView>,
            /// Unsent messages that are no more: discarded.
            discarded: Vec<MessageId>,
        },
        /// So much of a timeline changed that it should be taken anew: a page was filled in, or people were renamed.
        Timeline {
            /// Its campus.
            campus_id: CampusId,
            /// Its circle; none: all of the campus.
            circle_id: Option<CircleId>,
        },
        /// What stands in a circle's composer may have changed on another device: ask for it.
        Draft {
            /// Its campus.
            campus_id: CampusId,
            /// Its circle.
            circle_id: CircleId,
        },
        /// Who types in a circle changed. Nobody does where nothing was told, and without a stream.
        Typing {
            /// Its campus.
            campus_id: CampusId,
            /// Its circle.
            circle_id: CircleId,
            /// They now, without oneself, in the order in which they began; at most 8.
            people: Vec<PersonView>,
        },
        /// Someone came or went. Who was online before is to be asked for (`presence`).
        Presence {
            /// The campus.
            campus_id: CampusId,
            /// Who; none: it may be anyone, so ask anew.
            person_id: Option<PersonId>,
            /// Whether they are online.
            online: bool,
        },
        /// Others wrote to one: for a notification, at most one a second for each circle; of a muted one only what mentions
        /// one.
        Notice {
            /// The campus.
            campus_id: CampusId,
            /// The circle.
            circle_id: CircleId,
            /// Its name.
            circle_name: String,
            /// Who wrote last.
            author: String,
            /// The first 140 characters.
            text: String,
        },
    }
}

// ---- status --------------------------------------------------------------------------------------------------------

view! {
    /// What the client knows of its own completeness (`circles-cli status`).
    pub struct CampusStatus {
        /// The campus.
        pub campus: CampusView,
        /// The stored cursor; none before the first stream.
        pub cursor: Option<String>,
        /// When the stream was heard last; none before the first.
        pub heard_at: Option<UnixMs>,
        /// Events that could not be understood and were set aside.
        pub set_aside: u32,
        /// The newest of them, at most 50.
        pub events_set_aside: Vec<SetAsideView>,
        /// Each circle that one is in.
        pub circles: Vec<CircleStatus>,
        /// What was not sent in circles that one is not in any more.
        pub stranded: Vec<StrandedView>,
    }

    /// An event that could not be understood.
    pub struct SetAsideView {
        /// Its name.
        pub event: String,
        /// Why it was not understood.
        pub reason: String,
    }

    /// What is held of a circle.
    pub struct CircleStatus {
        /// The circle.
        pub id: CircleId,
        /// Its name.
        pub name: String,
        /// Messages held.
        #[ts(type = "number")]
        pub held: u64,
        /// Number of the last message.
        pub head_seq: Seq,
        /// Unread messages.
        pub unread: u32,
        /// Everything of the circle up to this position is held.
        #[ts(type = "number")]
        pub complete_to: u64,
        /// The stretches `(after, until]` of positions that are missing.
        #[ts(type = "[number, number][]")]
        pub gaps: Vec<(u64, u64)>,
        /// Waiting to be sent.
        pub unsent: u32,
        /// Failed.
        pub failed: u32,
    }

    /// An error of an intent, for the interface: programs act on `code`, people read `message`.
    pub struct Failure {
        /// Stable: a [`circles_protocol::Code`] in snake case, or one of `offline`, `not_a_relay`, `wrong_key`, `not_nearby`, `invite_link`, `short_code`,
        /// `disk_full`, `cache_newer`, `already_joined`, `not_found`, `internal`.
        pub code: String,
        /// In plain words.
        pub message: String,
    }

    /// A relay that this app hosts.
    pub struct HostView {
        /// Its campus.
        pub campus_id: CampusId,
        /// Where it listens on this computer.
        pub address: String,
        /// How others on the network know and find it; none while they cannot.
        pub lan: Option<HostLanView>,
        /// Names of the people who are connected.
        pub online: Vec<String>,
    }

    /// A hosted relay on the LAN.
    pub struct HostLanView {
        /// Its key's fingerprint in words: what others see beside its name.
        pub words: String,
        /// Where it is; empty without a network.
        pub addresses: Vec<String>,
    }

    /// A QR code.
    pub struct QrView {
        /// Squares of a side.
        pub size: u32,
        /// The dark squares as an SVG path, in units of a square.
        pub path: String,
    }
}
