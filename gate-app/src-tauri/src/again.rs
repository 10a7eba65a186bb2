//! A start that met a window which was just ending. One that is killed is known on the session's bus a moment longer: the
//! start begins anew. One that is being closed answers the start, and begins anew itself once it is closed.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Stands in the environment of the process that took this one's place: a second time is no coincidence.
const STARTED_AGAIN: &str = "HVFLVSPOT_GATE_STARTED_AGAIN";

/// What the bus says where the other end has gone, before or after it heard the question.
const GONE: [&str; 3] = ["NoReply", "ServiceUnknown", "NameHasNoOwner"];

/// True if there was a window to be shown instead of a second one, and it ended before it could be.
pub fn met_an_end(error: &tauri::Error) -> bool {
    let tauri::Error::PluginInitialization(plugin, why) = error else { return false };
    let gone = GONE.iter().any(|name| why.contains(&format!("org.freedesktop.DBus.Error.{name}")));
    plugin == "single-instance" && gone
}

/// Begins anew in this process, once: what has been set up for the window system cannot be set up a second time.
/// Returns only if that is not to be had.
pub fn start() -> io::Error {
    if std::env::var_os(STARTED_AGAIN).is_some() {
        return io::Error::other("the second start met another end");
    }
    begin(|command| command.env(STARTED_AGAIN, "1"))
}

/// Begins anew in this process, whose window was closed, as often as somebody asks for it. Returns only if that is not to be had.
pub fn follow() -> io::Error {
    begin(|command| command.env_remove(STARTED_AGAIN))
}

fn begin(change: impl FnOnce(&mut Command) -> &mut Command) -> io::Error {
    let mut args = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    change(command.args(args)).exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(plugin: &str, why: &str) -> tauri::Error {
        tauri::Error::PluginInitialization(plugin.to_owned(), why.to_owned())
    }

    #[test]
    fn only_a_window_that_ended_meanwhile_is_a_reason_to_begin_anew() {
        let said = "failed to forward arguments to the running instance: org.freedesktop.DBus.Error";
        let gone = "Message recipient disconnected from message bus without replying";
        assert!(met_an_end(&failed("single-instance", &format!("{said}.NoReply: {gone}"))));
        assert!(met_an_end(&failed("single-instance", &format!("{said}.ServiceUnknown: not provided"))));
        assert!(!met_an_end(&failed("single-instance", &format!("{said}.AccessDenied: not allowed"))));
        assert!(!met_an_end(&failed("dialog", &format!("{said}.NoReply: {gone}"))));
        assert!(!met_an_end(&tauri::Error::WindowNotFound));
    }
}
