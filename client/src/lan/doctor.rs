//! What stands in the way, in words that a student understands, and what to do next.
//!
//! Only relays that are known already are asked, and the network itself: nobody else has to do with it.

use std::{collections::HashSet, io::ErrorKind, sync::Arc, time::Duration};

use circles_lan::{Browser, addresses, is_near};
use circles_protocol::lan::{Fingerprint, PORT};
use jiff::SignedDuration;
use tokio::{net::TcpStream, time::timeout};

use super::Route;
use crate::{
    api::Api,
    error::ClientError,
    limits::{NEARBY_TIME_MAX, PROBE_TIME_MAX},
    view::{Finding, Severity},
};

/// A clock that is off by more makes times of messages confusing; less is what computers usually are.
const CLOCK_OFF_MAX: Duration = Duration::from_mins(2);

/// A campus to look at.
pub struct Patient {
    /// Its name.
    pub name: String,
    /// Its relay.
    pub api: Api,
    /// Whether this app hosts it.
    pub hosted: bool,
}

/// Looks at everything, and says what it found, each thing once: first the network, then each campus.
pub async fn examine(patients: Vec<Patient>) -> Vec<Finding> {
    each_once(look(patients).await)
}

/// Campuses on one network have the same obstacles.
fn each_once(mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut said = HashSet::new();
    findings.retain(|it| said.insert(it.says.clone()));
    findings
}

async fn look(patients: Vec<Patient>) -> Vec<Finding> {
    let own = addresses(0).unwrap_or_default();
    if own.is_empty() {
        let mut findings = vec![no_network()];
        // What runs on this computer needs none.
        for it in patients.into_iter().filter(|it| it.hosted) {
            findings.extend(by_url(&it).await);
        }
        return findings;
    }
    let list: Vec<String> = own.iter().map(|it| it.ip().to_string()).collect();
    let mut findings = vec![good(format!("This computer is on a network, as {}.", list.join(", ")))];
    // Heard at the same time: whoever announces itself does so within the time that the addresses are tried.
    // A search of its own: one that goes on already remembers announcements from before the multicast was blocked.
    let sightings = Browser::default().look();
    let listening = tokio::time::sleep(NEARBY_TIME_MAX);
    let knocks = futures::future::join_all(patients.iter().map(|it| async {
        match it.api.route() {
            Some(route) => Some(knock(route).await),
            None => None,
        }
    }));
    let (knocks, ()) = tokio::join!(knocks, listening);
    for (patient, knock) in patients.iter().zip(knocks) {
        match (patient.api.route(), knock) {
            (Some(route), Some(knock)) => {
                let facts = Facts {
                    announced: !sightings.of(&route.key()).is_empty(),
                    near: route.known().iter().any(|it| is_near(it.ip()).unwrap_or(true)),
                    knock,
                };
                findings.extend(judge(&patient.name, &facts));
                if facts.knock == Knock::Right {
                    findings.extend(clock(&patient.api).await);
                }
            }
            _ => findings.extend(by_url(patient).await),
        }
    }
    if patients.iter().all(|it| it.api.route().is_none()) && sightings.all().is_empty() {
        findings.push(note(
            "No relay announces itself on this network.".to_owned(),
            "If somebody hosts here, this network may block multicast: ask for the invite link, or type the host's address after the code, as CODE@192.168.1.5.",
        ));
    }
    findings.push(port());
    findings
}

/// Who opens when one knocks at the addresses of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Knock {
    /// It does.
    Right,
    /// Another relay.
    Wrong(Fingerprint),
    /// The computer is there, and no relay on it.
    Refused,
    /// Nobody.
    Silent,
    /// Something that is no relay.
    Other,
}

async fn knock(route: &Arc<Route>) -> Knock {
    let mut heard = Knock::Silent;
    match route.search().await {
        Ok(_) => return Knock::Right,
        Err(ClientError::WrongKey { found }) => return Knock::Wrong(found),
        Err(_) => {}
    }
    for address in route.known() {
        match timeout(PROBE_TIME_MAX, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Knock::Other,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => heard = Knock::Refused,
            _ => {}
        }
    }
    heard
}

/// What is known of a relay on the LAN.
struct Facts {
    knock: Knock,
    /// It says that it is here.
    announced: bool,
    /// One of its last addresses is of a network that this computer is on.
    near: bool,
}

/// What the facts mean. Multicast and the way between computers are blocked independently of each other.
fn judge(name: &str, facts: &Facts) -> Vec<Finding> {
    let one = match (&facts.knock, facts.announced, facts.near) {
        (Knock::Right, true, _) => good(format!("The relay of {name} answers, and has the right key.")),
        (Knock::Right, false, _) => {
            return vec![
                good(format!("The relay of {name} answers, and has the right key.")),
                note(
                    "This network blocks multicast: relays cannot be found by looking around.".to_owned(),
                    "Chatting works. To invite others here use the link, or let them type the address after the code. If the host gets another address, ask for the new one.",
                ),
            ];
        }
        (Knock::Wrong(found), ..) => bad(
            format!(
                "Another relay answers in the place of {name}: its key ({}) is not the one that you joined.",
                found.words()
            ),
            "Nothing was sent to it. Ask the host in person whether the relay was set up anew; if not, somebody pretends to be it: tell the host, and use another network.",
        ),
        (Knock::Refused, ..) => bad(
            format!("The computer of {name}'s host is there, but hosts nothing now."),
            "Ask the host to open Circles and press “Host here”. What you write goes out when it is back.",
        ),
        (Knock::Other, ..) => bad(
            format!("Something answers in the place of {name} that is no relay."),
            "The address probably belongs to another device now. Ask the host for a new invite link.",
        ),
        (Knock::Silent, true, _) => bad(
            format!("The relay of {name} announces itself, but connections to it do not get through."),
            "A firewall on the host's computer may block it: allow Circles there. Or the network hides computers from each other: use a phone's hotspot.",
        ),
        (Knock::Silent, false, true) => bad(
            format!("The relay of {name} does not answer, although you are on its network."),
            "Is the host's computer on? If so, this network hides computers from each other, as many campus networks do: join a phone's hotspot together, or use another network.",
        ),
        (Knock::Silent, false, false) => bad(
            format!("The relay of {name} was on another network than this one."),
            "Join the Wi-Fi that its host is on. If you are on it already, ask the host for a new invite link.",
        ),
    };
    let one = Finding { advice: one.advice.map(|it| it + permission(&facts.knock)), ..one };
    vec![one]
}

/// Some systems ask whether an app may talk to the local network, and otherwise let it fail without a word.
fn permission(knock: &Knock) -> &'static str {
    match knock {
        Knock::Silent if cfg!(target_os = "macos") => {
            " On a Mac, look in System Settings, Privacy & Security, Local Network: Circles must be on."
        }
        Knock::Silent if cfg!(windows) => {
            " On Windows, the host must have allowed Circles on private networks, and the network must be set to private."
        }
        _ => "",
    }
}

/// A relay that is known by its address.
async fn by_url(patient: &Patient) -> Vec<Finding> {
    let name = &patient.name;
    match patient.api.date().await {
        Ok(_) => {
            let mut findings = vec![good(format!("The relay of {name} answers."))];
            findings.extend(clock(&patient.api).await);
            findings
        }
        Err(ClientError::NotARelay) => vec![bad(
            format!("Something else answered than the relay of {name}: this Wi-Fi wants you to sign in first."),
            "Open any page in a browser, sign in to the Wi-Fi there, and come back.",
        )],
        Err(error) => vec![bad(
            format!("The relay of {name} cannot be reached: {error}."),
            "Does the internet work otherwise? If so, the relay is off; what you write goes out when it is back.",
        )],
    }
}

async fn clock(api: &Api) -> Option<Finding> {
    let theirs = api.date().await.ok()??;
    judge_clock(jiff::Timestamp::now().duration_since(theirs))
}

/// By how much this computer's clock is ahead of the relay's, or behind.
fn judge_clock(ahead: SignedDuration) -> Option<Finding> {
    let off = ahead.unsigned_abs();
    if off <= CLOCK_OFF_MAX {
        return None;
    }
    let minutes = off.as_secs().div_ceil(60);
    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
    Some(note(
        format!("The clock of this computer is about {minutes} minutes {way} the relay's."),
        "Messages arrive all the same, but times look wrong. Let the system set the clock by itself, here or at the host.",
    ))
}

/// Whether this computer could host.
fn port() -> Finding {
    match circles_lan::listen(PORT, 1) {
        Ok(_) => good(format!("This computer could host: port {PORT} is free.")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => note(
            format!("Port {PORT} is in use on this computer."),
            "If you host here already, that is why. Otherwise another program has it, and Circles takes another port when you host.",
        ),
        Err(error) => bad(
            format!("This computer lets nothing listen on the network: {error}."),
            "A firewall or a rule of the system forbids it. You can join others, and not host.",
        ),
    }
}

fn no_network() -> Finding {
    bad(
        "This computer is on no network.".to_owned(),
        "Turn on Wi-Fi, plug in a cable, or join a phone's hotspot. What you write is kept, and goes out by itself.",
    )
}

fn good(says: String) -> Finding {
    Finding { severity: Severity::Good, says, advice: None }
}

fn note(says: String, advice: &str) -> Finding {
    Finding { severity: Severity::Note, says, advice: Some(advice.to_owned()) }
}

fn bad(says: String, advice: &str) -> Finding {
    Finding { severity: Severity::Bad, says, advice: Some(advice.to_owned()) }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn judged(knock: Knock, announced: bool, near: bool) -> Finding {
        judge("Dorm", &Facts { knock, announced, near }).pop().expect("a finding")
    }

    #[test]
    fn each_obstacle_has_a_name_and_something_to_do() {
        assert_eq!(judged(Knock::Right, true, true).severity, Severity::Good);
        let says = |finding: Finding, words: &str| {
            assert!(finding.says.contains(words), "{}", finding.says);
            assert!(finding.severity == Severity::Note || finding.severity == Severity::Bad);
            finding.advice.expect("something to do")
        };
        assert!(says(judged(Knock::Right, false, true), "blocks multicast").contains("link"));
        assert!(says(judged(Knock::Wrong(Fingerprint::of(b"k")), true, true), "Another relay").contains("in person"));
        assert!(says(judged(Knock::Refused, false, true), "hosts nothing now").contains("Host here"));
        assert!(says(judged(Knock::Silent, true, true), "do not get through").contains("firewall"));
        assert!(says(judged(Knock::Silent, false, true), "does not answer").contains("hotspot"));
        assert!(says(judged(Knock::Silent, false, false), "another network").contains("Wi-Fi"));
        assert!(says(judged(Knock::Other, false, true), "no relay").contains("invite"));
    }

    #[test]
    fn what_two_campuses_have_in_common_is_said_once() {
        let facts = Facts { knock: Knock::Right, announced: false, near: true };
        let findings = each_once(["Dorm", "Lab"].into_iter().flat_map(|it| judge(it, &facts)).collect());
        let says: Vec<&str> = findings.iter().map(|it| it.says.as_str()).collect();
        assert_eq!(says.iter().filter(|it| it.contains("blocks multicast")).count(), 1, "{says:?}");
        assert!(says.iter().any(|it| it.contains("Dorm")) && says.iter().any(|it| it.contains("Lab")), "{says:?}");
    }

    #[test]
    fn a_clock_that_is_far_off_is_told() {
        assert!(judge_clock(SignedDuration::from_secs(60)).is_none());
        let behind = judge_clock(SignedDuration::from_mins(-61)).expect("it is off");
        assert!(behind.says.contains("61 minutes behind the relay's"), "{}", behind.says);
        assert!(judge_clock(SignedDuration::from_hours(3)).expect("it is off").says.contains("180 minutes ahead of"));
    }

    #[tokio::test]
    async fn a_sign_in_page_in_the_relays_place_is_named() {
        let portal = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", portal.local_addr().unwrap()).parse().unwrap();
        let serving = tokio::spawn(async move {
            let (mut socket, _) = portal.accept().await?;
            let read = socket.read(&mut [0; 4096]).await?;
            assert!(read > 0);
            let page = "HTTP/1.1 302 Found\r\nlocation: http://portal.example/\r\ncontent-length: 0\r\n\r\n";
            socket.write_all(page.as_bytes()).await
        });
        let patient = Patient { name: "Campus".to_owned(), api: Api::new(url, None).unwrap(), hosted: false };
        let finding = by_url(&patient).await.pop().expect("a finding");
        assert!(finding.says.contains("sign in"), "{}", finding.says);
        serving.await.unwrap().unwrap();
    }
}
