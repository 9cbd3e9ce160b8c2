//! Who asks.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{PoisonError, RwLock},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
};
use circles_protocol::Code;

use crate::{
    access::Who,
    failure::Failure,
    limits::TOKENS_KNOWN_MAX,
    relay::Relay,
    secret::token_hash,
    store::{Store, devices},
};

/// The cookie for browsers: their `EventSource` cannot send a header.
const COOKIE: &str = "circles_token";
const COOKIE_LIFE_S: u32 = 365 * 24 * 3600;
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request with a token that the campus knows, within the person's rate limit. Whether the device still counts is for the
/// transaction to say that the request works in ([`Who::check`]).
pub struct Auth(pub Who);

impl FromRequestParts<Relay> for Auth {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, relay: &Relay) -> Result<Self, Failure> {
        let safe = matches!(parts.method, Method::GET | Method::HEAD);
        let token = if let Some(token) = bearer(&parts.headers)? {
            token
        } else {
            let token = cookie(&parts.headers).ok_or_else(|| Failure::of(Code::Unauthorized))?;
            // A browser sends the cookie with requests of other sites too; those must not change anything.
            if !safe && !same_origin(&parts.headers) {
                return Err(Failure::of(Code::CrossSite));
            }
            token
        };
        let who = relay.tokens().who(&token, relay.store()).await?;
        if safe {
            relay.rates().read(who.person)?;
        } else {
            relay.rates().write(who.person)?;
        }
        relay.sightings().note(who.device);
        Ok(Self(who))
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|it| it.split_once(' '));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim().to_owned())),
        _ => Err(Failure::new(Code::Unauthorized, "the Authorization header is no Bearer token")),
    }
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Whether what the browser says of the request's origin, if it does, is this relay.
fn same_origin(headers: &HeaderMap) -> bool {
    if headers.get(FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok());
    let origin = origin.to_str().ok().and_then(|it| it.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == host
}

/// The cookie that holds a token, `Secure` when the browser came by https.
pub fn set_cookie(token: &str, headers: &HeaderMap, relay: &Relay) -> HeaderValue {
    let https = relay.settings().trust_proxy && headers.get(FORWARDED_PROTO).is_some_and(|it| it == "https");
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={COOKIE_LIFE_S}{secure}");
    HeaderValue::from_str(&text).expect("a valid token is plain text")
}

/// The address that asks: of the connection, or what a trusted proxy says.
pub struct Address(pub IpAddr);

impl FromRequestParts<Relay> for Address {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, relay: &Relay) -> Result<Self, Failure> {
        let direct = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip());
        let settings = relay.settings();
        let forwarded = settings.trust_proxy.then(|| forwarded_for(&parts.headers, settings.proxy_hops)).flatten();
        Ok(Self(forwarded.or(direct).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

/// The address that the first of so many proxies in a row saw. Each adds one at the end; what stands before that anyone may
/// have written.
fn forwarded_for(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|it| it.to_str().ok());
    let addresses: Vec<&str> = lines.flat_map(|it| it.split(',')).collect();
    addresses.get(addresses.len().checked_sub(hops)?)?.trim().parse().ok()
}

/// Whose the tokens are that were shown: asking the database for each request would be a second way to it. A token never
/// belongs to another device, and that its device was revoked is found by [`Who::check`].
#[derive(Default)]
pub struct Tokens(RwLock<HashMap<[u8; 32], Who>>);

impl Tokens {
    async fn who(&self, token: &str, store: &Store) -> Result<Who, Failure> {
        let hash = token_hash(token);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash).copied();
        if let Some(who) = known {
            return Ok(who);
        }
        let device = store.read(move |conn| Ok::<_, Failure>(devices::by_token(conn, &hash)?)).await?;
        let device = device.ok_or_else(|| Failure::of(Code::Unauthorized))?;
        let who = Who { person: device.person_id, device: device.id };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TOKENS_KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, who);
        Ok(who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_one_that_the_outermost_trusted_proxy_added() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_static("203.0.113.9, 198.51.100.1"));
        headers.append(FORWARDED_FOR, HeaderValue::from_static("192.0.2.7"));
        let at = |hops| forwarded_for(&headers, hops).map(|it| it.to_string());
        assert_eq!(at(1).as_deref(), Some("192.0.2.7"));
        assert_eq!(at(2).as_deref(), Some("198.51.100.1"));
        assert_eq!(at(4), None);
        assert_eq!(forwarded_for(&HeaderMap::new(), 1), None);
    }
}
