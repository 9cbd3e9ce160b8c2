//! What people began to write, for their other devices.

use circles_protocol::{CircleId, Draft, Person, PersonId, Pos, UnixMs, api::SetDraft};

use super::Tx;
use crate::{access, failure::Failure, store::drafts};

/// Keeps a draft. What was written before the present one changes nothing.
pub fn set(tx: &mut Tx<'_>, person: &Person, circle: CircleId, request: SetDraft) -> Result<Draft, Failure> {
    access::member(tx, circle, person)?;
    put(tx, circle, person.id, request)
}

/// One is out of the circle: what one began to write there is gone.
pub fn forget(tx: &mut Tx<'_>, circle: CircleId, person: PersonId) -> Result<(), Failure> {
    let nothing = SetDraft { text: String::new(), reply_to: None, editing: None, age_ms: 0 };
    put(tx, circle, person, nothing).map(drop)
}

fn put(tx: &mut Tx<'_>, circle_id: CircleId, person_id: PersonId, request: SetDraft) -> Result<Draft, Failure> {
    let SetDraft { text, reply_to, editing, age_ms } = request;
    let changed_at = tx.ago(age_ms);
    let present = drafts::get(tx.conn(), circle_id, person_id)?.unwrap_or(Draft {
        circle_id,
        person_id,
        text: String::new(),
        reply_to: None,
        editing: None,
        changed_at: UnixMs::default(),
        version: Pos::ZERO,
    });
    let same = present.text == text && present.reply_to == reply_to && present.editing == editing;
    if same || changed_at < present.changed_at {
        return Ok(present);
    }
    tx.put_draft(Draft { text, reply_to, editing, changed_at, ..present })
}
