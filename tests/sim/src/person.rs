//! A person at a device: what the host of a device runs. It uses the client as the app does.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use circles_client::{
    Client, ClientError, Options,
    view::{Anchor, CircleView, Connection, Delivery, DraftView, MessageView},
};
use circles_protocol::{CampusId, CircleKind, PersonId, Role, Seq};

use crate::{
    network, screen,
    shared::{Device, Shared, Written, lock},
};

/// What people react with.
const EMOJI: [&str; 4] = ["👍", "❤️", "😂", "🎉"];

/// Opens the app and uses it, until the host goes down.
pub async fn run(shared: Arc<Shared>, device: Arc<Device>) -> turmoil::Result {
    let options =
        Options { data_dir: device.dir.clone(), device_name: format!("device {}", device.index), keyring: false };
    let client = Client::open_in(options, network::outside(&shared, &device)).await?;
    let (campus, me) = joined(&client, &shared, &device).await?;
    lock(&device.shown).who = Some((campus, me));
    tokio::spawn(screen::follow(client.clone(), device.clone(), campus, client.subscribe()));
    let desk = Desk { client, shared, device, campus, me };
    desk.invite_others().await;
    loop {
        desk.look().await?;
        if desk.shared.lively.load(Ordering::Relaxed) && !desk.device.is_fresh {
            desk.act().await;
        }
        let wait = 200 + desk.device.chance(1_800);
        tokio::time::sleep(Duration::from_millis(wait as u64)).await;
    }
}

/// The campus, joined with the link that somebody gave, as soon as there is one.
async fn joined(client: &Client, shared: &Shared, device: &Device) -> Result<(CampusId, PersonId), ClientError> {
    loop {
        if let Some(campus) = client.campuses().await?.first() {
            return Ok((campus.id, campus.me.id));
        }
        let link = lock(&shared.links).get(&device.index).cloned();
        if let Some(link) = link {
            match client.join(&link, &format!("person {}", device.person)).await {
                Ok(_) => continue,
                Err(error) => shared.line(&format!("{} cannot join: {error}", device.host())),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One person at one device.
struct Desk {
    client: Client,
    shared: Arc<Shared>,
    device: Arc<Device>,
    campus: CampusId,
    me: PersonId,
}

impl Desk {
    /// The first one invites everybody, and each person their other devices.
    async fn invite_others(&self) {
        let lacks = |index| !lock(&self.shared.links).contains_key(&index);
        if self.device.index == 0 && lacks(1) {
            while let Err(error) = self.invite().await {
                self.shared.line(&format!("no invite: {error}"));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }

    async fn invite(&self) -> Result<(), ClientError> {
        let link = self.client.create_invite(self.campus, None, false).await?.link;
        let own = self.client.create_invite(self.campus, None, true).await?.link;
        let mut links = lock(&self.shared.links);
        // The second device is the owner's.
        links.insert(1, own);
        for index in 2..crate::campus::DEVICES_MAX {
            links.insert(index, link.clone());
        }
        Ok(())
    }

    /// Shows what there is, and makes the invite that another device waits for.
    async fn look(&self) -> Result<(), ClientError> {
        let fresh = crate::campus::FRESH + self.device.person;
        if self.shared.fresh.load(Ordering::Relaxed) && !self.device.second && !self.device.is_fresh {
            let wanted = !lock(&self.shared.links).contains_key(&fresh);
            if wanted && let Ok(invite) = self.client.create_invite(self.campus, None, true).await {
                lock(&self.shared.links).insert(fresh, invite.link);
            }
        }
        // Before it is asked: the app may be stopped while the answer is on its way.
        let at = self.shared.now_ms.load(Ordering::Relaxed);
        let circles = self.client.circles(self.campus).await?;
        let connection = self.client.campuses().await?.into_iter().next().map(|it| it.connection);
        let mut shown = lock(&self.device.shown);
        shown.at_ms = Some(at);
        shown.connection = connection;
        shown.circles = circles;
        Ok(())
    }

    /// Does something, as the mood has it. What needs the network goes on by itself.
    async fn act(&self) {
        let circles: Vec<CircleView> = lock(&self.device.shown).circles.clone();
        let joined: Vec<&CircleView> = circles.iter().filter(|it| it.joined).collect();
        let others: Vec<&CircleView> = circles.iter().filter(|it| !it.joined).collect();
        let mood = self.device.chance(100);
        let Some(circle) = joined.get(self.device.chance(joined.len())).map(|it| (*it).clone()) else {
            if let Some(open) = others.get(self.device.chance(others.len())) {
                self.join(open.id);
            }
            return;
        };
        let outcome = match mood {
            0..38 => self.write(&circle).await,
            38..56 => self.change(&circle, mood).await,
            56..66 => self.read(&circle).await,
            66..69 => self.client.focus(Some(self.campus), Some(circle.id)).await,
            69 => self.client.typing(self.campus, circle.id, self.device.chance(2) == 0).await,
            70 => self.keep(&circle).await,
            71..76 => {
                if let Some(open) = others.get(self.device.chance(others.len())) {
                    self.join(open.id);
                }
                Ok(())
            }
            76..95 => {
                self.ask(&circle, mood).await;
                Ok(())
            }
            95..98 => self.tidy(&circle).await,
            _ => self.client.reconnect(self.campus).await,
        };
        if let Err(error) = outcome {
            self.shared.line(&format!("{} could not: {error}", self.device.host()));
        }
    }

    async fn write(&self, circle: &CircleView) -> Result<(), ClientError> {
        let number = self.shared.texts.fetch_add(1, Ordering::Relaxed);
        let text = format!("text {number} of {}", self.device.index);
        let held = self.timeline(circle).await?;
        let reply_to =
            if self.device.chance(4) == 0 { held.get(self.device.chance(held.len())).map(|it| it.id) } else { None };
        let sent = self.client.send(self.campus, circle.id, &text, reply_to).await?;
        self.shared.line(&format!("{} writes {text} to {}", self.device.host(), circle.id));
        self.shared.count("messages written");
        lock(&self.shared.diary).push(Written {
            device: self.device.index,
            circle: circle.id,
            id: sent.id,
            text,
            given_up: false,
        });
        Ok(())
    }

    /// The end of a circle's timeline, and what waits.
    async fn timeline(&self, circle: &CircleView) -> Result<Vec<MessageView>, ClientError> {
        let window = self.client.timeline(self.campus, circle.id, Anchor::Latest, 20).await?;
        Ok(window.messages.into_iter().chain(window.unsent).filter(|it| !it.deleted).collect())
    }

    /// Edits, deletes, or reacts to a message.
    async fn change(&self, circle: &CircleView, mood: usize) -> Result<(), ClientError> {
        let held = self.timeline(circle).await?;
        let own: Vec<&MessageView> = held.iter().filter(|it| it.mine).collect();
        match mood {
            38..45 => {
                let Some(message) = own.get(self.device.chance(own.len())) else { return Ok(()) };
                let number = self.shared.texts.fetch_add(1, Ordering::Relaxed);
                let text = format!("edit {number} of {}", self.device.index);
                self.shared.line(&format!("{} edits {}: {text}", self.device.host(), message.id));
                let intent = self.shared.intends(message.id, self.device.index, Some(text.clone()));
                self.client.edit(self.campus, circle.id, message.id, &text).await?;
                self.shared.meant(message.id, intent);
                self.shared.count("edits written");
            }
            45..48 => {
                let Some(message) = own.get(self.device.chance(own.len())) else { return Ok(()) };
                self.shared.line(&format!("{} deletes {}", self.device.host(), message.id));
                let intent = self.shared.intends(message.id, self.device.index, None);
                self.shared.gives_up(message.id);
                self.client.delete(self.campus, circle.id, message.id).await?;
                self.shared.meant(message.id, intent);
                self.shared.count("deletions written");
            }
            _ => {
                let sent: Vec<&MessageView> = held.iter().filter(|it| it.seq.is_some()).collect();
                let Some(message) = sent.get(self.device.chance(sent.len())) else { return Ok(()) };
                let emoji = EMOJI[self.device.chance(EMOJI.len())];
                let on = self.device.chance(3) > 0;
                self.client.react(self.campus, circle.id, message.id, emoji, on).await?;
                self.shared.count("reactions written");
            }
        }
        Ok(())
    }

    async fn read(&self, circle: &CircleView) -> Result<(), ClientError> {
        let back = self.device.chance(3) as u64;
        let seq = Seq::try_from(circle.head_seq.get().saturating_sub(back)).unwrap_or(Seq::ZERO);
        self.client.mark_read(self.campus, circle.id, seq).await
    }

    /// Mutes the circle or begins to write in it, as the person's other devices are to know it.
    async fn keep(&self, circle: &CircleView) -> Result<(), ClientError> {
        if self.device.chance(3) == 0 {
            self.shared.count("circles muted or no longer");
            return self.client.set_muted(self.campus, circle.id, !circle.muted).await;
        }
        let number = self.shared.texts.fetch_add(1, Ordering::Relaxed);
        let given_up = self.device.chance(3) == 0;
        let text = if given_up { String::new() } else { format!("draft {number} of {}", self.device.index) };
        self.shared.count("drafts written");
        self.client.set_draft(self.campus, circle.id, DraftView { text, ..DraftView::default() }).await
    }

    fn join(&self, circle: circles_protocol::CircleId) {
        let (client, campus) = (self.client.clone(), self.campus);
        self.shared.line(&format!("{} joins {circle}", self.device.host()));
        self.shared.count("joins");
        // It is told by the circles shown whether it came to anything.
        tokio::spawn(async move { drop(client.join_circle(campus, circle).await) });
    }

    /// What the relay must answer at once.
    async fn ask(&self, circle: &CircleView, mood: usize) {
        let (client, campus, id) = (self.client.clone(), self.campus, circle.id);
        let number = self.shared.texts.fetch_add(1, Ordering::Relaxed);
        let people = client.people(campus, None, "").await.unwrap_or_default();
        let Some(other) = people.get(self.device.chance(people.len())).map(|it| it.id) else { return };
        let is_owner = circle.role.is_some_and(|it| it >= Role::Moderator);
        let (back, me) = (self.device.chance(12) as u64, self.me);
        let kind = if self.device.chance(2) == 0 { CircleKind::Open } else { CircleKind::Private };
        let head = circle.head_seq.get();
        self.shared.line(&format!("{} asks for {mood} in {id} about {other}", self.device.host()));
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let done = match mood {
                76..79 => client.leave_circle(campus, id).await,
                79..83 => client.add_member(campus, id, other).await,
                83..87 if is_owner && other != me => client.remove_member(campus, id, other).await,
                87..90 => client.create_circle(campus, &format!("circle {number}"), "", kind).await.map(drop),
                90..91 => client.edit_profile(campus, &format!("name {number}"), 7).await,
                91..92 => client.edit_circle(campus, id, &format!("name {number}"), "a topic").await,
                92..95 => {
                    let to = Seq::try_from(head.saturating_sub(back)).unwrap_or(Seq::ZERO);
                    let from = Seq::try_from(head.saturating_sub(back + 4)).unwrap_or(Seq::ZERO);
                    client.fill(campus, id, from, to).await
                }
                _ => Ok(()),
            };
            match done {
                Ok(()) => shared.count(&format!("asked {mood}")),
                Err(error) => shared.line(&format!("refused: {error}")),
            }
        });
    }

    /// Looks after what failed: tries again, or gives it up.
    async fn tidy(&self, circle: &CircleView) -> Result<(), ClientError> {
        let window = self.client.timeline(self.campus, circle.id, Anchor::Latest, 20).await?;
        let failed = window.unsent.iter().find(|it| matches!(it.delivery, Delivery::Failed { .. }));
        let Some(failed) = failed else { return Ok(()) };
        if self.device.chance(2) == 0 {
            return self.client.retry(self.campus, circle.id, failed.id).await;
        }
        self.shared.gives_up(failed.id);
        self.client.discard(self.campus, circle.id, failed.id).await
    }
}

/// Whether an app says that it has everything.
pub fn says_complete(connection: Option<&Connection>) -> bool {
    matches!(connection, Some(Connection::Online { missing: 0 }))
}
