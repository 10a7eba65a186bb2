//! What WebKitGTK does by itself and a gate does not want: a page that stays white once its process has ended, and a
//! menu with "Reload" under the right button.

use crate::desk::DeskCell;
use std::cell::Cell;
use tauri::{AppHandle, Manager as _, WebviewWindow};
use webkit2gtk::{HitTestResultExt as _, WebViewExt as _};

/// A page that ends so often is not well; a new process of the app may be.
const MAX_ENDS: u32 = 20;

/// Loads the page again when its process has ended (killed for memory, or a bug). Scans that were recorded stay
/// recorded; what was not shown is told by the page when it is back.
///
/// # Errors
/// If the window is gone.
pub fn tend(window: &WebviewWindow) -> tauri::Result<()> {
    let app = window.app_handle().clone();
    window.with_webview(move |platform| {
        let (view, ends) = (platform.inner(), Cell::new(0));
        let desk = app.state::<DeskCell>().inner().clone();
        view.connect_context_menu(move |_, _, _, hit| desk.is_kiosk() || !hit.context_is_editable());
        view.connect_web_process_terminated(move |view, reason| {
            ends.set(ends.get() + 1);
            tracing::error!(?reason, ends = ends.get(), "the page's process has ended");
            if ends.get() < MAX_ENDS { view.reload() } else { give_up(&app) }
        });
    })
}

fn give_up(app: &AppHandle) {
    eprintln!("hvflvspot-gate: the page's process ends again and again");
    app.exit(1);
}
