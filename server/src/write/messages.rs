//! Messages and reactions.

use circles_protocol::{
    CircleId, Code, Message, MessageId, Person, Pos, Reaction, Role, Seq, UnixMs,
    api::{PostMessage, React, Receipt},
};

use super::Tx;
use crate::{
    access::{self, Facts},
    failure::Failure,
    limits::REACTIONS_PER_PERSON_MAX,
    secret::content_hash,
    store::{messages::StoredMessage, reactions},
};

/// Stores a message, once (design 3.2).
pub fn post(tx: &mut Tx<'_>, person: &Person, circle: CircleId, request: &PostMessage) -> Result<Receipt, Failure> {
    let hash = hash_of(person, circle, &request.text, request.reply_to);
    if let Some(present) = tx.message(request.id)? {
        // The first answer, also to a person who has left meanwhile: the message was accepted (design 3.1).
        let same = present.content_hash == hash;
        return if same { Ok(receipt(&present)) } else { Err(Failure::of(Code::IdConflict)) };
    }
    let (seen, _) = access::member(tx, circle, person)?;
    if let Some(id) = request.reply_to {
        let answered = tx.message(id)?.is_some_and(|it| it.message.circle_id == circle);
        if !answered {
            return Err(Failure::of(Code::ReplyUnknown));
        }
    }
    let now = tx.now();
    let written_at = request.written_at.filter(|it| *it < now);
    let message = Message {
        id: request.id,
        circle_id: circle,
        seq: seen.stored.head_seq.next(),
        author_id: person.id,
        text: request.text.clone(),
        reply_to: request.reply_to,
        created_at: now,
        written_at,
        edited_at: None,
        deleted_at: None,
        version: tx.next(),
    };
    let stored = StoredMessage { message, created_pos: tx.next(), content_hash: hash };
    tx.insert_message(&stored)?;
    Ok(receipt(&stored))
}

/// Changes the text; for the author.
pub fn edit(tx: &mut Tx<'_>, person: &Person, id: MessageId, text: &str) -> Result<Message, Failure> {
    let (mut message, _) = access::message(tx, id, person)?;
    if message.author_id != person.id {
        return Err(Failure::new(Code::Forbidden, "only its author edits a message"));
    }
    if message.deleted_at.is_some() {
        return Err(Failure::of(Code::MessageDeleted));
    }
    if message.text == text {
        return Ok(message);
    }
    text.clone_into(&mut message.text);
    message.edited_at = Some(tx.now());
    tx.update_message(message)
}

/// Leaves a tombstone; for the author, moderators and owners.
pub fn delete(tx: &mut Tx<'_>, person: &Person, id: MessageId) -> Result<Message, Failure> {
    let (mut message, role) = access::message(tx, id, person)?;
    if message.author_id != person.id && role < Role::Moderator {
        return Err(Failure::new(Code::Forbidden, "only its author or a moderator deletes a message"));
    }
    if message.deleted_at.is_some() {
        return Ok(message);
    }
    message.text.clear();
    message.deleted_at = Some(tx.now());
    tx.update_message(message)
}

/// Reacts, or takes a reaction back.
pub fn react(tx: &mut Tx<'_>, person: &Person, id: MessageId, request: &React) -> Result<Reaction, Failure> {
    let (message, _) = access::message(tx, id, person)?;
    if message.deleted_at.is_some() {
        return Err(Failure::of(Code::MessageDeleted));
    }
    let present = reactions::get(tx.conn(), id, person.id, &request.emoji)?;
    if present.is_none() && reactions::count(tx.conn(), id, person.id)? >= REACTIONS_PER_PERSON_MAX {
        let detail = format!("at most {REACTIONS_PER_PERSON_MAX} reactions of one person to a message");
        return Err(Failure::new(Code::Forbidden, detail));
    }
    let present = present.unwrap_or(Reaction {
        circle_id: message.circle_id,
        message_id: id,
        person_id: person.id,
        emoji: request.emoji.clone(),
        on: false,
        version: Pos::ZERO,
    });
    if present.on == request.on { Ok(present) } else { tx.put_reaction(Reaction { on: request.on, ..present }) }
}

/// What an import stores: a message with the time that it had elsewhere, at the end of its circle.
pub struct Imported {
    pub id: MessageId,
    pub circle: CircleId,
    pub seq: Seq,
    pub text: String,
    pub reply_to: Option<MessageId>,
    pub at: UnixMs,
}

/// Stores an imported message.
pub fn import(tx: &mut Tx<'_>, person: &Person, it: Imported) -> Result<(), Failure> {
    let content_hash = hash_of(person, it.circle, &it.text, it.reply_to);
    let message = Message {
        id: it.id,
        circle_id: it.circle,
        seq: it.seq,
        author_id: person.id,
        text: it.text,
        reply_to: it.reply_to,
        created_at: it.at,
        written_at: None,
        edited_at: None,
        deleted_at: None,
        version: tx.next(),
    };
    tx.insert_message(&StoredMessage { message, created_pos: tx.next(), content_hash })
}

fn hash_of(person: &Person, circle: CircleId, text: &str, reply_to: Option<MessageId>) -> [u8; 16] {
    let (person, circle) = (person.id.uuid(), circle.uuid());
    let reply_to = reply_to.map(|it| it.uuid().into_bytes());
    let reply_to = reply_to.as_ref().map_or(&[][..], |it| &it[..]);
    content_hash(&[person.as_bytes(), circle.as_bytes(), text.as_bytes(), reply_to])
}

fn receipt(it: &StoredMessage) -> Receipt {
    Receipt {
        id: it.message.id,
        circle_id: it.message.circle_id,
        seq: it.message.seq,
        pos: it.created_pos,
        created_at: it.message.created_at,
        written_at: it.message.written_at,
    }
}
