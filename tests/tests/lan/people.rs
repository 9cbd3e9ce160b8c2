//! The relay of a host, and people with the command line on theirs.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use circles_protocol::{InviteLink, lan::ShortCode};
use circles_tests::{
    PATIENCE,
    network::{Host, run},
    program,
};

/// A relay that is hosted on a computer.
pub struct Hosted<'a> {
    host: &'a Host,
    dir: PathBuf,
    child: Child,
    lines: Receiver<String>,
}

impl<'a> Hosted<'a> {
    /// `circles-relay serve --lan` with these further arguments; returns at once.
    pub fn start(host: &'a Host, dir: &Path, args: &[&str]) -> Result<Self> {
        let mut serve = host.command(program("circles-relay")?);
        serve
            .args(["serve", "--lan", "--campus-name", "Maple Dorm", "--drain", "100ms", "--data-dir"])
            .arg(dir)
            .args(args);
        let (child, lines) = spawn(&mut serve)?;
        Ok(Self { host, dir: dir.to_owned(), child, lines })
    }

    /// The owner's invite, which a new campus tells.
    pub fn owner(&self) -> Result<InviteLink> {
        let link = wait_for_line(&self.lines, |line| line.starts_with("circles://"))?;
        Ok(link.parse()?)
    }

    /// Another invite, made beside it.
    pub fn invite(&self) -> Result<(InviteLink, ShortCode)> {
        let made = run(self.host.command(program("circles-relay")?).arg("invite").arg("--data-dir").arg(&self.dir))?;
        let text = String::from_utf8(made.stdout)?;
        let lines = || text.lines().map(str::trim);
        let link: InviteLink = lines().find(|it| it.starts_with("circles://")).context("a link")?.parse()?;
        let code: ShortCode = lines().find_map(|it| it.parse().ok()).context("a code")?;
        ensure!(link.short_code() == Some(code.clone()), "they are one invite");
        Ok((link, code))
    }

    /// A link for a browser.
    pub fn guest_invite(&self) -> Result<String> {
        let mut invite = self.host.command(program("circles-relay")?);
        let made = run(invite.args(["invite", "--guest", "--data-dir"]).arg(&self.dir))?;
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// Stops it politely.
    pub fn stop(mut self) -> Result<()> {
        signal(&self.child, "TERM")?;
        self.child.wait()?;
        Ok(())
    }

    /// The computer sleeps: nothing ends, and nothing answers.
    pub fn sleep(&self) -> Result<()> {
        signal(&self.child, "STOP")
    }

    /// It wakes.
    pub fn wake(&self) -> Result<()> {
        signal(&self.child, "CONT")
    }
}

impl Drop for Hosted<'_> {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A person with Circles open.
pub struct Person<'a> {
    host: &'a Host,
    dir: PathBuf,
    open: Child,
    lines: Receiver<String>,
}

impl<'a> Person<'a> {
    /// Joins with what they were given, and keeps Circles open.
    pub fn join(host: &'a Host, dir: &Path, invite: &str, name: &str) -> Result<Self> {
        cli(host, dir, &["join", invite, "--name", name])?;
        let (open, lines) = spawn(&mut command(host, dir, &["tail", "General", "--since", "0", "--json"])?)?;
        let person = Self { host, dir: dir.to_owned(), open, lines };
        // The first process on the data runs the engine; whatever this person does next must not be it.
        until("Circles to be open", || Ok(person.is_open()?.then_some(())))?;
        until("General", || Ok(cli(host, dir, &["circles"])?.contains("General").then_some(())))?;
        Ok(person)
    }

    fn is_open(&self) -> Result<bool> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.open.id()))?;
        Ok(files.flatten().any(|it| it.path().read_link().is_ok_and(|it| it.ends_with("circles.db"))))
    }

    /// Writes something; it goes out when it can.
    pub fn writes(&self, text: &str) -> Result<()> {
        cli(self.host, &self.dir, &["send", "General", text, "--queue"]).map(drop)
    }

    /// Waits until a message is shown.
    pub fn sees(&self, text: &str) -> Result<()> {
        let wanted = format!("\"text\":\"{text}\"");
        wait_for_line(&self.lines, |line| line.contains(&wanted)).map(drop).with_context(|| format!("{text:?}"))
    }

    /// Closes what is open, and opens what says how it stands with the relay instead.
    pub fn watches(&mut self) -> Result<()> {
        end(&mut self.open);
        (self.open, self.lines) = spawn(&mut command(self.host, &self.dir, &["watch"])?)?;
        Ok(())
    }

    /// Waits until it says so.
    pub fn hears(&self, words: &str) -> Result<()> {
        wait_for_line(&self.lines, |line| line.contains(words)).map(drop).with_context(|| format!("{words:?}"))
    }

    /// Waits until the command line says this of what is held.
    pub fn holds(&self, words: &str) -> Result<()> {
        until(words, || Ok(cli(self.host, &self.dir, &["status"])?.contains(words).then_some(())))
    }

    /// Asks the network doctor, who must say this.
    pub fn is_told(&self, words: &str) -> Result<()> {
        let said = cli(self.host, &self.dir, &["doctor"])?;
        ensure!(said.contains(words), "wanted {words:?}, and the doctor says {said}");
        Ok(())
    }

    /// Everything that is held, in order.
    pub fn history(&self) -> Result<Vec<String>> {
        let history = cli(self.host, &self.dir, &["history", "General", "-n", "1000", "--json"])?;
        let text = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line)?;
            Ok(line["message"]["text"].as_str().context("a text")?.to_owned())
        };
        history.lines().map(text).collect()
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        end(&mut self.open);
    }
}

/// Runs the command line of a person to its end; what it said.
pub fn cli(host: &Host, dir: &Path, arguments: &[&str]) -> Result<String> {
    Ok(String::from_utf8(run(&mut command(host, dir, arguments)?)?.stdout)?)
}

/// The same where it must fail; what it complained of.
pub fn refused(host: &Host, dir: &Path, arguments: &[&str]) -> Result<String> {
    let output = command(host, dir, arguments)?.output()?;
    ensure!(!output.status.success(), "{arguments:?} went well");
    Ok(String::from_utf8(output.stderr)?)
}

fn command(host: &Host, dir: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = host.command(program("circles-cli")?);
    command.args(["--no-keyring", "--data-dir"]).arg(dir).args(arguments);
    Ok(command)
}

/// Looks again and again until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a program whose lines come as they are written.
fn spawn(command: &mut Command) -> Result<(Child, Receiver<String>)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let output = child.stdout.take().context("it is piped")?;
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if tell.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    Ok((child, lines))
}

fn wait_for_line(lines: &Receiver<String>, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if wanted(&line) => return Ok(line),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => bail!("waited {} s in vain for a line", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("the program ended"),
        }
    }
}

fn signal(child: &Child, name: &str) -> Result<()> {
    run(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()])).map(drop)
}

fn end(child: &mut Child) {
    // It may have ended already.
    drop(child.kill());
    drop(child.wait());
}
