//! Sending to a relay that answers by a script.

use circles_protocol::{CircleId, MessageId};

use super::*;
use crate::engine::script::{self, Scene, problem, receipt, refusal};

impl Scene {
    async fn write(&self, circle: CircleId, text: &str) -> MessageId {
        self.answer(circle, text, None).await
    }

    async fn answer(&self, circle: CircleId, text: &str, reply_to: Option<MessageId>) -> MessageId {
        let (campus, id, text) = (self.engine.0.campus, MessageId::new(), text.to_owned());
        let post = Intent::Post { text, reply_to };
        let write =
            move |conn: &Transaction<'_>| outbox::push(conn, campus, circle, Some(id), &post, UnixMs(0)).map(|()| id);
        self.engine.0.cache.write(Durability::Outbox, write).await.unwrap()
    }

    async fn waiting(&self, circle: CircleId) -> Vec<Item> {
        let campus = self.engine.0.campus;
        self.engine.0.cache.read(move |conn| Ok(outbox::of_circle(conn, campus, circle)?)).await.unwrap()
    }

    async fn unsent(&self, circle: CircleId) -> usize {
        self.waiting(circle).await.len()
    }
}

#[tokio::test]
async fn an_item_that_never_gets_through_holds_up_no_other_circle_and_keeps_the_order_of_its_own() {
    let [broken, well] = [CircleId::new(), CircleId::new()];
    for failure in
        [|| problem(500), || Err(ClientError::Late), || Err(ClientError::Proxy(http::StatusCode::BAD_GATEWAY))]
    {
        let scene = script::engine(&[(broken, 1), (well, 1)], move |path| {
            if path.contains(&broken.to_string()) { failure() } else { receipt(well) }
        })
        .await;
        scene.write(broken, "first").await;
        scene.write(broken, "second").await;
        scene.write(well, "elsewhere").await;
        let mut rests = Rests::default();
        assert!(matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Rests)));
        assert!(matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Over)));
        assert_eq!((scene.unsent(broken).await, scene.unsent(well).await), (2, 0));
        // What comes later for others is first, even if the rest is over by then.
        scene.write(well, "later").await;
        assert!(matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Over)));
        assert_eq!((scene.unsent(broken).await, scene.unsent(well).await), (2, 0));
    }
}

#[tokio::test]
async fn without_a_network_all_circles_wait() {
    let [one, other] = [CircleId::new(), CircleId::new()];
    let scene = script::engine(&[(one, 1), (other, 1)], |_| Err(ClientError::Offline("no network".to_owned()))).await;
    scene.write(one, "first").await;
    scene.write(other, "second").await;
    let mut rests = Rests::default();
    assert!(scene.engine.send_next(&mut rests).await.is_err());
    assert!(rests.all().is_empty(), "whoever is first is tried again");
}

#[tokio::test]
async fn a_relay_that_serves_nobody_is_not_asked_for_each_circle() {
    let circles: Vec<_> = (0..9).map(|_| (CircleId::new(), 1)).collect();
    let scene = script::engine(&circles, |_| problem(503)).await;
    for (circle, _) in &circles {
        scene.write(*circle, "hello").await;
    }
    let mut rests = Rests::default();
    while scene.engine.send_next(&mut rests).await.is_ok() {}
    assert_eq!(scene.script.asked().len(), crate::limits::FAILED_IN_A_ROW_MAX);
}

#[tokio::test]
async fn an_answer_to_what_the_relay_lost_is_sent_as_a_message_of_its_own() {
    let circle = CircleId::new();
    let refused = std::sync::atomic::AtomicBool::new(false);
    let scene = script::engine(&[(circle, 1)], move |_| {
        let again = refused.swap(true, std::sync::atomic::Ordering::Relaxed);
        if again { receipt(circle) } else { refusal(400, "reply_unknown") }
    })
    .await;
    scene.answer(circle, "yes", Some(MessageId::new())).await;
    let mut rests = Rests::default();
    assert!(matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Over)));
    let [waiting] = &scene.waiting(circle).await[..] else { panic!("it is still to be sent") };
    assert_eq!(waiting.intent, Intent::Post { text: "yes".to_owned(), reply_to: None });
    assert_eq!(waiting.state, outbox::State::Queued);
    assert!(matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Over)));
    assert_eq!(scene.unsent(circle).await, 0);
}

#[tokio::test]
async fn what_answers_nothing_and_is_refused_all_the_same_is_not_sent_for_ever() {
    let circle = CircleId::new();
    let scene = script::engine(&[(circle, 1)], |_| refusal(400, "reply_unknown")).await;
    scene.answer(circle, "yes", Some(MessageId::new())).await;
    let mut rests = Rests::default();
    while matches!(scene.engine.send_next(&mut rests).await, Ok(Attempt::Over)) {}
    assert_eq!(scene.script.asked().len(), 2);
    assert!(matches!(scene.waiting(circle).await[0].state, outbox::State::Failed(_)));
}
