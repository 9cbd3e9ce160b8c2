//! Oneself: profile, devices and invites.

use circles_client::view::{DeviceView, Failure, MadeInviteView, NewInvite};
use circles_protocol::{CampusId, CircleId, DeviceId, InviteId};
use tauri::State;

use crate::shell::Shell;

type Answer<T> = Result<T, Failure>;

#[tauri::command(rename_all = "snake_case")]
pub async fn edit_profile(shell: State<'_, Shell>, campus: CampusId, name: String, hue: u16) -> Answer<()> {
    Ok(shell.client().await?.edit_profile(campus, &name, hue).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn devices(shell: State<'_, Shell>, campus: CampusId) -> Answer<Vec<DeviceView>> {
    Ok(shell.client().await?.devices(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn revoke_device(shell: State<'_, Shell>, campus: CampusId, device: DeviceId) -> Answer<()> {
    Ok(shell.client().await?.revoke_device(campus, device).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn create_invite(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: Option<CircleId>,
    device: bool,
) -> Answer<NewInvite> {
    Ok(shell.client().await?.create_invite(campus, circle, device).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn invites(shell: State<'_, Shell>, campus: CampusId) -> Answer<Vec<MadeInviteView>> {
    Ok(shell.client().await?.invites(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn revoke_invite(shell: State<'_, Shell>, campus: CampusId, invite: InviteId) -> Answer<()> {
    Ok(shell.client().await?.revoke_invite(campus, invite).await?)
}
