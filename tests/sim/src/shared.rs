//! What the hosts of a simulation and those who watch it share.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use circles_client::view::{CircleView, Connection};
use circles_protocol::{CampusId, CircleId, MessageId, PersonId, UnixMs};
use futures::future::BoxFuture;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::Notify;

use crate::{breakage::Breakage, trace::Trace};

/// Locks; a panic elsewhere has already failed the run.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One campus and everything around it.
pub struct Shared {
    /// The trace.
    pub trace: Mutex<Trace>,
    /// How often what happened.
    pub counts: Mutex<BTreeMap<String, u64>>,
    /// What must not be.
    pub violations: Mutex<Vec<String>>,
    /// What is broken on purpose.
    pub breakage: Option<Breakage>,
    /// Since the beginning; also while no host runs.
    pub now_ms: AtomicI64,
    /// People act on their own.
    pub lively: AtomicBool,
    /// Links by which devices join, in the order of the devices.
    pub links: Mutex<BTreeMap<usize, String>>,
    /// Posts that some device has an answer for: they must never be lost.
    pub answered: Mutex<BTreeMap<MessageId, Answered>>,
    /// Every person has another device to come, with an empty cache.
    pub fresh: AtomicBool,
    /// What people wanted messages to be, in order: a text, or none. Whether it was durable when they were told so.
    pub intents: Mutex<BTreeMap<MessageId, Vec<Intent>>>,
    /// What people wrote.
    pub diary: Mutex<Vec<Written>>,
    /// Decides when a breakage strikes.
    pub mischief: Mutex<SmallRng>,
    /// Frames that a breakage keeps for others, and whose they were.
    pub kept_frames: Mutex<Vec<(usize, String)>>,
    /// Texts that a breakage keeps, by message.
    pub first_texts: Mutex<BTreeMap<String, String>>,
    /// Number for texts: no two are the same.
    pub texts: AtomicUsize,
    /// How the relay's database dawdles.
    pub relay_pace: Mutex<SmallRng>,
    /// Tells the relay to stop in order.
    pub stop_relay: Mutex<tokio_util::sync::CancellationToken>,
    /// Where the relay keeps its campus.
    pub relay_dir: PathBuf,
}

/// A message that the relay has accepted, as its device heard.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Which device.
    pub device: usize,
    /// Where.
    pub circle: CircleId,
}

/// A message that somebody wrote, from when it was durable in an outbox.
#[derive(Clone, Debug)]
pub struct Written {
    /// Which device.
    pub device: usize,
    /// Where.
    pub circle: CircleId,
    /// Under which id.
    pub id: MessageId,
    /// What.
    pub text: String,
    /// Its author discarded or deleted it.
    pub given_up: bool,
}

/// What a person wanted a message of theirs to be.
#[derive(Clone, Debug)]
pub struct Intent {
    /// At which device.
    pub device: usize,
    /// Another text; none: gone.
    pub text: Option<String>,
    /// The app said that it has taken it up.
    pub taken: bool,
}

impl Shared {
    /// Notes what somebody is about to do with a message.
    pub fn intends(&self, message: MessageId, device: usize, text: Option<String>) -> usize {
        let mut intents = lock(&self.intents);
        let of_message = intents.entry(message).or_default();
        of_message.push(Intent { device, text, taken: false });
        of_message.len() - 1
    }

    /// The app has taken it up: it is durable.
    pub fn meant(&self, message: MessageId, intent: usize) {
        if let Some(it) = lock(&self.intents).get_mut(&message).and_then(|it| it.get_mut(intent)) {
            it.taken = true;
        }
    }

    /// Its author does not want the message any more.
    pub fn gives_up(&self, message: MessageId) {
        for written in lock(&self.diary).iter_mut().filter(|it| it.id == message) {
            written.given_up = true;
        }
    }

    /// Adds a line to the trace.
    pub fn line(&self, text: &str) {
        let at = u128::try_from(self.now_ms.load(Ordering::Relaxed)).unwrap_or(0);
        lock(&self.trace).line(at, text);
    }

    /// Counts something that happened.
    pub fn count(&self, what: &str) {
        *lock(&self.counts).entry(what.to_owned()).or_default() += 1;
    }

    /// Notes what must not be. The first few say enough.
    pub fn violation(&self, what: &str) {
        self.line(&format!("VIOLATION {what}"));
        let mut violations = lock(&self.violations);
        if violations.len() < 20 {
            let at = self.now_ms.load(Ordering::Relaxed);
            violations.push(format!("at {}.{:03} s: {what}", at / 1_000, at % 1_000));
        }
    }

    /// Whether this is broken on purpose.
    pub fn breaks(&self, breakage: Breakage) -> bool {
        self.breakage == Some(breakage)
    }

    /// How long the relay's database takes.
    pub fn relay_pace(self: &Arc<Self>) -> circles_relay::Pace {
        let shared = self.clone();
        Arc::new(move || dawdle(&shared.relay_pace, 25))
    }
}

/// A device of a person: its host is down and up, its clock is wrong, its owner sleeps.
pub struct Device {
    /// Its place among the devices, and its host's name.
    pub index: usize,
    /// The person that it belongs to.
    pub person: usize,
    /// Whether the person has joined the campus with another device: then it joins with an invite for a device.
    pub second: bool,
    /// Where it keeps its data.
    pub dir: PathBuf,
    /// The wall clock's distance from the time of the simulation, in ms.
    pub clock_ms: AtomicI64,
    /// The computer sleeps.
    pub asleep: AtomicBool,
    /// It wakes.
    pub wakes: Notify,
    /// What the person does next.
    pub mind: Mutex<SmallRng>,
    /// How the device's disk dawdles.
    pub pace: Mutex<SmallRng>,
    /// What the app showed last, and when.
    pub shown: Mutex<Shown>,
    /// It came at the end, with an empty cache: nobody acts at it.
    pub is_fresh: bool,
    /// It reads its stream slowly.
    pub slow: AtomicBool,
}

/// What an app shows.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// The campus and who one is there, once joined.
    pub who: Option<(CampusId, PersonId)>,
    /// How it stands with the relay.
    pub connection: Option<Connection>,
    /// The circles, when it last looked.
    pub circles: Vec<CircleView>,
    /// The circles, by what the updates told.
    pub told: Vec<CircleView>,
    /// When the app last looked, in ms of the simulation; none since it started.
    pub at_ms: Option<i64>,
}

impl Device {
    /// The name of its host.
    pub fn host(&self) -> String {
        format!("device{}", self.index)
    }

    /// Its wall clock.
    pub fn now(&self) -> UnixMs {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        UnixMs(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX / 2) + self.clock_ms.load(Ordering::Relaxed))
    }

    /// How long work of its disk takes; for ever while it sleeps.
    pub fn dawdles(self: &Arc<Self>) -> BoxFuture<'static, ()> {
        let device = self.clone();
        Box::pin(async move {
            while device.asleep.load(Ordering::Relaxed) {
                device.wakes.notified().await;
            }
            dawdle(&device.pace, 40).await;
        })
    }

    /// A number below a bound, as the person's mood has it.
    pub fn chance(&self, below: usize) -> usize {
        lock(&self.mind).random_range(0..below.max(1))
    }
}

/// Mostly no time at all, sometimes up to so many ms.
fn dawdle(rng: &Mutex<SmallRng>, ms_max: u64) -> BoxFuture<'static, ()> {
    let wait = {
        let mut rng = lock(rng);
        if rng.random_bool(0.3) { rng.random_range(1..=ms_max) } else { 0 }
    };
    Box::pin(async move {
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    })
}

/// A generator of its own for one purpose of one seed.
pub fn generator(seed: u64, purpose: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose)
}
