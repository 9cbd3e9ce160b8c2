//! A campus under faults: three relays on Postgres and Redis, many readers, a steady flow of messages, and meanwhile
//! whatever can break does, by seed. At the end every reader must equal the database (design 3.1–3.6, 3.8).
//!
//! `make faults` runs it; `--seed` repeats a run's choices (not its timing).

mod healed;
mod reader;
mod trouble;
mod writer;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use circles_client::{Client, view::CampusView};
use circles_protocol::{
    CircleId, CircleKind, DeviceId, MessageId, PersonId,
    api::{Circles, CreateCircle, Join},
};
use circles_test_servers::{Postgres, Redis};
use circles_tests::{balancer::Balancer, client, relay::RelayProcess, wait_for, wire::Wire};
use clap::Parser;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio_util::sync::CancellationToken;

use self::{reader::Reader, trouble::Scene, writer::Writer};

#[derive(Parser)]
struct Options {
    /// What happens, and in which order.
    #[arg(long)]
    seed: Option<u64>,
    /// For how long, in seconds.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Readers that speak plain Server-Sent Events.
    #[arg(long, default_value_t = 190)]
    plain: usize,
    /// Readers that are the real client, with its cache on disk.
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// Circles.
    #[arg(long, default_value_t = 50)]
    circles: usize,
    /// Messages a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
}

/// What was acknowledged: when, under which number.
#[derive(Default)]
pub struct Ledger {
    acknowledged: BTreeMap<MessageId, Instant>,
    deliveries: u64,
    longest: Duration,
    violations: Vec<String>,
}

impl Ledger {
    /// Something that must never happen.
    pub fn violation(&mut self, what: String) {
        eprintln!("VIOLATION: {what}");
        self.violations.push(what);
    }
}

/// Shared by everyone who takes part.
pub struct Campus {
    http: reqwest::Client,
    url: String,
    ledger: Mutex<Ledger>,
}

impl Campus {
    /// The ledger. Held for moments only.
    pub fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(rand::random);
    println!("seed {seed}: {} s, {} + {} readers", options.seconds, options.plain, options.clients);
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir()?;

    let (mut scene, counted_at) = machines(dir.path()).await?;
    let url = format!("http://127.0.0.1:{}", scene.balancer.port());
    let invite = scene.relays[0].invite("member")?.replace(&scene.relays[0].url(), &url);
    let owner_invite = scene.relays[0].invite("owner")?;
    let http = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(2)).build()?;
    let campus = Arc::new(Campus { http, url, ledger: Mutex::default() });

    let owner = join(&campus, &owner_invite, "Owner").await?;
    let mut circles = Vec::new();
    for n in 0..options.circles {
        let create = CreateCircle {
            id: CircleId::new(),
            name: format!("Circle {n}"),
            topic: String::new(),
            access: CircleKind::Open,
        };
        campus
            .http
            .post(format!("{}/v1/circles", campus.url))
            .bearer_auth(&owner.token)
            .json(&create)
            .send()
            .await?
            .error_for_status()?;
        circles.push(create.id);
    }

    let stop = CancellationToken::new();
    let healed = healed::watch(campus.http.clone(), counted_at, stop.clone());
    let mut readers = Vec::new();
    for n in 0..options.plain {
        let person = join(&campus, &invite, &format!("Reader {n}")).await?;
        let own: Vec<CircleId> = circles.choose_multiple(&mut random, 4).copied().collect();
        for circle in &own {
            enter(&campus, &person, *circle).await?;
        }
        readers.push(Reader::start(campus.clone(), person, own, stop.clone()));
    }
    let mut clients: Vec<(Client, CampusView, Vec<CircleId>)> = Vec::new();
    for n in 0..options.clients {
        let client = client(&dir.path().join(format!("client-{n}"))).await?;
        let view = client.join(&invite, &format!("Client {n}")).await?;
        let own: Vec<CircleId> = circles.choose_multiple(&mut random, 10).copied().collect();
        for circle in &own {
            wait_for("the circle", async || {
                Ok(client.circles(view.id).await?.iter().any(|it| it.id == *circle).then_some(()))
            })
            .await?;
            client.join_circle(view.id, *circle).await?;
        }
        clients.push((client, view, own));
    }
    println!("{} people are there; the trouble begins", options.plain + options.clients + 1);

    let writing = CancellationToken::new();
    let writer = Writer::new(campus.clone(), owner.clone(), circles.clone());
    let writers = writer.start(options.rate, random.random(), &writing);
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut removed = trouble::Removals::new(campus.clone(), owner.clone(), &readers);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(random.random_range(500..3_000))).await;
        if random.random_ratio(1, 3) {
            removed.remove_or_return(&mut random).await?;
        } else {
            scene.strike(&mut random).await?;
        }
        let ledger = campus.ledger();
        eprintln!("{} acknowledged, {} delivered", ledger.acknowledged.len(), ledger.deliveries);
    }
    writing.cancel();
    for writer in writers {
        writer.await?;
    }
    println!("the trouble is over; everybody catches up");
    judge(&scene, &campus, &readers, clients, &circles).await?;
    stop.cancel();
    report(&scene, &campus, healed.await?, seed)
}

/// Three relays behind a balancer, on one Postgres and on a Redis with a replica; and where each relay's metrics are.
async fn machines(dir: &Path) -> Result<(Scene, Vec<u16>)> {
    let postgres = Postgres::start()?;
    let database = postgres.database()?;
    let redis = [Redis::start()?, Redis::start()?];
    redis[1].command(&["REPLICAOF", "127.0.0.1", &redis[0].port().to_string()])?;
    let to_redis = Balancer::start(vec![redis[0].port()]).await?;
    let redis_url = format!("redis://127.0.0.1:{}/", to_redis.port());
    let flags = [
        &["--redis", &redis_url, "--stream-lifetime", "15s", "--heartbeat", "5s"][..],
        &["--writes-burst", "1000000", "--reads-burst", "1000000", "--joins-burst", "10000", "--drain", "1s"][..],
    ]
    .concat();
    let (mut relays, mut to_postgres, mut counted_at) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..3 {
        counted_at.push(circles_tests::port()?);
        let address = format!("127.0.0.1:{}", counted_at[n]);
        let wire = Wire::to(postgres.port()).await?;
        let database = wire.over(&database);
        to_postgres.push(wire);
        let flags = [&flags[..], &["--metrics-listen", &address, "--database", &database]].concat();
        relays.push(RelayProcess::start(&dir.join(format!("relay-{n}")), &flags).await?);
    }
    let balancer = Balancer::start(relays.iter().map(RelayProcess::port).collect()).await?;
    let counts = BTreeMap::new();
    Ok((Scene { postgres, to_postgres, redis, primary: 0, to_redis, relays, balancer, counts }, counted_at))
}

/// A person at the relay.
#[derive(Clone)]
pub struct Person {
    /// Who it is.
    pub id: PersonId,
    /// The token of its only device.
    pub token: String,
}

/// Joins, again and again until the relay answers.
async fn join(campus: &Campus, invite: &str, name: &str) -> Result<Person> {
    let join = Join {
        code: invite.rsplit('#').next().context("the link has a code")?.to_owned(),
        person_id: PersonId::new(),
        name: name.to_owned(),
        device_id: DeviceId::new(),
        device_name: "faults".to_owned(),
        token: format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()),
    };
    campus.http.post(format!("{}/v1/join", campus.url)).json(&join).send().await?.error_for_status()?;
    Ok(Person { id: join.person_id, token: join.token })
}

async fn enter(campus: &Campus, person: &Person, circle: CircleId) -> Result<()> {
    let path = format!("{}/v1/circles/{circle}/join", campus.url);
    campus.http.post(path).bearer_auth(&person.token).send().await?.error_for_status()?;
    Ok(())
}

/// Waits until everybody equals the database, and says who does not.
async fn judge(
    scene: &Scene,
    campus: &Arc<Campus>,
    readers: &[Reader],
    clients: Vec<(Client, CampusView, Vec<CircleId>)>,
    circles: &[CircleId],
) -> Result<()> {
    let truth = scene.messages()?;
    let mut seqs: BTreeMap<CircleId, u64> = BTreeMap::new();
    for (circle, seq) in truth.keys() {
        let last = seqs.entry(*circle).or_default();
        ensure!(*seq == *last + 1, "the database has a hole in {circle} after {last}");
        *last = *seq;
    }
    let stored: std::collections::HashSet<MessageId> = truth.values().map(|it| it.id).collect();
    let acknowledged: Vec<MessageId> = campus.ledger().acknowledged.keys().copied().collect();
    for id in &acknowledged {
        if !stored.contains(id) {
            campus.ledger().violation(format!("message {id} was acknowledged and is not in the database"));
        }
    }
    ensure!(stored.len() == truth.len(), "a message is in the database twice");
    for reader in readers {
        let equal = wait_for("a reader", async || Ok(reader.differs(&truth).is_none().then_some(()))).await;
        if equal.is_err() {
            let what = reader.differs(&truth).unwrap_or_default();
            campus.ledger().violation(format!("reader {}: {what}", reader.person.id));
        }
    }
    for (client, view, own) in clients {
        for id in circles.iter().filter(|it| own.contains(it)) {
            let wanted: Vec<MessageId> = truth.iter().filter(|it| it.0.0 == *id).map(|it| it.1.id).collect();
            let equal = wait_for("a client", async || {
                let circle =
                    client.circles(view.id).await?.into_iter().find(|it| it.id == *id).context("it is there")?;
                let held = circles_tests::everything(&client, &view, &circle).await?;
                Ok(held.into_iter().map(|it| it.id).eq(wanted.iter().copied()).then_some(()))
            })
            .await;
            if equal.is_err() {
                campus.ledger().violation(format!("a client differs from the database in {id}"));
            }
        }
        client.close().await;
    }
    Ok(())
}

fn report(scene: &Scene, campus: &Campus, healed: u64, seed: u64) -> Result<()> {
    let ledger = campus.ledger();
    for (what, times) in &scene.counts {
        println!("{times:>4} × {what}");
    }
    println!(
        "acknowledged {}, delivered {}, healed {healed} (brought by the database alone), longest {:.2} s, violations {}, seed {seed}",
        ledger.acknowledged.len(),
        ledger.deliveries,
        ledger.longest.as_secs_f64(),
        ledger.violations.len(),
    );
    ensure!(ledger.violations.is_empty(), "the promise was broken");
    Ok(())
}

/// The circles of a person as the relay lists them: only to know that it answers.
async fn answers(campus: &Campus, person: &Person) -> Result<usize> {
    let request = campus.http.get(format!("{}/v1/circles", campus.url)).bearer_auth(&person.token);
    let circles: Circles = request.send().await?.error_for_status()?.json().await?;
    Ok(circles.circles.len())
}
