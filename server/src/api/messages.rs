//! Messages and reactions.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State, http::StatusCode};
use circles_protocol::{
    CircleId, Cursor, Message, MessageId, Problem, Reaction, Seq,
    api::{EditMessage, MessagesPage, PostMessage, React, Receipt},
    limits::MESSAGES_PAGE_MAX,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    auth::Auth,
    extract::{Params, Path, Valid, limit},
};
use crate::{
    access,
    failure::Failure,
    limits::MESSAGES_PAGE_DEFAULT,
    relay::Relay,
    store::{campus, messages, people, reactions, session::Session},
    write::{self, Reads},
};

/// Which page of a circle's messages.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Messages below this number.
    before: Option<Seq>,
    /// Messages above this number.
    after: Option<Seq>,
    /// Messages on both sides of this number.
    around: Option<Seq>,
    /// How many at most, 1 to 200; 50 if it is not said.
    limit: Option<u32>,
}

/// Post a message.
#[utoipa::path(post, path = "/v1/circles/{id}/messages", tag = "messages", params(("id" = CircleId, Path)),
    request_body = PostMessage, responses((status = 201, body = Receipt), (status = "default", body = Problem)))]
pub async fn post(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Valid(request): Valid<PostMessage>,
) -> Result<(StatusCode, Json<Receipt>), Failure> {
    let reads = Reads { circle: Some(id), message: Some(request.id), ..Reads::default() };
    let posted =
        relay.writer().run_as_reading(who, reads, move |tx, person| write::messages::post(tx, person, id, &request));
    Ok((StatusCode::CREATED, Json(posted.await?)))
}

/// A page of a circle's messages, by number.
#[utoipa::path(get, path = "/v1/circles/{id}/messages", tag = "messages", params(("id" = CircleId, Path), Which),
    responses((status = 200, body = MessagesPage), (status = "default", body = Problem)))]
pub async fn page(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<CircleId>,
    Params(page): Params<Which>,
) -> Result<Json<MessagesPage>, Failure> {
    let limit = limit(page.limit, MESSAGES_PAGE_DEFAULT, MESSAGES_PAGE_MAX)?;
    let epoch = relay.epoch();
    let read = relay.store().read(move |conn| {
        let (seen, _) = access::member(conn, id, &who.check(conn)?)?;
        let head_seq = seen.stored.head_seq;
        let (from, to) = range(&page, limit, head_seq)?;
        let found = messages::range(conn, id, from, to)?;
        complete(conn, found, head_seq, Cursor { epoch, pos: campus::head(conn)? })
    });
    Ok(Json(read.await?))
}

/// One message.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages", params(("id" = MessageId, Path)),
    responses((status = 200, body = Message), (status = "default", body = Problem)))]
pub async fn get(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<MessageId>,
) -> Result<Json<Message>, Failure> {
    let read = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        access::message(conn, id, &person).map(|(message, _)| message)
    });
    Ok(Json(read.await?))
}

/// Edit a message.
#[utoipa::path(patch, path = "/v1/messages/{id}", tag = "messages", params(("id" = MessageId, Path)),
    request_body = EditMessage, responses((status = 200, body = Message), (status = "default", body = Problem)))]
pub async fn edit(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<MessageId>,
    Valid(request): Valid<EditMessage>,
) -> Result<Json<Message>, Failure> {
    let edited = relay.writer().run_as(who, move |tx, person| write::messages::edit(tx, person, id, &request.text));
    Ok(Json(edited.await?))
}

/// Delete a message; answers with its tombstone.
#[utoipa::path(delete, path = "/v1/messages/{id}", tag = "messages", params(("id" = MessageId, Path)),
    responses((status = 200, body = Message), (status = "default", body = Problem)))]
pub async fn delete(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<MessageId>,
) -> Result<Json<Message>, Failure> {
    Ok(Json(relay.writer().run_as(who, move |tx, person| write::messages::delete(tx, person, id)).await?))
}

/// React, or take a reaction back.
#[utoipa::path(put, path = "/v1/messages/{id}/reactions", tag = "messages", params(("id" = MessageId, Path)),
    request_body = React, responses((status = 200, body = Reaction), (status = "default", body = Problem)))]
pub async fn react(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Path(id): Path<MessageId>,
    Valid(request): Valid<React>,
) -> Result<Json<Reaction>, Failure> {
    let reacted = relay.writer().run_as(who, move |tx, person| write::messages::react(tx, person, id, &request));
    Ok(Json(reacted.await?))
}

/// The numbers of a page, first and last. Numbers are dense, so that arithmetic finds them.
fn range(page: &Which, limit: u32, head: Seq) -> Result<(Seq, Seq), Failure> {
    let limit = u64::from(limit);
    let from = match (page.before, page.after, page.around) {
        (None, None, None) => head.get().saturating_sub(limit - 1),
        (Some(before), None, None) => {
            let to = before.get().saturating_sub(1).min(head.get());
            return bounds(to.saturating_sub(limit - 1), to);
        }
        (None, Some(after), None) => after.get() + 1,
        (None, None, Some(around)) => around.get().saturating_sub(limit / 2).max(1),
        _ => return Err(Failure::parameter("give one of before, after and around")),
    };
    bounds(from, from.saturating_add(limit - 1).min(head.get()))
}

fn bounds(from: u64, to: u64) -> Result<(Seq, Seq), Failure> {
    let seq = |value: u64| Seq::try_from(value).map_err(|error| Failure::parameter(error.to_string()));
    Ok((seq(from)?, seq(to)?))
}

/// Adds to messages what it takes to show them.
fn complete(conn: &dyn Session, page: Vec<Message>, head_seq: Seq, cursor: Cursor) -> Result<MessagesPage, Failure> {
    let inside: BTreeSet<MessageId> = page.iter().map(|it| it.id).collect();
    let mut context = BTreeMap::new();
    let mut found = Vec::new();
    for message in &page {
        if let Some(id) = message.reply_to.filter(|id| !inside.contains(id))
            && let Some(answered) = messages::get(conn, id)?
        {
            context.insert(answered.message.seq, answered.message);
        }
        found.extend(reactions::of_message(conn, message.id)?);
    }
    let authors = page.iter().chain(context.values()).map(|it| it.author_id);
    let ids: BTreeSet<_> = authors.chain(found.iter().map(|it| it.person_id)).collect();
    let mut persons = Vec::new();
    for id in ids {
        persons.extend(people::get(conn, id)?);
    }
    Ok(MessagesPage {
        messages: page,
        reactions: found,
        context: context.into_values().collect(),
        people: persons,
        head_seq,
        cursor,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_page_is_the_numbers_asked_for(which in 0..4, at in 0_u64..60, limit in 1_u32..30, head in 0_u64..50) {
            let seq = |it: u64| Seq::try_from(it).expect("small");
            let ask = |is: bool| is.then(|| seq(at));
            let page = Which { before: ask(which == 1), after: ask(which == 2), around: ask(which == 3), limit: None };
            let (from, to) = range(&page, limit, seq(head)).expect("one of them");
            let got: Vec<u64> = (1..=head).filter(|it| (from.get()..=to.get()).contains(it)).collect();
            let limit = limit as usize;
            let all: Vec<u64> = (1..=head).collect();
            prop_assert!(got.len() <= limit);
            match which {
                0 => prop_assert_eq!(got, all[all.len().saturating_sub(limit)..].to_vec()),
                1 => {
                    let below: Vec<u64> = all.into_iter().filter(|it| *it < at).collect();
                    prop_assert_eq!(got, below[below.len().saturating_sub(limit)..].to_vec());
                }
                2 => prop_assert_eq!(got, all.into_iter().filter(|it| *it > at).take(limit).collect::<Vec<_>>()),
                _ => prop_assert_eq!(got.contains(&at), (1..=head).contains(&at)),
            }
        }
    }
}
