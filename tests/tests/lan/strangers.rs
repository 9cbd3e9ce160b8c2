//! What someone gets who is on the network and was not invited.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use circles_tests::network::{Host, run};

use crate::stories::Scene;

/// Attempts with made-up codes: more than a relay lets one address make at once.
const GUESSES: u32 = 150;

/// Hears everything that passes, and asks the relay for what can be asked.
pub fn a_sniffer_and_a_stranger_get_nothing() -> Result<()> {
    let scene = Scene::new(3)?;
    let heard = scene.dir.path().join("heard.pcap");
    let mut sniff = scene.network.listening_in("tcpdump");
    // As root it would write as another user, who may not write here.
    sniff.args(["-i", "br0", "-U", "-Z", "root", "-w"]).arg(&heard);
    let mut sniffer = sniff.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("tcpdump")?;
    crate::people::until("the sniffer to listen", || Ok(heard.metadata().is_ok_and(|it| it.len() > 0).then_some(())))?;

    let relay = scene.relay()?;
    let ada = scene.ada(&relay)?;
    let (link, code) = relay.invite()?;
    let bob = scene.bob(&code.to_string())?;
    ada.writes("the-secret-of-ada")?;
    bob.sees("the-secret-of-ada")?;
    bob.writes("the-secret-of-bob")?;
    ada.sees("the-secret-of-bob")?;
    ask(&scene.network.hosts[2], scene.network.hosts[0].address)?;

    run(std::process::Command::new("kill").args(["-INT", &sniffer.id().to_string()]))?;
    sniffer.wait()?;
    let heard = std::fs::read(&heard)?;
    let has = |what: &str| heard.windows(what.len()).any(|it| it == what.as_bytes());
    ensure!(has("_circles") && has("Maple Dorm"), "announcements are for everyone: what was heard is real");
    for secret in ["the-secret-of-ada", "the-secret-of-bob", "Bearer", "/v1/join", &link.code, code.secret()] {
        ensure!(!has(secret), "{secret:?} passed in clear");
    }
    println!(
        "    a sniffer heard {} bytes: the announcement, and nothing of invites, tokens, names or texts",
        heard.len()
    );
    Ok(())
}

/// A stranger asks without an invite, with real tools.
fn ask(stranger: &Host, relay: std::net::Ipv4Addr) -> Result<()> {
    let at = format!("{relay}:7081");
    let shown = run(stranger.command("openssl").args(["s_client", "-connect", &at, "-tls1_3"]).stdin(Stdio::null()))?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.contains("relay.circles.invalid") && shown.contains("TLSv1.3"), "{shown}");
    let older =
        stranger.command("openssl").args(["s_client", "-connect", &at, "-tls1_2"]).stdin(Stdio::null()).output()?;
    ensure!(!older.status.success(), "an older TLS is refused");

    let status = |path: &str, more: &[&str]| -> Result<String> {
        let mut curl = stranger.command("curl");
        curl.args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10"]).args(more);
        let answer = curl.arg(format!("https://{at}{path}")).output()?;
        Ok(String::from_utf8(answer.stdout)?)
    };
    for path in ["/v1/me", "/v1/circles", "/v1/stream", "/v1/people", "/v1/invites", "/v1/changes?scope=campus&after=0"]
    {
        let answered = status(path, &[])?;
        ensure!(answered == "401", "{path}: {answered}");
    }
    ensure!(status("/", &[])? == "404", "no page for browsers, unless guests are welcome");
    let plain = stranger.command("curl").args(["-s", "--max-time", "5", &format!("http://{at}/v1/me")]).output()?;
    ensure!(!plain.status.success() && plain.stdout.is_empty(), "no plain HTTP");
    let mut refused = 0;
    for guess in 0..GUESSES {
        let body = format!("{{\"code\":\"{guess:09}\"}}");
        let json = ["-H", "content-type: application/json", "-d", body.as_str()];
        match status("/v1/invites/preview", &json)?.as_str() {
            "404" => {}
            "429" => refused += 1,
            other => anyhow::bail!("a guess was answered {other}"),
        }
    }
    ensure!(refused > 0, "guessing has a limit");
    println!(
        "    a stranger sees the certificate, gets 401 for everything, and {refused} of {GUESSES} guesses were not even tried"
    );
    Ok(())
}
