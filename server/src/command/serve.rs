//! `circles-relay serve`

use std::{io::Write, net::SocketAddr};

use anyhow::Context;
use circles_protocol::InviteLink;
use circles_relay::{LAN_HEARTBEAT, LISTEN_BACKLOG, LanHost, Relay, Settings};
use clap::Args;
use tokio::net::TcpSocket;
use tokio_util::sync::CancellationToken;

use super::options::{Logging, Place, Running, note_lan_port, note_public_url};

/// The options of the command.
#[derive(Args)]
pub struct Serve {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    /// Serves until Ctrl-C or SIGTERM.
    pub fn run(self) -> anyhow::Result<()> {
        self.logging.start()?;
        let mut settings = self.place.settings()?;
        self.running.apply(&mut settings);
        settings.check()?;
        if settings.lan {
            settings.heartbeat = settings.heartbeat.min(LAN_HEARTBEAT);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let listen = settings.listen;
            let cannot = || format!("cannot listen on {listen}");
            let socket = bound(listen).with_context(cannot)?;
            if settings.public_url.is_none() {
                settings.public_url = format!("http://{}/", socket.local_addr()?).parse().ok();
            }
            let metrics = match settings.metrics_listen {
                Some(address) => Some(serve_metrics(address).await?),
                None => None,
            };
            let relay = Relay::open(settings.clone()).await?;
            // Noted before anyone can connect: whoever sees the relay answer may ask for an invite, with the right address.
            note_public_url(&settings)?;
            let listener = socket.listen(LISTEN_BACKLOG).with_context(cannot)?;
            let lan = if settings.lan { Some(on_lan(&relay, &settings)?) } else { None };
            note_lan_port(&settings, lan.as_ref().map(LanHost::port))?;
            if let Some(code) = relay.first_invite() {
                say(&format!(
                    "The campus {:?} was created. Its owner joins, once, within 7 days, with",
                    relay.campus().1
                ));
                say(&told(&relay.link(code)));
            }
            let stop = CancellationToken::new();
            let signals = stop_on_signal(stop.clone())?;
            let others = async {
                if let Some(lan) = lan {
                    lan.serve(stop.clone(), CancellationToken::new()).await;
                }
            };
            let (served, ()) = tokio::join!(relay.serve(listener, stop.clone()), others);
            note_lan_port(&settings, None)?;
            signals.abort();
            metrics.inspect(tokio::task::JoinHandle::abort);
            relay.close().await;
            Ok(served?)
        })
    }
}

/// Listens on all networks, for people with an invite.
fn on_lan(relay: &Relay, settings: &Settings) -> anyhow::Result<LanHost> {
    let port = settings.lan_port;
    let cannot = || format!("cannot listen at port {port} for the LAN: is another relay there? (--lan-port)");
    let listener = circles_lan::listen(port, LISTEN_BACKLOG).with_context(cannot)?;
    let lan = relay.lan(listener)?;
    let place = lan.place();
    say(&format!("On the LAN as {:?}, known by {}", relay.campus().1, place.key.words()));
    if settings.lan_guests {
        say(&format!("Browsers open https://{}, warn, and are right to: tell your guests so.", place.addresses[0]));
    }
    Ok(lan)
}

/// Says something to whoever started the relay. That nobody reads it is no reason not to serve.
fn say(text: &str) {
    let mut output = std::io::stdout().lock();
    if let Err(error) = writeln!(output, "{text}") {
        tracing::debug!(%error, "nobody reads what is said");
    }
}

/// An invite as it is told: its link, and for the LAN the code to type.
pub fn told(link: &InviteLink) -> String {
    match link.short_code() {
        None => format!("\n    {link}\n"),
        Some(code) => format!("\n    {link}\n\nor on the same network by typing\n\n    {code}\n"),
    }
}

/// Answers Prometheus until it is aborted.
async fn serve_metrics(address: SocketAddr) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let router = circles_relay::metrics::start()?;
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    }))
}

/// A second signal ends the process at once: what was acknowledged is durable anyway (design 3.1).
fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let mut signals = Signals::new()?;
    Ok(tokio::spawn(async move {
        signals.next().await;
        stop.cancel();
        signals.next().await;
        std::process::exit(130);
    }))
}

/// Ctrl-C, and where there is one, the signal of a service manager.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted relay must not wait for the old connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
