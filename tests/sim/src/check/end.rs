//! What must hold at the end, when everything is well again and all have had the time to become current.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use circles_protocol::MessageId;

use super::Checker;
use crate::{
    shared::{Answered, Device, Intent, Written, lock},
    truth::{Cache, State},
};

impl Checker {
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
            b'5' | b'7' | b'8' => key[34..].eq_ignore_ascii_case(me) && is_in(&key[2..34]),
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
        // What comes back may wait behind a message of the same circle that was refused: it is shown as unsent.
        let waits = |id: &str| caches.values().any(|cache| cache.outbox.iter().any(|at| at.message == id));
        for (id, of) in &answered {
            let waits = self.restored && waits(&hex(*id));
            if !seqs.contains_key(&hex(*id)) && !waits && !self.cannot_come_back(*id, *of) {
                self.shared.violation(&format!("3.1: {id} was answered, and is not in the database"));
            }
        }
        let diary = lock(&self.shared.diary).clone();
        let mut last: BTreeMap<(usize, String), (i64, String)> = BTreeMap::new();
        for it in &diary {
            let Some(seq) = seqs.get(&hex(it.id)) else {
                let waits =
                    caches.get(&it.device).is_some_and(|cache| cache.outbox.iter().any(|at| at.message == hex(it.id)));
                let lost_with_copy = answered.get(&it.id).is_some_and(|of| self.cannot_come_back(it.id, *of));
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

    /// After a restore: its author does not want the message, or has no circle to bring it back to. The diary lacks those
    /// whose device crashed before it could note that it had written them.
    fn cannot_come_back(&self, id: MessageId, of: Answered) -> bool {
        let deleted = || lock(&self.shared.intents).get(&id).is_some_and(|all| all.iter().any(|it| it.text.is_none()));
        let given_up = || lock(&self.shared.diary).iter().any(|it| it.id == id && it.given_up);
        let circle = of.circle.uuid().simple().to_string();
        let is_member = self.people.get(&of.device).is_some_and(|me| self.truth.joined.contains(&(circle, me.clone())));
        self.restored && (!is_member || deleted() || given_up())
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

fn hex(id: MessageId) -> String {
    id.uuid().simple().to_string()
}
