//! Circles and their people.

use circles_client::view::{CircleView, Failure, PersonView};
use circles_protocol::{CampusId, CircleId, CircleKind, PersonId};
use tauri::State;

use crate::shell::Shell;

type Answer<T> = Result<T, Failure>;

#[tauri::command(rename_all = "snake_case")]
pub async fn circles(shell: State<'_, Shell>, campus: CampusId) -> Answer<Vec<CircleView>> {
    Ok(shell.client().await?.circles(campus).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn create_circle(
    shell: State<'_, Shell>,
    campus: CampusId,
    name: String,
    topic: String,
    access: CircleKind,
) -> Answer<CircleView> {
    Ok(shell.client().await?.create_circle(campus, &name, &topic, access).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn edit_circle(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    name: String,
    topic: String,
) -> Answer<()> {
    Ok(shell.client().await?.edit_circle(campus, circle, &name, &topic).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn join_circle(shell: State<'_, Shell>, campus: CampusId, circle: CircleId) -> Answer<()> {
    Ok(shell.client().await?.join_circle(campus, circle).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn leave_circle(shell: State<'_, Shell>, campus: CampusId, circle: CircleId) -> Answer<()> {
    Ok(shell.client().await?.leave_circle(campus, circle).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn set_muted(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, on: bool) -> Answer<()> {
    Ok(shell.client().await?.set_muted(campus, circle, on).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn people(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: Option<CircleId>,
    query: String,
) -> Answer<Vec<PersonView>> {
    Ok(shell.client().await?.people(campus, circle, &query).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn add_member(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, person: PersonId) -> Answer<()> {
    Ok(shell.client().await?.add_member(campus, circle, person).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn remove_member(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    person: PersonId,
) -> Answer<()> {
    Ok(shell.client().await?.remove_member(campus, circle, person).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn focus(shell: State<'_, Shell>, campus: Option<CampusId>, circle: Option<CircleId>) -> Answer<()> {
    Ok(shell.client().await?.focus(campus, circle).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn presence(shell: State<'_, Shell>, campus: CampusId, circle: CircleId) -> Answer<Vec<PersonId>> {
    Ok(shell.client().await?.presence(campus, circle).await?)
}
