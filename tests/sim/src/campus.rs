//! One seed: a campus lives, breaks, heals, and is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use rand::Rng;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use turmoil::Sim;

use crate::{
    breakage::{self, Breakage},
    check::Checker,
    faults::Faults,
    person,
    relay::{self, HOST},
    report::Report,
    shared::{Device, Shared, Shown, generator, lock},
    trace::Trace,
    truth::Cache,
};

/// Most devices of a campus.
pub const DEVICES_MAX: usize = 8;

/// The device that comes at the end for a person has this number and the person's.
pub const FRESH: usize = 100;

/// How fine the simulation's time is.
const TICK: Duration = Duration::from_millis(10);

/// How long a message takes at the most on a link that is well.
pub const LATENCY_MAX: Duration = Duration::from_millis(120);

/// How long everything may take to begin, and to become current once all is well again: longer than any wait between two
/// attempts.
const PATIENCE_MS: i64 = 150_000;

/// How a seed is run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The seed.
    pub seed: u64,
    /// An empty directory.
    pub dir: PathBuf,
    /// What is broken on purpose.
    pub breakage: Option<Breakage>,
    /// Whether the lines of the trace are kept.
    pub keep_trace: bool,
}

/// Runs a seed. The process must not have run another.
pub fn live(config: &Config) -> anyhow::Result<(Report, Vec<String>)> {
    let mut campus = Campus::new(config)?;
    if let Err(error) = campus.life() {
        campus.shared.violation(&format!("it broke down: {error:#}"));
    }
    let shared = campus.shared.clone();
    let simulated_ms = u64::try_from(shared.now_ms.load(Ordering::Relaxed))?;
    let trace = lock(&shared.trace);
    let report = Report {
        seed: config.seed,
        violations: lock(&shared.violations).clone(),
        counts: lock(&shared.counts).clone(),
        trace: trace.hash(),
        simulated_ms,
    };
    Ok((report, trace.lines().to_vec()))
}

struct Campus {
    sim: Sim<'static>,
    shared: Arc<Shared>,
    devices: Vec<Arc<Device>>,
    faults: Faults,
    checker: Checker,
    seed: u64,
    dir: PathBuf,
    life_ms: i64,
}

impl Campus {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let seed = config.seed;
        let mut rng = generator(seed, 1);
        let shared = Arc::new(shared(config));
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(seed)
            .epoch(SystemTime::UNIX_EPOCH)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_hours(24))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY_MAX)
            .enable_random_order();
        let mut sim = builder.build();
        let settings = relay::settings(&shared, &mut rng);
        // Until a dead stream is noticed by its heartbeats, or the attempt to open the next one given up; and some slack.
        let slack = (3 * i64::try_from(settings.heartbeat.as_millis())?).max(15_000) + 5_000;
        let of_relay = shared.clone();
        sim.host(HOST, move || relay::run(of_relay.clone(), settings.clone()));
        // The owner has two devices, the others one.
        let people = rng.random_range(2..=4);
        let devices: Vec<Arc<Device>> = (0..=people)
            .map(|index| Arc::new(device(seed, &config.dir, index, index.saturating_sub(1), index == 1, false)))
            .collect();
        for device in &devices {
            host(&mut sim, &shared, device);
        }
        let life_ms = rng.random_range(20_000..90_000);
        let restores = config.breakage == Some(Breakage::IgnoreReset) || rng.random_ratio(1, 6);
        let restore_at = restores.then(|| life_ms / 2 + rng.random_range(0..life_ms / 3));
        let faults = Faults::new(shared.clone(), devices.clone(), generator(seed, 2), restore_at);
        let checker = Checker::new(shared.clone(), slack);
        Ok(Self { sim, shared, devices, faults, checker, seed, dir: config.dir.clone(), life_ms })
    }

    fn life(&mut self) -> anyhow::Result<()> {
        self.until("everybody has joined", |it| it.devices.iter().all(|it| lock(&it.shown).at_ms.is_some()))?;
        for device in &self.devices {
            breakage::into_cache(&self.shared, &device.dir)?;
        }
        breakage::into_relay(&self.shared, &self.shared.relay_dir)?;
        self.shared.lively.store(true, Ordering::Relaxed);
        let mut rng = generator(self.seed, 3);
        let begin = self.now();
        let mut check_at = begin;
        while self.now() < begin + self.life_ms {
            self.step()?;
            let now = self.now();
            self.faults.step(&mut self.sim, &mut self.checker, now - begin)?;
            if now >= check_at {
                check_at = now + rng.random_range(500..4_000);
                self.check()?;
            }
        }
        self.shared.lively.store(false, Ordering::Relaxed);
        self.faults.heal(&mut self.sim)?;
        self.shared.line("all is well again");
        self.until("all are current", Self::are_current)?;
        self.shared.fresh.store(true, Ordering::Relaxed);
        self.newcomers();
        self.until("the new devices are current", Self::are_current)?;
        // Everybody looks once more.
        for _ in 0..400 {
            self.step()?;
        }
        self.checker.look()?;
        self.checker.end(&self.devices)
    }

    fn now(&self) -> i64 {
        self.shared.now_ms.load(Ordering::Relaxed)
    }

    fn step(&mut self) -> anyhow::Result<()> {
        self.sim.step().map_err(|error| anyhow::anyhow!("{error}"))?;
        let elapsed = i64::try_from(self.sim.elapsed().as_millis())?;
        self.shared.now_ms.store(elapsed, Ordering::Relaxed);
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.checker.look()?;
        for device in &self.devices {
            self.checker.device(device)?;
        }
        Ok(())
    }

    /// Goes on until something is so; if it takes too long, that is a violation, and the comparison says what is missing.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) -> anyhow::Result<()> {
        let begin = self.now();
        while !is_so(self) {
            if self.now() > begin + PATIENCE_MS {
                self.shared.violation(&format!("after {} s still not: {what}", PATIENCE_MS / 1_000));
                return Ok(());
            }
            for _ in 0..50 {
                self.step()?;
            }
        }
        self.shared.line(what);
        Ok(())
    }

    /// Everybody says that they have everything, has nothing to send, and is at the head of the log.
    fn are_current(&mut self) -> bool {
        // What they say first: to read the databases takes longer.
        let say_so = self.devices.iter().all(|it| person::says_complete(lock(&it.shown).connection.as_ref()));
        if !say_so || self.checker.look().is_err() {
            return false;
        }
        self.devices.iter().all(|device| {
            let Ok(Some(cache)) = Cache::read(&device.dir) else { return false };
            let at_head = cache.cursor == Some((self.checker.truth.epoch.clone(), self.checker.truth.head));
            at_head && cache.to_send().is_none()
        })
    }

    /// Each person gets another device.
    fn newcomers(&mut self) {
        let people: BTreeSet<usize> = self.devices.iter().map(|it| it.person).collect();
        for person in people {
            let device = Arc::new(device(self.seed, &self.dir, FRESH + person, person, true, true));
            host(&mut self.sim, &self.shared, &device);
            self.devices.push(device);
        }
    }
}

fn host(sim: &mut Sim<'static>, shared: &Arc<Shared>, device: &Arc<Device>) {
    let (shared, device) = (shared.clone(), device.clone());
    sim.host(device.host(), move || person::run(shared.clone(), device.clone()));
}

fn device(seed: u64, dir: &Path, index: usize, person: usize, second: bool, is_fresh: bool) -> Device {
    let purpose = 1_000 + 10 * u64::try_from(index).unwrap_or(0);
    Device {
        index,
        person,
        second,
        dir: dir.join(format!("device{index}")),
        clock_ms: AtomicI64::new(0),
        asleep: AtomicBool::new(false),
        wakes: Notify::new(),
        mind: Mutex::new(generator(seed, purpose)),
        pace: Mutex::new(generator(seed, purpose + 1)),
        shown: Mutex::new(Shown::default()),
        is_fresh,
        slow: AtomicBool::new(false),
    }
}

fn shared(config: &Config) -> Shared {
    Shared {
        trace: Mutex::new(Trace::new(config.keep_trace)),
        counts: Mutex::default(),
        violations: Mutex::default(),
        breakage: config.breakage,
        now_ms: AtomicI64::new(0),
        lively: AtomicBool::new(false),
        links: Mutex::default(),
        answered: Mutex::default(),
        fresh: AtomicBool::new(false),
        intents: Mutex::default(),
        diary: Mutex::default(),
        mischief: Mutex::new(generator(config.seed, 4)),
        kept_frames: Mutex::default(),
        first_texts: Mutex::new(BTreeMap::new()),
        texts: AtomicUsize::new(0),
        relay_pace: Mutex::new(generator(config.seed, 5)),
        stop_relay: Mutex::new(CancellationToken::new()),
        relay_dir: Path::new(&config.dir).join("relay"),
    }
}
