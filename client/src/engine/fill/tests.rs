//! Filling gaps against a relay that answers by a script.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use circles_protocol::{CampusId, Person, PersonId, Role, UnixMs};
use futures::FutureExt;

use super::*;
use crate::{
    cache::{campuses, empty},
    engine::script::{self, Scene, number, page, pos, problem},
    limits::{RETRY_FIRST, RETRY_MAX, SCREEN_TAKES},
};

impl Scene {
    async fn gaps(&self, circle: CircleId) -> Vec<Stretch> {
        let campus = self.engine.0.campus;
        let gaps = self.engine.0.cache.read(move |conn| Ok(ledger::gaps(conn, campus, Scope::Circle(circle))?));
        gaps.await.unwrap()
    }
}

#[tokio::test]
async fn a_circle_whose_page_fails_holds_up_no_other() {
    let [first, broken, last] = [CircleId::new(), CircleId::new(), CircleId::new()];
    for failure in [500, 400] {
        let scene = script::engine(&[(first, 9), (broken, 9), (last, 9)], move |path| {
            if path.contains(&broken.to_string()) { problem(failure) } else { page(path, 1_000) }
        })
        .await;
        let mut tempo = Tempo::new();
        scene.engine.fill_once(&mut tempo).await.unwrap();
        assert_eq!(scene.gaps(first).await, []);
        assert_eq!(scene.gaps(last).await, []);
        assert_eq!(scene.gaps(broken).await.len(), 1);
        assert_eq!(tempo.rests.all(), [Scope::Circle(broken)], "it is tried again later");
        assert!(scene.engine.state(|it| it.missing) > 0);
    }
}

#[tokio::test]
async fn a_circle_whose_rest_ends_while_another_is_filled_is_tried_again() {
    let [broken, slow] = [CircleId::new(), CircleId::new()];
    let failures = AtomicU32::new(2);
    // Longer than one rests after the second failure.
    let longer = RETRY_FIRST * 2 + RETRY_FIRST / 4;
    let scene = script::engine(&[(broken, 9), (slow, 9)], move |path| {
        let fails = || failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if path.contains(&slow.to_string()) {
            std::thread::sleep(longer);
        } else if fails() {
            return problem(500);
        }
        page(path, 5)
    })
    .await;
    let filling = tokio::spawn(scene.engine.clone().fill_gaps());
    scene.engine.0.signals.fill.notify_one();
    let filled = async {
        while !scene.gaps(broken).await.is_empty() || !scene.gaps(slow).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(RETRY_MAX, filled).await.expect("nothing else wakes it");
    filling.abort();
}

#[tokio::test]
async fn filling_lets_the_page_take_in_what_it_was_given() {
    let circle = CircleId::new();
    let scene = script::engine(&[(circle, 9)], |path| {
        let (status, mut body) = page(path, 9)?;
        body["changes"] = serde_json::json!([{}]);
        Ok((status, body))
    })
    .await;
    let begun = Instant::now();
    scene.engine.0.cache.shown(true);
    scene.engine.fill_once(&mut Tempo::new()).await.unwrap();
    assert_eq!(scene.gaps(circle).await, []);
    assert!(begun.elapsed() >= SCREEN_TAKES, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn without_a_network_nobody_is_asked_in_vain() {
    let circles: Vec<_> = (0..5).map(|_| (CircleId::new(), 9)).collect();
    let scene = script::engine(&circles, |_| Err(ClientError::Offline("no network".to_owned()))).await;
    let mut tempo = Tempo::new();
    assert!(scene.engine.fill_once(&mut tempo).await.is_err());
    assert_eq!(scene.script.asked().len(), 1);
    assert!(tempo.rests.all().is_empty());
}

#[tokio::test]
async fn a_page_that_is_late_is_asked_for_in_smaller_pieces_until_they_come() {
    let circle = CircleId::new();
    let scene = script::engine(&[(circle, 3_000)], |path| {
        let limit = number(path, "limit");
        if limit > 200 { Err(ClientError::Late) } else { page(path, limit) }
    })
    .await;
    let mut tempo = Tempo::new();
    for _ in 0..200 {
        scene.engine.fill_once(&mut tempo).await.unwrap();
        tempo.rests.end();
        if scene.gaps(circle).await.is_empty() {
            break;
        }
    }
    assert_eq!(scene.gaps(circle).await, []);
    let sizes: Vec<u64> = scene.script.asked().iter().map(|it| number(it, "limit")).collect();
    assert_eq!(sizes[..4], [1_000, 500, 250, 125]);
}

#[test]
fn a_page_is_never_too_small_and_grows_again_only_when_it_comes_soon() {
    let mut tempo = Tempo::new();
    (0..20).for_each(|_| tempo.was_late());
    assert_eq!(tempo.page, FILL_PAGE_MIN);
    tempo.came(FILL_PAGE_SOON);
    assert_eq!(tempo.page, FILL_PAGE_MIN);
    (0..20).for_each(|_| tempo.came(Duration::ZERO));
    assert_eq!(tempo.page, FILL_PAGE);
}

#[tokio::test]
async fn who_is_told_to_be_out_while_filling_asks_at_once_where_one_is_in() {
    let circle = CircleId::new();
    let scene = script::engine(&[(circle, 9)], |_| problem(403)).await;
    let mut tempo = Tempo::new();
    scene.engine.fill_once(&mut tempo).await.unwrap();
    assert!(scene.engine.state(|it| it.heads_asked != it.heads_taken));
    assert!(scene.engine.0.signals.fill.notified().now_or_never().is_some());
    assert!(tempo.rests(Scope::Circle(circle)), "and not without a pause, if that says that one is in");
}

#[tokio::test]
async fn a_page_that_covers_nothing_is_not_asked_for_again_without_a_pause() {
    let circle = CircleId::new();
    let scene = script::engine(&[(circle, 9)], |path| page(&path.replace("until=9", "until=4"), 9)).await;
    let mut tempo = Tempo::new();
    scene.engine.fill_once(&mut tempo).await.unwrap();
    assert!(!tempo.rests.all().is_empty());
}

#[tokio::test]
async fn an_answer_that_took_longer_than_a_history_is_not_stored() {
    let circle = CircleId::new();
    for (next, stored) in [("e", true), ("f", false)] {
        let scene = script::engine(&[(circle, 9)], |path| page(path, 9)).await;
        let (engine, campus) = (&scene.engine, scene.engine.0.campus);
        let next = next.parse().unwrap();
        let restart = move |conn: &rusqlite::Transaction<'_>| Ok(campuses::restart(conn, campus, &next)?);
        let answer = async { engine.0.cache.write(Durability::Cache, restart).await };
        let done =
            engine.ask(answer.boxed(), move |apply, ()| Ok(apply.cover(Scope::Circle(circle), pos(0), pos(9))?)).await;
        assert_eq!(done.is_ok(), stored);
        assert_eq!(scene.gaps(circle).await.is_empty(), stored);
    }
}

#[test]
fn heads_that_are_asked_for_again_reach_to_where_the_answer_is_from() {
    let (conn, campus, me) = (empty(), CampusId::new(), PersonId::new());
    conn.execute(
        "INSERT INTO campus (id, name, relay, person, device, joined_at, epoch) VALUES (?1, '', 'http://relay.invalid/', randomblob(16), randomblob(16), 0, 'e')",
        [crate::cache::Blob::blob(&campus)],
    )
    .unwrap();
    let person =
        Person { id: me, name: "Ada".to_owned(), hue: 0, role: Role::Member, joined_at: UnixMs(0), version: pos(1) };
    let answer = Me {
        campus_id: campus,
        campus_name: "Maple Dorm".to_owned(),
        cursor: "e.8".parse().unwrap(),
        person,
        device_id: circles_protocol::DeviceId::new(),
        circles: Vec::new(),
    };
    for (again, head) in [(false, 0), (true, 8)] {
        let mut apply = Apply::new(&conn, campus, me);
        heads(&mut apply, &answer, again).unwrap();
        apply.finish().unwrap();
        for scope in [Scope::Campus, Scope::Person(me)] {
            assert_eq!(ledger::head(&conn, campus, scope).unwrap(), pos(head), "{scope}");
        }
    }
}
