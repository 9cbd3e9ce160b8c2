//! From what a person was given, a link or a typed code, to a relay that answers.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use circles_lan::{Browser, Sightings};
use circles_protocol::{
    InviteLink, LanPlace,
    lan::{PORT, ShortCode},
};
use tokio::time::Instant;

use super::{
    pin::Pin,
    route::{Route, search},
};
use crate::{api::Api, error::ClientError, limits::NEARBY_TIME_MAX, outside::Network};

/// An invite, and the relay that it leads to.
pub struct Invited {
    /// The invite. The addresses of a relay on the LAN are those where it answers.
    pub link: InviteLink,
    /// The relay, without a token.
    pub api: Api,
}

impl Invited {
    /// Reads a link, or a typed code that an address may follow (`CODE@192.168.1.5`), and finds the relay. The key of one on
    /// the LAN is proven before anything of the invite is said to it.
    pub async fn find(text: &str, browser: &Browser, network: Option<Arc<dyn Network>>) -> Result<Self, ClientError> {
        let link = match text.trim() {
            link if link.contains("://") => link.parse()?,
            typed => of_code(typed, browser).await?,
        };
        let Some(place) = &link.lan else {
            return Ok(Self { api: Api::new(link.relay.clone(), network)?, link });
        };
        let route = Route::new(place.key, place.addresses.clone());
        if let Err(error) = route.find().await {
            // It has moved since the invite was made, or another relay is there now.
            look_for(&route, browser.look()).await.map_err(|_| error)?;
        }
        let place = LanPlace { addresses: route.known(), ..place.clone() };
        Ok(Self { link: InviteLink::on_lan(place, link.code)?, api: Api::on_lan(route)? })
    }

    /// Names the attempt to join, however the invite was given and wherever its relay is: the same again is the same
    /// attempt.
    pub fn attempt(&self) -> String {
        match &self.link.lan {
            Some(place) => format!("{} {}", place.key, self.link.code),
            None => self.link.to_string(),
        }
    }
}

/// Waits for a relay to announce itself, and finds it there.
async fn look_for(route: &Arc<Route>, mut sightings: Sightings) -> Result<SocketAddr, ClientError> {
    let deadline = Instant::now() + NEARBY_TIME_MAX;
    let mut tried = BTreeSet::new();
    let mut last = ClientError::NotNearby;
    loop {
        let addresses = sightings.of(&route.key());
        if !addresses.is_subset(&tried) {
            route.learn(addresses.iter().copied());
            tried.extend(addresses);
            match route.find().await {
                Ok(found) => return Ok(found),
                Err(error) => last = error,
            }
        }
        if tokio::time::timeout_at(deadline, sightings.changed()).await.is_err() {
            return Err(last);
        }
    }
}

/// The invite that a typed code stands for. The code names the relay's key: who is chosen by it needs no other proof.
async fn of_code(typed: &str, browser: &Browser) -> Result<InviteLink, ClientError> {
    let (code, at) = match typed.split_once('@') {
        None => (typed, None),
        Some((code, at)) => (code, Some(address(at.trim())?)),
    };
    let code: ShortCode = code.parse()?;
    let pin = Pin::Code(code.clone());
    let (key, name, addresses) = match at {
        Some(at) => {
            let (key, at) = search(&pin.tls(), [at]).await?;
            (key, String::new(), vec![at])
        }
        None => nearby(&code, &pin, browser.look()).await?,
    };
    Ok(InviteLink::on_lan(LanPlace { key, name, addresses }, code.secret().to_owned())?)
}

/// The relay on this network that a code names.
async fn nearby(
    code: &ShortCode,
    pin: &Pin,
    mut sightings: Sightings,
) -> Result<(circles_protocol::lan::Fingerprint, String, Vec<SocketAddr>), ClientError> {
    let (tls, deadline) = (pin.tls(), Instant::now() + NEARBY_TIME_MAX);
    let mut tried = BTreeSet::new();
    let mut last = ClientError::NotNearby;
    loop {
        for it in sightings.all().into_iter().filter(|it| code.names(&it.key)) {
            if it.addresses.is_subset(&tried) {
                continue;
            }
            tried.extend(&it.addresses);
            match search(&tls, it.addresses.clone()).await {
                Ok((key, found)) => {
                    let others = it.addresses.into_iter().filter(|it| *it != found);
                    return Ok((key, it.name, std::iter::once(found).chain(others).collect()));
                }
                Err(error) => last = error,
            }
        }
        if tokio::time::timeout_at(deadline, sightings.changed()).await.is_err() {
            return Err(last);
        }
    }
}

/// An address as people type it: with the usual port if there is none.
fn address(text: &str) -> Result<SocketAddr, ClientError> {
    let with_port = text.parse().ok();
    let address = with_port.or_else(|| text.parse().ok().map(|ip| SocketAddr::new(ip, PORT)));
    address.ok_or_else(|| ClientError::Invalid(format!("address {text:?} is none: it looks like 192.168.1.5")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_the_port_out() {
        assert_eq!(address("192.168.1.5").unwrap(), "192.168.1.5:7081".parse().unwrap());
        assert_eq!(address("192.168.1.5:9").unwrap(), "192.168.1.5:9".parse().unwrap());
        assert!(address("somewhere").is_err());
    }

    #[tokio::test]
    async fn a_mistyped_code_is_told_before_anything_is_looked_for() {
        let error =
            Invited::find("00000-00000-00000-00000-00001", &Browser::default(), None).await.map(drop).unwrap_err();
        assert!(matches!(error, ClientError::ShortCode(_)), "{error}");
    }
}
