//! The index and what is found with it, on a database of its own.

use std::cell::Cell;

use circles_protocol::{
    Circle, CircleKind, Entity, Membership, MembershipState, Message, MessageId, Person, Pos, Role, Seq,
};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::cache::{apply::Apply, campuses, migrate};

/// A campus with one person's device, filled by changes as they come from a relay.
struct Campus {
    conn: Connection,
    eyes: Eyes,
    pos: u64,
}

impl Campus {
    fn new() -> Self {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn).expect("the migrations are right");
        let mut campus = Self { conn, eyes: Eyes { campus: CampusId::new(), me: PersonId::new() }, pos: 0 };
        campus.person(campus.eyes.me, "Mira");
        campus
    }

    fn next(&mut self) -> Pos {
        self.pos += 1;
        Pos::try_from(self.pos).expect("small")
    }

    fn apply(&self, entity: &Entity) {
        let mut apply = Apply::new(&self.conn, self.eyes.campus, self.eyes.me);
        apply.entity(entity).expect("applied");
        apply.finish().expect("stored");
    }

    fn person(&mut self, id: PersonId, name: &str) -> PersonId {
        let version = self.next();
        let name = name.to_owned();
        self.apply(&Entity::Person(Person { id, name, hue: 1, role: Role::Member, joined_at: UnixMs(0), version }));
        id
    }

    fn circle(&mut self, name: &str, kind: CircleKind, state: MembershipState) -> CircleId {
        let (id, version) = (CircleId::new(), self.next());
        let created_by = self.eyes.me;
        let (name, topic) = (name.to_owned(), String::new());
        self.apply(&Entity::Circle(Circle { id, name, topic, kind, created_by, created_at: UnixMs(0), version }));
        self.member(id, state);
        id
    }

    fn member(&mut self, circle_id: CircleId, state: MembershipState) {
        let version = self.next();
        let (person_id, role) = (self.eyes.me, Role::Member);
        self.apply(&Entity::Membership(Membership { circle_id, person_id, state, role, since: UnixMs(0), version }));
    }

    fn message(&mut self, circle_id: CircleId, seq: u64, author_id: PersonId, text: &str, at: i64) -> Message {
        let message = Message {
            id: MessageId::new(),
            circle_id,
            seq: Seq::try_from(seq).expect("small"),
            author_id,
            text: text.to_owned(),
            reply_to: None,
            created_at: UnixMs(at),
            written_at: None,
            edited_at: None,
            deleted_at: None,
            version: self.next(),
        };
        self.apply(&Entity::Message(message.clone()));
        message
    }

    /// Lets the index take everything.
    fn index(&self) {
        while is_behind(&self.conn).expect("read") {
            take(&self.conn, 3, || {}).expect("taken");
        }
    }

    fn find(&self, query: &str) -> SearchView {
        self.page(query, None, 50)
    }

    fn page(&self, query: &str, after: Option<String>, limit: u32) -> SearchView {
        let query = Query::parse(query, &TimeZone::UTC);
        find(&self.conn, self.eyes, &Wanted { query, circle: None, after, limit }).expect("found")
    }

    fn texts(&self, query: &str) -> Vec<String> {
        texts(&self.find(query))
    }
}

fn texts(found: &SearchView) -> Vec<String> {
    found.messages.iter().map(|it| it.snippet.iter().map(|part| part.text.as_str()).collect()).collect()
}

/// General with these texts, a minute apart.
fn general(texts: &[&str]) -> (Campus, CircleId, Vec<Message>) {
    let mut campus = Campus::new();
    let circle = campus.circle("General", CircleKind::Open, MembershipState::Joined);
    let author = campus.person(PersonId::new(), "Ada Lovelace");
    let messages = texts
        .iter()
        .enumerate()
        .map(|(n, text)| {
            let n = u32::try_from(n).expect("few");
            campus.message(circle, u64::from(n) + 1, author, text, i64::from(n) * 60_000)
        })
        .collect();
    campus.index();
    (campus, circle, messages)
}

#[test]
fn a_message_that_changes_again_before_the_index_took_it_is_found_as_it_is_then() {
    let mut campus = Campus::new();
    let circle = campus.circle("General", CircleKind::Open, MembershipState::Joined);
    let author = campus.eyes.me;
    let mut message = campus.message(circle, 1, author, "the first words", 5);
    message.text = "the second words".to_owned();
    message.version = campus.next();
    campus.apply(&Entity::Message(message));
    campus.index();
    assert!(campus.texts("first").is_empty());
    assert_eq!(campus.texts("second"), ["the second words"]);
}

#[test]
fn a_message_is_found_in_any_script_as_one_types() {
    let (campus, ..) = general(&[
        "The Café is open",
        "我在图书馆等你",
        "明日は学校がやすみです",
        "พรุ่งนี้ไม่มีเรียน",
        "학교에서 만나요",
        "Встреча в библиотеке",
        "اللقاء في المكتبة",
        "मैं पुस्तकालय में हूँ",
        "Straße nach Łódź",
        "see you 👍🏽",
    ]);
    for (query, wanted) in [
        ("caf", 0),
        ("CAFÉ", 0),
        ("图书", 1),
        ("书", 1),
        ("学校", 2),
        ("やす", 2),
        ("เรียน", 3),
        ("ไม่มี", 3),
        ("학교", 4),
        ("만나", 4),
        ("БИБЛ", 5),
        ("المكت", 6),
        ("पुस्त", 7),
        ("strasse lodz", 8),
        ("👍", 9),
    ] {
        let found = campus.find(query);
        let seqs: Vec<u64> = found.messages.iter().map(|it| it.seq.get()).collect();
        assert_eq!(seqs, [wanted + 1], "{query}");
        assert!(found.messages[0].snippet.iter().any(|it| it.hit), "{query}");
    }
    assert!(campus.texts("馆图").is_empty(), "the order of characters counts");
}

#[test]
fn all_words_must_stand_there_and_the_last_may_be_a_beginning() {
    let (campus, ..) = general(&["the borrow checker complains", "borrow a bike", "a checker to borrow", "checkered"]);
    assert_eq!(campus.texts("borrow checker"), ["a checker to borrow", "the borrow checker complains"]);
    assert_eq!(campus.texts("\"borrow checker\""), ["the borrow checker complains"]);
    assert_eq!(campus.texts("borrow che"), ["a checker to borrow", "the borrow checker complains"]);
    assert_eq!(campus.texts("\"checker\" comp"), ["the borrow checker complains"]);
    assert_eq!(campus.texts("che borrow"), [""; 0], "only the last word is a beginning");
}

#[test]
fn filters_say_who_where_and_when() {
    const DAY: i64 = 86_400_000;
    let mut campus = Campus::new();
    let general = campus.circle("General", CircleKind::Open, MembershipState::Joined);
    let kitchen = campus.circle("Study kitchen", CircleKind::Private, MembershipState::Joined);
    let ada = campus.person(PersonId::new(), "Ada Lovelace");
    let bob = campus.person(PersonId::new(), "Bob");
    campus.message(general, 1, ada, "pan one", 0);
    campus.message(general, 2, bob, "pan two", DAY);
    campus.message(kitchen, 1, ada, "pan three", 2 * DAY);
    campus.index();
    assert_eq!(campus.texts("from:lovelace pan"), ["pan three", "pan one"]);
    assert_eq!(campus.texts("from:\"Ada L\""), [""; 0], "what is quoted is whole");
    assert_eq!(campus.texts("from:nobody pan"), [""; 0]);
    assert_eq!(campus.texts("in:#study"), ["pan three"]);
    assert_eq!(campus.texts("in:\"General\" from:bob"), ["pan two"]);
    assert_eq!(campus.texts("on:1970-01-02"), ["pan two"]);
    assert_eq!(campus.texts("pan before:1970-01-02"), ["pan one"]);
    assert_eq!(campus.texts("pan after:1970-01-02"), ["pan three", "pan two"]);
}

#[test]
fn an_edit_replaces_and_a_deletion_removes_also_before_the_index_took_it() {
    let (mut campus, _, messages) = general(&["first words", "second words"]);
    let edited = Message { text: "other words".to_owned(), version: campus.next(), ..messages[0].clone() };
    let deleted =
        Message { text: String::new(), deleted_at: Some(UnixMs(9)), version: campus.next(), ..messages[1].clone() };
    campus.apply(&Entity::Message(edited));
    campus.apply(&Entity::Message(deleted));
    assert_eq!(campus.texts("first"), [""; 0]);
    assert_eq!(campus.texts("second"), [""; 0]);
    campus.index();
    assert_eq!(campus.texts("words"), ["other words"]);
    assert_eq!(campus.texts("other"), ["other words"]);
    let left: i64 = campus.conn.query_row("SELECT count(*) FROM search_words", [], |row| row.get(0)).expect("counted");
    assert_eq!(left, 1, "the deleted message has no words");
    let covered = campus.find("words").covered;
    assert_eq!((covered.searched, covered.total), (2, 2), "a deleted message was searched too");
    assert!(covered.partly.is_empty());
}

#[test]
fn the_same_state_again_is_not_indexed_again() {
    let (campus, _, messages) = general(&["words"]);
    crate::cache::history::begin(&campus.conn, campus.eyes, UnixMs(0)).expect("another history");
    campus.apply(&Entity::Message(messages[0].clone()));
    assert!(!is_behind(&campus.conn).expect("read"));
}

#[test]
fn another_message_at_the_same_number_takes_its_place() {
    let (mut campus, circle, messages) = general(&["old history"]);
    let author = messages[0].author_id;
    campus.message(circle, 1, author, "new history", 60_000);
    campus.index();
    assert_eq!(campus.texts("history"), ["new history"]);
    assert_eq!(campus.find("history").covered.searched, 1);
}

#[test]
fn nothing_is_shown_of_a_circle_that_one_has_left() {
    let mut campus = Campus::new();
    let me = campus.eyes.me;
    let private = campus.circle("Secret plans", CircleKind::Private, MembershipState::Joined);
    campus.message(private, 1, me, "the surprise", 0);
    campus.index();
    assert_eq!(campus.texts("surprise").len(), 1);
    assert_eq!(campus.find("secret").circles.len(), 1);
    campus.member(private, MembershipState::Removed);
    let found = campus.find("surprise");
    assert!(found.messages.is_empty() && found.covered.total == 0, "{found:?}");
    assert!(campus.texts("in:secret").is_empty() && campus.find("secret").circles.is_empty());
    campus.member(private, MembershipState::Joined);
    assert_eq!(campus.texts("surprise").len(), 1);
}

#[test]
fn it_says_how_much_it_covered() {
    let mut campus = Campus::new();
    let me = campus.eyes.me;
    let ubuntu = campus.circle("ubuntu", CircleKind::Open, MembershipState::Joined);
    let rust = campus.circle("rust", CircleKind::Open, MembershipState::Joined);
    campus.message(ubuntu, 100, me, "the last one", 0);
    campus.message(rust, 1, me, "the only one", 1);
    campus.index();
    let covered = campus.find("one").covered;
    assert_eq!((covered.searched, covered.total), (2, 101));
    assert_eq!(
        covered.partly.iter().map(|it| (&*it.name, it.searched, it.total)).collect::<Vec<_>>(),
        [("ubuntu", 1, 100)]
    );
    assert!(campus.find("in:rust one").covered.partly.is_empty());
    campus.message(rust, 2, me, "not indexed yet", 2);
    assert_eq!(campus.find("in:rust one").covered.searched, 1);
    assert_eq!(campus.find("in:rust one").covered.total, 2);
}

#[test]
fn people_and_circles_are_found_by_their_names() {
    let mut campus = Campus::new();
    for name in ["Zoë Ångström", "Zoltán", "Ann Zola", "李小龙"] {
        campus.person(PersonId::new(), name);
    }
    campus.circle("Zoo club", CircleKind::Open, MembershipState::Left);
    let found = campus.find("zo");
    assert_eq!(found.people.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["Zoltán", "Zoë Ångström", "Ann Zola"]);
    assert_eq!(found.circles.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["Zoo club"]);
    assert_eq!(campus.find("zoe ang").people.len(), 1);
    assert_eq!(campus.find("小龙").people.len(), 1);
    assert!(campus.find("zo from:ann").people.is_empty());
}

#[test]
fn pages_are_disjoint_and_the_newest_first() {
    let texts: Vec<String> = (0..25).map(|n| format!("word {n}")).collect();
    let (campus, ..) = general(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut seqs, mut after) = (Vec::new(), None);
    for _ in 0..4 {
        let page = campus.page("word", after, 10);
        seqs.extend(page.messages.iter().map(|it| it.seq.get()));
        after = page.more;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seqs, (1..=25).rev().collect::<Vec<u64>>());
}

#[test]
fn a_campus_that_is_left_leaves_the_index() {
    let (campus, ..) = general(&["some words"]);
    campuses::delete(&campus.conn, campus.eyes.campus).expect("deleted");
    for table in ["search_words", "search_doc", "search_circle", "search_todo"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = campus.conn.query_row(&sql, [], |row| row.get(0)).expect("counted");
        assert_eq!(rows, 0, "{table}");
    }
}

#[test]
fn what_was_held_before_there_was_a_search_is_found() {
    let (mut campus, circle, _) = general(&[]);
    let mut conn = Connection::open_in_memory().expect("memory");
    let runner = super::super::migrations::migrations::runner().set_target(refinery::Target::Version(1));
    runner.run(&mut conn).expect("the first version");
    let (me, other) = (campus.eyes.me, campus.person(PersonId::new(), "Bob"));
    campus.conn = conn;
    campus.message_of_old(circle, me, other);
    migrate(&mut campus.conn).expect("migrated");
    campus.index();
    assert_eq!(campus.texts("of old"), ["words of old"]);
}

impl Campus {
    fn message_of_old(&mut self, circle: CircleId, me: PersonId, author: PersonId) {
        self.person(me, "Mira");
        let version = self.next();
        self.apply(&Entity::Circle(Circle {
            id: circle,
            name: "General".to_owned(),
            topic: String::new(),
            kind: CircleKind::Open,
            created_by: me,
            created_at: UnixMs(0),
            version,
        }));
        self.member(circle, MembershipState::Joined);
        // As the first version wrote it: what applies messages now looks at later tables.
        let version = self.next();
        self.conn
            .execute(
                "INSERT INTO message (campus, circle, seq, id, author, text, created_at, version)
                 VALUES (?1, ?2, 1, ?3, ?4, 'words of old', 0, ?5)",
                rusqlite::params![
                    self.eyes.campus.blob(),
                    circle.blob(),
                    MessageId::new().blob(),
                    author.blob(),
                    i64::from(version)
                ],
            )
            .expect("written");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_query_gets_an_answer(query in any::<String>(), syntax in r#"[a"*:^#(){}+ -]{0,12}(NEAR|AND|NOT|OR)?[a":*]{0,4}"#) {
        let (campus, ..) = general(&["a text", "NEAR AND NOT"]);
        for query in [query, syntax] {
            let found = campus.find(&query);
            prop_assert!(found.messages.len() <= 2);
        }
    }

    #[test]
    fn a_message_is_found_by_each_of_its_words_and_marked(text in "\\PC{1,60}") {
        let (campus, ..) = general(&[&text]);
        for word in words(&text).into_iter().take(8) {
            let found = campus.find(&format!("\"{}\"", &text[word.at.clone()]));
            prop_assert_eq!(found.messages.len(), 1, "{:?}", word);
            prop_assert!(found.messages[0].snippet.iter().any(|it| it.hit));
        }
    }
}

#[test]
fn the_index_lets_others_go_first_again_and_again() {
    let mut campus = Campus::new();
    let circle = campus.circle("Rust", CircleKind::Open, MembershipState::Joined);
    let me = campus.eyes.me;
    let messages = u64::try_from(GIVE_WAY_EVERY).expect("small") * 2 + 1;
    for seq in 1..=messages {
        campus.message(circle, seq, me, "on and on", 1);
    }
    let asked = Cell::new(0);
    take(&campus.conn, 500, || asked.set(asked.get() + 1)).expect("taken");
    assert_eq!(asked.get(), 3);
}
