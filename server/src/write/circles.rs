//! Creating and editing circles.

use circles_protocol::{
    Circle, CircleId, CircleKind, Code, Person, Pos, Role, Seq,
    api::{CreateCircle, EditCircle},
};

use super::{Tx, members};
use crate::{
    access::{self, Facts},
    failure::Failure,
    secret::content_hash,
    store::circles::StoredCircle,
};

/// Creates a circle, once (design 3.2); its maker owns it.
pub fn create(tx: &mut Tx<'_>, person: &Person, request: &CreateCircle) -> Result<(), Failure> {
    let (name, topic) = (request.name.trim(), request.topic.trim());
    let access: &[u8] = match request.access {
        CircleKind::Open => b"open",
        CircleKind::Private => b"private",
    };
    let hash = content_hash(&[person.id.uuid().as_bytes(), name.as_bytes(), topic.as_bytes(), access]);
    if let Some(present) = tx.circle(request.id)? {
        return if present.content_hash == hash { Ok(()) } else { Err(Failure::of(Code::IdConflict)) };
    }
    tx.put_circle(StoredCircle {
        circle: Circle {
            id: request.id,
            name: name.to_owned(),
            topic: topic.to_owned(),
            kind: request.access,
            created_by: person.id,
            created_at: tx.now(),
            version: Pos::ZERO,
        },
        head_seq: Seq::ZERO,
        content_hash: hash,
    })?;
    members::bring_in(tx, request.id, person.id, Role::Owner)
}

/// Changes name and topic, for moderators and owners.
pub fn edit(tx: &mut Tx<'_>, person: &Person, id: CircleId, request: &EditCircle) -> Result<(), Failure> {
    let (seen, role) = access::member(tx, id, person)?;
    if role < Role::Moderator {
        return Err(Failure::new(Code::Forbidden, "only a moderator or owner of the circle edits it"));
    }
    let mut stored = seen.stored;
    let before = stored.circle.clone();
    if let Some(name) = &request.name {
        name.trim().clone_into(&mut stored.circle.name);
    }
    if let Some(topic) = &request.topic {
        topic.trim().clone_into(&mut stored.circle.topic);
    }
    if stored.circle != before {
        tx.put_circle(stored)?;
    }
    Ok(())
}
