//! The one window: opened with our page alone, in kiosk mode without edges and without an end, closed when nobody is
//! at work at the desk.

use crate::desk::DeskCell;
use crate::origin::is_ours;
use tauri::webview::NewWindowResponse;
use tauri::{App, AppHandle, Manager as _, WebviewWindowBuilder, WindowEvent};

/// Its label, in tauri.conf.json and in the capability.
pub const MAIN: &str = "main";

/// Opens it as tauri.conf.json says.
///
/// # Errors
/// If the system gives no window or no web view.
pub fn open(app: &App) -> tauri::Result<()> {
    let config = app.config().app.windows.iter().find(|w| w.label == MAIN).cloned().unwrap_or_default();
    let window = WebviewWindowBuilder::from_config(app, &config)?
        .on_navigation(is_ours)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    #[cfg(target_os = "linux")]
    crate::web_view::tend(&window)?;
    let app = app.handle().clone();
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            // A scan that is being written is written; the window stays until it is.
            api.prevent_close();
            leave(&app);
        }
    });
    Ok(())
}

/// Ends the app once nobody is at work at the desk; never in kiosk mode, which a steward's PIN ends.
pub fn leave(app: &AppHandle) {
    let desk = app.state::<DeskCell>().inner().clone();
    if desk.is_kiosk() {
        tracing::info!("the window stays: kiosk mode ends with a PIN");
        return;
    }
    let ending = app.clone();
    let end = move || {
        if !desk.close() {
            tracing::warn!("closed while a command was at work");
        }
        ending.exit(0);
    };
    if let Err(error) = std::thread::Builder::new().name("close".into()).spawn(end) {
        tracing::error!(%error, "closing at once");
        app.exit(0);
    }
}

/// Brings it before all others: somebody has started the app once more. Where it is being closed, another follows it.
pub fn show(app: &AppHandle) {
    if app.state::<DeskCell>().start_follows() {
        return;
    }
    let Some(window) = app.get_webview_window(MAIN) else { return };
    let shown = window.unminimize().and_then(|()| window.show()).and_then(|()| window.set_focus());
    if let Err(error) = shown {
        tracing::warn!(%error, "the window could not be shown");
    }
}

/// In kiosk mode there is nothing but the page; afterwards the window is as it was.
pub fn set_kiosk(app: &AppHandle, kiosk: bool) {
    let Some(window) = app.get_webview_window(MAIN) else { return };
    #[cfg(desktop)]
    let set = window
        .set_decorations(!kiosk)
        .and_then(|()| window.set_fullscreen(kiosk))
        .and_then(|()| window.set_always_on_top(kiosk));
    // A phone's own lock on one app does this there.
    #[cfg(mobile)]
    let set: tauri::Result<()> = Ok(drop(window));
    if let Err(error) = set {
        tracing::error!(%error, kiosk, "the window could not follow kiosk mode");
    }
}
