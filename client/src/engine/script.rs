//! A relay that answers by a script, and an engine without tasks that asks it.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(clippy::unnecessary_wraps, reason = "a script answers in one of several ways")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use circles_protocol::{
    CampusId, Circle, CircleId, CircleKind, Entity, Membership, MembershipState, MessageId, PersonId, Pos, Role, Scope,
    Seq, UnixMs,
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::broadcast;

use super::{Engine, Parts};
use crate::{
    api::Api,
    cache::{
        Cache, Durability,
        campuses::{self, CampusRow},
        views::Eyes,
    },
    error::ClientError,
    outside::{Body, Network, Threads},
    view::TokenPlace,
};

/// What it answers: a status and a body, or nothing.
pub type Answer = Result<(u16, Value), ClientError>;

type Says = Box<dyn Fn(&str) -> Answer + Send + Sync>;

/// The relay.
pub struct Script {
    says: Says,
    asked: Mutex<Vec<String>>,
}

impl Script {
    /// The paths that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Network for Script {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'static, Result<Response<Body>, ClientError>> {
        let path = request.uri().path_and_query().unwrap().to_string();
        let answer = (self.says)(&path);
        self.asked.lock().unwrap().push(path);
        async move {
            let (status, body) = answer?;
            let kind = if status < 400 { "application/json" } else { "application/problem+json" };
            let body = stream::iter([Ok(Bytes::from(body.to_string()))]).boxed();
            Ok(Response::builder().status(status).header("content-type", kind).body(body).unwrap())
        }
        .boxed()
    }
}

/// A refusal.
pub fn problem(status: u16) -> Answer {
    refusal(status, "internal")
}

/// A refusal that says why.
pub fn refusal(status: u16, code: &str) -> Answer {
    Ok((status, json!({ "type": "about:blank", "title": "no", "status": status, "code": code })))
}

/// An empty page that covers what was asked for, as far as one of this many positions does.
pub fn page(path: &str, positions: u64) -> Answer {
    let after = number(path, "after").max(number(path, "until").saturating_sub(positions));
    Ok((200, json!({ "epoch": "e", "after": after, "until": number(path, "until"), "changes": [] })))
}

/// What answers a post. It is that of another one, which changes nothing here.
pub fn receipt(circle: CircleId) -> Answer {
    let id = MessageId::new();
    Ok((201, json!({ "id": id, "circle_id": circle, "seq": 1, "pos": 2, "created_at": 0, "written_at": null })))
}

/// A number of a query.
pub fn number(path: &str, name: &str) -> u64 {
    let value = path.split(['?', '&']).find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().parse().unwrap()
}

/// A position.
pub fn pos(value: u64) -> Pos {
    value.try_into().unwrap()
}

/// An engine of a person whose heads are known, and who is in circles that reach to a position.
pub async fn engine(circles: &[(CircleId, u64)], says: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path().to_owned(), Threads::Blocking).await.unwrap();
    let (campus, me) = (CampusId::new(), PersonId::new());
    let row = CampusRow::of_test(Eyes { campus, me });
    let relay = row.relay.clone();
    let insert = cache.write(Durability::Cache, move |conn| {
        campuses::insert(conn, &row, UnixMs(0))?;
        campuses::heard(conn, campus, Some(&"e.1".parse().unwrap()), UnixMs(1_000))?;
        Ok(())
    });
    insert.await.unwrap();
    let script = Arc::new(Script { says: Box::new(says), asked: Mutex::default() });
    let parts = Parts {
        campus,
        me,
        api: Api::new(relay, Some(script.clone())).unwrap(),
        sightings: None,
        cache,
        clock: Arc::new(|| UnixMs(60_000)),
        token_place: TokenPlace::File,
        updates: broadcast::Sender::new(64),
    };
    let engine = Engine::start(parts, false);
    engine.count(|it| it.heads_taken = it.heads_asked);
    for (id, head) in circles.iter().copied() {
        let circle = Circle {
            id,
            name: "General".to_owned(),
            topic: String::new(),
            kind: CircleKind::Open,
            created_by: me,
            created_at: UnixMs(0),
            version: pos(1),
        };
        let membership = Membership {
            circle_id: id,
            person_id: me,
            state: MembershipState::Joined,
            role: Role::Member,
            since: UnixMs(0),
            version: pos(1),
        };
        let known = engine.apply(move |apply| {
            apply.entity(&Entity::Circle(circle))?;
            apply.entity(&Entity::Membership(membership))?;
            Ok(apply.reach(Scope::Circle(id), pos(head), Some(Seq::ZERO))?)
        });
        known.await.unwrap();
    }
    Scene { engine, script, _dir: dir }
}

/// An engine, and whom it asks.
pub struct Scene {
    /// The engine.
    pub engine: Engine,
    /// The relay.
    pub script: Arc<Script>,
    _dir: TempDir,
}
