//! Telling the person of messages that just came: of each circle not more often than now and then, and of a mention in any
//! case. What cannot be told yet waits, and is told unless it was read meanwhile.

use std::collections::HashMap;

use circles_protocol::{CircleId, MessageId};
use rusqlite::Connection;
use tokio::time::Instant;

use super::Engine;
use crate::{
    cache::{
        apply::News,
        views::{self, Eyes},
    },
    error::ClientError,
    limits::NOTICE_PAUSE,
    mentions::mentions,
    view::Update,
};

/// What waits to be told: of each circle the newest, so that there is never more than one for each of them.
#[derive(Default)]
pub struct Notices {
    waiting: HashMap<CircleId, News>,
    told: HashMap<CircleId, Instant>,
}

impl Notices {
    /// Messages came.
    pub fn came(&mut self, news: HashMap<CircleId, News>) {
        for (circle, news) in news {
            self.waiting.entry(circle).and_modify(|it| it.merge(news)).or_insert(news);
        }
    }

    /// When the first of those that wait may be told.
    pub fn first_due(&self) -> Option<Instant> {
        self.waiting.keys().map(|it| self.told.get(it).map_or_else(Instant::now, |at| *at + NOTICE_PAUSE)).min()
    }

    /// Those that may be told now. They wait no longer.
    fn due(&mut self, now: Instant) -> Vec<(CircleId, News)> {
        self.told.retain(|_, at| now < *at + NOTICE_PAUSE);
        let told = &self.told;
        self.waiting.extract_if(|circle, _| !told.contains_key(circle)).collect()
    }

    /// One was told. Of the mention first: what came after it has its turn later.
    fn told(&mut self, circle: CircleId, news: News, message: MessageId, now: Instant) {
        self.told.insert(circle, now);
        if news.last != message {
            self.waiting.entry(circle).or_insert(News { last: news.last, mention: None });
        }
    }
}

impl Engine {
    /// Tells of what may be told by now.
    pub(super) async fn notify(&self, notices: &mut Notices) -> Result<(), ClientError> {
        let due = notices.due(Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        let eyes = self.eyes();
        let found = self.0.cache.read(move |conn| {
            let mut found = Vec::new();
            for (circle, news) in due {
                found
                    .extend(notice(conn, eyes, circle, news)?.map(|(message, update)| (circle, news, message, update)));
            }
            Ok(found)
        });
        for (circle, news, message, update) in found.await? {
            notices.told(circle, news, message, Instant::now());
            self.tell(update);
        }
        Ok(())
    }
}

/// What there is to tell of a circle: the mention, or unless it is muted the last message. None if that was read.
fn notice(
    conn: &Connection,
    eyes: Eyes,
    circle: CircleId,
    news: News,
) -> Result<Option<(MessageId, Update)>, ClientError> {
    let Some(view) = views::circle(conn, eyes, circle)?.filter(|it| it.joined) else { return Ok(None) };
    let name = views::person(conn, eyes.campus, eyes.me)?.name;
    for id in news.mention.into_iter().chain([news.last]) {
        let Some(message) = views::messages(conn, eyes, circle, [id])?.pop() else { continue };
        let unread = message.seq.is_some_and(|seq| seq > view.read_seq);
        if unread && !message.deleted && (!view.muted || mentions(&message.text, &name)) {
            let text = views::preview(&message.text);
            let (circle_name, author) = (view.name, message.author.name);
            let notice = Update::Notice { campus_id: eyes.campus, circle_id: circle, circle_name, author, text };
            return Ok(Some((id, notice)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use circles_protocol::{Entity, Message, Mute, Person, PersonId, Role, UnixMs};

    use super::*;
    use crate::engine::script::{self, Scene, pos};

    impl Scene {
        /// A message of somebody else's, as it is stored.
        async fn hears(&self, circle: CircleId, seq: u64, text: &str) -> MessageId {
            let message = Message {
                id: MessageId::new(),
                circle_id: circle,
                seq: seq.try_into().unwrap(),
                author_id: PersonId::new(),
                text: text.to_owned(),
                reply_to: None,
                created_at: UnixMs(1),
                written_at: None,
                edited_at: None,
                deleted_at: None,
                version: pos(10 + seq),
            };
            let id = message.id;
            self.engine.apply(move |apply| Ok(apply.entity(&Entity::Message(message))?)).await.unwrap();
            id
        }

        async fn notice(&self, circle: CircleId, news: News) -> Option<MessageId> {
            let eyes = self.engine.eyes();
            let found = self.engine.0.cache.read(move |conn| notice(conn, eyes, circle, news));
            found.await.unwrap().map(|(id, _)| id)
        }
    }

    #[tokio::test]
    async fn a_mention_that_others_wrote_after_is_told_also_in_a_muted_circle() {
        let circle = CircleId::new();
        let scene = script::engine(&[(circle, 1)], |_| script::problem(500)).await;
        let me = scene.engine.0.me;
        let known = scene.engine.apply(move |apply| {
            let (name, joined_at, version) = ("Ada".to_owned(), UnixMs(0), pos(1));
            apply.entity(&Entity::Person(Person { id: me, name, hue: 0, role: Role::Member, joined_at, version }))?;
            let mute = Mute { circle_id: circle, person_id: me, on: true, changed_at: UnixMs(0), version: pos(2) };
            Ok(apply.entity(&Entity::Mute(mute))?)
        });
        known.await.unwrap();
        let mention = scene.hears(circle, 1, "@Ada look").await;
        let last = scene.hears(circle, 2, "never mind").await;
        assert_eq!(scene.notice(circle, News { last, mention: Some(mention) }).await, Some(mention));
        assert_eq!(scene.notice(circle, News { last, mention: None }).await, None, "it is muted");
    }

    #[test]
    fn what_comes_too_soon_after_a_notice_is_told_later_and_its_mention_is_not_lost() {
        let (mut notices, circle, now) = (Notices::default(), CircleId::new(), Instant::now());
        let [first, mention, last] = [MessageId::new(), MessageId::new(), MessageId::new()];
        let news = |last, mention| HashMap::from([(circle, News { last, mention })]);
        notices.came(news(first, None));
        assert_eq!(notices.due(now), [(circle, News { last: first, mention: None })]);
        notices.told(circle, News { last: first, mention: None }, first, now);
        assert_eq!(notices.first_due(), None);

        notices.came(news(mention, Some(mention)));
        notices.came(news(last, None));
        let soon = now + NOTICE_PAUSE - Duration::from_millis(1);
        assert_eq!((notices.due(soon), notices.first_due()), (vec![], Some(now + NOTICE_PAUSE)));
        let (later, both) = (now + NOTICE_PAUSE, News { last, mention: Some(mention) });
        assert_eq!(notices.due(later), [(circle, both)]);
        notices.told(circle, both, mention, later);
        assert_eq!(notices.due(later + NOTICE_PAUSE), [(circle, News { last, mention: None })]);
    }
}
