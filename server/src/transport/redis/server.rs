//! Where Redis is: one server, or whichever of several its sentinels name.

use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, RedisError, RedisResult, TlsMode,
    aio::MultiplexedConnection,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};
use std::time::Duration;

use super::strange;
use crate::limits::REDIS_TIMEOUT;

/// Where Redis is.
pub enum Server {
    One(Box<Client>),
    /// The sentinels know which of several is the master.
    Sentinels(Box<tokio::sync::Mutex<SentinelClient>>),
}

impl Server {
    /// `redis://…` and `rediss://…` as everywhere; for sentinels
    /// `redis+sentinel://[[user]:password@]host:port,host:port/service[/db][?sentinel_user=…&sentinel_password=…]`, where
    /// user, password and db are those of the Redis servers, and `rediss+sentinel://…` for TLS to all of them.
    pub fn parse(url: &str) -> RedisResult<Self> {
        let Some((scheme, rest)) = url.split_once("+sentinel://") else {
            return Ok(Self::One(Box::new(Client::open(url)?)));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) =
            rest.split_once('/').ok_or_else(|| strange("redis+sentinel://host:port,…/service names a service"))?;
        let (service, db) = path.split_once('/').unwrap_or((path, ""));
        let (login, hosts) = authority.rsplit_once('@').map_or(("", authority), |(login, hosts)| (login, hosts));
        let mut own_login = (None, None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "sentinel_user" => own_login.0 = Some(value),
                "sentinel_password" => own_login.1 = Some(value),
                _ => {
                    return Err(strange("the address of the sentinels knows sentinel_user and sentinel_password only"));
                }
            }
        }
        let sentinels = hosts.split(',').map(|host| {
            let at = format!("{scheme}://{host}/").into_connection_info()?;
            let mut settings = at.redis_settings().clone();
            if let Some(user) = &own_login.0 {
                settings = settings.set_username(user);
            }
            if let Some(password) = &own_login.1 {
                settings = settings.set_password(password);
            }
            Ok(at.set_redis_settings(settings))
        });
        let sentinels: Vec<redis::ConnectionInfo> = sentinels.collect::<RedisResult<_>>()?;
        // The host is of no meaning here: the sentinels tell it.
        let master = format!("{scheme}://{login}{}master/{db}", if login.is_empty() { "" } else { "@" });
        let settings = master.into_connection_info()?.redis_settings().clone();
        let mut nodes = SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
        if scheme == "rediss" {
            nodes = nodes.set_tls_mode(TlsMode::Secure);
        }
        let client = SentinelClient::build(sentinels, service, Some(nodes), SentinelServerType::Master)?;
        Ok(Self::Sentinels(Box::new(tokio::sync::Mutex::new(client))))
    }

    /// A new connection: one that broke may belong to a master that is none any more.
    pub async fn connect(&self, response_timeout: Option<Duration>) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(response_timeout);
        self.client().await?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The present master.
    pub async fn client(&self) -> Result<Client, RedisError> {
        match self {
            Self::One(client) => Ok((**client).clone()),
            Self::Sentinels(client) => tokio::time::timeout(REDIS_TIMEOUT, client.lock().await.async_get_client())
                .await
                .map_err(|_| strange("no sentinel answers"))?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_server_and_of_sentinels_are_understood() {
        assert!(matches!(Server::parse("redis://127.0.0.1:6379/2"), Ok(Server::One(_))));
        for good in [
            "redis+sentinel://a:26379,b:26379/main",
            "redis+sentinel://a:26379,b:26379/main/2",
            "rediss+sentinel://ada:s%40cret@a:26379/main/2?sentinel_user=eve&sentinel_password=other",
        ] {
            assert!(matches!(Server::parse(good), Ok(Server::Sentinels(_))), "{good}");
        }
        for bad in ["redis+sentinel://a:26379", "redis+sentinel://a/main/x", "redis+sentinel://a/main?db=2", "http://a"]
        {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
