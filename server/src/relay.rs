//! The relay: opens a campus, and serves it.

use std::{
    io,
    sync::{Arc, OnceLock, PoisonError, RwLock, Weak},
    time::Duration,
};

use axum::Router;
use circles_protocol::{CampusId, CircleId, Epoch, InviteId, InviteLink, Person, Role, UnixMs};
use tokio::{net::TcpListener, runtime::Handle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    api::{self, Tokens},
    clock,
    ephemeral::{self, Ephemeral},
    failure::Failure,
    lan::{LanError, LanHost, OnLan},
    limits::{FIRST_INVITE_LIFE, STOP_GRACE},
    pace::{Pace, in_place},
    rates::Rates,
    serving::{self, Listener, Plain},
    settings::Settings,
    sightings::{self, Sightings},
    store::{OpenError, Store, StoreResult, campus, campus::Campus, invites::StoredInvite, people, session::Session},
    stream::OpenStreams,
    transport::Transport,
    write::{Writer, invites},
};

/// A relay on one campus. Cheap to clone; all clones are the same relay.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    settings: Settings,
    campus: Campus,
    first_invite: Option<String>,
    public_url: OnceLock<Url>,
    /// While it is on the LAN.
    on_lan: RwLock<Option<OnLan>>,
    store: Arc<Store>,
    writer: Writer,
    transport: Transport,
    ephemeral: Arc<Ephemeral>,
    streams: OpenStreams,
    rates: Arc<Rates>,
    tokens: Tokens,
    sightings: Sightings,
    /// It was told to stop, and goes on as before until whoever sends people to it has noticed.
    leaving: CancellationToken,
    stopping: CancellationToken,
    closed: CancellationToken,
    /// What goes on beside requests.
    tasks: TaskTracker,
}

/// A relay that may be gone.
pub(crate) struct WeakRelay(Weak<Inner>);

impl WeakRelay {
    /// The relay, while anyone else holds it and it is not closed.
    pub fn upgrade(&self) -> Option<Relay> {
        self.0.upgrade().map(Relay).filter(|it| !it.is_closed())
    }
}

/// What an invite made by the relay itself is good for.
#[derive(Clone, Copy, Debug)]
pub struct NewInvite {
    /// Role in the campus of who comes in.
    pub role: Role,
    /// A circle to lead into.
    pub circle_id: Option<CircleId>,
    /// How often it can be used.
    pub max_uses: u32,
    /// For how long it holds.
    pub life: Duration,
}

impl NewInvite {
    /// An invite for one owner, for seven days.
    pub const OWNER: Self = Self { role: Role::Owner, circle_id: None, max_uses: 1, life: FIRST_INVITE_LIFE };

    /// Stores the invite in the database of a campus; returns its code.
    pub(crate) fn insert(&self, conn: &dyn Session, of: &Campus, now: UnixMs) -> StoreResult<String> {
        let life_ms = i64::try_from(self.life.as_millis()).unwrap_or(i64::MAX);
        let invite = StoredInvite {
            id: InviteId::new(),
            role: self.role,
            circle_id: self.circle_id,
            device: false,
            created_by: None,
            created_at: now,
            expires_at: UnixMs(now.0.saturating_add(life_ms)),
            max_uses: self.max_uses,
            uses: 0,
            revoked_at: None,
        };
        invites::insert(conn, of, &invite)
    }
}

impl Relay {
    /// Opens the campus in the data directory, and creates it at the first start. Only one relay can have it open.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        let runtime = Handle::current();
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(settings, &runtime, None)).await;
        Ok(opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?.present())
    }

    /// [`Relay::open`] for a simulation: nothing runs on a thread of its own, and what SQLite does takes as long as `pace`
    /// says. A campus in Postgres cannot be opened so.
    pub async fn open_in_place(settings: Settings, pace: Pace) -> Result<Self, OpenError> {
        let runtime = Handle::current();
        let opened = in_place(&pace, || Self::open_blocking(settings, &runtime, Some(pace.clone()))).await;
        Ok(opened?.present())
    }

    /// Begins to tell who comes and goes, and that the relay stops.
    fn present(self) -> Self {
        let (weak, changes) = (WeakRelay(Arc::downgrade(&self.0)), self.ephemeral().changes());
        self.0.tasks.spawn(ephemeral::announce_presence(weak, changes, self.0.closed.clone()));
        let (sightings, weak) = (self.0.sightings.clone(), WeakRelay(Arc::downgrade(&self.0)));
        self.0.tasks.spawn(sightings::write(weak, sightings, self.0.closed.clone()));
        self.0.tasks.spawn(stir(self.0.transport.clone(), self.0.stopping.clone(), self.0.closed.clone()));
        self
    }

    fn open_blocking(settings: Settings, runtime: &Handle, pace: Option<Pace>) -> Result<Self, OpenError> {
        let create = |conn: &dyn Session| {
            let (campus, first_invite) = match campus::get(conn)? {
                Some(campus) => (campus, None),
                None => found(conn, settings.campus_name.trim()).map(|(campus, code)| (campus, Some(code)))?,
            };
            Ok((campus, first_invite, campus::head(conn)?))
        };
        let (store, link, (campus, first_invite, head)) = Store::open(&settings, runtime, pace.clone(), create)?;
        let store = Arc::new(store);
        let transport = Transport::new(&settings, campus.id, &campus.epoch, head)?;
        let (tasks, closed) = (TaskTracker::new(), CancellationToken::new());
        let entered = runtime.enter();
        let ephemeral = Arc::new(Ephemeral::new(settings.presence_grace, transport.clone()));
        let rates = Arc::new(Rates::new(&settings));
        transport.start(&store, &ephemeral, &rates, &campus.epoch, &tasks, &closed);
        let writer = Writer::start(link, campus.epoch.clone(), transport.clone(), pace).map_err(OpenError::Writer)?;
        drop(entered);
        tracing::info!(campus = %campus.name, epoch = %campus.epoch, database = %store.place(), "opened");
        Ok(Self(Arc::new(Inner {
            rates,
            ephemeral,
            settings,
            campus,
            first_invite,
            public_url: OnceLock::new(),
            on_lan: RwLock::default(),
            store,
            writer,
            transport,
            streams: OpenStreams::default(),
            tokens: Tokens::default(),
            sightings: Sightings::default(),
            leaving: CancellationToken::new(),
            stopping: CancellationToken::new(),
            closed,
            tasks,
        })))
    }

    /// The campus's id and name.
    pub fn campus(&self) -> (CampusId, String) {
        (self.0.campus.id, self.0.campus.name.clone())
    }

    /// The code of the invite for the campus's owner, if this opening created the campus.
    pub fn first_invite(&self) -> Option<&str> {
        self.0.first_invite.as_deref()
    }

    /// Makes an invite; returns its code.
    pub async fn create_invite(&self, invite: NewInvite) -> Result<String, Failure> {
        let of = self.0.campus.clone();
        self.0.writer.run(move |tx| Ok(invite.insert(tx.conn(), &of, tx.now())?)).await
    }

    /// Makes an invite for one owner, for seven days; returns its code.
    pub async fn create_owner_invite(&self) -> Result<String, Failure> {
        self.create_invite(NewInvite::OWNER).await
    }

    /// The people who are connected now, by name.
    pub async fn online(&self) -> Result<Vec<Person>, Failure> {
        let ids = self.ephemeral().online();
        let people = self.store().read(move |conn| {
            let found: StoreResult<Vec<_>> = ids.into_iter().map(|id| people::get(conn, id)).collect();
            Ok::<_, Failure>(found?.into_iter().flatten().collect())
        });
        let mut people: Vec<Person> = people.await?;
        people.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(people)
    }

    /// The link that carries a code to people: to the network while the relay is on it.
    pub fn link(&self, code: &str) -> InviteLink {
        if let Some(on_lan) = self.on_lan() {
            return InviteLink::on_lan(on_lan.place(), code.to_owned())
                .expect("a place with an address and an own code");
        }
        let relay = self.0.public_url.get().cloned().unwrap_or_else(|| self.0.settings.public_url());
        InviteLink::new(relay, code.to_owned()).expect("the settings' address and an own code make a link")
    }

    /// The API, the stream and the interface, to mount in any axum program. Behind `into_make_service_with_connect_info`
    /// it knows its callers' addresses; otherwise all count as one for the rate limit of joining.
    pub fn router(&self) -> Router {
        api::router(self.clone())
    }

    /// Serves until `stop`, or until the database holds another history, which is an error and cancels `stop`. Then it is
    /// not ready, and takes connections for as long as the settings say; after that it ends streams politely over the drain
    /// time, and returns.
    pub async fn serve(&self, listener: impl Listener, stop: CancellationToken) -> io::Result<()> {
        let local = listener.local_addr()?;
        if self.0.settings.public_url.is_none()
            && let Ok(url) = Url::parse(&format!("http://{local}/"))
        {
            // With port 0 the settings do not know where people find the relay.
            self.0.public_url.get_or_init(|| url);
        }
        tracing::info!(%local, "listening");
        let last_call = CancellationToken::new();
        let estranged = self.0.transport.estranged();
        let stopping = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = estranged.cancelled() => stop.cancel(),
            }
            self.0.leaving.cancel();
            tokio::time::sleep(self.0.settings.leave).await;
            tracing::info!(streams = self.0.streams.count(), "stopping");
            last_call.cancel();
            self.0.stopping.cancel();
            tokio::time::sleep(self.0.settings.drain + STOP_GRACE).await;
        };
        tokio::select! {
            () = serving::serve(listener, self.router(), Plain, last_call.clone()) => {}
            () = stopping => tracing::warn!("some requests did not end in time"),
        }
        if estranged.is_cancelled() {
            return Err(io::Error::other(
                "the database holds another history than this relay began with: start it again",
            ));
        }
        Ok(())
    }

    /// Puts the relay on the LAN: from now on its invites lead there, and [`LanHost::serve`] lets people in. The key is
    /// that of the data directory.
    pub fn lan(&self, listener: TcpListener) -> Result<LanHost, LanError> {
        let host = LanHost::new(self.clone(), listener)?;
        *self.0.on_lan.write().unwrap_or_else(PoisonError::into_inner) = Some(host.on_lan().clone());
        Ok(host)
    }

    pub(crate) fn leave_lan(&self) {
        *self.0.on_lan.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn on_lan(&self) -> Option<OnLan> {
        self.0.on_lan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends streams, does what is queued, and closes the database. Afterwards the directory can be opened again.
    pub async fn close(self) {
        self.0.stopping.cancel();
        self.0.closed.cancel();
        self.0.writer.close().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.store.close();
        if timeout(STOP_GRACE, self.0.streams.ended()).await.is_err() {
            tracing::warn!("some streams did not end in time");
        }
        tracing::info!("closed");
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn campus_row(&self) -> &Campus {
        &self.0.campus
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.0.campus.epoch.clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.0.writer
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(crate) fn ephemeral(&self) -> &Ephemeral {
        &self.0.ephemeral
    }

    pub(crate) fn streams(&self) -> &OpenStreams {
        &self.0.streams
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(crate) fn sightings(&self) -> &Sightings {
        &self.0.sightings
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.0.leaving.is_cancelled() || self.is_stopping()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.stopping.is_cancelled()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.is_cancelled()
    }
}

/// Wakes the streams when the relay stops, and again when it closes: each looks whether it does as often as it runs, and
/// that is cheaper than two more things that each of them waits for.
async fn stir(transport: Transport, stopping: CancellationToken, closed: CancellationToken) {
    for token in [stopping, closed] {
        token.cancelled().await;
        transport.stir();
    }
}

/// Creates a campus and the invite for its owner.
fn found(conn: &dyn Session, name: &str) -> StoreResult<(Campus, String)> {
    let campus = Campus {
        id: CampusId::new(),
        name: name.to_owned(),
        epoch: Epoch::random(rand::random()),
        secret: rand::random(),
    };
    let now = clock::now();
    campus::create(conn, &campus, now)?;
    let code = NewInvite::OWNER.insert(conn, &campus, now)?;
    Ok((campus, code))
}
