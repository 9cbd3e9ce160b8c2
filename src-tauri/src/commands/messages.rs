//! Messages, their timeline, and drafts.

use circles_client::view::{Anchor, DraftView, Failure, MessageView, SearchView, TimelineView};
use circles_protocol::{CampusId, CircleId, MessageId, Seq, UnixMs};
use tauri::State;

use crate::shell::Shell;

type Answer<T> = Result<T, Failure>;

#[tauri::command(rename_all = "snake_case")]
pub async fn timeline(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    anchor: Anchor,
    limit: u32,
) -> Answer<TimelineView> {
    Ok(shell.client().await?.timeline(campus, circle, anchor, limit).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn fill(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, from: Seq, to: Seq) -> Answer<()> {
    Ok(shell.client().await?.fill(campus, circle, from, to).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn search(
    shell: State<'_, Shell>,
    campus: CampusId,
    query: String,
    after: Option<String>,
    limit: u32,
) -> Answer<SearchView> {
    Ok(shell.client().await?.search(campus, &query, None, after, limit).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn first_since(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    at: UnixMs,
) -> Answer<Option<Seq>> {
    Ok(shell.client().await?.first_since(campus, circle, at).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn send(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    text: String,
    reply_to: Option<MessageId>,
) -> Answer<MessageView> {
    Ok(shell.client().await?.send_composed(campus, circle, &text, reply_to).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn edit(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    message: MessageId,
    text: String,
) -> Answer<()> {
    Ok(shell.client().await?.edit(campus, circle, message, &text).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn delete(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
    Ok(shell.client().await?.delete(campus, circle, message).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn react(
    shell: State<'_, Shell>,
    campus: CampusId,
    circle: CircleId,
    message: MessageId,
    emoji: String,
    on: bool,
) -> Answer<()> {
    Ok(shell.client().await?.react(campus, circle, message, &emoji, on).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn retry(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
    Ok(shell.client().await?.retry(campus, circle, message).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn discard(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, message: MessageId) -> Answer<()> {
    Ok(shell.client().await?.discard(campus, circle, message).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn mark_read(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, seq: Seq) -> Answer<()> {
    Ok(shell.client().await?.mark_read(campus, circle, seq).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn draft(shell: State<'_, Shell>, campus: CampusId, circle: CircleId) -> Answer<DraftView> {
    Ok(shell.client().await?.draft(campus, circle).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn set_draft(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, draft: DraftView) -> Answer<()> {
    Ok(shell.client().await?.set_draft(campus, circle, draft).await?)
}

#[tauri::command(rename_all = "snake_case")]
pub async fn typing(shell: State<'_, Shell>, campus: CampusId, circle: CircleId, on: bool) -> Answer<()> {
    Ok(shell.client().await?.typing(campus, circle, on).await?)
}
