//! What goes wrong.

use std::{collections::BTreeMap, process::Command, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use circles_protocol::{CircleId, Pos, api::AddMember};
use circles_test_servers::{Postgres, Redis};
use circles_tests::{
    balancer::Balancer,
    relay::RelayProcess,
    wait_for,
    wire::{State, Wire},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use super::{
    Campus, Person, answers,
    reader::{Held, Reader},
};

/// The machines of the campus.
pub struct Scene {
    pub postgres: Postgres,
    /// The way of each relay to it.
    pub to_postgres: Vec<Wire>,
    pub redis: [Redis; 2],
    /// Which of the two is written to.
    pub primary: usize,
    pub to_redis: Balancer,
    pub relays: Vec<RelayProcess>,
    pub balancer: Balancer,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u32>,
}

impl Scene {
    /// Does one of the things that go wrong, and undoes it.
    pub async fn strike(&mut self, random: &mut StdRng) -> Result<()> {
        let down = Duration::from_millis(random.random_range(200..3_000));
        let relay = random.random_range(0..self.relays.len());
        let what = match random.random_range(0..18) {
            0..=3 => {
                self.relays[relay].crash(down).await?;
                "kill -9 of a relay"
            }
            4 | 5 => {
                self.relays[relay].freeze()?;
                tokio::time::sleep(down).await;
                self.relays[relay].thaw()?;
                "a relay frozen for a while"
            }
            6..=8 => {
                self.balancer.cut();
                "all connections cut"
            }
            9 => {
                self.primary().command(&["FLUSHALL"])?;
                "Redis emptied"
            }
            10 => {
                let key = self.primary().command(&["KEYS", "circles:*:log"])?;
                if !key.is_empty() {
                    self.primary().command(&["XTRIM", &key, "MAXLEN", "3"])?;
                }
                "the stream in Redis trimmed"
            }
            11 | 12 => {
                self.primary().kill()?;
                tokio::time::sleep(down).await;
                self.primary().restart()?;
                self.follow()?;
                "Redis killed, and back empty"
            }
            13 | 14 => {
                self.fail_over(down).await?;
                "Redis failed over to a replica that lost its tail"
            }
            15 => {
                self.to_postgres[relay].go_dead();
                "the connections of a relay to Postgres dead, and nobody told"
            }
            16 => {
                self.to_postgres[relay].set(State::Held);
                tokio::time::sleep(down).await;
                self.to_postgres[relay].set(State::Well);
                "nothing passed between a relay and Postgres for a while"
            }
            _ => {
                self.postgres.kill()?;
                tokio::time::sleep(down).await;
                self.postgres.restart()?;
                "Postgres killed"
            }
        };
        *self.counts.entry(what).or_default() += 1;
        eprintln!("{what}");
        Ok(())
    }

    fn primary(&self) -> &Redis {
        &self.redis[self.primary]
    }

    /// Makes the other one a replica of the primary.
    fn follow(&self) -> Result<()> {
        let port = self.primary().port().to_string();
        self.redis[1 - self.primary].command(&["REPLICAOF", "127.0.0.1", &port]).map(drop)
    }

    /// The replica is cut off for a while, and then takes over without what came meanwhile.
    async fn fail_over(&mut self, cut_off: Duration) -> Result<()> {
        let replica = 1 - self.primary;
        // Port 9 (discard) has no Redis: the replica keeps what it has.
        self.redis[replica].command(&["REPLICAOF", "127.0.0.1", "9"])?;
        tokio::time::sleep(cut_off).await;
        self.redis[replica].command(&["REPLICAOF", "NO", "ONE"])?;
        self.primary = replica;
        self.to_redis.point_at(vec![self.primary().port()]);
        self.to_redis.cut();
        self.follow()
    }

    /// All messages, straight from the database.
    pub fn messages(&self) -> Result<BTreeMap<(CircleId, u64), Held>> {
        let sql = "SELECT encode(circle_id, 'hex'), seq, encode(id, 'hex'), version, text FROM message";
        let output = Command::new("psql")
            .args(["-h", "127.0.0.1", "-p", &self.postgres.port().to_string(), "-U", "circles", "-d", "campus1"])
            .args(["-At", "-F", "\t", "-c", sql])
            .output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        let mut messages = BTreeMap::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let mut parts = line.splitn(5, '\t');
            let mut next = || parts.next().context("five columns");
            let circle = CircleId::from_uuid(Uuid::parse_str(next()?)?);
            let seq = next()?.parse()?;
            let id = circles_protocol::MessageId::from_uuid(Uuid::parse_str(next()?)?);
            let version = Pos::try_from(next()?.parse::<u64>()?)?;
            messages.insert((circle, seq), Held { id, version, text: next()?.to_owned() });
        }
        Ok(messages)
    }
}

/// People who are removed from circles, and brought back.
pub struct Removals {
    campus: Arc<Campus>,
    owner: Person,
    members: Vec<(Person, CircleId)>,
    out: Vec<(Person, CircleId)>,
}

impl Removals {
    pub fn new(campus: Arc<Campus>, owner: Person, readers: &[Reader]) -> Self {
        let members = readers.iter().flat_map(|it| it.circles.iter().map(|circle| (it.person.clone(), *circle)));
        Self { campus, owner, members: members.collect(), out: Vec::new() }
    }

    /// Removes someone, or brings someone back, as soon as a relay answers.
    pub async fn remove_or_return(&mut self, random: &mut StdRng) -> Result<()> {
        wait_for("a relay that answers", async || Ok(answers(&self.campus, &self.owner).await.ok())).await?;
        if self.out.len() > 5 {
            let (person, circle) = self.out.remove(random.random_range(0..self.out.len()));
            let path = format!("{}/v1/circles/{circle}/members", self.campus.url);
            let body = AddMember { person_id: person.id };
            self.send(|| self.campus.http.post(&path).json(&body)).await?;
            self.members.push((person, circle));
        } else if let Some((person, circle)) = self.members.choose(random).cloned() {
            self.members.retain(|it| (it.0.id, it.1) != (person.id, circle));
            let path = format!("{}/v1/circles/{circle}/members/{}", self.campus.url, person.id);
            self.send(|| self.campus.http.delete(&path)).await?;
            self.out.push((person, circle));
        }
        Ok(())
    }

    async fn send(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<()> {
        wait_for("a change of members", async || {
            let request = request().bearer_auth(&self.owner.token).timeout(Duration::from_secs(10));
            Ok(request.send().await.is_ok_and(|it| it.status().is_success()).then_some(()))
        })
        .await
    }
}
