//! What must hold, all along and at the end. The rules are those of design section 3.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use crate::{
    person::says_complete,
    shared::{Device, Intent, Shared, Written, lock},
    truth::{Cache, State, Truth},
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
    /// Posts that were answered before the copy that the relay was restored from.
    pub answered_before_copy: Option<BTreeSet<circles_protocol::MessageId>>,
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
            answered_before_copy: None,
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

    /// Everything, when all have had the time to become current.
    pub fn end(&mut self, devices: &[Arc<Device>]) -> anyhow::Result<()> {
        let mut caches = BTreeMap::new();
        for device in devices {
            self.device(device)?;
            let Some(cache) = Cache::read(&device.dir)? else {
                self.wrong(device, "it has no campus");
                continue;
            };
            self.complete(device, &cache);
            self.equal(device, &cache);
            self.shown(device, &cache);
            caches.insert(device.index, cache);
        }
        for fresh in devices.iter().filter(|it| it.is_fresh) {
            for old in devices.iter().filter(|it| it.person == fresh.person && !it.is_fresh) {
                self.like_fresh(old, caches.get(&old.index), caches.get(&fresh.index));
            }
        }
        self.written(&caches);
        Ok(())
    }

    fn complete(&self, device: &Device, cache: &Cache) {
        let at = cache.cursor.as_ref().map(|it| (it.0.as_str(), it.1));
        if at != Some((self.truth.epoch.as_str(), self.truth.head)) {
            self.wrong(device, &format!("its cursor is {at:?}, and the log is at {}", self.truth.head));
        }
        for scope in self.truth.scopes_of(&cache.me) {
            let head = self.truth.scope_head(&scope);
            let covered = cache.coverage.get(&scope).is_some_and(|it| it[0].0 == 0 && it[0].1 >= head);
            if head > 0 && !covered {
                self.wrong(
                    device,
                    &format!("3.4: {scope} is not complete: {:?} of {head}", cache.coverage.get(&scope)),
                );
            }
        }
        if let Some(waiting) = cache.to_send() {
            self.wrong(device, &format!("3.7: it still has to send {waiting:?}"));
        }
    }

    /// Whether an entity is of what a person follows.
    fn follows(&self, me: &str, key: &str, state: &State) -> bool {
        let is_in = |circle: &str| self.truth.joined.contains(&(circle.to_lowercase(), me.to_owned()));
        match key.as_bytes()[0] {
            b'0' => true,
            b'1' => is_in(&key[2..]) || state.columns.contains("|open|"),
            b'2' => is_in(&key[2..34]),
            b'3' | b'4' => is_in(state.columns.split('|').next().unwrap_or_default()),
            b'5' => key[34..].eq_ignore_ascii_case(me) && is_in(&key[2..34]),
            _ => false,
        }
    }

    /// The cache is what the database has for this person.
    fn equal(&self, device: &Device, cache: &Cache) {
        for (key, state) in self.truth.states.iter().filter(|it| self.follows(&cache.me, it.0, it.1)) {
            let held = cache.states.get(key);
            // A marker may be ahead of a restored relay's.
            if held != Some(state) && !(self.restored && key.starts_with("5:")) {
                return self.wrong(device, &format!("{key} is {held:?} and not {state:?}"));
            }
        }
        for (key, state) in cache.states.iter().filter(|it| self.follows(&cache.me, it.0, it.1)) {
            // A circle of which nothing was read.
            let unread = key.starts_with("5:") && state.columns == "0";
            if !self.truth.states.contains_key(key) && !self.restored && !unread {
                return self.wrong(device, &format!("it has {key}, {state:?}, which is nowhere else"));
            }
        }
        for (circle, head) in
            self.truth.head_seq.iter().filter(|it| self.truth.joined.contains(&(it.0.clone(), cache.me.clone())))
        {
            let known = cache.head_seq.get(circle).copied().unwrap_or(0);
            if known != *head {
                self.wrong(device, &format!("{circle} ends at {head}, and the device says {known}"));
            }
        }
    }

    /// What the app shows of each circle: unread is what others wrote after the marker.
    fn shown(&self, device: &Device, cache: &Cache) {
        if self.restored {
            return;
        }
        let shown = lock(&device.shown).clone();
        for circle in shown.circles.iter().filter(|it| it.joined) {
            let told = shown.told.iter().find(|it| it.id == circle.id);
            if told != Some(circle) {
                self.wrong(device, &format!("it was told {told:?}, and there is {circle:?}"));
            }
            let id = circle.id.uuid().simple().to_string();
            let marker = format!("5:{}{}", id.to_uppercase(), cache.me.to_uppercase());
            let read: i64 = self.truth.states.get(&marker).and_then(|it| it.columns.parse().ok()).unwrap_or(0);
            let unread =
                self.truth.timelines.get(&id).into_iter().flatten().filter(|it| it.0 > read && it.2 != cache.me);
            let unread = unread.count();
            if usize::try_from(circle.unread).ok() != Some(unread) {
                self.wrong(device, &format!("{id} shows {} unread and has {unread}", circle.unread));
            }
        }
    }

    /// Applying events to an old state came to the same as fetching all anew.
    fn like_fresh(&self, device: &Device, old: Option<&Cache>, fresh: Option<&Cache>) {
        let (Some(old), Some(fresh)) = (old, fresh) else { return };
        for (key, state) in fresh.states.iter().filter(|it| self.follows(&fresh.me, it.0, it.1)) {
            let held = old.states.get(key);
            let unread = key.starts_with("5:") && state.columns == "0";
            if held != Some(state) && !unread && !(self.restored && key.starts_with("5:")) {
                return self.wrong(device, &format!("a new device has {key} {state:?}, and it {held:?}"));
            }
        }
    }

    /// What people wrote: there, once, in order, or shown as failed (3.1, 3.2, 3.7).
    fn written(&self, caches: &BTreeMap<usize, Cache>) {
        let mut seqs: BTreeMap<String, i64> = BTreeMap::new();
        for (_, seq, id) in
            self.truth.timelines.iter().flat_map(|(circle, all)| all.iter().map(move |it| (circle, it.0, &it.1)))
        {
            seqs.insert(id.clone(), seq);
        }
        let answered = lock(&self.shared.answered).clone();
        // Who knows what a restored relay lost: only what was answered before its copy must be there.
        let must_be_there = self.answered_before_copy.as_ref().unwrap_or(&answered);
        for id in must_be_there {
            if !seqs.contains_key(&hex(*id)) && !self.cannot_come_back(*id) {
                self.shared.violation(&format!("3.1: {id} was answered, and is not in the database"));
            }
        }
        let diary = lock(&self.shared.diary).clone();
        let mut last: BTreeMap<(usize, String), (i64, String)> = BTreeMap::new();
        for it in &diary {
            let Some(seq) = seqs.get(&hex(it.id)) else {
                let waits =
                    caches.get(&it.device).is_some_and(|cache| cache.outbox.iter().any(|at| at.message == hex(it.id)));
                let may_be_lost = self.answered_before_copy.is_some() || self.cannot_come_back(it.id);
                let lost_with_copy = self.restored && answered.contains(&it.id) && may_be_lost;
                if !waits && !it.given_up && !lost_with_copy {
                    self.shared.violation(&format!("3.7: {:?} of device{} is gone", it.text, it.device));
                }
                continue;
            };
            let before = last.insert((it.device, it.circle.to_string()), (*seq, it.text.clone()));
            if let Some((_, text)) = before.filter(|it| it.0 > *seq && !self.restored) {
                self.shared.violation(&format!("3.7: {:?} was written before {:?} and comes after it", text, it.text));
            }
        }
        self.once(&diary);
        self.intents(caches, &diary);
    }

    /// After a restore: its author does not want the message, or has no circle to bring it back to.
    fn cannot_come_back(&self, id: circles_protocol::MessageId) -> bool {
        let diary = lock(&self.shared.diary);
        let Some(written) = diary.iter().find(|it| it.id == id).filter(|_| self.restored) else { return false };
        let circle = written.circle.uuid().simple().to_string();
        let member =
            self.people.get(&written.device).is_some_and(|me| self.truth.joined.contains(&(circle, me.clone())));
        written.given_up || !member
    }

    /// No text of a diary stands in two messages: not even one that has another id (3.2).
    fn once(&self, diary: &[Written]) {
        let texts: BTreeSet<&str> = diary.iter().map(|it| it.text.as_str()).collect();
        let mut seen = BTreeSet::new();
        for (key, state) in self.truth.states.iter().filter(|it| it.0.starts_with("3:")) {
            let text = state.columns.split('|').nth(3).unwrap_or_default();
            if texts.contains(text) && !seen.insert(text) {
                self.shared.violation(&format!("3.2: {text:?} is there twice, also as {key}"));
            }
        }
    }

    /// The last thing that its author wanted a message to be is what it is.
    fn intents(&self, caches: &BTreeMap<usize, Cache>, diary: &[Written]) {
        for (id, intents) in &*lock(&self.shared.intents) {
            let Some(state) = self.truth.states.get(&format!("3:{}", hex(*id).to_uppercase())) else { continue };
            let columns: Vec<&str> = state.columns.split('|').collect();
            let (text, deleted) = (columns[3], !columns[8].is_empty());
            let device = intents[0].device;
            let unsent = caches.values().any(|it| it.outbox.iter().any(|at| at.message == hex(*id)));
            // A moderator may delete it; several devices write in any order; what waits or failed is shown as such.
            if self.restored || deleted || unsent || intents.iter().any(|it| it.device != device) {
                continue;
            }
            let original = diary.iter().find(|it| it.id == *id).map(|it| it.text.as_str());
            if !wanted(intents, original, text) {
                self.shared.violation(&format!("3.7: {id} is {text:?}, and its author wanted {intents:?}"));
            }
        }
    }

    fn wrong(&self, device: &Device, what: &str) {
        self.shared.violation(&format!("{}: {what}", device.host()));
    }
}

/// Whether a text is the last that was taken up, or one that the app may have taken up before a crash.
fn wanted(intents: &[Intent], original: Option<&str>, text: &str) -> bool {
    for intent in intents.iter().rev() {
        if intent.text.as_deref() == Some(text) {
            return true;
        }
        if intent.taken {
            return false;
        }
    }
    original.is_none_or(|it| it == text)
}

fn hex(id: circles_protocol::MessageId) -> String {
    id.uuid().simple().to_string()
}
