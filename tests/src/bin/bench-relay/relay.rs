//! A relay on a core of its own, people in it, and what they post.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use circles_protocol::{
    CircleId, CircleKind, Cursor, DeviceId, MessageId, PersonId,
    api::{Circles, CreateCircle, Join, Me, PostMessage},
};
use circles_tests::program;

use super::work::{Served, text};

/// A relay on a core of its own, and an owner.
pub struct Bench {
    child: Child,
    pub port: u16,
    http: reqwest::Client,
    invite: String,
    owner: Person,
    pub general: CircleId,
    pub dir: tempfile::TempDir,
}

#[derive(Clone)]
pub struct Person {
    pub token: String,
}

/// Somebody who posts to a circle.
struct Writer {
    person: Person,
    circle: CircleId,
}

/// People who post to a relay, in turn.
pub struct Posting {
    pub bench: Arc<Bench>,
    writers: Vec<Writer>,
}

impl Posting {
    /// Each of them so many times: readers of their circles.
    pub fn readers(&self, times: usize) -> Vec<Person> {
        self.writers.iter().flat_map(|it| std::iter::repeat_n(it.person.clone(), times)).collect()
    }
}

impl Served for Posting {
    fn pid(&self) -> u32 {
        self.bench.pid()
    }

    async fn post(&self, turn: usize) -> Result<()> {
        let Writer { person, circle } = &self.writers[turn % self.writers.len()];
        let post = PostMessage { id: MessageId::new(), text: text(), reply_to: None, written_at: None };
        self.bench.send(&format!("v1/circles/{circle}/messages"), person, &post).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Bench {
    pub async fn start(database: Option<&str>) -> Result<Arc<Self>> {
        Self::start_with(database, "0").await
    }

    /// With streams of that lifetime; zero: for ever.
    pub async fn start_with(database: Option<&str>, lifetime: &str) -> Result<Arc<Self>> {
        let dir = tempfile::tempdir()?;
        let port = circles_tests::port()?;
        let relay = program("circles-relay")?;
        let flags = [
            &["--stream-lifetime", lifetime, "--heartbeat", "1h", "--streams-per-person", "100000"][..],
            &["--writes-per-second", "1000000", "--writes-burst", "1000000", "--reads-burst", "1000000"],
            &["--reads-per-second", "1000000", "--joins-burst", "100000"],
        ]
        .concat();
        let place = database.map_or_else(Vec::new, |it| vec!["--database", it]);
        let child = Command::new("taskset")
            .args(["--cpu-list", "0"])
            .arg(&relay)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(dir.path())
            .args(&place)
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(512).build()?;
        circles_tests::wait_for("the relay", async || {
            Ok(http.get(format!("http://127.0.0.1:{port}/readyz")).send().await.ok())
        })
        .await?;
        let invite = |role| invite(&relay, dir.path(), &place, role);
        let (owner_code, code) = (invite("owner")?, invite("member")?);
        let owner = join(&http, port, &owner_code, "Owner").await?;
        let list = http.get(format!("http://127.0.0.1:{port}/v1/circles")).bearer_auth(&owner.token).send().await?;
        let general = list.json::<Circles>().await?.circles.first().context("there is General")?.circle.id;
        Ok(Arc::new(Self { child, port, http, invite: code, owner, general, dir }))
    }

    pub async fn person(&self, name: &str) -> Result<Person> {
        join(&self.http, self.port, &self.invite, name).await
    }

    /// People who joined a circle each.
    pub async fn posting(self: &Arc<Self>, circles: &[CircleId]) -> Result<Arc<Posting>> {
        let mut writers = Vec::new();
        for (n, circle) in circles.iter().enumerate() {
            let person = self.person(&format!("Writer {n}")).await?;
            self.post_nothing(&format!("v1/circles/{circle}/join"), &person.token).await?;
            writers.push(Writer { person, circle: *circle });
        }
        Ok(Arc::new(Posting { bench: self.clone(), writers }))
    }

    pub async fn create(&self, name: &str) -> Result<CircleId> {
        let id = CircleId::new();
        let create = CreateCircle { id, name: name.to_owned(), topic: String::new(), access: CircleKind::Open };
        self.send("v1/circles", &self.owner, &create).await?;
        Ok(id)
    }

    async fn send(&self, path: &str, person: &Person, body: &impl serde::Serialize) -> Result<()> {
        let request = self.http.post(format!("http://127.0.0.1:{}/{path}", self.port)).bearer_auth(&person.token);
        request.json(body).send().await?.error_for_status()?;
        Ok(())
    }

    async fn post_nothing(&self, path: &str, token: &str) -> Result<()> {
        let request = self.http.post(format!("http://127.0.0.1:{}/{path}", self.port)).bearer_auth(token);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    pub async fn cursor(&self) -> Result<Cursor> {
        let request = self.http.get(format!("http://127.0.0.1:{}/v1/me", self.port)).bearer_auth(&self.owner.token);
        Ok(request.send().await?.json::<Me>().await?.cursor)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).context("it has memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    pub async fn wait_until_closed(&self) -> Result<()> {
        circles_tests::wait_for("the streams to end", async || {
            let sockets = fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count();
            Ok((sockets < 200).then_some(()))
        })
        .await
    }
}

fn invite(relay: &Path, dir: &Path, place: &[&str], role: &str) -> Result<String> {
    let mut command = Command::new(relay);
    command.args(["invite", "--role", role, "--uses", "10000", "--data-dir"]).arg(dir).args(place);
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let code = text.trim().rsplit('#').next().context("a link")?.to_owned();
    ensure!(!code.is_empty(), "no invite: {}", String::from_utf8_lossy(&output.stderr));
    Ok(code)
}

async fn join(http: &reqwest::Client, port: u16, code: &str, name: &str) -> Result<Person> {
    let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    let join = Join {
        code: code.to_owned(),
        person_id: PersonId::new(),
        name: name.to_owned(),
        device_id: DeviceId::new(),
        device_name: "bench".to_owned(),
        token: token.clone(),
    };
    http.post(format!("http://127.0.0.1:{port}/v1/join")).json(&join).send().await?.error_for_status()?;
    Ok(Person { token })
}
