//! A WebDriver process, and a session with a desktop window or a browser.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{PATIENCE, port, wait_for};

/// A driver on loopback. It is killed when dropped, with what it started.
pub struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts a driver program.
    pub async fn start(program: &str) -> Result<Self> {
        Self::start_with(program, &[]).await
    }

    /// The same with variables in its environment, which is that of the windows that it opens.
    pub async fn start_with(program: &str, env: &[(&str, &str)]) -> Result<Self> {
        let port = port()?;
        let child = Command::new(program)
            .arg(format!("--port={port}"))
            .envs(env.iter().copied())
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let driver = Self { child, port };
        wait_for("the driver to listen", async || Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()))
            .await?;
        Ok(driver)
    }

    /// Opens a session: a window of an app or a browser.
    pub async fn session(&self, capabilities: Value) -> Result<Client> {
        let Value::Object(capabilities) = capabilities else { anyhow::bail!("capabilities are an object") };
        let url = format!("http://127.0.0.1:{}", self.port);
        Ok(ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).connect(&url).await?)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Chromium without a window, which keeps its profile in a directory.
pub fn chromium(profile: &Path) -> Value {
    json!({ "goog:chromeOptions": { "args": [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", format!("--user-data-dir={}", profile.display()),
    ] } })
}

/// The same as on a phone, whose owner goes on where it warns of a certificate.
pub fn phone(profile: &Path) -> Value {
    let mut capabilities = chromium(profile);
    capabilities["acceptInsecureCerts"] = true.into();
    capabilities["goog:chromeOptions"]["mobileEmulation"] =
        json!({ "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true } });
    capabilities
}

/// The element, as soon as it is there.
pub async fn find(page: &Client, css: &str) -> Result<Element> {
    wait_for_element(page, Locator::Css(css), css).await
}

/// A button by the beginning of its name.
pub async fn press(page: &Client, name: &str) -> Result<()> {
    let path = format!("//button[starts-with(normalize-space(.),'{name}') or starts-with(@aria-label,'{name}')]");
    Ok(wait_for_element(page, Locator::XPath(&path), &format!("button {name:?}")).await?.click().await?)
}

/// Types into the field with that label.
pub async fn fill(page: &Client, label: &str, text: &str) -> Result<()> {
    let path = format!("//label[.//span[normalize-space()='{label}']]//input");
    Ok(wait_for_element(page, Locator::XPath(&path), &format!("field {label:?}")).await?.send_keys(text).await?)
}

/// If it does not come the error says what is there instead.
async fn wait_for_element(page: &Client, locator: Locator<'_>, what: &str) -> Result<Element> {
    let error = match page.wait().at_most(PATIENCE).for_element(locator).await {
        Ok(element) => return Ok(element),
        Err(error) => error,
    };
    let shown = page.execute("return document.body.innerText", Vec::new()).await;
    let shown = shown.map_or_else(|error| format!("cannot be read: {error}"), |it| it.to_string());
    Err(error).with_context(|| format!("no {what} on the page: {shown:.2000}"))
}

/// Sends a message with the composer.
pub async fn send(page: &Client, text: &str) -> Result<()> {
    let composer = find(page, "textarea[aria-label='Message']").await?;
    composer.send_keys(text).await?;
    // Enter, as WebDriver spells it (W3C WebDriver, 17.4.2).
    Ok(composer.send_keys("\u{e007}").await?)
}

/// Moves what nobody sees, for longer than a picture takes.
const STIR: &str = "document.body.animate({ opacity: [1, 0.999] }, { duration: 5_000 });";

/// Leaves a screenshot in the directory that `CIRCLES_TEST_PICTURES` names, as seen from the repository's, if it does: for the
/// documentation. `WebKitGTK` answers with the next frame that it draws, and draws none where nothing moves.
pub async fn picture(page: &Client, name: &str) -> Result<()> {
    if let Some(dir) = std::env::var_os("CIRCLES_TEST_PICTURES") {
        page.execute(STIR, Vec::new()).await?;
        let taken = timeout(PATIENCE, page.screenshot()).await.context("a picture is taken")??;
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dir);
        std::fs::write(dir.join(format!("{name}.png")), taken)?;
    }
    Ok(())
}

/// The messages on screen: number, text and state, in the order of the page.
pub async fn rows(page: &Client) -> Result<Vec<Row>> {
    let script = "return [...document.querySelectorAll('[role=log] article[data-id]')].map(row => [
        row.dataset.seq ? Number(row.dataset.seq) : null,
        row.querySelector('.text')?.textContent.trim() ?? '',
        row.dataset.delivery])";
    let found: Vec<(Option<u64>, String, String)> = serde_json::from_value(page.execute(script, Vec::new()).await?)?;
    Ok(found.into_iter().map(|(seq, text, delivery)| Row { seq, text, delivery }).collect())
}

/// A message on screen.
#[derive(Debug)]
pub struct Row {
    /// Its number, once it is in the log.
    pub seq: Option<u64>,
    /// What it says.
    pub text: String,
    /// How far it got.
    pub delivery: String,
}

/// Waits until a message with this text is on screen and in the log.
pub async fn shows(page: &Client, text: &str) -> Result<()> {
    wait_for(&format!("{text:?} on screen"), async || {
        let rows = rows(page).await?;
        Ok(rows.iter().any(|it| it.text == text && it.seq.is_some() && it.delivery == "sent").then_some(()))
    })
    .await
}
