//! Requests with any body, at each route of a relay.

use std::sync::{LazyLock, Mutex, PoisonError};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, header},
};
use circles_protocol::{
    CircleId, DeviceId, MessageId, PersonId, Problem,
    api::{Circles, Join},
};
use circles_relay::{NewInvite, Relay, Settings};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A relay in this process, and somebody who is in it.
struct Scene {
    runtime: Runtime,
    router: Router,
    token: String,
    general: CircleId,
    _dir: tempfile::TempDir,
}

static SCENE: LazyLock<Mutex<Scene>> = LazyLock::new(|| Mutex::new(Scene::open()));

/// The routes with a body, as method and path.
const ROUTES: [(Method, &str); 14] = [
    (Method::POST, "/v1/circles/{general}/messages"),
    (Method::PATCH, "/v1/messages/{id}"),
    (Method::PUT, "/v1/messages/{id}/reactions"),
    (Method::POST, "/v1/circles"),
    (Method::PATCH, "/v1/circles/{general}"),
    (Method::POST, "/v1/circles/{general}/members"),
    (Method::PATCH, "/v1/circles/{general}/members/{id}"),
    (Method::PUT, "/v1/circles/{general}/read"),
    (Method::POST, "/v1/circles/{general}/typing"),
    (Method::PUT, "/v1/circles/{general}/mute"),
    (Method::PUT, "/v1/circles/{general}/draft"),
    (Method::POST, "/v1/invites"),
    (Method::PATCH, "/v1/me"),
    (Method::POST, "/v1/join"),
];

/// The relay takes the body or says what is wrong with it (design 3.10): never an error of its own. The first byte says
/// which route.
pub fn check(bytes: &[u8]) {
    let Some((route, body)) = bytes.split_first() else { return };
    let (method, path) = &ROUTES[usize::from(*route) % ROUTES.len()];
    let scene = SCENE.lock().unwrap_or_else(PoisonError::into_inner);
    scene.send(method, path, body);
}

impl Scene {
    fn open() -> Self {
        let (runtime, dir) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a directory"));
        let many = 1_000_000;
        let settings = Settings {
            data_dir: dir.path().to_owned(),
            writes_per_second: many,
            writes_burst: many,
            joins_per_second: many,
            joins_burst: many,
            ..Settings::default()
        };
        let (router, token, general) = runtime.block_on(async {
            let relay = Relay::open(settings).await.expect("a relay");
            let code = relay.create_invite(NewInvite::OWNER).await.expect("an invite");
            let (router, token) = (relay.router(), format!("{:064x}", 7));
            let join = Join {
                code,
                person_id: PersonId::new(),
                name: "Ada".to_owned(),
                device_id: DeviceId::new(),
                device_name: "fuzz".to_owned(),
                token: token.clone(),
            };
            let join = serde_json::to_vec(&join).expect("JSON");
            let joined = router.clone().oneshot(request(&Method::POST, "/v1/join", &token, &join)).await;
            assert_eq!(joined.expect("infallible").status(), 201);
            let listed = router.clone().oneshot(request(&Method::GET, "/v1/circles", &token, b"")).await;
            let listed = listed.expect("infallible").into_body().collect().await.expect("a body").to_bytes();
            let listed: Circles = serde_json::from_slice(&listed).expect("circles");
            (router, token, listed.circles[0].circle.id)
        });
        Self { runtime, router, token, general, _dir: dir }
    }

    fn send(&self, method: &Method, path: &str, body: &[u8]) {
        let path = path.replace("{general}", &self.general.to_string()).replace("{id}", &MessageId::new().to_string());
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request(method, &path, &self.token, body)).await;
            let (head, answer) = answer.expect("infallible").into_parts();
            let answer = axum::body::to_bytes(answer, ANSWER_BYTES_MAX).await.expect("a body that ends");
            if head.status.is_success() {
                return;
            }
            assert!(head.status.is_client_error(), "{} {method} {path}", head.status);
            let problem: Problem = serde_json::from_slice(&answer).expect("a problem");
            assert_eq!(problem.status, head.status.as_u16());
        });
    }
}

fn request(method: &Method, path: &str, token: &str, body: &[u8]) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_vec()))
        .expect("a request")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// JSON with the names and some of the values that the bodies know.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let id = any::<u128>().prop_map(|it| serde_json::json!(uuid::Uuid::from_u128(it).to_string()));
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            (-9.0..9e18_f64).prop_map(Into::into),
            ".{0,20}".prop_map(Into::into),
            "[a-z]{0,300}".prop_map(Into::into),
            prop::sample::select(vec!["open", "private", "owner", "member", "👍"]).prop_map(Into::into),
            id,
        ];
        let name = prop::sample::select(vec![
            "id",
            "text",
            "reply_to",
            "written_at",
            "name",
            "topic",
            "access",
            "emoji",
            "on",
            "seq",
            "person_id",
            "role",
            "circle_id",
            "device",
            "max_uses",
            "life_s",
            "hue",
            "code",
            "device_id",
            "device_name",
            "token",
            "age_ms",
            "editing",
        ]);
        prop::collection::vec((name, leaf), 0..7)
            .prop_map(|it| it.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_500))]

        #[test]
        fn a_body_is_taken_or_refused_with_a_reason(route in any::<u8>(), body in json()) {
            super::check(&[&[route][..], body.to_string().as_bytes()].concat());
        }

        #[test]
        fn noise_is_refused_with_a_reason(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            super::check(&bytes);
        }
    }
}
