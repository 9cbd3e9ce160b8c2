//! The data of the events of `GET /v1/stream`. The event's name is in [`EventName`], its data one JSON object.
//!
//! Every event carries an `id` (a [`crate::Cursor`]), but for `typing` and `presence`: they are not of the log, may be lost,
//! and move no cursor. `change` carries a [`crate::Change`].

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    cursor::Epoch,
    ids::{CampusId, CircleId, DeviceId, PersonId},
    pos::{Pos, Seq},
    scope::Scope,
    time::UnixMs,
};

/// The `event:` names. A reader skips names that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    /// First of every stream: [`Hello`].
    Hello,
    /// A change of the log.
    Change,
    /// Too much was missed to replay: [`Gap`].
    Gap,
    /// Heartbeat: [`Ping`].
    Ping,
    /// This stream ends soon: [`Bye`].
    Bye,
    /// The reader's cursor is of no use here: [`Reset`].
    Reset,
    /// Someone begins or stops to type: [`Typing`]. Without an id.
    Typing,
    /// Someone came or went: [`Presence`]. Without an id.
    Presence,
}

impl EventName {
    /// The name as it stands after `event: `.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Change => "change",
            Self::Gap => "gap",
            Self::Ping => "ping",
            Self::Bye => "bye",
            Self::Reset => "reset",
            Self::Typing => "typing",
            Self::Presence => "presence",
        }
    }

    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Hello, Self::Change, Self::Gap, Self::Ping, Self::Bye, Self::Reset, Self::Typing, Self::Presence];

    /// The event of that name, if it is one of these.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }
}

/// Who answers, and where the log stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hello {
    /// The campus.
    pub campus_id: CampusId,
    /// Its name.
    pub campus_name: String,
    /// Its present history.
    pub epoch: Epoch,
    /// The last position when the stream opened: what follows up to it is replay.
    pub head: Pos,
    /// Whose stream this is.
    pub person_id: PersonId,
    /// On which device.
    pub device_id: DeviceId,
    /// A `ping` comes about every this many milliseconds, also between changes, once the stream is at the head.
    pub heartbeat_ms: u32,
    /// The relay ends the stream after about this many milliseconds; zero: it does not.
    pub lifetime_ms: u32,
    /// The relay's clock: what a later [`Ping`] says is compared with it. None from a relay before this field.
    #[serde(default)]
    #[ts(optional)]
    pub now: Option<UnixMs>,
}

/// More was missed than a stream replays: the reader fetches these stretches by itself (`GET /v1/changes`). After it the
/// stream is live, and the event's id is the head: a reader stores the stretches and that cursor in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Gap {
    /// The reader's cursor: it has everything up to here.
    pub after: Pos,
    /// The head: it gets everything above from the stream.
    pub until: Pos,
    /// Each scope of the reader that changed in between. At most as many as the person has circles, and two.
    pub scopes: Vec<ScopeGap>,
}

/// The stretch `(after, until]` of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScopeGap {
    /// The scope.
    pub scope: Scope,
    /// The reader's cursor.
    pub after: Pos,
    /// The last change of the scope: nothing of it lies between here and the head.
    pub until: Pos,
    /// For a circle: the number of its last message.
    pub head_seq: Option<Seq>,
}

/// Keeps proxies open, moves the cursors of quiet readers forward, and tells how old what comes is: a link may deliver in
/// order and very late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ping {
    /// The relay's clock.
    pub now: UnixMs,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ByeReason {
    /// Its lifetime is over: open the next one now.
    Lifetime,
    /// The relay stops or restarts: open the next one after `reconnect_ms`.
    Shutdown,
    /// The device was revoked: do not come back with this token.
    Revoked,
}

/// The stream ends soon; live changes go on until it does. The reader opens the next stream first and then leaves this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bye {
    /// Why.
    pub reason: ByeReason,
    /// Open the next stream after this many milliseconds; the relay spreads its readers with it.
    pub reconnect_ms: u32,
    /// The relay closes this stream after this many milliseconds.
    pub closes_ms: u32,
}

/// Why a cursor is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ResetReason {
    /// It is of another history: the campus was restored or replaced.
    Epoch,
    /// It lies ahead of the log: the relay lost its tail.
    Ahead,
}

/// The reader's cursor is of no use; the event's id is `<epoch>.0` and the stream goes on from there: it replays, or
/// sends a `gap`. The reader keeps what it holds, forgets what it was complete to, and takes every state it now gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reset {
    /// Why.
    pub reason: ResetReason,
    /// The present history.
    pub epoch: Epoch,
    /// Its head.
    pub head: Pos,
}

/// Someone begins or stops to type in a circle. Said again every three seconds while it lasts; a reader that hears nothing
/// for six takes it for over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Typing {
    /// Where.
    pub circle_id: CircleId,
    /// Who.
    pub person_id: PersonId,
    /// Whether they type.
    pub on: bool,
}

/// Someone of a circle of the reader came or went. Who was there before, `GET /v1/circles/{id}/presence` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Presence {
    /// Who.
    pub person_id: PersonId,
    /// Whether one of their streams is open, or was until some seconds ago.
    pub online: bool,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_is_read_as_it_is_written() {
        for name in EventName::ALL {
            assert_eq!(EventName::parse(name.as_str()), Some(name));
        }
        assert_eq!(EventName::parse("of a newer relay"), None);
    }

    #[test]
    fn typing_and_presence_keep_their_shape_on_the_wire() {
        let (circle_id, person_id) = (CircleId::new(), PersonId::new());
        let typing = Typing { circle_id, person_id, on: true };
        let wire = json!({"circle_id": circle_id, "person_id": person_id, "on": true});
        assert_eq!(serde_json::to_value(typing).expect("JSON"), wire);
        assert_eq!(serde_json::from_value::<Typing>(wire).expect("it reads"), typing);
        let presence = Presence { person_id, online: false };
        let wire = json!({"person_id": person_id, "online": false});
        assert_eq!(serde_json::to_value(presence).expect("JSON"), wire);
        assert_eq!(serde_json::from_value::<Presence>(wire).expect("it reads"), presence);
    }
}
