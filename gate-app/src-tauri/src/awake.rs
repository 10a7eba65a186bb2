//! The screen stays on while the window is open: between two guests nobody touches the machine.

/// Asks the desktop not to blank the screen. Without a desktop that could (a bare X server), a warning is all; there
/// the machine's own setting counts (docs/OPERATIONS.md).
#[cfg(desktop)]
pub fn stay_awake() {
    let asked = keepawake::Builder::default()
        .display(true)
        .reason("Tickets are being scanned")
        .app_name("HVFLVSPOT Gate")
        .app_reverse_domain("app.hvflvspot.gate")
        .create();
    match asked {
        // It ends with the process. Taking it back would panic where the desktop ended first.
        Ok(awake) => std::mem::forget(awake),
        Err(error) => tracing::warn!(%error, "nobody here keeps the screen on"),
    }
}
