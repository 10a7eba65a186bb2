//! One command for each method of the desk, with the names and arguments of `Commands` in
//! gate-app/ui/src/lib/contract.ts. Nothing is decided here.

mod export;

use crate::desk::{Answer, DeskCell};
use crate::frame::Frame;
use export::ask_where;
use gate_core::desk::contract::{
    AppState, EnrolmentBegun, FrameAnswer, HistoryFilter, HistoryPage, Hit, Incident, Language, Place, Post,
    QuarantineNote, ScanSource, Settings, Supervision, Trouble, Verdict, WindowStatus,
};
use serde::Serialize;
use shared::bytes::Nonce16;
use shared::ids::{DeviceId, StewardId};
use tauri::ipc::{Invoke, Request};
use tauri::{State, WebviewWindow, Wry, command};

macro_rules! commands {
    ($($name:ident,)*) => {
        /// Every command that the page may call.
        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Answers them.
        pub fn handler() -> impl Fn(Invoke<Wry>) -> bool + Send + Sync + 'static {
            tauri::generate_handler![$($name),*]
        }
    };
}
include!("list.rs");

type Desk<'a> = State<'a, DeskCell>;

#[command]
async fn app_state(desk: Desk<'_>) -> Answer<AppState> {
    desk.ask(|d| Ok(d.app_state())).await
}

#[command]
async fn status(desk: Desk<'_>) -> Answer<Option<WindowStatus>> {
    desk.ask(|d| Ok(d.status())).await
}

#[command]
async fn sync_now(desk: Desk<'_>) -> Answer<()> {
    desk.ask(|d| {
        d.sync_now();
        Ok(())
    })
    .await
}

#[command(rename_all = "snake_case")]
async fn enrol_begin(desk: Desk<'_>, invitation: String, server: Option<String>) -> Answer<EnrolmentBegun> {
    desk.ask(move |d| d.enrol_begin(&invitation, server.as_deref())).await
}

#[command]
async fn enrol_cancel(desk: Desk<'_>) -> Answer<()> {
    desk.ask(|d| {
        d.enrol_cancel();
        Ok(())
    })
    .await
}

/// What a picture says.
#[derive(Debug, Serialize)]
struct ReadFrame {
    text: Option<String>,
}

#[command]
async fn read_frame(desk: Desk<'_>, request: Request<'_>) -> Answer<ReadFrame> {
    let frame = Frame::of(&request)?;
    desk.ask(move |d| Ok(ReadFrame { text: d.read_frame(&frame.gray())? })).await
}

#[command(rename_all = "snake_case")]
async fn name_device(desk: Desk<'_>, device_id: DeviceId, name: String) -> Answer<()> {
    desk.ask(move |d| d.name_device(device_id, &name)).await
}

#[command(rename_all = "snake_case")]
async fn set_post(desk: Desk<'_>, post: Post) -> Answer<AppState> {
    desk.ask(move |d| d.set_post(post)).await
}

#[command(rename_all = "snake_case")]
async fn set_settings(desk: Desk<'_>, settings: Settings) -> Answer<()> {
    desk.ask(move |d| d.set_settings(settings)).await
}

#[command(rename_all = "snake_case")]
async fn scan_text(desk: Desk<'_>, text: String, nonce: Nonce16, source: ScanSource) -> Answer<Verdict> {
    desk.ask(move |d| d.scan_text(&text, nonce, source)).await
}

#[command]
async fn scan_frame(desk: Desk<'_>, request: Request<'_>) -> Answer<FrameAnswer> {
    let frame = Frame::of(&request)?;
    desk.ask(move |d| d.scan_frame(&frame.gray())).await
}

#[command(rename_all = "snake_case")]
async fn scan_shown(desk: Desk<'_>, log_no: u32, seq: u64) -> Answer<()> {
    desk.ask(move |d| {
        d.scan_shown(Place { log_no, seq });
        Ok(())
    })
    .await
}

#[command]
async fn interrupted_seen(desk: Desk<'_>) -> Answer<()> {
    desk.ask(|d| d.interrupted_seen()).await
}

#[command(rename_all = "snake_case")]
async fn unlock(desk: Desk<'_>, staff: StewardId, pin: String) -> Answer<Supervision> {
    desk.ask(move |d| d.unlock(staff, &pin)).await
}

#[command]
async fn lock(desk: Desk<'_>) -> Answer<()> {
    desk.ask(|d| {
        d.lock();
        Ok(())
    })
    .await
}

#[command]
async fn keep_unlocked(desk: Desk<'_>) -> Answer<Option<Supervision>> {
    desk.ask(|d| Ok(d.keep_unlocked())).await
}

#[command(rename_all = "snake_case")]
async fn override_scan(desk: Desk<'_>, place: Place, reason: String, nonce: Nonce16) -> Answer<Verdict> {
    desk.ask(move |d| d.override_scan(place, &reason, nonce)).await
}

#[command(rename_all = "snake_case")]
async fn undo(desk: Desk<'_>, place: Place, reason: String) -> Answer<Place> {
    desk.ask(move |d| d.undo(place, &reason)).await
}

#[command(rename_all = "snake_case")]
async fn search(desk: Desk<'_>, text: String) -> Answer<Vec<Hit>> {
    desk.ask(move |d| d.search(&text)).await
}

#[command]
async fn incidents(desk: Desk<'_>) -> Answer<Vec<Incident>> {
    desk.ask(|d| d.incidents()).await
}

#[command]
async fn quarantine(desk: Desk<'_>) -> Answer<Vec<QuarantineNote>> {
    desk.ask(|d| d.quarantine()).await
}

#[command(rename_all = "snake_case")]
async fn leave(desk: Desk<'_>, device_id: DeviceId) -> Answer<AppState> {
    desk.ask(move |d| d.leave(device_id)).await
}

#[command(rename_all = "snake_case")]
async fn history(
    desk: Desk<'_>,
    filter: HistoryFilter,
    before: Option<Place>,
    limit: usize,
) -> Answer<HistoryPage> {
    desk.ask(move |d| d.history(&filter, before, limit)).await
}

/// Where a table of the log was written.
#[derive(Debug, Serialize)]
struct Exported {
    saved_as: String,
    lines: u64,
}

#[command(rename_all = "snake_case")]
async fn export_history(
    window: WebviewWindow,
    desk: Desk<'_>,
    filter: HistoryFilter,
    language: Language,
) -> Answer<Option<Exported>> {
    let Some(path) = ask_where(&window, &desk).await? else { return Ok(None) };
    let export = move |d: &std::sync::Arc<gate_core::desk::Desk>| {
        let lines = d.export_history(&filter, language, &path)?;
        Ok(Some(Exported { saved_as: path.display().to_string(), lines }))
    };
    desk.ask(export).await
}

#[command]
async fn kiosk_enter(desk: Desk<'_>) -> Answer<()> {
    desk.ask(|d| d.kiosk_enter()).await
}

#[command(rename_all = "snake_case")]
async fn kiosk_leave(desk: Desk<'_>, staff: Option<StewardId>, pin: String) -> Answer<()> {
    desk.ask(move |d| d.kiosk_leave(staff, &pin)).await
}

#[command]
async fn trouble_retry(desk: Desk<'_>) -> Answer<Option<Trouble>> {
    desk.ask(|d| Ok(d.trouble_retry())).await
}

#[cfg(test)]
mod tests;
