//! Between instances: what is told in passing at one is heard at the others.
//!
//! Who types goes over as it is said. Who is online goes over as a list: each instance names the people whose streams are
//! open there, when that changes and every few seconds, and one that is not heard of for a while has none. So a lost
//! message mends itself, and an instance that starts or dies needs no ceremony. How often people asked goes over a few times
//! a second.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use circles_protocol::PersonId;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{Ephemeral, Signal};
use crate::{
    limits::{PRESENT_EVERY, PRESENT_PAUSE, SPENT_EVERY},
    rates::{Rates, Spent},
};

/// What one instance tells the others.
#[derive(Serialize, Deserialize)]
#[serde(tag = "carried", rename_all = "snake_case")]
enum Carried {
    Signal(Signal),
    /// Everyone whose streams are open at that instance.
    Present {
        origin: Uuid,
        people: HashSet<PersonId>,
        /// How many streams, of those who have more than one.
        #[serde(default)]
        several: HashMap<PersonId, usize>,
    },
    /// What was used up of people's allowances.
    Spent {
        origin: Uuid,
        spent: Spent,
    },
}

/// The people of other instances, with how many streams, and when each instance was last heard of.
pub type Elsewhere = HashMap<Uuid, (Streams, Instant)>;

/// People, and how many streams each has.
pub type Streams = HashMap<PersonId, usize>;

/// What this instance has to tell.
pub struct Outgoing {
    ephemeral: Arc<Ephemeral>,
    rates: Arc<Rates>,
    said: broadcast::Receiver<Signal>,
    changes: watch::Receiver<()>,
    told: HashSet<PersonId>,
    told_at: Option<Instant>,
    spent_at: Instant,
}

impl Outgoing {
    pub fn new(ephemeral: &Arc<Ephemeral>, rates: &Arc<Rates>) -> Self {
        Self {
            said: ephemeral.said.subscribe(),
            changes: ephemeral.changes(),
            ephemeral: ephemeral.clone(),
            rates: rates.clone(),
            told: HashSet::new(),
            told_at: None,
            spent_at: Instant::now(),
        }
    }

    /// The next message for the others, as JSON. Cancel safe.
    pub async fn next(&mut self) -> String {
        loop {
            let (again, pause) = match self.told_at {
                None => (Instant::now(), Instant::now()),
                Some(at) => (at + PRESENT_EVERY, at + PRESENT_PAUSE),
            };
            tokio::select! {
                said = self.said.recv() => {
                    if let Ok(signal) = said {
                        return json(&Carried::Signal(signal));
                    }
                }
                () = sleep_until(self.spent_at + SPENT_EVERY) => {
                    self.spent_at = Instant::now();
                    if let Some(spent) = self.rates.spent() {
                        return json(&Carried::Spent { origin: self.ephemeral.origin, spent });
                    }
                }
                () = sleep_until(again) => return self.present(),
                () = async {
                    sleep_until(pause).await;
                    // The sender is in `ephemeral`: it is there.
                    drop(self.changes.changed().await);
                } => {
                    let is_news = {
                        let here = self.ephemeral.here();
                        here.len() != self.told.len() || here.keys().any(|it| !self.told.contains(it))
                    };
                    if is_news {
                        return self.present();
                    }
                }
            }
        }
    }

    fn present(&mut self) -> String {
        let here = self.ephemeral.here();
        self.told = here.keys().copied().collect();
        self.told_at = Some(Instant::now());
        json(&Carried::present(self.ephemeral.origin, here))
    }
}

impl Carried {
    fn present(origin: Uuid, here: Streams) -> Self {
        let people = here.keys().copied().collect();
        let several = here.into_iter().filter(|(_, streams)| *streams > 1).collect();
        Self::Present { origin, people, several }
    }
}

fn json(carried: &Carried) -> String {
    serde_json::to_string(carried).expect("ids and times serialise")
}

/// Takes what another instance told; what is not understood is of a newer one, and passed over.
pub fn take(ephemeral: &Ephemeral, rates: &Rates, message: &str, now: Instant) {
    match serde_json::from_str(message) {
        Ok(Carried::Signal(signal)) if signal.origin != ephemeral.origin => ephemeral.publish(signal),
        Ok(Carried::Present { origin, people, several }) if origin != ephemeral.origin => {
            let streams = people.into_iter().map(|it| (it, several.get(&it).copied().unwrap_or(1)));
            ephemeral.elsewhere(origin, streams.collect(), now);
        }
        Ok(Carried::Spent { origin, spent }) if origin != ephemeral.origin => rates.charge(&spent),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "what another instance told is not understood"),
    }
    ephemeral.forget(now);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{limits::PRESENT_ELSEWHERE, settings::Settings};

    /// What `there` tells of its people, as `here` hears it.
    fn tell(here: &Ephemeral, there: &Ephemeral, now: Instant) {
        let rates = Rates::new(&Settings::default());
        take(here, &rates, &json(&Carried::present(there.origin, there.here())), now);
    }

    #[test]
    fn people_of_another_instance_are_online_until_it_is_silent() {
        let (here, there) = (super::super::tests::alone(), super::super::tests::alone());
        let (person, now) = (PersonId::new(), Instant::now());
        let stay = there.enter(person);
        tell(&here, &there, now);
        tell(&here, &there, now);
        assert_eq!(here.online(), HashSet::from([person]));
        // The same person is at both: the end of one stream changes nothing.
        drop(here.enter(person));
        assert_eq!(here.online(), HashSet::from([person]));
        drop(stay);
        tell(&here, &there, now);
        assert!(here.online().is_empty());
        let _stay = there.enter(person);
        tell(&here, &there, now);
        assert_eq!(here.online(), HashSet::from([person]));
        // How many there are counts for how many may be here.
        let _second = there.enter(person);
        assert_eq!(here.streams_elsewhere(person), 1, "as was told");
        tell(&here, &there, now);
        assert_eq!(here.streams_elsewhere(person), 2);
        // It dies: the next that any other tells finds it gone.
        let later = now + PRESENT_ELSEWHERE + Duration::from_secs(1);
        tell(&here, &super::super::tests::alone(), later);
        assert!(here.present.lock().online(later).is_empty());
        assert_eq!(here.streams_elsewhere(person), 0);
    }
}
