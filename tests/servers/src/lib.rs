//! Postgres, PgBouncer and Redis for tests: each on a free port of loopback and in a directory of its own, both gone when
//! they are dropped, and also when the test's process dies, however it dies.
//!
//! A small shell script holds the server. It obeys lines on its standard input (`kill`, `start`), and when that
//! ends it cleans up.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    ops::Deref,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context, Result, ensure};

/// A Postgres server with a role `circles` that needs no password.
pub struct Postgres(Server);

/// A Redis server that keeps nothing on disk. Started again after a kill, it is empty.
pub struct Redis(Server);

/// PgBouncer in front of a Postgres server, in transaction mode: whoever connects gets one of its three connections for
/// each transaction anew.
pub struct Pooler<'a> {
    server: Server,
    before: &'a Postgres,
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl Postgres {
    /// Starts one.
    pub fn start() -> Result<Self> {
        Ok(Self(Server::start(include_str!("postgres.sh"))?))
    }

    /// The one that all tests of this process share.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: Mutex<()> = Mutex::new(());
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        let guard = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if SERVER.get().is_none() {
            drop(SERVER.set(Self::start()?));
        }
        drop(guard);
        SERVER.get().context("it was just set")
    }

    /// A new empty database; its address.
    pub fn database(&self) -> Result<String> {
        self.order("create")?;
        let name = self.answer()?;
        Ok(format!("postgres://circles@127.0.0.1:{}/{name}?sslmode=disable", self.port))
    }
}

impl<'a> Pooler<'a> {
    /// Starts one.
    pub fn before(postgres: &'a Postgres) -> Result<Self> {
        let server = Server::start_on(include_str!("pgbouncer.sh"), &[free_port()?, postgres.port])?;
        Ok(Self { server, before: postgres })
    }

    /// A new empty database; its address here.
    pub fn database(&self) -> Result<String> {
        let (there, here) = (format!(":{}/", self.before.port), format!(":{}/", self.server.port));
        Ok(self.before.database()?.replace(&there, &here))
    }
}

impl Redis {
    /// Starts one.
    pub fn start() -> Result<Self> {
        Ok(Self(Server::start(include_str!("redis.sh"))?))
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Runs a command of Redis, such as `FLUSHALL`; what it answered.
    pub fn command(&self, args: &[&str]) -> Result<String> {
        redis_cli(self.port, args)
    }
}

/// A Redis master with a replica, and a sentinel that makes it the master once the first one is killed. The servers have a
/// password, the sentinel another.
pub struct Sentinel {
    master: Server,
    replica: u16,
    port: u16,
}

impl Sentinel {
    /// Starts all three.
    pub fn start() -> Result<Self> {
        let [master, replica, sentinel] = [free_port()?, free_port()?, free_port()?];
        let master = Server::start_on(include_str!("sentinel.sh"), &[master, replica, sentinel])?;
        Ok(Self { master, replica, port: sentinel })
    }

    /// Its address, with both passwords and a database.
    pub fn url(&self) -> String {
        format!("redis+sentinel://:secret@127.0.0.1:{}/main/1?sentinel_password=other", self.port)
    }

    /// Kill −9 of the first master, for good.
    pub fn kill_master(&self) -> Result<()> {
        self.master.kill()
    }

    /// Whether the sentinel says that the replica is the master now.
    pub fn has_failed_over(&self) -> Result<bool> {
        let address = redis_cli(self.port, &["-a", "other", "sentinel", "get-master-addr-by-name", "main"])?;
        Ok(address.lines().last() == Some(&self.replica.to_string()))
    }

    /// Runs a command at the replica; what it answered.
    pub fn at_replica(&self, args: &[&str]) -> Result<String> {
        redis_cli(self.replica, &[&["-a", "secret", "-n", "1"], args].concat())
    }
}

/// It stays free for a moment; another program of this machine would have to take it in between.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn redis_cli(port: u16, args: &[&str]) -> Result<String> {
    let output = Command::new("redis-cli").args(["--no-auth-warning", "-p", &port.to_string()]).args(args).output()?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A server on a port of its own, held by a script.
pub struct Server {
    port: u16,
    child: Mutex<Child>,
    orders: Mutex<Option<ChildStdin>>,
    answers: Mutex<BufReader<ChildStdout>>,
}

impl Server {
    fn start(script: &str) -> Result<Self> {
        Self::start_on(script, &[free_port()?])
    }

    /// The first port is the server's; its script gets all of them.
    fn start_on(script: &str, ports: &[u16]) -> Result<Self> {
        let port = *ports.first().context("a server has a port")?;
        let mut child = Command::new("bash")
            .args(["-c", &[include_str!("server.sh"), script].concat(), "server"])
            .args(ports.iter().map(u16::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("bash is missing")?;
        let orders = child.stdin.take().context("it has an input")?;
        let answers = BufReader::new(child.stdout.take().context("it has an output")?);
        let server =
            Self { port, child: Mutex::new(child), orders: Mutex::new(Some(orders)), answers: Mutex::new(answers) };
        ensure!(
            server.answer()? == "ready",
            "the server did not start (scripts/bootstrap test installs what it needs)"
        );
        Ok(server)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kill −9 of the server and all its processes.
    pub fn kill(&self) -> Result<()> {
        self.done("kill")
    }

    /// Starts it again on the same port, after a kill.
    pub fn restart(&self) -> Result<()> {
        self.done("start")
    }

    fn order(&self, line: &str) -> Result<()> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writeln!(orders.as_mut().context("it is held")?, "{line}")?)
    }

    fn answer(&self) -> Result<String> {
        let mut line = String::new();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    fn done(&self, order: &str) -> Result<()> {
        self.order(order)?;
        let answer = self.answer()?;
        ensure!(answer == "ready", "{order}: {answer:?}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input makes the script clean up.
        drop(self.orders.lock().unwrap_or_else(PoisonError::into_inner).take());
        drop(self.child.lock().unwrap_or_else(PoisonError::into_inner).wait());
    }
}
