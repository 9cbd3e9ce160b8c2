//! Measures the real desktop window on a cache that is there: from start to the circle painted, the memory of all its
//! processes, and the processor's work while nothing happens. `make bench-window` prepares the cache and gives a display.
//!
//! Usage: `bench-window DATA_DIR [STARTS] [IDLE_SECONDS]`

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use circles_tests::{
    driver::{self, Driver},
    processes::AppProcesses,
    program,
};
use fantoccini::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let data = PathBuf::from(args.next().context("usage: bench-window DATA_DIR [STARTS] [IDLE_SECONDS]")?);
    let starts: usize = args.next().map_or(Ok(5), |it| it.parse())?;
    let idle = Duration::from_secs(args.next().map_or(Ok(60), |it| it.parse())?);

    let mut painted_ms = Vec::new();
    for n in 1..=starts {
        let driver = Driver::start("WebKitWebDriver").await?;
        let page = window(&driver, &data).await?;
        let app = AppProcesses::find(&data)?;
        let painted = painted_at_ms(&page).await? - app.started_at_ms()?;
        println!("start {n}: {painted:.0} ms from start to the circle painted");
        painted_ms.push(painted);
        if n == starts {
            // The cache is complete; what a start leaves to do is done after a moment.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let before = app.cpu_ms()?;
            tokio::time::sleep(idle).await;
            let after = app.cpu_ms()?;
            let mut used_ms = 0;
            for ((name, before), (_, after)) in before.iter().zip(&after) {
                println!("idle for {} s: {name} used {} ms of processor time", idle.as_secs(), after - before);
                used_ms += after - before;
            }
            #[expect(clippy::cast_precision_loss, reason = "some milliseconds")]
            let percent = used_ms as f64 / 10.0 / idle.as_secs_f64();
            println!("idle for {} s: {used_ms} ms of processor time, {percent:.2} % of a core", idle.as_secs());
            for (name, kib) in app.memory_kib()? {
                println!("memory (PSS): {name} {} MiB", kib / 1024);
            }
            println!("memory (PSS): all {} MiB", app.memory_kib()?.iter().map(|it| it.1).sum::<u64>() / 1024);
        }
        // After a minute the driver's own way of closing a window leaves the app as it is; people close it by the window
        // manager, which works.
        // While it still closes, a new start would only wake it.
        app.quit().await?;
        drop((page, driver));
    }
    painted_ms.sort_by(f64::total_cmp);
    println!("painted: median {:.0} ms, worst {:.0} ms", painted_ms[painted_ms.len() / 2], painted_ms[starts - 1]);
    Ok(())
}

async fn window(driver: &Driver, data: &Path) -> Result<Client> {
    let options = json!({ "binary": program("circles")?, "args": ["--data-dir", data, "--no-keyring"] });
    let page = driver.session(json!({ "webkitgtk:browserOptions": options })).await?;
    driver::find(&page, "html[data-painted=circle]").await?;
    Ok(page)
}

/// When the first circle was painted, in ms since 1970: the page notes it by itself, so waiting for it costs nothing.
async fn painted_at_ms(page: &Client) -> Result<f64> {
    circles_tests::wait_for("the mark of the first circle", async || {
        let script = "const [mark] = performance.getEntriesByName('painted-circle');
            return mark ? performance.timeOrigin + mark.startTime : null";
        Ok(page.execute(script, Vec::new()).await?.as_f64())
    })
    .await
}
