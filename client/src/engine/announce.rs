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
                let mut left = false;
                for id in circles {
                    match views::circle(conn, eyes, id)? {
                        Some(view) => views.push(view),
                        None => left = true,
                    }
                }
                let mut messages = Vec::new();
                for (circle, ids) in touched.circles {
                    if !timelines.contains(&circle) && ids.len() <= UPDATE_MESSAGES_MAX && !ids.is_empty() {
                        let wanted: Vec<_> = ids.into_iter().collect();
                        let found = views::messages(conn, eyes, circle, wanted.iter().copied())?;
                        let gone: Vec<_> =
                            wanted.into_iter().filter(|id| !found.iter().any(|it| it.id == *id)).collect();
                        messages.push((circle, Some((found, gone))));
                    } else if !touched.people && (!ids.is_empty() || timelines.contains(&circle)) {
                        // With people, all timelines are taken anew.
                        messages.push((circle, None));
                    }
                }
                Ok((views, left, messages))
            })
            .await?;
        let (views, left, messages) = read;
        for (circle_id, found) in messages {
            self.tell(match found {
                Some((messages, discarded)) => {
                    Update::Messages { campus_id: eyes.campus, circle_id, messages, discarded }
                }
                None => Update::Timeline { campus_id: eyes.campus, circle_id: Some(circle_id) },
            });
        }
        if !views.is_empty() {
            self.tell(Update::Circles { campus_id: eyes.campus, circles: views });
        }
        if left {
            self.tell(Update::Campuses);
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
