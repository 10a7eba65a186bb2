//! The gate with its window: a web view that shows gate-app/ui, and commands of a few lines each around
//! [`gate_core::desk::Desk`]. Windows, menus, permissions and dialogs live here; decisions, storage and the network
//! do not (docs/decisions/0028-gate-app.md).

#[cfg(target_os = "linux")]
mod again;
mod awake;
mod commands;
mod desk;
mod frame;
mod origin;
#[cfg(target_os = "linux")]
mod web_view;
mod window;

use desk::DeskCell;
use gate_core::desk::{Desk, Event, Internet};
use gate_core::process::{log_to_stderr, world};
use gate_core::sync::http::CONNECT_ENV;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tauri::{App, AppHandle, Builder, Emitter as _, Manager as _, RunEvent, Wry};

/// The data folder, instead of the platform's own for this app.
const DATA_ENV: &str = "HVFLVSPOT_GATE_DATA";

/// Opens the window and stays until it is closed. Why it could not be opened is said on standard error.
pub fn run() -> ExitCode {
    log_to_stderr();
    #[cfg(unix)]
    if let Err(error) = gate_core::process::survive_full_disks() {
        return failed(&format!("{error:#}"));
    }
    // Without a display the window system's own library panics.
    let cell = DeskCell::default();
    match catch_unwind(AssertUnwindSafe(|| show(cell.clone()))) {
        #[cfg(target_os = "linux")]
        Ok(Ok(0)) if cell.is_wanted() => failed(&format!("the window cannot be opened: {}", again::follow())),
        Ok(Ok(0)) => ExitCode::SUCCESS,
        Ok(Ok(_)) => ExitCode::FAILURE,
        #[cfg(target_os = "linux")]
        Ok(Err(error)) if again::met_an_end(&error) => {
            failed(&format!("the window cannot be opened: {error}; {}", again::start()))
        }
        Ok(Err(error)) => failed(&format!("the window cannot be opened: {error}")),
        Err(_) => failed("the window cannot be opened, or has broken off; is there a display?"),
    }
}

/// Phones start here.
#[cfg(mobile)]
#[tauri::mobile_entry_point]
fn start() {
    run();
}

fn show(cell: DeskCell) -> tauri::Result<i32> {
    let app = plugins(tauri::Builder::default())
        .manage(cell)
        .invoke_handler(commands::handler())
        .on_permission_request(|webview, kind| origin::may_use(kind, webview.url().ok().as_ref()))
        .setup(|app| {
            if let Err(error) = begin(app) {
                // The event loop would turn an error into a panic.
                failed(&error.to_string());
                std::process::exit(1);
            }
            Ok(())
        })
        .build(tauri::generate_context!())?;
    Ok(app.run_return(|app, event| match event {
        // A menu or a key of the system; the window itself asks by its own event.
        RunEvent::ExitRequested { code: None, api, .. } if app.get_webview_window(window::MAIN).is_some() => {
            api.prevent_exit();
            window::leave(app);
        }
        RunEvent::Exit => {
            app.state::<DeskCell>().close();
        }
        _ => {}
    }))
}

#[cfg(desktop)]
fn plugins(builder: Builder<Wry>) -> Builder<Wry> {
    use tauri_plugin_window_state::StateFlags;
    let remembered = StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED;
    builder
        // First, so that a second process ends before it touches anything.
        .plugin(single_instance())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_window_state::Builder::new().with_state_flags(remembered).build())
}

/// One window for one data folder: another folder is another device.
#[cfg(desktop)]
fn single_instance() -> tauri::plugin::TauriPlugin<Wry> {
    let builder = tauri_plugin_single_instance::Builder::new().callback(|app, _, _| window::show(app));
    #[cfg(target_os = "linux")]
    let builder = match data_from_environment() {
        Some(dir) => builder.dbus_id(bus_name(&dir)),
        None => builder,
    };
    builder.build()
}

/// The name on the session's bus of a window for a folder.
#[cfg(target_os = "linux")]
fn bus_name(dir: &std::path::Path) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).hash(&mut hasher);
    format!("app.hvflvspot.gate.folder{:016x}", hasher.finish())
}

#[cfg(mobile)]
fn plugins(builder: Builder<Wry>) -> Builder<Wry> {
    builder.plugin(tauri_plugin_dialog::init()).plugin(tauri_plugin_barcode_scanner::init())
}

/// Opens the window, and beside it the desk: what a damaged database takes to be mended is no frozen window.
fn begin(app: &App) -> Result<(), Box<dyn std::error::Error>> {
    let dir = data_folder(app)?;
    let world = world()?;
    let network = Internet { connect: std::env::var(CONNECT_ENV).ok() };
    window::open(app).map_err(|error| format!("the window cannot be opened: {error}"))?;
    let (app, cell) = (app.handle().clone(), app.state::<DeskCell>().inner().clone());
    std::thread::Builder::new().name("desk".into()).spawn(move || {
        let mut heard = None;
        let opened = cell.open(|| {
            let (desk, events) = Desk::open(&dir, world, network);
            heard = Some(events);
            Arc::new(desk)
        });
        if let Err(error) = opened {
            failed(&format!("nothing can run in the background: {error}"));
            return app.exit(1);
        }
        window::set_kiosk(&app, cell.is_kiosk());
        if let Some(heard) = heard {
            pass_on(&app, &cell, &heard);
        }
    })?;
    #[cfg(desktop)]
    std::thread::Builder::new().name("awake".into()).spawn(awake::stay_awake)?;
    Ok(())
}

fn data_folder(app: &App) -> tauri::Result<PathBuf> {
    data_from_environment().map_or_else(|| app.path().app_data_dir(), Ok)
}

fn data_from_environment() -> Option<PathBuf> {
    std::env::var_os(DATA_ENV).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// Tells the window what the desk tells, until the desk is gone.
fn pass_on(app: &AppHandle, cell: &DeskCell, heard: &Receiver<Event>) {
    for event in heard {
        if let Event::AppState(state) = &event
            && state.kiosk != cell.is_kiosk()
        {
            cell.set_kiosk(state.kiosk);
            window::set_kiosk(app, state.kiosk);
        }
        if let Err(error) = app.emit_to(window::MAIN, event.name(), &event) {
            tracing::warn!(%error, event = event.name(), "the window could not be told");
        }
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("hvflvspot-gate: {why}");
    ExitCode::FAILURE
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::bus_name;

    #[test]
    fn a_folder_has_one_window_and_another_folder_another() {
        let (here, name) = (std::env::current_dir().unwrap(), bus_name("door".as_ref()));
        assert_eq!(name, bus_name(&here.join("door")));
        assert_ne!(name, bus_name("other".as_ref()));
        let mut parts = name.split('.');
        assert!(parts.all(|part| part.starts_with(|c: char| c.is_ascii_alphabetic())), "{name}");
    }
}
