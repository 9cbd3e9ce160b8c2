//! Circles on the command line: the same engine and the same database as the app.

/// Prints a line. A reader that has gone (`| head`) ends the program without a word.
macro_rules! say {
    ($($it:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($it)*)?;
    }};
}

mod options;
mod read;
mod search;
mod tail;
mod watch;
mod write;

use std::{io::ErrorKind, process::ExitCode};

use anyhow::{Context, Result, bail};
use circles_client::{
    Client, ClientError,
    view::{CampusView, CircleView},
};
use clap::Parser;

use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("CIRCLES_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("circles-cli: cannot start: {error}");
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("circles-cli: {error:#}");
            let offline = matches!(
                error.downcast_ref(),
                Some(ClientError::Offline(_) | ClientError::Late | ClientError::Proxy(_) | ClientError::Silent)
            );
            ExitCode::from(if offline { 3 } else { 1 })
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let Some(data_dir) = options.data_dir.clone().or_else(circles_client::Options::default_data_dir) else {
        bail!("this user has no data directory: name one with --data-dir");
    };
    let client =
        Client::open(circles_client::Options { data_dir, device_name: device_name(), keyring: !options.no_keyring })
            .await?;
    let done = command(&client, &options).await;
    client.close().await;
    done
}

async fn command(client: &Client, options: &Options) -> Result<()> {
    let json = options.json;
    if let Command::Join { link, name } = &options.command {
        let campus = client.join(link, name).await?;
        if json {
            say!("{}", serde_json::to_string(&campus)?);
        } else {
            say!("You are {} in {}.", campus.me.name, campus.name);
        }
        return Ok(());
    }
    if let Command::Nearby = &options.command {
        return read::nearby(client, json).await;
    }
    if let Command::Doctor = &options.command {
        return read::doctor(client, json).await;
    }
    if let Command::Status = &options.command {
        return read::status(client, json).await;
    }
    let campus = campus(client, options.campus.as_deref()).await?;
    match &options.command {
        Command::Join { .. } | Command::Nearby | Command::Doctor | Command::Status => unreachable!("handled above"),
        Command::Circles => read::circles(client, &campus, json).await,
        Command::History { circle, n } => read::history(client, &campus, circle, *n, json).await,
        Command::Search { query, circle, n } => {
            search::search(client, &campus, &query.join(" "), circle.as_deref(), *n, json).await
        }
        Command::Tail { circle, since } => tail::tail(client, &campus, circle.as_deref(), *since, json).await,
        Command::Watch { until_complete, focus } => {
            watch::watch(client, &campus, focus.as_deref(), *until_complete, json).await
        }
        Command::Send { circle, text, reply_to, queue } => {
            write::send(client, &campus, circle, text, *reply_to, *queue, json).await
        }
        Command::Edit { circle, seq, text } => write::edit(client, &campus, circle, *seq, text).await,
        Command::Delete { circle, seq } => write::delete(client, &campus, circle, *seq).await,
        Command::React { circle, seq, emoji, off } => write::react(client, &campus, circle, *seq, emoji, !*off).await,
        Command::Read { circle } => write::read(client, &campus, circle).await,
        Command::Mute { circle, off } => write::mute(client, &campus, circle, !*off).await,
        Command::CreateCircle { name, topic, private } => {
            write::create_circle(client, &campus, name, topic, *private, json).await
        }
        Command::JoinCircle { circle } => write::join_circle(client, &campus, circle).await,
        Command::Invite { circle, device } => write::invite(client, &campus, circle.as_deref(), *device, json).await,
    }
}

/// The campus that was named, or the only one.
async fn campus(client: &Client, wanted: Option<&str>) -> Result<CampusView> {
    let mut campuses = client.campuses().await?;
    let Some(wanted) = wanted else {
        return match campuses.len() {
            0 => bail!("you are in no campus yet: `circles-cli join LINK --name NAME`"),
            1 => Ok(campuses.remove(0)),
            _ => bail!(
                "you are in several campuses: name one with --campus ({})",
                campuses.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        };
    };
    let found = campuses.into_iter().find(|it| it.name.eq_ignore_ascii_case(wanted) || it.id.to_string() == wanted);
    found.with_context(|| format!("you are in no campus called {wanted}"))
}

/// The circle of that name or id. One that was joined goes before one that could be.
async fn circle(client: &Client, campus: &CampusView, wanted: &str) -> Result<CircleView> {
    let mut circles = client.circles(campus.id).await?;
    circles.sort_by_key(|it| !it.joined);
    circles.into_iter().find(|it| it.name.eq_ignore_ascii_case(wanted) || it.id.to_string() == wanted).with_context(
        || format!("there is no circle called {wanted} in {} (`circles-cli circles` lists them)", campus.name),
    )
}

fn device_name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    match host.trim() {
        "" => "command line".to_owned(),
        host => format!("command line on {host}").chars().take(64).collect(),
    }
}
