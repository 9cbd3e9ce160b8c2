//! The link that lets a person in.

use std::{fmt, net::SocketAddr, str::FromStr};

use url::Url;

use crate::lan::{ADDRESSES_MAX, Fingerprint, ShortCode};

/// An invite link: where the relay is, and the secret that admits.
///
/// Written as `http(s)://relay/join#code`, which a browser opens (a fragment is never sent to a server or logged,
/// RFC 9110, 4.2.5), or as `circles://join?relay=<url>&code=<code>`, which opens the app. That of a relay in LAN mode is
/// `circles://join?key=<fingerprint>&at=<address>&at=…&name=<name>&code=<code>`: a browser cannot pin a key.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// Where the relay is: `http` or `https`, its path ends with `/`, no query, no fragment, no password.
    pub relay: Url,
    /// The secret: 1 to 128 of `0-9A-Za-z_-`.
    pub code: String,
    /// How the relay is known and found, if it runs in LAN mode.
    pub lan: Option<LanPlace>,
}

/// A relay in LAN mode: known by its key, and to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanPlace {
    /// Its key. Whoever has another is another relay, whatever its address and name.
    pub key: Fingerprint,
    /// The campus's name, to recognise it; nothing is proven by it.
    pub name: String,
    /// Where it was when the invite was made: 1 to [`ADDRESSES_MAX`].
    pub addresses: Vec<SocketAddr>,
}

/// Why a text is no invite link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteLinkError {
    /// It is no URL of the two forms.
    #[error("an invite link looks like https://relay.example/join#code or circles://join?relay=…&code=…")]
    Shape,
    /// The relay's address is not http or https, or carries a password.
    #[error("the relay's address in the link must be plain http or https")]
    Relay,
    /// The key or the addresses of a relay on the LAN are damaged.
    #[error("the link's key or addresses are damaged: was it copied whole?")]
    Lan,
    /// The code is missing, too long or has other characters.
    #[error("the link's code is missing or damaged: was it copied whole?")]
    Code,
}

/// Longest code.
const CODE_CHARS_MAX: usize = 128;

impl InviteLink {
    /// Joins the parts of a link after checking them.
    pub fn new(relay: Url, code: String) -> Result<Self, InviteLinkError> {
        let plain = matches!(relay.scheme(), "http" | "https")
            && relay.has_host()
            && relay.username().is_empty()
            && relay.password().is_none();
        if !plain {
            return Err(InviteLinkError::Relay);
        }
        let code = valid_code(code)?;
        let mut relay = relay;
        relay.set_query(None);
        relay.set_fragment(None);
        if !relay.path().ends_with('/') {
            let path = format!("{}/", relay.path());
            relay.set_path(&path);
        }
        Ok(Self { relay, code, lan: None })
    }

    /// A link to a relay in LAN mode.
    pub fn on_lan(place: LanPlace, code: String) -> Result<Self, InviteLinkError> {
        let mut place = place;
        place.addresses.truncate(ADDRESSES_MAX);
        let first = place.addresses.first().ok_or(InviteLinkError::Lan)?;
        Ok(Self { relay: url_of(*first), code: valid_code(code)?, lan: Some(place) })
    }

    /// The same invite to be read aloud and typed; only relays in LAN mode take it.
    pub fn short_code(&self) -> Option<ShortCode> {
        self.lan.as_ref().map(|place| ShortCode::new(&place.key, &self.code))
    }

    /// The form that opens the app.
    pub fn app_link(&self) -> String {
        let mut link = Url::parse("circles://join").expect("it is a URL");
        {
            let mut pairs = link.query_pairs_mut();
            match &self.lan {
                None => {
                    pairs.append_pair("relay", self.relay.as_str());
                }
                Some(place) => {
                    pairs.append_pair("key", &place.key.to_string());
                    for address in &place.addresses {
                        pairs.append_pair("at", &address.to_string());
                    }
                    pairs.append_pair("name", &place.name);
                }
            }
            pairs.append_pair("code", &self.code);
        }
        link.into()
    }
}

/// The address of a relay on the LAN, for people and for what needs a URL.
pub fn url_of(address: SocketAddr) -> Url {
    Url::parse(&format!("https://{address}/")).expect("a socket address makes a URL")
}

fn valid_code(code: String) -> Result<String, InviteLinkError> {
    let valid = (1..=CODE_CHARS_MAX).contains(&code.len())
        && code.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
    if valid { Ok(code) } else { Err(InviteLinkError::Code) }
}

/// The parts of a link of the app.
fn of_app_link(url: &Url) -> Result<InviteLink, InviteLinkError> {
    let values = |name: &str| {
        let of_name = url.query_pairs().filter(|(key, _)| key == name);
        of_name.map(|(_, value)| value.into_owned()).take(ADDRESSES_MAX).collect::<Vec<String>>()
    };
    let value = |name: &str| values(name).into_iter().next();
    let code = value("code").ok_or(InviteLinkError::Code)?;
    let Some(key) = value("key") else {
        let relay = value("relay").ok_or(InviteLinkError::Shape)?;
        return InviteLink::new(Url::parse(&relay).map_err(|_| InviteLinkError::Relay)?, code);
    };
    let key = key.parse().map_err(|_| InviteLinkError::Lan)?;
    let addresses: Result<_, _> = values("at").iter().map(|it| it.parse()).collect();
    let addresses = addresses.map_err(|_| InviteLinkError::Lan)?;
    InviteLink::on_lan(LanPlace { key, name: value("name").unwrap_or_default(), addresses }, code)
}

impl FromStr for InviteLink {
    type Err = InviteLinkError;

    fn from_str(text: &str) -> Result<Self, InviteLinkError> {
        let url = Url::parse(text.trim()).map_err(|_| InviteLinkError::Shape)?;
        if url.scheme() == "circles" {
            if url.host_str() != Some("join") {
                return Err(InviteLinkError::Shape);
            }
            return of_app_link(&url);
        }
        let code = url.fragment().ok_or(InviteLinkError::Code)?.to_owned();
        let path = url.path().strip_suffix("join").ok_or(InviteLinkError::Shape)?.to_owned();
        let mut relay = url;
        relay.set_path(&path);
        Self::new(relay, code)
    }
}

/// The form that a browser opens; for a relay on the LAN the only one there is.
impl fmt::Display for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lan {
            Some(_) => f.write_str(&self.app_link()),
            None => write!(f, "{}join#{}", self.relay, self.code),
        }
    }
}

/// Without the secret, so that it does not reach a log.
impl fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteLink").field("relay", &self.relay.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_lead_to_the_same_place() {
        let link: InviteLink = "https://relay.example:8443/campus/join#abc_DEF-9".parse().expect("a link");
        assert_eq!(link.relay.as_str(), "https://relay.example:8443/campus/");
        assert_eq!(link.to_string().parse(), Ok(link.clone()));
        assert_eq!(link.app_link().parse(), Ok(link));
    }

    #[test]
    fn a_link_that_is_not_whole_is_refused_with_its_reason() {
        let error = |text: &str| text.parse::<InviteLink>().map(|_| ()).expect_err("refused");
        assert_eq!(error("hello"), InviteLinkError::Shape);
        assert_eq!(error("http://relay.example/join"), InviteLinkError::Code);
        assert_eq!(error("http://relay.example/join#"), InviteLinkError::Code);
        assert_eq!(error("http://relay.example/join#a b"), InviteLinkError::Code);
        assert_eq!(error("http://relay.example/other#abc"), InviteLinkError::Shape);
        assert_eq!(error("ftp://relay.example/join#abc"), InviteLinkError::Relay);
        assert_eq!(error("http://me:secret@relay.example/join#abc"), InviteLinkError::Relay);
        assert_eq!(error("circles://join?relay=javascript%3A1&code=a"), InviteLinkError::Relay);
    }

    #[test]
    fn a_link_to_the_lan_carries_key_and_addresses() {
        let place = LanPlace {
            key: Fingerprint::of(b"key"),
            name: "Maple Dorm & Friends".to_owned(),
            addresses: vec!["192.168.1.5:7081".parse().expect("an address"), "[fd00::5]:7081".parse().expect("one")],
        };
        let link = InviteLink::on_lan(place, "ABC".to_owned()).expect("a link");
        assert_eq!(link.relay.as_str(), "https://192.168.1.5:7081/");
        assert_eq!(link.to_string().parse(), Ok(link.clone()));
        let text = link.to_string();
        assert!(text.starts_with("circles://join?key="), "{text}");
        let damaged = text.replace("key=", "key=0").parse::<InviteLink>();
        assert_eq!(damaged, Err(InviteLinkError::Lan));
        let nowhere = text.replace("at=", "was=").parse::<InviteLink>();
        assert_eq!(nowhere, Err(InviteLinkError::Lan));
    }

    #[test]
    fn the_secret_stays_out_of_logs() {
        let link: InviteLink = "http://relay.example/join#secret".parse().expect("a link");
        assert!(!format!("{link:?}").contains("secret"));
    }
}
