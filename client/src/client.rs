//! The client as its users see it: the desktop shell and the command line.

mod search;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use circles_lan::{Browser, NetworkChanges, Sighting};
use circles_protocol::{
    CampusId, CircleId, CircleKind, Cursor, DeviceId, Entity, InviteId, InviteLink, MessageId, Person, PersonId, Pos,
    Seq, UnixMs,
    api::{
        AddMember, CircleState, CreateCircle, CreateInvite, Devices, EditCircle, EditProfile, Invite, InvitePreview,
        Invites, Join, Joined, PreviewInvite, valid_emoji, valid_name, valid_text,
    },
};
use futures::{FutureExt, future::BoxFuture};
use http::Method;
use rusqlite::Transaction;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    api::Api,
    cache::{
        Cache, Durability,
        apply::Touched,
        campuses::{self, CampusRow, LanRow},
        drafts, history, mutes,
        outbox::{self, Intent},
        set_aside, stranded, views,
    },
    engine::{Engine, Parts},
    error::ClientError,
    lan::{
        Invited, Route,
        doctor::{self, Patient},
    },
    limits::{DEVICE_INVITE_LIFE_S, INVITE_LIFE_S, INVITE_USES, LOOKS_AGAIN_WITHIN, UPDATES_WAITING_MAX},
    outside::Outside,
    token::Tokens,
    view::{
        Anchor, CampusStatus, CampusView, CircleView, DeviceView, DraftView, Finding, InviteView, KeptMessage,
        MadeInviteView, MessageView, NearbyView, NewInvite, PersonView, StrandedView, TimelineView, TokenPlace, Update,
    },
};

/// How to open a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the database and, without a keyring, the tokens are.
    pub data_dir: PathBuf,
    /// What this device is called when it joins a campus.
    pub device_name: String,
    /// Whether tokens go into the keyring of the operating system, if it has one.
    pub keyring: bool,
}

impl Options {
    /// Where the app keeps its data if nobody says otherwise.
    pub fn default_data_dir() -> Option<PathBuf> {
        dirs::data_dir().map(|it| it.join("circles"))
    }
}

/// The client. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: Options,
    outside: Outside,
    cache: Cache,
    tokens: Tokens,
    browser: Browser,
    updates: broadcast::Sender<Update>,
    engines: RwLock<HashMap<CampusId, Engine>>,
    stop: CancellationToken,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// Opens the cache and starts an engine for each campus; returns before any network. A second process with the same
    /// data reads, and what it writes goes out through the first (see [`Client::runs_engine`]).
    pub async fn open(options: Options) -> Answer<Self> {
        Self::open_in(options, Outside::machine()).await
    }

    /// [`Client::open`] with another outside: a network and a time that are simulated.
    pub async fn open_in(options: Options, outside: Outside) -> Answer<Self> {
        let cache = Cache::open(options.data_dir.clone(), outside.threads.clone()).await?;
        let tokens = Tokens::new(&options.data_dir, options.keyring);
        let (updates, _) = broadcast::channel(UPDATES_WAITING_MAX);
        let client = Self(Arc::new(Inner {
            options,
            outside,
            cache,
            tokens,
            browser: Browser::default(),
            updates,
            engines: RwLock::default(),
            stop: CancellationToken::new(),
        }));
        for row in client.0.cache.read(|conn| Ok(campuses::all(conn)?)).await? {
            client.start(&row).await?;
        }
        if client.runs_engine() {
            tokio::spawn(client.clone().keep_index());
            if client.0.outside.network.is_none() {
                tokio::spawn(client.clone().watch_network());
            }
        } else {
            tokio::spawn(client.clone().watch_other_process());
        }
        Ok(client)
    }

    /// Whether this process has the streams, and not another one with the same data.
    pub fn runs_engine(&self) -> bool {
        self.0.cache.runs_engine()
    }

    /// Every update from now on. Bounded: a listener that is told it lagged takes everything anew.
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.0.updates.subscribe()
    }

    /// Stops the engines and gives the data directory free.
    pub async fn close(self) {
        self.0.stop.cancel();
        let engines: Vec<Engine> =
            self.0.engines.write().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, it)| it).collect();
        for engine in engines {
            engine.stop().await;
        }
        self.0.cache.close();
    }

    async fn start(&self, row: &CampusRow) -> Answer<()> {
        // A campus whose token is lost still opens: what it holds can be read.
        let (token, place) = match self.0.tokens.find(row.device).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, campus = %row.id, "the token of this device is not to be had");
                (String::new(), TokenPlace::Keyring)
            }
        };
        let api = match &row.lan {
            None => Api::new(row.relay.clone(), self.0.outside.network.clone())?,
            Some(lan) => Api::on_lan(Route::new(lan.key, lan.addresses.clone()))?,
        };
        let engine = Engine::start(
            Parts {
                campus: row.id,
                me: row.person,
                api: api.with_token(token),
                sightings: row.lan.as_ref().filter(|_| self.runs_engine()).map(|_| self.0.browser.look()),
                cache: self.0.cache.clone(),
                clock: self.0.outside.clock.clone(),
                token_place: place,
                updates: self.0.updates.clone(),
            },
            self.runs_engine(),
        );
        self.0.engines.write().unwrap_or_else(PoisonError::into_inner).insert(row.id, engine);
        Ok(())
    }

    async fn invited(&self, link: &str) -> Answer<Invited> {
        Invited::find(link, &self.0.browser, self.0.outside.network.clone()).await
    }

    fn now(&self) -> UnixMs {
        (self.0.outside.clock)()
    }

    fn engine(&self, campus: CampusId) -> Answer<Engine> {
        let engines = self.0.engines.read().unwrap_or_else(PoisonError::into_inner);
        engines.get(&campus).cloned().ok_or(ClientError::NotFound("campus"))
    }

    /// Connects anew with every campus, at once: for whoever knows that the connections are dead, as after sleep.
    pub fn reconnect_all(&self) {
        let engines = self.0.engines.read().unwrap_or_else(PoisonError::into_inner);
        engines.values().for_each(Engine::reconnect);
    }

    /// Connects anew when this computer comes to another network, or back: sockets from before may be dead without saying so,
    /// and the wait for the next attempt may be long.
    async fn watch_network(self) {
        let mut changes = match NetworkChanges::watch() {
            Ok(changes) => changes,
            Err(error) => return tracing::warn!(%error, "changes of the network are not noticed at once"),
        };
        loop {
            let moved = tokio::select! {
                () = self.0.stop.cancelled() => return,
                moved = changes.next() => moved,
            };
            if let Err(error) = moved {
                return tracing::warn!(%error, "changes of the network are not noticed at once any more");
            }
            tracing::info!("the network changed: connecting anew");
            self.reconnect_all();
        }
    }

    /// Tells of what another process wrote into the cache.
    async fn watch_other_process(self) {
        let mut before = None;
        loop {
            tokio::select! {
                () = self.0.stop.cancelled() => return,
                () = self.0.cache.written() => {}
            }
            match self.0.cache.version().await {
                Ok(version) if before.replace(version) == Some(version) => {}
                Ok(_) => {
                    let campuses: Vec<CampusId> =
                        self.0.engines.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
                    for campus_id in campuses {
                        drop(self.0.updates.send(Update::Timeline { campus_id, circle_id: None }));
                    }
                }
                Err(error) => tracing::warn!(%error, "the cache cannot be watched"),
            }
        }
    }

    // ---- campuses --------------------------------------------------------------------------------------------------

    /// The campuses of this device.
    pub async fn campuses(&self) -> Answer<Vec<CampusView>> {
        let rows = self.0.cache.read(|conn| Ok(campuses::all(conn)?)).await?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.engine(row.id)?.view().await?);
        }
        Ok(views)
    }

    /// What an invite leads to, without using it up: a link, or a typed code.
    pub async fn preview_invite(&self, link: &str) -> Answer<InviteView> {
        let Invited { link, api } = self.invited(link).await?;
        let preview = preview(&api, &link).await?;
        Ok(InviteView {
            campus_name: preview.campus_name,
            circle_name: preview.circle_name,
            invited_by: preview.invited_by,
            relay: link.relay.to_string(),
            person_name: preview.person.map(|it| it.name),
        })
    }

    /// The relays that say they are on this network, after listening for so long. To find one is not to get in: whoever wants
    /// to join needs its invite.
    pub async fn nearby(&self, listen: Duration) -> Answer<Vec<NearbyView>> {
        let mut sightings = self.0.browser.look();
        sightings.keep_fresh();
        let deadline = tokio::time::Instant::now() + listen;
        while tokio::time::timeout_at(deadline, sightings.changed()).await.is_ok() {}
        // Who looks again and again goes on with one search, and does not begin a new one each time.
        let held = sightings.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LOOKS_AGAIN_WITHIN).await;
            drop(held);
        });
        let joined: Vec<CampusId> = self.campuses().await?.into_iter().map(|it| it.id).collect();
        let view = |it: Sighting| NearbyView {
            joined: it.campus.is_some_and(|it| joined.contains(&it)),
            words: it.key.words(),
            address: it.addresses.first().map(ToString::to_string),
            name: it.name,
        };
        Ok(sightings.all().into_iter().map(view).collect())
    }

    /// Joins a campus, by link or typed code. May be repeated after a lost answer: the same ids and token are sent again.
    pub async fn join(&self, link: &str, name: &str) -> Answer<CampusView> {
        if !self.runs_engine() {
            return Err(ClientError::InUse);
        }
        let name = checked(valid_name(name, &()), "name", name.trim())?;
        let invited = self.invited(link).await?;
        let attempt = invited.attempt();
        let Invited { link, api } = invited;
        if self.engine(preview(&api, &link).await?.campus_id).is_ok() {
            return Err(ClientError::AlreadyJoined);
        }
        let key = attempt.clone();
        let (person_id, device_id) =
            self.0.cache.write(Durability::Outbox, move |conn| Ok(campuses::pending_join(conn, &key)?)).await?;
        let token = if let Ok((token, _)) = self.0.tokens.find(device_id).await {
            token
        } else {
            let token = Tokens::make();
            self.0.tokens.keep(device_id, token.clone()).await?;
            token
        };
        let join = Join {
            code: link.code.clone(),
            person_id,
            name,
            device_id,
            device_name: self.0.options.device_name.clone(),
            token,
        };
        let joined: Joined = api.send(Method::POST, "v1/join", &join).await?;
        let row = CampusRow {
            id: joined.campus_id,
            name: joined.campus_name,
            relay: link.relay,
            lan: link.lan.map(|it| LanRow { key: it.key, addresses: it.addresses }),
            person: joined.person.id,
            device: joined.device_id,
            hosted: false,
            // What is answered before the first event of the stream is of a history, too: otherwise one that ends before the
            // device hears of it would leave its states behind.
            cursor: joined.epoch.map(|epoch| Cursor { epoch, pos: Pos::ZERO }),
            set_aside: 0,
        };
        let key = attempt;
        let now = self.now();
        let stored = row.clone();
        self.0
            .cache
            .write(Durability::Outbox, move |conn| {
                campuses::insert(conn, &stored, now)?;
                let mut apply = crate::cache::apply::Apply::new(conn, stored.id, stored.person);
                apply.entity(&Entity::Person(joined.person))?;
                apply.finish()?;
                Ok(campuses::end_pending_join(conn, &key)?)
            })
            .await?;
        self.start(&row).await?;
        self.tell(Update::Campuses);
        self.engine(row.id)?.view().await
    }

    /// Forgets a campus on this device, with its cache, outbox and token.
    pub async fn leave_campus(&self, campus: CampusId) -> Answer<()> {
        let engine = self.engine(campus)?;
        engine.stop().await;
        let row = self.0.cache.read(move |conn| campuses::find(conn, campus)).await?;
        self.0.engines.write().unwrap_or_else(PoisonError::into_inner).remove(&campus);
        self.0.cache.write(Durability::Outbox, move |conn| Ok(campuses::delete(conn, campus)?)).await?;
        self.0.tokens.forget(row.device).await?;
        self.tell(Update::Campuses);
        Ok(())
    }

    /// Says which campus is hosted by this app, and where its relay now is.
    pub async fn set_hosted(&self, campus: CampusId, hosted: bool, relay: Url) -> Answer<()> {
        let before = self.0.cache.read(move |conn| campuses::find(conn, campus)).await?;
        let moved = before.relay != relay;
        self.0
            .cache
            .write(Durability::Outbox, move |conn| Ok(campuses::set_hosted(conn, campus, hosted, &relay)?))
            .await?;
        if moved {
            self.engine(campus)?.stop().await;
            let row = self.0.cache.read(move |conn| campuses::find(conn, campus)).await?;
            self.start(&row).await?;
        }
        self.tell(Update::Campus { campus: Box::new(self.engine(campus)?.view().await?) });
        Ok(())
    }

    /// Looks at what stands between this device and its relays, and says it in plain words. Takes some seconds.
    pub async fn doctor(&self) -> Answer<Vec<Finding>> {
        let mut patients = Vec::new();
        for row in self.0.cache.read(|conn| Ok(campuses::all(conn)?)).await? {
            patients.push(Patient { api: self.engine(row.id)?.api().clone(), name: row.name, hosted: row.hosted });
        }
        Ok(doctor::examine(patients).await)
    }

    /// Connects at once.
    #[expect(clippy::unused_async, reason = "every intent is one")]
    pub async fn reconnect(&self, campus: CampusId) -> Answer<()> {
        self.engine(campus)?.reconnect();
        Ok(())
    }

    /// The messages that only this device has, because the relay lost them: by circle, at most the 500 newest.
    pub async fn kept(&self, campus: CampusId) -> Answer<Vec<KeptMessage>> {
        self.0.cache.read(move |conn| Ok(history::kept(conn, campus)?)).await
    }

    /// What was not sent in circles that one is not in any more. [`Client::discard`] gives it up.
    pub async fn stranded(&self, campus: CampusId) -> Answer<Vec<StrandedView>> {
        let eyes = self.engine(campus)?.eyes();
        self.0.cache.read(move |conn| Ok(stranded::all(conn, eyes)?)).await
    }

    /// The person has seen what there is to tell of a campus: an absence, or another history of the relay.
    pub async fn put_notices_aside(&self, campus: CampusId) -> Answer<()> {
        self.engine(campus)?.put_notices_aside().await
    }

    /// What is held and what is missing, of every campus.
    pub async fn status(&self) -> Answer<Vec<CampusStatus>> {
        let mut all = Vec::new();
        for campus in self.campuses().await? {
            let eyes = self.engine(campus.id)?.eyes();
            let status = self.0.cache.read(move |conn| {
                let row = campuses::find(conn, eyes.campus)?;
                let circles = views::circles(conn, eyes)?.into_iter().filter(|it| it.joined);
                Ok(CampusStatus {
                    campus,
                    cursor: row.cursor.map(|it| it.to_string()),
                    heard_at: campuses::heard_at(conn, eyes.campus)?,
                    set_aside: row.set_aside,
                    events_set_aside: set_aside::kept(conn, eyes.campus)?,
                    circles: circles.map(|it| views::circle_status(conn, eyes, &it)).collect::<Result<_, _>>()?,
                    stranded: stranded::all(conn, eyes)?,
                })
            });
            all.push(status.await?);
        }
        Ok(all)
    }

    // ---- oneself ---------------------------------------------------------------------------------------------------

    /// Changes one's name and colour.
    pub async fn edit_profile(&self, campus: CampusId, name: &str, hue: u16) -> Answer<()> {
        let name = checked(valid_name(name, &()), "name", name.trim())?;
        let engine = self.engine(campus)?;
        let edit = EditProfile { name: Some(name), hue: Some(hue) };
        let person = engine.api().send(Method::PATCH, "v1/me", &edit).boxed();
        engine.ask(person, |apply, it: Person| Ok(apply.entity(&Entity::Person(it))?)).await
    }

    /// One's devices.
    pub async fn devices(&self, campus: CampusId) -> Answer<Vec<DeviceView>> {
        let devices: Devices = self.engine(campus)?.api().get("v1/devices").await?;
        let view = |it: circles_protocol::api::Device| DeviceView {
            id: it.id,
            name: it.name,
            created_at: it.created_at,
            last_seen_at: it.last_seen_at,
            this: it.this,
        };
        Ok(devices.devices.into_iter().map(view).collect())
    }

    /// Signs a device out.
    pub async fn revoke_device(&self, campus: CampusId, device: DeviceId) -> Answer<()> {
        self.engine(campus)?.api().delete(&format!("v1/devices/{device}")).await
    }

    /// Makes an invite: into the campus, also into a circle, or for a device of one's own.
    pub async fn create_invite(&self, campus: CampusId, circle: Option<CircleId>, device: bool) -> Answer<NewInvite> {
        let create = CreateInvite {
            id: InviteId::new(),
            circle_id: circle,
            device,
            max_uses: if device { 1 } else { INVITE_USES },
            life_s: if device { DEVICE_INVITE_LIFE_S } else { INVITE_LIFE_S },
        };
        let invite: Invite = self.engine(campus)?.api().send(Method::POST, "v1/invites", &create).await?;
        let link = invite.link.ok_or(ClientError::NotARelay)?;
        let short_code = link.parse::<InviteLink>()?.short_code().map(|it| it.to_string());
        Ok(NewInvite { id: invite.id, link, short_code, expires_at: invite.expires_at, max_uses: invite.max_uses })
    }

    /// The invites that still admit: one's own, and for the campus's owner all.
    pub async fn invites(&self, campus: CampusId) -> Answer<Vec<MadeInviteView>> {
        let listed: Invites = self.engine(campus)?.api().get("v1/invites").await?;
        let view = |it: Invite| MadeInviteView {
            id: it.id,
            device: it.device,
            expires_at: it.expires_at,
            uses: it.uses,
            max_uses: it.max_uses,
        };
        let now = self.now();
        let admits = |it: &Invite| it.revoked_at.is_none() && it.uses < it.max_uses && it.expires_at > now;
        Ok(listed.invites.into_iter().filter(admits).map(view).collect())
    }

    /// Takes an invite back: from now on it admits nobody. Who came in by it stays.
    pub async fn revoke_invite(&self, campus: CampusId, invite: InviteId) -> Answer<()> {
        self.engine(campus)?.api().delete(&format!("v1/invites/{invite}")).await
    }

    // ---- circles ---------------------------------------------------------------------------------------------------

    /// The circles that one is a member of, and open ones that one could join.
    pub async fn circles(&self, campus: CampusId) -> Answer<Vec<CircleView>> {
        let eyes = self.engine(campus)?.eyes();
        self.0.cache.read(move |conn| Ok(views::circles(conn, eyes)?)).await
    }

    /// Creates a circle.
    pub async fn create_circle(
        &self,
        campus: CampusId,
        name: &str,
        topic: &str,
        access: CircleKind,
    ) -> Answer<CircleView> {
        let name = checked(valid_name(name, &()), "name", name.trim())?;
        let create = CreateCircle { id: CircleId::new(), name, topic: topic.trim().to_owned(), access };
        let engine = self.engine(campus)?;
        self.circle_state(&engine, create.id, engine.api().send(Method::POST, "v1/circles", &create).boxed()).await
    }

    /// Changes a circle's name and topic.
    pub async fn edit_circle(&self, campus: CampusId, circle: CircleId, name: &str, topic: &str) -> Answer<()> {
        let name = checked(valid_name(name, &()), "name", name.trim())?;
        let edit = EditCircle { name: Some(name), topic: Some(topic.trim().to_owned()) };
        let engine = self.engine(campus)?;
        let path = format!("v1/circles/{circle}");
        self.circle_state(&engine, circle, engine.api().send(Method::PATCH, &path, &edit).boxed()).await.map(drop)
    }

    /// Joins an open circle.
    pub async fn join_circle(&self, campus: CampusId, circle: CircleId) -> Answer<()> {
        let engine = self.engine(campus)?;
        let path = format!("v1/circles/{circle}/join");
        self.circle_state(&engine, circle, engine.api().call(Method::POST, &path).boxed()).await.map(drop)
    }

    /// Leaves a circle.
    pub async fn leave_circle(&self, campus: CampusId, circle: CircleId) -> Answer<()> {
        let engine = self.engine(campus)?;
        let path = format!("v1/circles/{circle}/leave");
        let state = engine.api().call(Method::POST, &path).boxed();
        engine.ask(state, |apply, it: CircleState| Ok(apply.circle_state(&it)?)).await
    }

    /// Brings a person into a circle.
    pub async fn add_member(&self, campus: CampusId, circle: CircleId, person: PersonId) -> Answer<()> {
        let engine = self.engine(campus)?;
        let path = format!("v1/circles/{circle}/members");
        let add = AddMember { person_id: person };
        self.circle_state(&engine, circle, engine.api().send(Method::POST, &path, &add).boxed()).await.map(drop)
    }

    /// Removes a person from a circle.
    pub async fn remove_member(&self, campus: CampusId, circle: CircleId, person: PersonId) -> Answer<()> {
        self.engine(campus)?.api().delete(&format!("v1/circles/{circle}/members/{person}")).await
    }

    async fn circle_state(
        &self,
        engine: &Engine,
        id: CircleId,
        state: BoxFuture<'_, Answer<CircleState>>,
    ) -> Answer<CircleView> {
        let eyes = engine.eyes();
        engine.ask(state, |apply, it| Ok(apply.circle_state(&it)?)).await?;
        engine.fill();
        self.0.cache.read(move |conn| views::circle(conn, eyes, id)?.ok_or(ClientError::NotFound("circle"))).await
    }

    /// The members of a circle, or everyone in the campus, by name.
    pub async fn people(&self, campus: CampusId, circle: Option<CircleId>, query: &str) -> Answer<Vec<PersonView>> {
        let query = query.to_owned();
        self.0.cache.read(move |conn| Ok(views::people(conn, campus, circle, &query)?)).await
    }

    /// The members of a circle who are online; nobody while there is no stream. [`Update::Presence`] tells what changes.
    pub async fn presence(&self, campus: CampusId, circle: CircleId) -> Answer<Vec<PersonId>> {
        self.engine(campus)?.presence(circle).await
    }

    /// What the person looks at is caught up first.
    #[expect(clippy::unused_async, reason = "every intent is one")]
    pub async fn focus(&self, campus: Option<CampusId>, circle: Option<CircleId>) -> Answer<()> {
        let engines = self.0.engines.read().unwrap_or_else(PoisonError::into_inner);
        for (id, engine) in engines.iter() {
            engine.focus(circle.filter(|_| campus == Some(*id)));
        }
        Ok(())
    }

    // ---- messages --------------------------------------------------------------------------------------------------

    /// A window of a circle's timeline, as it is held.
    pub async fn timeline(
        &self,
        campus: CampusId,
        circle: CircleId,
        anchor: Anchor,
        limit: u32,
    ) -> Answer<TimelineView> {
        let eyes = self.engine(campus)?.eyes();
        let opens = !matches!(anchor, Anchor::Before { .. } | Anchor::After { .. });
        // Nothing else is told from now on. For what is only shown anew nobody waits before it is there.
        if opens {
            self.0.cache.shown(true);
        }
        let window = self.0.cache.read(move |conn| views::timeline(conn, eyes, circle, &anchor, limit)).await;
        self.0.cache.shown(opens);
        window
    }

    /// Fetches what is missing in `from..=to`, nearest to `to` first, 200 at the most.
    pub async fn fill(&self, campus: CampusId, circle: CircleId, from: Seq, to: Seq) -> Answer<()> {
        let limit = (to.get() + 1).saturating_sub(from.get()).clamp(1, 200);
        let query = format!("before={}&limit={limit}", to.next());
        self.engine(campus)?.messages(circle, &query).await
    }

    /// Puts a message into the outbox. It is durable when this returns. What stands in the composer stays: it may be
    /// something else.
    pub async fn send(
        &self,
        campus: CampusId,
        circle: CircleId,
        text: &str,
        reply_to: Option<MessageId>,
    ) -> Answer<MessageView> {
        let put = move |conn: &Transaction<'_>, id, post: &Intent, now| {
            outbox::push(conn, campus, circle, Some(id), post, now)
        };
        self.post(campus, circle, text, reply_to, put).await
    }

    /// [`Client::send`] for what stood in the circle's composer, which is empty when this returns: a crash leaves the text in
    /// one of the two places, and nobody sends it twice.
    pub async fn send_composed(
        &self,
        campus: CampusId,
        circle: CircleId,
        text: &str,
        reply_to: Option<MessageId>,
    ) -> Answer<MessageView> {
        let put =
            move |conn: &Transaction<'_>, id, post: &Intent, now| drafts::send(conn, campus, circle, id, post, now);
        self.post(campus, circle, text, reply_to, put).await
    }

    /// Puts a message into the outbox in one transaction, and gives it as it is shown.
    async fn post(
        &self,
        campus: CampusId,
        circle: CircleId,
        text: &str,
        reply_to: Option<MessageId>,
        put: impl FnOnce(&Transaction<'_>, MessageId, &Intent, UnixMs) -> Result<(), ClientError> + Send + 'static,
    ) -> Answer<MessageView> {
        let text = checked(valid_text(text, &()), "text", text)?;
        let engine = self.engine(campus)?;
        let (id, now) = (MessageId::new(), self.now());
        let post = Intent::Post { text, reply_to };
        self.0.cache.write(Durability::Outbox, move |conn| put(conn, id, &post, now)).await?;
        engine.wrote(Touched::of(circle, Some(id)));
        engine.types(circle, false);
        let eyes = engine.eyes();
        self.0
            .cache
            .read(move |conn| views::messages(conn, eyes, circle, [id])?.pop().ok_or(ClientError::NotFound("message")))
            .await
    }

    /// Changes the text of a message of one's own, sent or not.
    pub async fn edit(&self, campus: CampusId, circle: CircleId, message: MessageId, text: &str) -> Answer<()> {
        let text = checked(valid_text(text, &()), "text", text)?;
        let engine = self.engine(campus)?;
        let now = self.now();
        let rewritten = self
            .0
            .cache
            .write(Durability::Outbox, move |conn| {
                let rewritten = outbox::rewrite(conn, campus, message, &text)?;
                if !rewritten {
                    outbox::push(conn, campus, circle, Some(message), &Intent::Edit { text }, now)?;
                }
                Ok(rewritten)
            })
            .await?;
        let touched = if rewritten { Touched::held_up } else { Touched::of };
        engine.wrote(touched(circle, Some(message)));
        Ok(())
    }

    /// Deletes a message; one that is not sent yet is discarded.
    pub async fn delete(&self, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
        let engine = self.engine(campus)?;
        let now = self.now();
        let discarded = self
            .0
            .cache
            .write(Durability::Outbox, move |conn| {
                let items = outbox::of_message(conn, campus, message)?;
                let on_its_way = [outbox::State::Sending, outbox::State::Tried];
                let unsent =
                    items.iter().any(|it| matches!(it.intent, Intent::Post { .. }) && !on_its_way.contains(&it.state));
                if unsent {
                    outbox::discard(conn, campus, message)?;
                } else {
                    outbox::push(conn, campus, circle, Some(message), &Intent::Delete, now)?;
                }
                Ok(unsent)
            })
            .await?;
        let touched = if discarded { Touched::held_up } else { Touched::of };
        engine.wrote(touched(circle, Some(message)));
        Ok(())
    }

    /// Reacts to a message, or takes that back.
    pub async fn react(
        &self,
        campus: CampusId,
        circle: CircleId,
        message: MessageId,
        emoji: &str,
        on: bool,
    ) -> Answer<()> {
        let emoji = checked(valid_emoji(emoji, &()), "reaction", emoji)?;
        self.write(campus, circle, Some(message), Intent::React { emoji, on }).await
    }

    /// Queues what failed of a message again.
    pub async fn retry(&self, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
        let engine = self.engine(campus)?;
        self.0.cache.write(Durability::Outbox, move |conn| Ok(outbox::retry(conn, campus, message)?)).await?;
        engine.wrote(Touched::held_up(circle, Some(message)));
        Ok(())
    }

    /// Gives up what is unsent of a message.
    pub async fn discard(&self, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
        let engine = self.engine(campus)?;
        self.0.cache.write(Durability::Outbox, move |conn| Ok(outbox::discard(conn, campus, message)?)).await?;
        engine.wrote(Touched::held_up(circle, Some(message)));
        Ok(())
    }

    /// Everything of the circle up to this message was read.
    pub async fn mark_read(&self, campus: CampusId, circle: CircleId, seq: Seq) -> Answer<()> {
        let eyes = self.engine(campus)?.eyes();
        let read = self.0.cache.read(move |conn| Ok(views::circle(conn, eyes, circle)?.map(|it| it.read_seq))).await?;
        if read.is_none_or(|read| seq <= read) {
            return Ok(());
        }
        self.write(campus, circle, None, Intent::Read { seq }).await
    }

    /// The person types in a circle, or has emptied the composer. May be called with every key: the relay is told as
    /// often as the others need to hear it, and of the end also by [`Client::send`].
    #[expect(clippy::unused_async, reason = "every intent is one")]
    pub async fn typing(&self, campus: CampusId, circle: CircleId, on: bool) -> Answer<()> {
        self.engine(campus)?.types(circle, on);
        Ok(())
    }

    async fn write(
        &self,
        campus: CampusId,
        circle: CircleId,
        message: Option<MessageId>,
        intent: Intent,
    ) -> Answer<()> {
        let engine = self.engine(campus)?;
        let now = self.now();
        self.0
            .cache
            .write(Durability::Outbox, move |conn| outbox::push(conn, campus, circle, message, &intent, now))
            .await?;
        engine.wrote(Touched::of(circle, message));
        Ok(())
    }

    /// What stands in a circle's composer.
    pub async fn draft(&self, campus: CampusId, circle: CircleId) -> Answer<DraftView> {
        self.0.cache.read(move |conn| Ok(drafts::get(conn, campus, circle)?)).await
    }

    /// Keeps what stands in a circle's composer. The person's other devices are told when it has rested for two seconds, or
    /// at once if nothing stands there any more; what is longer than a message may be stays on this device.
    pub async fn set_draft(&self, campus: CampusId, circle: CircleId, draft: DraftView) -> Answer<()> {
        let engine = self.engine(campus)?;
        let now = self.now();
        self.0.cache.write(Durability::Outbox, move |conn| drafts::set(conn, campus, circle, draft, now)).await?;
        engine.wrote(Touched::of(circle, None));
        Ok(())
    }

    /// Mutes a circle on all of the person's devices, or no longer: no notices but of what mentions them.
    pub async fn set_muted(&self, campus: CampusId, circle: CircleId, on: bool) -> Answer<()> {
        let engine = self.engine(campus)?;
        let now = self.now();
        self.0.cache.write(Durability::Outbox, move |conn| mutes::set(conn, campus, circle, on, now)).await?;
        engine.wrote(Touched::of(circle, None));
        Ok(())
    }

    fn tell(&self, update: Update) {
        // Nobody may be listening.
        drop(self.0.updates.send(update));
    }
}

async fn preview(api: &Api, link: &InviteLink) -> Answer<InvitePreview> {
    api.send(Method::POST, "v1/invites/preview", &PreviewInvite { code: link.code.clone() }).await
}

fn checked(rule: Result<(), impl std::fmt::Display>, what: &str, value: &str) -> Answer<String> {
    match rule {
        Ok(()) => Ok(value.to_owned()),
        Err(error) => Err(ClientError::Invalid(format!("{what} {error}"))),
    }
}
