//! The changes of a scope.

use std::collections::HashMap;

use axum::{Json, extract::State};
use circles_protocol::{
    Epoch, Pos, Problem, Scope,
    api::{ChangesPage, Order},
    limits::CHANGES_PAGE_MAX,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    auth::Auth,
    extract::{Params, limit},
};
use crate::{
    access,
    failure::Failure,
    relay::Relay,
    store::{
        campus,
        log::{self, Key, LogRow},
        session::Session,
    },
};

/// Which stretch of which scope.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Stretch {
    /// `campus`, `circle:<id>` or `person:<id>`.
    #[param(value_type = String)]
    scope: Scope,
    /// What is above this position; from the first if it is not said.
    after: Option<Pos>,
    /// What is up to this position; to the head if it is not said.
    until: Option<Pos>,
    /// From which end; `newest` if it is not said.
    order: Option<Order>,
    /// How many positions at most, 1 to 1,000.
    limit: Option<u32>,
}

/// The changes of a scope in a stretch, and which part of it the page covers.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", params(Stretch),
    responses((status = 200, body = ChangesPage), (status = "default", body = Problem)))]
pub async fn page(
    State(relay): State<Relay>,
    Auth(who): Auth,
    Params(stretch): Params<Stretch>,
) -> Result<Json<ChangesPage>, Failure> {
    let limit = limit(stretch.limit, CHANGES_PAGE_MAX, CHANGES_PAGE_MAX)?;
    let epoch = relay.epoch();
    let read = relay.store().read(move |conn| {
        let person = who.check(conn)?;
        match stretch.scope {
            Scope::Campus => {}
            Scope::Circle(id) => drop(access::member(conn, id, &person)?),
            Scope::Person(id) if id == person.id => {}
            Scope::Person(_) => return Err(Failure::not_found()),
        }
        covered(conn, &stretch, limit, epoch)
    });
    Ok(Json(read.await?))
}

fn covered(conn: &dyn Session, stretch: &Stretch, limit: u32, epoch: Epoch) -> Result<ChangesPage, Failure> {
    let scope = stretch.scope;
    let mut after = stretch.after.unwrap_or(Pos::ZERO);
    let head = campus::head(conn)?;
    let mut until = stretch.until.unwrap_or(head).min(head);
    if stretch.until.is_some_and(|it| it < after) {
        return Err(Failure::parameter("until is below after"));
    }
    until = until.max(after.min(head));
    let newest = stretch.order.unwrap_or(Order::Newest) == Order::Newest;
    let mut rows = log::scope_range(conn, scope, (after, until), newest, limit + 1)?;
    if rows.len() > limit as usize {
        // One more than asked for: there is more of the stretch.
        if newest {
            rows.remove(0);
            after = rows.first().map_or(after, |it| it.prev);
        } else {
            rows.pop();
            until = rows.last().map_or(until, |it| it.pos);
        }
    }
    let mut changes = Vec::with_capacity(rows.len());
    for row in last_of_each(&rows) {
        changes.push(row.load(conn)?);
    }
    Ok(ChangesPage { scope, epoch, after: after.min(until), until, changes })
}

/// Each entity once, where it changed last.
fn last_of_each(rows: &[LogRow]) -> impl Iterator<Item = &LogRow> {
    let last: HashMap<&Key, Pos> = rows.iter().map(|it| (&it.key, it.pos)).collect();
    rows.iter().filter(move |it| last[&it.key] == it.pos)
}
