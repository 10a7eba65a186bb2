//! Where a table is to be saved: the system's own dialog asks, the page never learns of any other file.

use crate::desk::{Answer, DeskCell, internal};
use gate_core::desk::contract::{CommandError, ErrorCode};
use std::path::PathBuf;
use tauri::WebviewWindow;
use tauri_plugin_dialog::DialogExt as _;

/// `None` if nobody chose a place.
///
/// # Errors
/// `locked` in kiosk mode: the dialog shows guests the machine's files.
pub async fn ask_where(window: &WebviewWindow, desk: &DeskCell) -> Answer<Option<PathBuf>> {
    if desk.is_kiosk() {
        return Err(CommandError::new(ErrorCode::Locked, "kiosk mode"));
    }
    let dialog = window.dialog().file().set_file_name("gate-log.csv").add_filter("CSV", &["csv"]);
    #[cfg(desktop)]
    let dialog = dialog.set_parent(window);
    let asked = tauri::async_runtime::spawn_blocking(move || dialog.blocking_save_file());
    let chosen = asked.await.map_err(|_| internal("the dialog broke off"))?;
    let path = chosen.map(|to| to.into_path().map_err(|e| CommandError::internal(&e))).transpose()?;
    Ok(path.map(with_ending))
}

/// Spreadsheets go by the ending.
fn with_ending(path: PathBuf) -> PathBuf {
    if path.extension().is_some() { path } else { path.with_extension("csv") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_an_ending_gets_one() {
        assert_eq!(with_ending("log".into()), PathBuf::from("log.csv"));
        assert_eq!(with_ending("log.txt".into()), PathBuf::from("log.txt"));
    }
}
