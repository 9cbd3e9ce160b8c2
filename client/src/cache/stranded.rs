//! What one wrote in circles that one is not in any more, and that was not sent: no circle shows it, and nothing may be lost
//! from sight (design 3.7).

use circles_protocol::CircleId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Blob,
    outbox::{self, Intent, Item, State},
    views::Eyes,
};
use crate::view::{StrandedView, Wrote};

/// All of it, in the order written.
pub fn all(conn: &Connection, eyes: Eyes) -> rusqlite::Result<Vec<StrandedView>> {
    let mut views = Vec::new();
    for item in outbox::of_others_circles(conn, eyes)? {
        views.extend(view(conn, eyes, item)?);
    }
    Ok(views)
}

/// None for what the person's devices agree on: nobody wrote that.
fn view(conn: &Connection, eyes: Eyes, item: Item) -> rusqlite::Result<Option<StrandedView>> {
    let (what, text) = match item.intent {
        Intent::Post { text, .. } => (Wrote::Post, text),
        Intent::Edit { text } => (Wrote::Edit, text),
        Intent::Delete => (Wrote::Delete, String::new()),
        Intent::React { emoji, .. } => (Wrote::React, emoji),
        Intent::Read { .. } | Intent::Mute { .. } | Intent::Draft(_) => return Ok(None),
    };
    let Some(message_id) = item.message else { return Ok(None) };
    let reason = if let State::Failed(reason) = item.state { Some(reason) } else { None };
    let circle = name(conn, eyes, item.circle)?;
    Ok(Some(StrandedView { message_id, circle_id: item.circle, circle, what, text, at: item.written_at, reason }))
}

fn name(conn: &Connection, eyes: Eyes, circle: CircleId) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT name FROM circle WHERE campus = ?1 AND id = ?2")?
        .query_row(params![eyes.campus.blob(), circle.blob()], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use circles_protocol::{CampusId, Membership, MembershipState, MessageId, PersonId, Role, UnixMs};

    use super::*;
    use crate::cache::{apply::Apply, empty};

    #[test]
    fn what_was_not_sent_in_a_circle_that_one_had_to_leave_is_told_until_one_gives_it_up() {
        let conn = empty();
        let eyes = Eyes { campus: CampusId::new(), me: PersonId::new() };
        let (circle, id) = (CircleId::new(), MessageId::new());
        let become_one = |state, version: u64| {
            let membership = Membership {
                circle_id: circle,
                person_id: eyes.me,
                state,
                role: Role::Member,
                since: UnixMs(0),
                version: version.try_into().expect("small"),
            };
            let mut apply = Apply::new(&conn, eyes.campus, eyes.me);
            apply.entity(&circles_protocol::Entity::Membership(membership)).unwrap();
            apply.finish().unwrap();
        };
        let told = || all(&conn, eyes).unwrap().into_iter().map(|it| (it.text, it.reason)).collect::<Vec<_>>();
        become_one(MembershipState::Joined, 1);
        let post = Intent::Post { text: "an hour of work".to_owned(), reply_to: None };
        outbox::push(&conn, eyes.campus, circle, Some(id), &post, UnixMs(0)).unwrap();
        assert_eq!(told(), []);

        become_one(MembershipState::Removed, 2);
        assert_eq!(told(), [("an hour of work".to_owned(), None)]);
        let item = outbox::next(&conn, eyes.campus, UnixMs(0), &[]).unwrap().expect("it waits");
        outbox::fail(&conn, item.n, "not a member").unwrap();
        assert_eq!(told(), [("an hour of work".to_owned(), Some("not a member".to_owned()))]);
        outbox::discard(&conn, eyes.campus, id).unwrap();
        assert_eq!(told(), []);
    }
}
