//! Searching what is held.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use circles_client::{
    Client,
    view::{CampusView, FoundMessage, SearchCoverage, SearchView},
};

use crate::{read::when, watch::in_sync};

/// Right after catching up the index is still being made; a person waits that long for all of it, and then is told.
const INDEX_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const INDEX_LOOK: Duration = Duration::from_millis(50);

/// Prints circles and people of that name, and the messages that were found, the newest last.
pub async fn search(
    client: &Client,
    campus: &CampusView,
    query: &str,
    circle: Option<&str>,
    n: u32,
    json: bool,
) -> Result<()> {
    let circle = match circle {
        Some(wanted) => Some(crate::circle(client, campus, wanted).await?.id),
        None => None,
    };
    in_sync(client, campus).await?;
    let begun = Instant::now();
    let mut found = client.search(campus.id, query, circle, None, n).await?;
    while begun.elapsed() < INDEX_PATIENCE && is_behind(client, campus, &found.covered).await? {
        tokio::time::sleep(INDEX_LOOK).await;
        found = client.search(campus.id, query, circle, None, n).await?;
    }
    if json {
        say!("{}", serde_json::to_string(&found)?);
        return Ok(());
    }
    print(&found)
}

/// Whether messages that are held were not searched yet.
async fn is_behind(client: &Client, campus: &CampusView, covered: &SearchCoverage) -> Result<bool> {
    if covered.partly.is_empty() {
        return Ok(false);
    }
    let status = client.status().await?;
    let held = status.iter().filter(|it| it.campus.id == campus.id).flat_map(|it| &it.circles);
    let held: std::collections::HashMap<_, _> = held.map(|it| (it.id, it.held)).collect();
    Ok(covered.partly.iter().any(|it| held.get(&it.id).is_some_and(|held| *held > it.searched)))
}

fn print(found: &SearchView) -> Result<()> {
    for circle in &found.circles {
        say!("circle  {}", circle.name);
    }
    for person in &found.people {
        say!("person  {}", person.name);
    }
    for it in found.messages.iter().rev() {
        say!("{} {} {} <{}> {}", when(it.at)?, it.circle_name, it.seq, it.author.name, marked(it));
    }
    if found.circles.is_empty() && found.people.is_empty() && found.messages.is_empty() {
        say!("nothing found in {} messages", found.covered.searched);
    } else if found.more.is_some() {
        say!("there may be older ones: -n prints more, before: goes on from a day");
    }
    for it in &found.covered.partly {
        say!("searched {} of {} messages of {}: the others are not here yet", it.searched, it.total, it.name);
    }
    Ok(())
}

/// The text; on a terminal what was found is bold.
fn marked(it: &FoundMessage) -> String {
    let bold = std::io::stdout().is_terminal();
    let part = |text: &str, hit: bool| if hit && bold { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    it.snippet.iter().map(|it| part(&it.text, it.hit)).collect()
}
