//! Streams that contradict themselves: whatever a broken relay says, a batch is applied or set aside, and never fails. A
//! batch that failed would end the connection, and be asked for again for ever.

use circles_protocol::{
    CampusId, Circle, CircleKind, DeviceId, Draft, Membership, Message, MessageId, Mute, Person, Reaction, ReadMarker,
    RevokedDevice, Role, Scope, Seq,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    cache::{campuses::CampusRow, empty, ledger},
    coverage::Stretch,
};

/// Ids from a handful, so that entities meet.
fn id(n: u8) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(n % 4))
}

fn pos(value: u64) -> Pos {
    value.try_into().expect("small")
}

fn entity(kind: u8, (a, b, c): (u8, u8, u8), number: u64, version: u64, flag: bool) -> Entity {
    let (circle_id, person_id, message_id) =
        (CircleId::from_uuid(id(a)), PersonId::from_uuid(id(b)), MessageId::from_uuid(id(c)));
    let (version, seq, at) = (pos(version), Seq::try_from(number).expect("small"), UnixMs(1_000));
    match kind % 9 {
        0 => Entity::Person(Person {
            id: person_id,
            name: format!("Person {number}"),
            hue: 7,
            role: Role::Member,
            joined_at: at,
            version,
        }),
        1 => Entity::Circle(Circle {
            id: circle_id,
            name: format!("Circle {number}"),
            topic: String::new(),
            kind: if flag { CircleKind::Open } else { CircleKind::Private },
            created_by: person_id,
            created_at: at,
            version,
        }),
        2 => Entity::Membership(Membership {
            circle_id,
            person_id,
            state: if flag { MembershipState::Joined } else { MembershipState::Removed },
            role: Role::Member,
            since: at,
            version,
        }),
        3 | 4 => Entity::Message(Message {
            id: message_id,
            circle_id,
            seq,
            author_id: person_id,
            text: format!("{number}"),
            reply_to: flag.then(|| MessageId::from_uuid(id(a))),
            created_at: at,
            written_at: None,
            edited_at: number.is_multiple_of(3).then_some(at),
            deleted_at: number.is_multiple_of(5).then_some(at),
            version,
        }),
        5 => Entity::Reaction(Reaction {
            circle_id,
            message_id,
            person_id,
            emoji: if flag { "👍".to_owned() } else { String::new() },
            on: number.is_multiple_of(2),
            version,
        }),
        6 => Entity::Mute(Mute { circle_id, person_id, on: flag, changed_at: at, version }),
        7 => Entity::Draft(Draft {
            circle_id,
            person_id,
            text: format!("{number}"),
            reply_to: None,
            editing: flag.then_some(message_id),
            changed_at: at,
            version,
        }),
        _ if flag => Entity::ReadMarker(ReadMarker { circle_id, person_id, seq, version }),
        _ => {
            Entity::RevokedDevice(RevokedDevice { id: DeviceId::from_uuid(id(c)), person_id, revoked_at: at, version })
        }
    }
}

fn scope(kind: u8, n: u8) -> Scope {
    match kind % 3 {
        0 => Scope::Campus,
        1 => Scope::Circle(CircleId::from_uuid(id(n))),
        _ => Scope::Person(PersonId::from_uuid(id(n))),
    }
}

fn event(name: &str, id: Option<String>, data: String) -> Event {
    Event { event_type: name.to_owned(), data, id, retry: None }
}

prop_compose! {
    /// A well-formed change that may contradict any other.
    fn change()(
        kind in any::<u8>(),
        ids in any::<(u8, u8, u8)>(),
        at in (0..40_u64, 0..40_u64, 0..45_u64),
        number in 0..8_u64,
        flag in any::<bool>(),
        of in any::<(u8, u8)>(),
    ) -> Event {
        let entity = entity(kind, ids, number, at.2, flag);
        let change = Change { pos: pos(at.0), prev: pos(at.1), scope: scope(of.0, of.1), entity };
        event("change", Some(format!("e.{}", at.0)), serde_json::to_string(&change).expect("it serialises"))
    }
}

prop_compose! {
    /// A gap whose stretches may lie anywhere.
    fn gap()(ends in (0..40_u64, 0..40_u64), scopes in prop::collection::vec((any::<(u8, u8)>(), 0..40_u64, 0..40_u64, prop::option::of(0..9_u64)), 0..4)) -> Event {
        let scopes = scopes.into_iter().map(|(of, after, until, head_seq)| circles_protocol::event::ScopeGap {
            scope: scope(of.0, of.1),
            after: pos(after),
            until: pos(until),
            head_seq: head_seq.map(|it| it.try_into().expect("small")),
        });
        let gap = Gap { after: pos(ends.0), until: pos(ends.1), scopes: scopes.collect() };
        event("gap", Some(format!("e.{}", ends.1)), serde_json::to_string(&gap).expect("it serialises"))
    }
}

fn any_event() -> impl Strategy<Value = Event> {
    let reset = (0..3_u8, any::<bool>()).prop_map(|(epoch, ahead)| {
        let reason = if ahead { "ahead" } else { "epoch" };
        event("reset", Some("e.0".to_owned()), format!(r#"{{"reason":"{reason}","epoch":"e{epoch}","head":9}}"#))
    });
    let ping = (0..50_u64).prop_map(|at| event("ping", Some(format!("e.{at}")), r#"{"now":0}"#.to_owned()));
    let nonsense = ("[a-z]{0,8}", "[ -~]{0,40}").prop_map(|(name, data)| event(&name, Some("e.x".to_owned()), data));
    let torn = change().prop_map(|it| Event { data: it.data.chars().take(it.data.len() / 2).collect(), ..it });
    prop_oneof![12 => change(), 2 => gap(), 1 => reset, 2 => ping, 1 => nonsense, 1 => torn]
}

#[test]
fn an_unreadable_event_is_missing_of_the_scopes_of_which_nobody_says_where_they_end() {
    let conn = empty();
    let (campus, me) = (CampusId::new(), PersonId::from_uuid(id(0)));
    campuses::insert(&conn, &CampusRow::of_test(Eyes { campus, me }), UnixMs(0)).unwrap();
    let mut batch = Batch::new(&conn, Eyes { campus, me }, UnixMs(1_000));
    batch.event(&event("change", Some("e.7".to_owned()), "{".to_owned())).unwrap();
    let outcome = batch.finish().unwrap();
    let gap = Stretch::new(Pos::ZERO, pos(7));
    for scope in [Scope::Campus, Scope::Person(me)] {
        assert_eq!(ledger::gaps(&conn, campus, scope).unwrap(), gap.into_iter().collect::<Vec<_>>(), "{scope}");
    }
    assert!(outcome.fill && outcome.missing.is_some_and(|it| it > 0));

    // Of another history: its positions mean nothing here.
    let mut batch = Batch::new(&conn, Eyes { campus, me }, UnixMs(1_000));
    batch.event(&event("change", Some("f.90".to_owned()), "{".to_owned())).unwrap();
    batch.finish().unwrap();
    assert_eq!(ledger::head(&conn, campus, Scope::Campus).unwrap(), pos(7));
}

proptest! {
    #[test]
    fn whatever_a_relay_says_a_batch_does_not_fail_and_the_cursor_only_grows(
        batches in prop::collection::vec(prop::collection::vec(any_event(), 1..12), 1..8),
    ) {
        let conn = empty();
        let (campus, me) = (CampusId::new(), PersonId::from_uuid(id(0)));
        campuses::insert(&conn, &CampusRow::of_test(Eyes { campus, me }), UnixMs(0)).unwrap();
        for events in batches {
            let before = campuses::find(&conn, campus).unwrap().cursor;
            let resets = events.iter().any(|it| it.event_type == "reset");
            let mut batch = Batch::new(&conn, Eyes { campus, me }, UnixMs(1_000));
            for event in &events {
                let applied = batch.event(event);
                prop_assert!(applied.is_ok(), "{:?}: {:?}", applied, event);
            }
            let outcome = batch.finish();
            prop_assert!(outcome.is_ok(), "{:?}: {:?}", outcome.err(), events);
            let after = campuses::find(&conn, campus).unwrap().cursor;
            if let (Some(before), Some(after), false) = (before, after, resets) {
                prop_assert!(before.epoch != after.epoch || before.pos <= after.pos, "{before} {after}");
            }
        }
    }
}
