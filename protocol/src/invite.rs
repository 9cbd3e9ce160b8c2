//! The link that lets a person in.

use std::{fmt, str::FromStr};

use url::Url;

/// An invite link: where the relay is, and the secret that admits.
///
/// Written as `http(s)://relay/join#code`, which a browser opens (a fragment is never sent to a server or logged,
/// RFC 9110, 4.2.5), or as `circles://join?relay=<url>&code=<code>`, which opens the app.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// Where the relay is: `http` or `https`, its path ends with `/`, no query, no fragment, no password.
    pub relay: Url,
    /// The secret: 1 to 128 of `0-9A-Za-z_-`.
    pub code: String,
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
        let valid = (1..=CODE_CHARS_MAX).contains(&code.len())
            && code.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
        if !valid {
            return Err(InviteLinkError::Code);
        }
        let mut relay = relay;
        relay.set_query(None);
        relay.set_fragment(None);
        if !relay.path().ends_with('/') {
            let path = format!("{}/", relay.path());
            relay.set_path(&path);
        }
        Ok(Self { relay, code })
    }

    /// The form that opens the app.
    pub fn app_link(&self) -> String {
        let mut link = Url::parse("circles://join").expect("it is a URL");
        link.query_pairs_mut().append_pair("relay", self.relay.as_str()).append_pair("code", &self.code);
        link.into()
    }
}

impl FromStr for InviteLink {
    type Err = InviteLinkError;

    fn from_str(text: &str) -> Result<Self, InviteLinkError> {
        let url = Url::parse(text.trim()).map_err(|_| InviteLinkError::Shape)?;
        if url.scheme() == "circles" {
            if url.host_str() != Some("join") {
                return Err(InviteLinkError::Shape);
            }
            let value =
                |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
            let relay = value("relay").ok_or(InviteLinkError::Shape)?;
            let relay = Url::parse(&relay).map_err(|_| InviteLinkError::Relay)?;
            return Self::new(relay, value("code").ok_or(InviteLinkError::Code)?);
        }
        let code = url.fragment().ok_or(InviteLinkError::Code)?.to_owned();
        let path = url.path().strip_suffix("join").ok_or(InviteLinkError::Shape)?.to_owned();
        let mut relay = url;
        relay.set_path(&path);
        Self::new(relay, code)
    }
}

/// The form that a browser opens.
impl fmt::Display for InviteLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}join#{}", self.relay, self.code)
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
    fn the_secret_stays_out_of_logs() {
        let link: InviteLink = "http://relay.example/join#secret".parse().expect("a link");
        assert!(!format!("{link:?}").contains("secret"));
    }
}
