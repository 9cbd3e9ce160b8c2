//! The local network: hosting on it, looking around, and what stands in the way.

use std::time::Duration;

use circles_client::view::{Failure, Finding, NearbyView, QrView};
use circles_protocol::CampusId;
use tauri::State;

use crate::{qr, shell::Shell};

type Answer<T> = Result<T, Failure>;

/// How long one look around lasts; the interface looks again and again.
const LOOK: Duration = Duration::from_millis(1_200);

#[tauri::command(rename_all = "snake_case")]
pub async fn set_lan(shell: State<'_, Shell>, campus: CampusId, on: bool) -> Answer<()> {
    Ok(shell.open().await?.hosts.set_lan(campus, on).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn nearby(shell: State<'_, Shell>) -> Answer<Vec<NearbyView>> {
    Ok(shell.client().await?.nearby(LOOK).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn doctor(shell: State<'_, Shell>) -> Answer<Vec<Finding>> {
    Ok(shell.client().await?.doctor().await?)
}

#[tauri::command(rename_all = "snake_case")]
pub fn draw_qr(text: &str) -> Answer<QrView> {
    qr::draw(text)
}
