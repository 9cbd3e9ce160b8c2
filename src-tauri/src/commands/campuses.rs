//! Campuses: joining, hosting, leaving.

use circles_client::view::{CampusStatus, CampusView, Failure, HostView, InviteView, KeptMessage, StrandedView};
use circles_protocol::CampusId;
use tauri::State;

use crate::{host::demo, invited::Invited, shell::Shell};

type Answer<T> = Result<T, Failure>;

#[tauri::command(rename_all = "snake_case")]
pub async fn campuses(shell: State<'_, Shell>) -> Answer<Vec<CampusView>> {
    Ok(shell.client().await?.campuses().await?)
}

#[tauri::command]
#[expect(clippy::needless_pass_by_value, reason = "Tauri hands its state over by value")]
pub fn invited(invited: State<'_, Invited>) -> Option<String> {
    invited.take()
}

#[tauri::command(rename_all = "snake_case")]
pub async fn preview_invite(shell: State<'_, Shell>, link: String) -> Answer<InviteView> {
    Ok(shell.client().await?.preview_invite(&link).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn join(shell: State<'_, Shell>, link: String, name: String) -> Answer<CampusView> {
    Ok(shell.client().await?.join(&link, &name).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn host(shell: State<'_, Shell>, campus_name: String, name: String, lan: bool) -> Answer<CampusView> {
    let open = shell.open().await?;
    open.host(&campus_name, &name, lan).await
}

#[tauri::command(rename_all = "snake_case")]
pub async fn demo(shell: State<'_, Shell>, name: String) -> Answer<CampusView> {
    demo::start(shell.open().await?, &name).await
}

#[tauri::command(rename_all = "snake_case")]
pub async fn hosts(shell: State<'_, Shell>) -> Answer<Vec<HostView>> {
    Ok(shell.open().await?.hosts.list().await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn leave_campus(shell: State<'_, Shell>, campus: CampusId) -> Answer<()> {
    shell.open().await?.leave_campus(campus).await
}

#[tauri::command(rename_all = "snake_case")]
pub async fn reconnect(shell: State<'_, Shell>, campus: CampusId) -> Answer<()> {
    shell.open().await?.reconnect(campus).await
}

#[tauri::command(rename_all = "snake_case")]
pub async fn put_notices_aside(shell: State<'_, Shell>, campus: CampusId) -> Answer<()> {
    Ok(shell.client().await?.put_notices_aside(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn kept(shell: State<'_, Shell>, campus: CampusId) -> Answer<Vec<KeptMessage>> {
    Ok(shell.client().await?.kept(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn stranded(shell: State<'_, Shell>, campus: CampusId) -> Answer<Vec<StrandedView>> {
    Ok(shell.client().await?.stranded(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn status(shell: State<'_, Shell>) -> Answer<Vec<CampusStatus>> {
    Ok(shell.client().await?.status().await?)
}
