//! What must hold, all along and at the end. The rules are those of design section 3.

mod end;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    person::says_complete,
    shared::{Device, Shared, lock},
    truth::{Cache, Truth},
};

/// Watches a campus.
pub struct Checker {
    shared: Arc<Shared>,
    /// The relay's database when it was last read.
    pub truth: Truth,
    /// Which head the log had when, in ms, in which epoch; ascending.
    heads: Vec<(i64, String, i64)>,
    /// The last cursor of each device.
    cursors: BTreeMap<usize, (String, i64)>,
    /// Who was ever in a circle: circle and person in hex.
    ever_in: BTreeSet<(String, String)>,
    /// How old a claim to be complete may be, in ms: a link that is dead without saying so is noticed after that.
    pub claim_slack_ms: i64,
    /// Whose each device is, in hex.
    people: BTreeMap<usize, String>,
    /// The relay was restored from an older copy: caches may hold more than its database.
    pub restored: bool,
}

impl Checker {
    /// Begins to watch.
    pub fn new(shared: Arc<Shared>, claim_slack_ms: i64) -> Self {
        Self {
            shared,
            truth: Truth::default(),
            heads: Vec::new(),
            cursors: BTreeMap::new(),
            ever_in: BTreeSet::new(),
            claim_slack_ms,
            people: BTreeMap::new(),
            restored: false,
        }
    }

    /// Looks at the relay's database, between two steps of everything.
    pub fn look(&mut self) -> anyhow::Result<()> {
        self.truth = Truth::read(&self.shared.relay_dir)?;
        let now = self.shared.now_ms.load(Ordering::Relaxed);
        self.heads.push((now, self.truth.epoch.clone(), self.truth.head));
        let mut last: BTreeMap<&str, i64> = BTreeMap::new();
        for row in &self.truth.log {
            let before = last.insert(&row.scope, row.pos).unwrap_or(0);
            if row.prev != before {
                self.shared
                    .violation(&format!("3.4: {} of {} follows {before} and says {}", row.pos, row.scope, row.prev));
            }
            if let (Some(person), Some(circle)) = (&row.subject, row.scope.strip_prefix("circle:")) {
                self.ever_in.insert((circle.to_owned(), person.clone()));
            }
        }
        if self.truth.log.iter().zip(1..).any(|(row, pos)| row.pos != pos) {
            self.shared.violation("the log has a hole");
        }
        Ok(())
    }

    /// Checks what a device holds now.
    pub fn device(&mut self, device: &Device) -> anyhow::Result<()> {
        let Some(cache) = Cache::read(&device.dir)? else { return Ok(()) };
        self.shared.count("checks of a cache");
        self.people.insert(device.index, cache.me.clone());
        if cache.set_aside > 0 && self.shared.breakage.is_none() {
            self.wrong(device, "an event was set aside");
        }
        self.privacy(device, &cache);
        let Some((epoch, pos)) = cache.cursor.clone() else { return Ok(()) };
        let before = self.cursors.insert(device.index, (epoch.clone(), pos));
        if let Some((_, before)) = before.filter(|it| it.0 == epoch && it.1 > pos) {
            self.wrong(device, &format!("3.5: the cursor went from {before} back to {pos}"));
        }
        if epoch != self.truth.epoch {
            return Ok(());
        }
        if pos > self.truth.head {
            self.wrong(device, &format!("the cursor {pos} is ahead of the log, {}", self.truth.head));
        }
        self.coverage(device, &cache);
        self.known_gaps(device, &cache, pos);
        self.claim(device, &cache);
        Ok(())
    }

    /// What is covered is held (3.4, 3.5).
    fn coverage(&self, device: &Device, cache: &Cache) {
        for row in &self.truth.log {
            let of_another = row.key.starts_with("5:") && !row.scope.ends_with(&cache.me);
            if row.key.starts_with("6:") || of_another || !cache.holds(&row.scope, row.pos) {
                continue;
            }
            let held = cache.states.get(&row.key).map_or(-1, |it| it.version);
            if held < row.pos {
                self.wrong(
                    device,
                    &format!("3.4: {} of {} counts as held, and {} is of {held}", row.pos, row.scope, row.key),
                );
                return;
            }
        }
    }

    /// What is below the cursor is held or known to be missing (3.4).
    fn known_gaps(&self, device: &Device, cache: &Cache, cursor: i64) {
        let scopes = self.truth.scopes_of(&cache.me);
        for row in self.truth.log.iter().filter(|it| it.pos <= cursor && scopes.contains(&it.scope)) {
            // A circle counts from when the device knows of the membership.
            let member = match row.scope.strip_prefix("circle:") {
                Some(circle) => self.knows_membership(cache, circle),
                None => true,
            };
            let known =
                cache.holds(&row.scope, row.pos) || cache.heads.get(&row.scope).is_some_and(|it| *it >= row.pos);
            if member && !known {
                self.wrong(
                    device,
                    &format!("3.4: {} of {} is below the cursor {cursor}, not held and not missed", row.pos, row.scope),
                );
                return;
            }
        }
    }

    /// Whether the device has the newest state of its own membership in a circle.
    fn knows_membership(&self, cache: &Cache, circle: &str) -> bool {
        let key = format!("2:{}{}", circle.to_uppercase(), cache.me.to_uppercase());
        let newest = self.truth.states.get(&key);
        newest.is_some() && newest == cache.states.get(&key)
    }

    /// An app that says it is complete has everything up to a moment ago (3.4).
    fn claim(&self, device: &Device, cache: &Cache) {
        let shown = lock(&device.shown).clone();
        let Some(at) = shown.at_ms.filter(|_| says_complete(shown.connection.as_ref())) else { return };
        let then = at - self.claim_slack_ms;
        let moment = self.heads.iter().rev().find(|it| it.0 <= then && it.1 == self.truth.epoch);
        let Some((_, _, until)) = moment else { return };
        self.shared.count("claims to be complete that were checked");
        let scopes = self.truth.scopes_of(&cache.me);
        for row in self.truth.log.iter().filter(|it| it.pos <= *until && scopes.contains(&it.scope)) {
            // Who was brought into a circle after that moment did not have to know of it.
            let came =
                self.truth.log.iter().rev().find(|it| it.scope == row.scope && it.subject.as_ref() == Some(&cache.me));
            if row.key.starts_with("6:") || came.is_some_and(|it| it.pos > *until) {
                continue;
            }
            let held = cache.states.get(&row.key).map_or(-1, |it| it.version);
            if held < row.pos {
                self.wrong(
                    device,
                    &format!("3.4: it says that it has everything, and lacks {} of {}", row.pos, row.scope),
                );
                return;
            }
        }
    }

    /// Nothing of a circle reaches anyone who was never in it; and nothing new of it those who are not any more (3.6).
    fn privacy(&self, device: &Device, cache: &Cache) {
        for (key, state) in &cache.states {
            let circle = match key.as_bytes()[0] {
                b'3' | b'4' => state.columns.split('|').next().unwrap_or_default().to_lowercase(),
                b'2' => key[2..34].to_lowercase(),
                _ => continue,
            };
            let own = key.starts_with("2:") && key[34..].eq_ignore_ascii_case(&cache.me);
            if own {
                continue;
            }
            let pair = (circle, cache.me.clone());
            if !self.ever_in.contains(&pair) {
                return self.wrong(device, &format!("3.6: it has {key} of a circle that its person was never in"));
            }
            if self.restored || self.truth.joined.contains(&pair) {
                continue;
            }
            let scope = format!("circle:{}", pair.0);
            let of_me = |row: &&crate::truth::LogRow| row.scope == scope && row.subject.as_ref() == Some(&pair.1);
            let out = self.truth.log.iter().rev().find(of_me).map_or(0, |it| it.pos);
            if state.version > out {
                return self.wrong(
                    device,
                    &format!("3.6: it has {key} of {}, and its person is out since {out}", state.version),
                );
            }
        }
    }

    fn wrong(&self, device: &Device, what: &str) {
        self.shared.violation(&format!("{}: {what}", device.host()));
    }
}
