//! What goes wrong, as the seed has it: links, devices, clocks and the relay.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use rand::{Rng, rngs::SmallRng};
use turmoil::Sim;

use crate::{
    breakage::{self, Breakage},
    check::Checker,
    relay::HOST,
    shared::{Device, Shared, lock},
};

/// What ends a fault.
#[derive(Clone, Debug)]
enum Undo {
    Repair(usize),
    Release(usize),
    Latency(usize),
    Slow(usize),
    Start(usize),
    Wake(usize, i64),
    StartRelay,
}

/// The faults of a run.
pub struct Faults {
    shared: Arc<Shared>,
    devices: Vec<Arc<Device>>,
    rng: SmallRng,
    next_at_ms: i64,
    undo: Vec<(i64, Undo)>,
    relay_is_down: bool,
    /// A copy of the campus, made while the relay ran.
    copy: Option<PathBuf>,
    /// When the relay is restored from it; once at the most.
    restore_at_ms: Option<i64>,
    /// The database before the last writes, for a relay that loses what it answered for.
    unsynced: Option<PathBuf>,
}

impl Faults {
    /// Nothing has gone wrong yet. `restore_at_ms`: when the relay is restored from an older copy, if ever.
    pub fn new(shared: Arc<Shared>, devices: Vec<Arc<Device>>, rng: SmallRng, restore_at_ms: Option<i64>) -> Self {
        Self {
            shared,
            devices,
            rng,
            next_at_ms: 0,
            undo: Vec::new(),
            relay_is_down: false,
            copy: None,
            restore_at_ms,
            unsynced: None,
        }
    }

    /// Breaks what is due, and mends what is due.
    pub fn step(&mut self, sim: &mut Sim<'_>, checker: &mut Checker, now_ms: i64) -> anyhow::Result<()> {
        let due: Vec<Undo> = self.undo.extract_if(.., |it| it.0 <= now_ms).map(|it| it.1).collect();
        for undo in due {
            self.mend(sim, &undo)?;
        }
        if let Some(at) = self.restore_at_ms {
            if self.copy.is_none() && now_ms > at / 2 {
                self.copy_campus(checker)?;
            }
            if now_ms > at && !self.relay_is_down {
                self.restore_at_ms = None;
                self.restore(sim, checker, now_ms)?;
            }
        }
        if now_ms >= self.next_at_ms {
            self.next_at_ms = now_ms + self.rng.random_range(300..6_000);
            self.break_something(sim, checker, now_ms)?;
            self.unsynced_copy()?;
        }
        Ok(())
    }

    /// Mends everything.
    pub fn heal(&mut self, sim: &mut Sim<'_>) -> anyhow::Result<()> {
        for (_, undo) in std::mem::take(&mut self.undo) {
            self.mend(sim, &undo)?;
        }
        Ok(())
    }

    fn break_something(&mut self, sim: &mut Sim<'_>, checker: &mut Checker, now_ms: i64) -> anyhow::Result<()> {
        let which = self.rng.random_range(0..self.devices.len());
        let (device, host) = (self.devices[which].clone(), self.devices[which].host());
        let until = now_ms + self.duration_ms();
        let busy = self.undo.iter().any(|(_, undo)| match undo {
            Undo::Repair(it) | Undo::Release(it) | Undo::Latency(it) | Undo::Start(it) | Undo::Wake(it, _) => {
                *it == which
            }
            Undo::Slow(_) | Undo::StartRelay => false,
        });
        let fault = self.rng.random_range(0..100);
        match fault {
            _ if busy && fault < 78 => {}
            0..18 => {
                self.note(&format!("partition {host}"), "partitions");
                sim.partition(host, HOST);
                self.undo.push((until, Undo::Repair(which)));
            }
            18..26 => {
                let (from, to) =
                    if self.rng.random_bool(0.5) { (host, HOST.to_owned()) } else { (HOST.to_owned(), host) };
                self.note(&format!("partition from {from} to {to}"), "partitions one way");
                sim.partition_oneway(from, to);
                self.undo.push((until, Undo::Repair(which)));
            }
            26..38 => {
                self.note(&format!("hold {host}"), "half-open links");
                sim.hold(host, HOST);
                self.undo.push((until, Undo::Release(which)));
            }
            38..46 => {
                self.note(&format!("slow link {host}"), "slow links");
                sim.set_link_max_message_latency(host, HOST, Duration::from_millis(1_500));
                self.undo.push((until, Undo::Latency(which)));
            }
            46..68 => {
                self.note(&format!("crash {host}"), "crashes of a device");
                // With the power gone nobody says goodbye to the relay.
                if self.rng.random_bool(0.5) {
                    sim.partition(host.as_str(), HOST);
                }
                sim.crash(host);
                *lock(&device.shown) = crate::shared::Shown::default();
                checker.look()?;
                checker.device(&device)?;
                breakage::after_crash(&self.shared, &device.dir, checker.truth.head)?;
                self.undo.push((now_ms + self.rng.random_range(0..8_000), Undo::Start(which)));
            }
            68..78 => {
                self.note(&format!("{host} falls asleep"), "sleeps");
                device.asleep.store(true, Ordering::Relaxed);
                sim.hold(host, HOST);
                let ahead = self.rng.random_range(0..3) * 1_800_000;
                self.undo.push((until, Undo::Wake(which, ahead)));
            }
            78..86 => {
                let by = self.rng.random_range(-600_000..600_000);
                self.note(&format!("the clock of {host} is set by {by} ms"), "clock jumps");
                device.clock_ms.fetch_add(by, Ordering::Relaxed);
            }
            86..90 => {
                self.note(&format!("{host} reads slowly"), "slow readers");
                device.slow.store(true, Ordering::Relaxed);
                self.undo.push((until, Undo::Slow(which)));
            }
            90..97 if !self.relay_is_down => {
                self.note("crash of the relay", "crashes of the relay");
                self.stop_relay(sim, now_ms);
                self.lose_answered(checker)?;
            }
            97.. if !self.relay_is_down => {
                self.note("the relay stops in order", "stops of the relay");
                lock(&self.shared.stop_relay).cancel();
                self.relay_is_down = true;
                // A drain of a second, and the grace for what does not end in time.
                self.undo.push((now_ms + 8_000 + self.rng.random_range(0..3_000), Undo::StartRelay));
            }
            _ => {}
        }
        Ok(())
    }

    fn stop_relay(&mut self, sim: &mut Sim<'_>, now_ms: i64) {
        sim.crash(HOST);
        self.relay_is_down = true;
        self.undo.push((now_ms + self.rng.random_range(0..8_000), Undo::StartRelay));
    }

    /// Mostly short; sometimes longer than any patience.
    fn duration_ms(&mut self) -> i64 {
        if self.rng.random_bool(0.75) { self.rng.random_range(50..6_000) } else { self.rng.random_range(6_000..40_000) }
    }

    fn mend(&mut self, sim: &mut Sim<'_>, undo: &Undo) -> anyhow::Result<()> {
        self.shared.line(&format!("mend {undo:?}"));
        match *undo {
            Undo::Repair(it) => sim.repair(self.devices[it].host(), HOST),
            Undo::Release(it) => sim.release(self.devices[it].host(), HOST),
            Undo::Latency(it) => {
                sim.set_link_max_message_latency(self.devices[it].host(), HOST, crate::campus::LATENCY_MAX);
            }
            Undo::Slow(it) => self.devices[it].slow.store(false, Ordering::Relaxed),
            Undo::Start(it) => {
                sim.repair(self.devices[it].host(), HOST);
                breakage::into_cache(&self.shared, &self.devices[it].dir)?;
                sim.bounce(self.devices[it].host());
            }
            Undo::Wake(it, ahead_ms) => {
                let device = &self.devices[it];
                device.clock_ms.fetch_add(ahead_ms, Ordering::Relaxed);
                device.asleep.store(false, Ordering::Relaxed);
                device.wakes.notify_waiters();
                sim.release(device.host(), HOST);
            }
            Undo::StartRelay => {
                breakage::into_relay(&self.shared, &self.shared.relay_dir)?;
                sim.bounce(HOST);
                self.relay_is_down = false;
            }
        }
        Ok(())
    }

    fn note(&self, what: &str, counted_as: &str) {
        self.shared.line(what);
        self.shared.count(counted_as);
    }

    // ---- copies of the campus --------------------------------------------------------------------------------------

    /// As `circles-relay backup` does, beside the running relay.
    fn copy_campus(&mut self, checker: &mut Checker) -> anyhow::Result<()> {
        checker.look()?;
        let target = self.shared.relay_dir.with_extension("copy");
        blocking(circles_relay::backup(&self.settings(), &target))?;
        self.note("the campus is copied", "copies of the campus");
        self.copy = Some(target);
        Ok(())
    }

    /// The relay's disk is lost: it goes on with the copy, as another history.
    fn restore(&mut self, sim: &mut Sim<'_>, checker: &mut Checker, now_ms: i64) -> anyhow::Result<()> {
        checker.look()?;
        self.note("the relay is restored from the copy", "restores");
        self.stop_relay(sim, now_ms);
        let copy = self.copy.clone().context("a copy was made before")?;
        std::fs::remove_dir_all(&self.shared.relay_dir)?;
        blocking(circles_relay::restore(&self.settings(), &copy))?;
        checker.restored = true;
        Ok(())
    }

    fn settings(&self) -> circles_relay::Settings {
        circles_relay::Settings { data_dir: self.shared.relay_dir.clone(), ..circles_relay::Settings::default() }
    }

    /// Keeps the database as it is now, for a relay that does not sync.
    fn unsynced_copy(&mut self) -> anyhow::Result<()> {
        if self.shared.breaks(Breakage::AnsweredEarly) && !self.relay_is_down {
            let target = self.shared.relay_dir.with_extension("unsynced");
            if target.exists() {
                std::fs::remove_file(&target)?;
            }
            let conn = rusqlite::Connection::open(self.shared.relay_dir.join("campus.db"))?;
            conn.execute("VACUUM INTO ?", [target.to_string_lossy()])?;
            self.unsynced = Some(target);
        }
        Ok(())
    }

    /// The crash takes what was not synced.
    fn lose_answered(&mut self, checker: &mut Checker) -> anyhow::Result<()> {
        checker.look()?;
        let Some(copy) = self.unsynced.take() else { return Ok(()) };
        for file in ["campus.db", "campus.db-wal", "campus.db-shm"] {
            let path = self.shared.relay_dir.join(file);
            if path.exists() {
                std::fs::remove_file(path)?;
            }
        }
        std::fs::copy(copy, self.shared.relay_dir.join("campus.db"))?;
        self.shared.count("broken on purpose");
        Ok(())
    }
}

/// Runs what the relay's program runs on a runtime of its own, which the simulation waits for.
fn blocking<T, E: std::error::Error + Send + Sync + 'static>(
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    // Paused: time does not pass for it, as nothing of it waits for a time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(work)?)
}
