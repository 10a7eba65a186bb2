//! The gate with its window: all of it is in the library, which phones start without a `main`.

// A console beside the window helps nobody at the door.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    hvflvspot_gate::run()
}
