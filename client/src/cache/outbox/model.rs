//! The outbox against a model: a list in memory, and the rules of design 3.7 as arithmetic on it.

use proptest::prelude::*;

use super::*;
use crate::cache::empty;

/// What a person, the network or a relay does.
#[derive(Clone, Debug)]
enum Step {
    /// Writes a message in a circle.
    Post(usize),
    /// Writes another text for one of the messages.
    Edit(usize),
    /// Deletes one of the messages.
    Delete(usize),
    /// Reacts to one of the messages.
    React(usize),
    /// Has read a circle up to a number.
    Read(usize, u64),
    /// Takes what one of the messages still has to say back.
    Discard(usize),
    /// Tries again what was refused of one of the messages.
    Retry(usize),
    /// The next item goes out while a circle rests, or none; this comes of it.
    Send(Outcome, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Delivered,
    NoAnswer,
    Refused,
    /// The program ends, or the answer is lost with it.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Delivered),
        2 => Just(Outcome::NoAnswer),
        2 => Just(Outcome::Refused),
        1 => Just(Outcome::Crash),
    ];
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::Post),
        2 => (0..8_usize).prop_map(Step::Edit),
        1 => (0..8_usize).prop_map(Step::Delete),
        2 => (0..8_usize).prop_map(Step::React),
        1 => (0..3_usize, 1..9_u64).prop_map(|(circle, seq)| Step::Read(circle, seq)),
        1 => (0..8_usize).prop_map(Step::Discard),
        2 => (0..8_usize).prop_map(Step::Retry),
        8 => (outcome, prop::option::of(0..3_usize)).prop_map(|(outcome, rests)| Step::Send(outcome, rests)),
    ]
}

/// What the model knows of an item.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    circle: CircleId,
    message: Option<MessageId>,
    intent: Intent,
    state: State,
}

/// The items in the order written.
#[derive(Default)]
struct Model(Vec<Known>);

impl Model {
    fn push(&mut self, circle: CircleId, message: Option<MessageId>, intent: Intent) {
        if matches!(intent, Intent::Read { .. }) {
            let waits = |it: &Known| it.circle == circle && it.is_read() && it.state == State::Queued;
            self.0.retain(|it| !waits(it));
        }
        if changes(&intent) {
            self.0.retain(|it| it.message != message || !changes(&it.intent) || !it.is_refused());
        }
        self.0.push(Known { circle, message, intent, state: State::Queued });
    }

    /// The oldest that is not refused, that nothing before it holds up, and whose circle does not rest.
    fn next(&mut self, rests: &[CircleId]) -> Option<&mut Known> {
        let at = (0..self.0.len()).find(|at| {
            let it = &self.0[*at];
            let is_held_up = self.0[..*at].iter().any(|before| before.holds_up(it));
            !rests.contains(&it.circle) && !it.is_refused() && !is_held_up
        });
        at.map(|at| &mut self.0[at])
    }

    /// The oldest that says this is done.
    fn done(&mut self, sent: &Item) {
        let is_it = |it: &Known| (it.circle, it.message, &it.intent) == (sent.circle, sent.message, &sent.intent);
        let at = self.0.iter().position(is_it).expect("it was there");
        self.0.remove(at);
    }

    /// All of a new message but what is out; of another what was refused, and if nothing was, what waits.
    fn discard(&mut self, message: MessageId) {
        let of_it = |it: &&Known| it.message == Some(message);
        let is_new = self.0.iter().filter(of_it).any(Known::is_post);
        let any_refused = self.0.iter().filter(of_it).any(Known::is_refused);
        let is_out = |it: &Known| matches!(it.state, State::Sending | State::Tried);
        let goes = |it: &Known| if is_new || !any_refused { !is_out(it) } else { it.is_refused() };
        self.0.retain(|it| it.message != Some(message) || !goes(it));
    }
}

fn changes(intent: &Intent) -> bool {
    matches!(intent, Intent::Edit { .. } | Intent::Delete)
}

impl Known {
    /// Posts keep the order of their circle; all else waits for the post of its own message, and for another text or the
    /// deletion of it that was refused.
    fn holds_up(&self, later: &Known) -> bool {
        let same_message = self.message.is_some() && self.message == later.message;
        match (self.is_post(), later.is_post()) {
            (true, true) => self.circle == later.circle && self.is_refused(),
            (true, false) => same_message,
            (false, _) => same_message && self.is_refused() && changes(&self.intent),
        }
    }

    fn is_post(&self) -> bool {
        matches!(self.intent, Intent::Post { .. })
    }

    fn is_read(&self) -> bool {
        matches!(self.intent, Intent::Read { .. })
    }

    fn is_refused(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }
}

/// What the database holds, in the order written.
fn stored(conn: &Connection, campus: CampusId, circles: &[CircleId]) -> Vec<Known> {
    let mut items: Vec<Item> = circles.iter().flat_map(|it| of_circle(conn, campus, *it).unwrap()).collect();
    items.sort_by_key(|it| it.n);
    items
        .into_iter()
        .map(|it| Known { circle: it.circle, message: it.message, intent: it.intent, state: it.state })
        .collect()
}

proptest! {
    /// Whatever happens: the outbox holds what the model holds, in the order written; what goes out next is what may; and
    /// the posts of a circle are delivered in the order in which they were written.
    #[test]
    fn nothing_is_lost_and_the_order_of_each_circle_is_kept(steps in prop::collection::vec(step(), 0..60)) {
        let (conn, campus) = (empty(), CampusId::new());
        let circles: Vec<CircleId> = (0..3).map(|_| CircleId::new()).collect();
        let mut messages: Vec<(CircleId, MessageId)> = Vec::new();
        let mut delivered: Vec<MessageId> = Vec::new();
        let mut model = Model::default();
        for (n, step) in steps.into_iter().enumerate() {
            let mut push = |circle, message, intent: Intent| {
                push(&conn, campus, circle, message, &intent, UnixMs(0)).unwrap();
                model.push(circle, message, intent);
            };
            match step {
                Step::Post(circle) => {
                    let id = MessageId::new();
                    messages.push((circles[circle], id));
                    push(circles[circle], Some(id), Intent::Post { text: format!("{n}"), reply_to: None });
                }
                Step::Edit(at) => if let Some((circle, id)) = messages.get(at) {
                    push(*circle, Some(*id), Intent::Edit { text: format!("{n}") });
                },
                Step::Delete(at) => if let Some((circle, id)) = messages.get(at) {
                    push(*circle, Some(*id), Intent::Delete);
                },
                Step::React(at) => if let Some((circle, id)) = messages.get(at) {
                    push(*circle, Some(*id), Intent::React { emoji: format!("{n}"), on: true });
                },
                Step::Read(circle, seq) => {
                    push(circles[circle], None, Intent::Read { seq: seq.try_into().expect("small") });
                }
                Step::Discard(at) => if let Some((_, id)) = messages.get(at) {
                    discard(&conn, campus, *id).unwrap();
                    model.discard(*id);
                },
                Step::Retry(at) => if let Some((_, id)) = messages.get(at) {
                    retry(&conn, campus, *id).unwrap();
                    let refused = model.0.iter_mut().filter(|it| it.message == Some(*id) && it.is_refused());
                    refused.for_each(|it| it.state = State::Queued);
                },
                Step::Send(outcome, rests) => {
                    let rests: Vec<CircleId> = rests.map(|it| circles[it]).into_iter().collect();
                    let item = next(&conn, campus, UnixMs(0), &rests).unwrap();
                    let known = model.next(&rests);
                    prop_assert_eq!(item.as_ref().map(|it| (it.circle, it.message)), known.as_ref().map(|it| (it.circle, it.message)));
                    let (Some(item), Some(known)) = (item, known) else { continue };
                    let sent = sending(&conn, item.n).unwrap().expect("it was not refused");
                    prop_assert_eq!(&sent.intent, &known.intent);
                    match outcome {
                        Outcome::Delivered => {
                            remove(&conn, item.n).unwrap();
                            if matches!(sent.intent, Intent::Post { .. }) {
                                delivered.extend(sent.message);
                            }
                            model.done(&sent);
                        }
                        Outcome::NoAnswer => {
                            tried(&conn, item.n).unwrap();
                            known.state = State::Tried;
                        }
                        // As the engine does: how far one has read is nothing to show as failed.
                        Outcome::Refused if known.is_read() => {
                            remove(&conn, item.n).unwrap();
                            model.done(&sent);
                        }
                        Outcome::Refused => {
                            fail(&conn, item.n, "no").unwrap();
                            known.state = State::Failed("no".to_owned());
                        }
                        Outcome::Crash => known.state = State::Sending,
                    }
                }
            }
            prop_assert_eq!(stored(&conn, campus, &circles), model.0.clone());
        }
        // In the order written, but for what was refused and tried again later: that keeps its place and so goes first.
        for circle in circles {
            let written: Vec<MessageId> = messages.iter().filter(|it| it.0 == circle).map(|it| it.1).collect();
            let places: Vec<usize> =
                delivered.iter().filter_map(|id| written.iter().position(|it| it == id)).collect();
            prop_assert!(places.is_sorted(), "{places:?}");
            let (waiting, failed) = counts(&conn, campus, circle).unwrap();
            let left = model.0.iter().filter(|it| it.circle == circle && !it.is_read());
            prop_assert_eq!(waiting + failed, u32::try_from(left.count()).expect("few"));
        }
    }
}
