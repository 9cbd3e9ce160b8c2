//! Telling the interface what changed, gathered over some milliseconds so that a flood stays a few updates.

use super::{Engine, State, circles_of, notices::Notices, rests};
use crate::{
    cache::{Durability, absence, views},
    error::ClientError,
    limits::{UPDATE_MESSAGES_MAX, UPDATE_PAUSE},
    view::{Absence, Connection, Update},
};

impl Engine {
    pub(super) async fn announce_updates(self) {
        let mut notices = Notices::default();
        loop {
            tokio::select! {
                () = self.0.signals.announce.notified() => {
                    tokio::time::sleep(UPDATE_PAUSE).await;
                    self.0.cache.opened().await;
                    if let Err(error) = self.announce(&mut notices).await {
                        // The interface can always take everything anew.
                        tracing::warn!(%error, "an update could not be made");
                        self.tell(Update::Timeline { campus_id: self.0.campus, circle_id: None });
                    }
                }
                () = rests::at(notices.first_due()) => {}
            }
            if let Err(error) = self.notify(&mut notices).await {
                tracing::warn!(%error, "a notice could not be made");
            }
        }
    }

    async fn announce(&self, notices: &mut Notices) -> Result<(), ClientError> {
        self.end_absence().await?;
        let (mut touched, connection_changed) =
            self.state(|it| (std::mem::take(&mut it.touched), std::mem::take(&mut it.connection_changed)));
        let eyes = self.eyes();
        self.announce_typing().await?;
        if connection_changed || touched.people || touched.campus {
            self.tell(Update::Campus { campus: Box::new(self.view().await?) });
        }
        if touched.people {
            self.tell(Update::Timeline { campus_id: eyes.campus, circle_id: None });
        }
        let circles = circles_of(&touched);
        let timelines = touched.timelines.clone();
        notices.came(std::mem::take(&mut touched.news));
        for circle_id in touched.drafts.iter().copied() {
            self.tell(Update::Draft { campus_id: eyes.campus, circle_id });
        }
        let read = self
            .0
            .cache
            .read(move |conn| {
                let mut views = Vec::new();
                let mut gone = Vec::new();
                for id in circles {
                    match views::circle(conn, eyes, id)? {
                        Some(view) => views.push(view),
                        None => gone.push(id),
                    }
                }
                let mut messages = Vec::new();
                for (circle, ids) in touched.circles {
                    if !timelines.contains(&circle) && ids.len() <= UPDATE_MESSAGES_MAX && !ids.is_empty() {
                        let wanted: Vec<_> = ids.into_iter().collect();
                        let found = views::messages(conn, eyes, circle, wanted.iter().copied())?;
                        let discarded: Vec<_> =
                            wanted.into_iter().filter(|id| !found.iter().any(|it| it.id == *id)).collect();
                        messages.push((circle, Some((found, discarded))));
                    } else if !touched.people && (!ids.is_empty() || timelines.contains(&circle)) {
                        // With people, all timelines are taken anew.
                        messages.push((circle, None));
                    }
                }
                Ok((views, gone, messages))
            })
            .await?;
        let (views, gone, messages) = read;
        for (circle_id, found) in messages {
            self.tell(match found {
                Some((messages, discarded)) => {
                    Update::Messages { campus_id: eyes.campus, circle_id, messages, discarded }
                }
                None => Update::Timeline { campus_id: eyes.campus, circle_id: Some(circle_id) },
            });
        }
        let outside = views.iter().any(|it| !it.joined);
        if !views.is_empty() {
            self.tell(Update::Circles { campus_id: eyes.campus, circles: views });
        }
        if !gone.is_empty() || outside {
            // What was not sent there is told with the campus.
            self.tell(Update::Campus { campus: Box::new(self.view().await?) });
        }
        if !gone.is_empty() {
            self.tell(Update::CirclesGone { campus_id: eyes.campus, circles: gone });
        }
        Ok(())
    }

    /// Sums up an absence as soon as everything that was missed is here.
    async fn end_absence(&self) -> Result<(), ClientError> {
        let complete = |it: &State| matches!(it.connection, Connection::Online { missing: 0 });
        let Some(begun) = self.state(|it| if complete(it) { it.catching_up_since.take() } else { None }) else {
            return Ok(());
        };
        let eyes = self.eyes();
        let took_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        let now = self.now();
        let absence = self.0.cache.write(Durability::Cache, move |conn| Ok(absence::end(conn, eyes, now)?)).await?;
        self.state(|it| {
            it.absence = absence.map(|absence| Absence { took_ms, ..absence });
            it.connection_changed = true;
        });
        Ok(())
    }

    async fn announce_typing(&self) -> Result<(), ClientError> {
        let eyes = self.eyes();
        for circle_id in self.state(|it| std::mem::take(&mut it.typing_changed)) {
            let ids = self.state(|it| it.typing.people(circle_id));
            let read = self.0.cache.read(move |conn| {
                Ok(ids
                    .into_iter()
                    .map(|id| views::person(conn, eyes.campus, id))
                    .collect::<rusqlite::Result<Vec<_>>>()?)
            });
            self.tell(Update::Typing { campus_id: eyes.campus, circle_id, people: read.await? });
        }
        Ok(())
    }

    pub(super) fn tell(&self, update: Update) {
        // Nobody may be listening, as in the command line.
        drop(self.0.updates.send(update));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use circles_protocol::{
        CampusId, Circle, CircleId, CircleKind, Entity, Membership, MembershipState, PersonId, Role, UnixMs,
    };
    use tokio::sync::broadcast;

    use super::*;
    use crate::{
        api::Api,
        cache::{
            Cache,
            campuses::{self, CampusRow},
            views::Eyes,
        },
        engine::Parts,
        outside::Outside,
        view::TokenPlace,
    };

    #[tokio::test]
    async fn who_is_removed_from_a_private_circle_is_told_that_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let outside = Outside::machine();
        let cache = Cache::open(dir.path().to_owned(), outside.threads.clone()).await.unwrap();
        let (campus, me, id) = (CampusId::new(), PersonId::new(), CircleId::new());
        let row = CampusRow::of_test(Eyes { campus, me });
        let relay = row.relay.clone();
        cache.write(Durability::Cache, move |conn| Ok(campuses::insert(conn, &row, UnixMs(0))?)).await.unwrap();
        let (updates, mut told) = broadcast::channel(16);
        let parts = Parts {
            campus,
            me,
            api: Api::new(relay, None).unwrap(),
            sightings: None,
            cache,
            clock: Arc::new(|| UnixMs(0)),
            token_place: TokenPlace::File,
            updates,
        };
        let engine = Engine::start(parts, false);
        let membership = move |state, version: u64| {
            Entity::Membership(Membership {
                circle_id: id,
                person_id: me,
                state,
                role: Role::Member,
                since: UnixMs(0),
                version: version.try_into().expect("small"),
            })
        };
        let circle = Entity::Circle(Circle {
            id,
            name: "kitchen".to_owned(),
            topic: String::new(),
            kind: CircleKind::Private,
            created_by: me,
            created_at: UnixMs(0),
            version: 1_u64.try_into().expect("small"),
        });
        engine
            .apply(move |apply| {
                apply.entity(&circle)?;
                Ok(apply.entity(&membership(MembershipState::Joined, 2))?)
            })
            .await
            .unwrap();
        while !matches!(told.recv().await.unwrap(), Update::Circles { circles, .. } if circles[0].joined) {}
        engine.apply(move |apply| Ok(apply.entity(&membership(MembershipState::Removed, 3))?)).await.unwrap();
        loop {
            if let Update::CirclesGone { campus_id, circles } = told.recv().await.unwrap() {
                assert_eq!((campus_id, circles), (campus, vec![id]));
                break;
            }
        }
        engine.stop().await;
    }
}
