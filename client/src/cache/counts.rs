//! What is counted as messages come, by triggers of the database (`V9__counts.sql`): every update tells it of its circle.

use circles_protocol::{CampusId, CircleId, Seq};
use rusqlite::{Connection, OptionalExtension, params};

use super::Blob;

/// How many messages of a circle are held, of the present history.
pub fn held(conn: &Connection, campus: CampusId, circle: CircleId) -> rusqlite::Result<u64> {
    let held: Option<i64> = conn
        .prepare_cached("SELECT messages FROM circle_held WHERE campus = ?1 AND circle = ?2")?
        .query_row(params![campus.blob(), circle.blob()], |row| row.get(0))
        .optional()?;
    Ok(held.unwrap_or_default().unsigned_abs())
}

/// How many of one's own messages follow a number.
pub fn own_after(conn: &Connection, campus: CampusId, circle: CircleId, seq: Seq) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM own_message WHERE campus = ?1 AND circle = ?2 AND seq > ?3")?
        .query_row(params![campus.blob(), circle.blob(), i64::from(seq)], |row| {
            row.get::<_, i64>(0).map(i64::unsigned_abs)
        })
}

#[cfg(test)]
mod tests {
    use circles_protocol::{Message, MessageId, PersonId, UnixMs};
    use proptest::prelude::*;

    use super::*;
    use crate::cache::{
        apply::Apply,
        campuses::{self, CampusRow},
        empty, history,
        views::Eyes,
    };

    const CIRCLES: usize = 2;
    const MESSAGES: usize = 6;

    /// What may happen to messages.
    #[derive(Clone, Debug)]
    enum Step {
        /// One comes, or comes anew with another number, circle or author, as after a restore.
        Comes { message: usize, circle: usize, seq: u64, mine: bool },
        /// Another history begins.
        History,
        /// What one held of the old history and the new one does not have is put aside.
        Settles,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let comes = (0..MESSAGES, 0..CIRCLES, 1..8_u64, any::<bool>())
            .prop_map(|(message, circle, seq, mine)| Step::Comes { message, circle, seq, mine });
        proptest::collection::vec(prop_oneof![6 => comes, 1 => Just(Step::History), 1 => Just(Step::Settles)], 1..40)
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_counting_finds(steps in steps()) {
            let conn = empty();
            let eyes = Eyes { campus: CampusId::new(), me: PersonId::new() };
            campuses::insert(&conn, &CampusRow::of_test(eyes), UnixMs(0)).unwrap();
            let other = PersonId::new();
            let circles: [CircleId; CIRCLES] = std::array::from_fn(|_| CircleId::new());
            let ids: [MessageId; MESSAGES] = std::array::from_fn(|_| MessageId::new());
            for (version, step) in (1_u64..).zip(steps) {
                match step {
                    Step::Comes { message, circle, seq, mine } => {
                        let message = Message {
                            id: ids[message],
                            circle_id: circles[circle],
                            seq: seq.try_into().expect("small"),
                            author_id: if mine { eyes.me } else { other },
                            text: String::new(),
                            reply_to: None,
                            created_at: UnixMs(0),
                            written_at: None,
                            edited_at: None,
                            deleted_at: None,
                            version: version.try_into().expect("small"),
                        };
                        let mut apply = Apply::new(&conn, eyes.campus, eyes.me);
                        apply.entity(&circles_protocol::Entity::Message(message)).unwrap();
                        apply.finish().unwrap();
                    }
                    Step::History => history::begin(&conn, eyes, UnixMs(0)).unwrap(),
                    Step::Settles => {
                        conn.execute("UPDATE campus SET heads_due = 0", []).unwrap();
                        history::settle(&conn, eyes, UnixMs(0)).unwrap();
                    }
                }
                for circle in circles {
                    let found: (i64, i64) = conn
                        .query_row(
                            "SELECT count(*) FILTER (WHERE version > 0), count(*) FILTER (WHERE author = ?2 AND seq > 3)
                             FROM message WHERE circle = ?1",
                            params![circle.blob(), eyes.me.blob()],
                            |row| Ok((row.get(0)?, row.get(1)?)),
                        )
                        .unwrap();
                    let counted = (
                        held(&conn, eyes.campus, circle).unwrap(),
                        own_after(&conn, eyes.campus, circle, 3_u64.try_into().expect("small")).unwrap(),
                    );
                    prop_assert_eq!(counted, (found.0.unsigned_abs(), found.1.unsigned_abs()));
                }
            }
        }
    }
}
