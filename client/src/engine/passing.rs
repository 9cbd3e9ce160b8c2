//! What is told in passing: who types, who is online. Held in memory while there is a stream, and nowhere else.

use std::{collections::HashSet, future, time::Instant};

use circles_protocol::{
    CircleId, PersonId,
    api::{OnlineMembers, SetTyping},
    event::{EventName, Presence, Typing},
};
use eventsource_client::Event;
use http::Method;

use super::Engine;
use crate::{error::ClientError, limits::ONLINE_PAGES_MAX, view::Update};

/// Whether the event is not of the log.
pub fn is_passing(event: &Event) -> bool {
    matches!(EventName::parse(&event.event_type), Some(EventName::Typing | EventName::Presence))
}

impl Engine {
    /// Takes up an event of these kinds; one that cannot be read is not missed.
    pub(super) fn passes(&self, event: &Event) {
        match EventName::parse(&event.event_type) {
            Some(EventName::Typing) => {
                let Ok(it) = serde_json::from_str::<Typing>(&event.data) else { return };
                if it.person_id != self.0.me {
                    self.typing_changes(|typing| typing.heard(&it, Instant::now()).then_some(it.circle_id));
                    self.0.signals.typing.notify_one();
                }
            }
            Some(EventName::Presence) => {
                let Ok(it) = serde_json::from_str::<Presence>(&event.data) else { return };
                self.tell_presence(Some(it.person_id), it.online);
            }
            _ => {}
        }
    }

    /// These wrote a message: they do not type it any more.
    pub(super) fn wrote_messages(&self, written: Vec<(CircleId, PersonId)>) {
        self.typing_changes(|typing| {
            written
                .into_iter()
                .filter(|(circle, person)| typing.stopped(*circle, *person))
                .map(|(circle, _)| circle)
                .collect::<HashSet<_>>()
        });
    }

    /// There is no stream: nobody is known to be online or to type.
    pub(super) fn nobody_is_known(&self) {
        self.typing_changes(crate::typing::Typing::clear);
        self.tell_presence(None, false);
    }

    /// Signals may have been missed before this stream: who is online must be asked anew.
    pub(super) fn presence_is_new(&self) {
        self.tell_presence(None, true);
    }

    /// Shows typing as over of which nothing more was heard.
    pub(super) async fn expire_typing(self) {
        loop {
            let next = self.state(|it| it.typing.expires_at());
            let expires = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                () = expires => self.typing_changes(|typing| typing.expire(Instant::now())),
                () = self.0.signals.typing.notified() => {}
            }
        }
    }

    /// One types in a circle, or no longer: the others are told if they need to hear it. Loss is fine.
    pub fn types(&self, circle: CircleId, on: bool) {
        if !self.is_online() || !self.state(|it| it.typing.says(circle, on, Instant::now())) {
            return;
        }
        self.task(move |engine| async move {
            let path = format!("v1/circles/{circle}/typing");
            if let Err(error) = engine.0.api.tell(Method::POST, &path, &SetTyping { on }).await {
                tracing::debug!(%error, "the others do not hear that one types");
            }
        });
    }

    /// The members of a circle who are online; nobody, without a stream or a relay that answers.
    pub async fn presence(&self, circle: CircleId) -> Result<Vec<PersonId>, ClientError> {
        let (mut online, mut after) = (Vec::new(), String::new());
        for _ in 0..ONLINE_PAGES_MAX {
            if !self.is_online() {
                return Ok(Vec::new());
            }
            let page = self.0.api.get::<OnlineMembers>(&format!("v1/circles/{circle}/presence{after}")).await;
            let page = match page {
                Ok(page) => page,
                // The next stream says when to ask again.
                Err(error) if error.passes() => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            online.extend(page.online);
            let Some(next) = page.next else { break };
            after = format!("?after={next}");
        }
        Ok(online)
    }

    fn typing_changes<C>(&self, change: impl FnOnce(&mut crate::typing::Typing) -> C)
    where
        C: IntoIterator<Item = CircleId>,
    {
        let told = self.state(|it| {
            let before = it.typing_changed.len();
            it.typing_changed.extend(change(&mut it.typing));
            it.typing_changed.len() > before
        });
        if told {
            self.0.signals.announce.notify_one();
        }
    }

    fn tell_presence(&self, person_id: Option<PersonId>, online: bool) {
        self.tell(Update::Presence { campus_id: self.0.campus, person_id, online });
    }
}
