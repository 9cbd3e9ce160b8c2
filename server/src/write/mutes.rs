//! Muting circles.

use circles_protocol::{CircleId, Mute, Person, PersonId, Pos, UnixMs, api::SetMute};

use super::Tx;
use crate::{access, failure::Failure, store::mutes};

/// Mutes a circle, or no longer. What was decided before the present state changes nothing.
pub fn set(tx: &mut Tx<'_>, person: &Person, circle: CircleId, request: &SetMute) -> Result<Mute, Failure> {
    access::member(tx, circle, person)?;
    put(tx, circle, person.id, request.on, tx.ago(request.age_ms))
}

/// One is out of the circle: it is not muted any more.
pub fn forget(tx: &mut Tx<'_>, circle: CircleId, person: PersonId) -> Result<(), Failure> {
    put(tx, circle, person, false, tx.now()).map(drop)
}

fn put(
    tx: &mut Tx<'_>,
    circle_id: CircleId,
    person_id: PersonId,
    on: bool,
    changed_at: UnixMs,
) -> Result<Mute, Failure> {
    let present = mutes::get(tx.conn(), circle_id, person_id)?;
    let present =
        present.unwrap_or(Mute { circle_id, person_id, on: false, changed_at: UnixMs::default(), version: Pos::ZERO });
    if present.on == on || changed_at < present.changed_at {
        return Ok(present);
    }
    tx.put_mute(Mute { on, changed_at, ..present })
}
