//! Saying on the network that a relay is here.

use std::time::Duration;

use circles_protocol::{
    CampusId,
    lan::{Fingerprint, SERVICE, txt},
};
use mdns_sd::{ServiceDaemon, ServiceInfo};
use tokio::{sync::Notify, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::daemon::on_each_network;

/// Longest part of a name in the service's own name: a label has 63 bytes (RFC 1035, 2.3.4), and words come after it.
const LABEL_BYTES_MAX: usize = 40;

/// Longest name in the TXT record, whose strings have 255 bytes (RFC 6763, 6.1).
const NAME_BYTES_MAX: usize = 200;

/// How long to wait before a relay is announced anew, after the goodbye of the daemon before. Others keep what a goodbye took
/// back for another second (RFC 6762, 10.1), and mdns-sd tells nobody of what comes back within it. Asking whether the name
/// is free takes the rest of that second (RFC 6762, 8.1: 750 ms).
const FORGOTTEN_AFTER: Duration = Duration::from_millis(500);

/// What is announced of a relay. It is for everyone on the network to read.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The campus's name.
    pub name: String,
    /// The campus.
    pub campus: CampusId,
    /// The relay's key.
    pub key: Fingerprint,
    /// The relay's port.
    pub port: u16,
}

/// An announcement that holds, on each network that this computer comes to, until it is dropped: then others are told that
/// the relay is gone.
pub struct Announcement {
    _task: AbortOnDropHandle<std::convert::Infallible>,
}

impl Announcement {
    /// Begins to announce.
    pub fn start(what: Announced) -> Self {
        let task = tokio::spawn(async move {
            let mut announced = false;
            let announce = async move |daemon: &ServiceDaemon, _| {
                if std::mem::replace(&mut announced, true) {
                    sleep(FORGOTTEN_AFTER).await;
                }
                daemon.register(service(&what)?)?;
                std::future::pending().await
            };
            on_each_network(&Notify::new(), announce).await
        });
        Self { _task: AbortOnDropHandle::new(task) }
    }
}

fn service(what: &Announced) -> Result<ServiceInfo, mdns_sd::Error> {
    let words = what.key.words();
    // In small letters: mdns-sd 0.21 does not find another name again when it is to be announced for the second time (RFC
    // 6762, 8.3), and a single multicast packet is easily lost. What people see is in the TXT record.
    let label = format!("{} {words}", cut(&what.name, LABEL_BYTES_MAX).replace('.', " ")).to_lowercase();
    let host = format!("circles-{}.local.", what.key.to_string().to_lowercase().split_at(12).0);
    let properties = [
        (txt::NAME, cut(&what.name, NAME_BYTES_MAX).to_owned()),
        (txt::CAMPUS, what.campus.to_string()),
        (txt::KEY, what.key.to_string()),
    ];
    let label = cut(&label, 63);
    Ok(ServiceInfo::new(SERVICE, label, &host, (), what.port, &properties[..])?.enable_addr_auto())
}

/// The first characters of a text that fit into so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_campus_can_be_announced() {
        for name in ["Maple Dorm", "a.b.c", &"ü".repeat(64), &"🎓".repeat(64)] {
            let what =
                Announced { name: name.to_owned(), campus: CampusId::new(), key: Fingerprint::of(b"key"), port: 7081 };
            let info = service(&what).expect("it fits");
            assert_eq!(info.get_property_val_str(txt::KEY), Some(what.key.to_string().as_str()));
            assert!(info.get_property_val_str(txt::NAME).is_some_and(|it| name.starts_with(it)));
        }
    }
}
