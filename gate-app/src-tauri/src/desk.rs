//! The one desk of this process, as commands reach it: opened beside the window, never on its thread, closed only
//! when nobody is at work there any more.

use gate_core::desk::contract::{CommandError, ErrorCode};
use gate_core::desk::{Desk, Internet, Running};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a command answers.
pub type Answer<T> = Result<T, CommandError>;

/// Nobody who closes the window waits longer: what commits in a gate does so in milliseconds, and what takes longer
/// (an upload, somebody else's disk) can be broken off at any time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shared with every thread that works for a command.
#[derive(Debug, Clone, Default)]
pub struct DeskCell(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stage: Mutex<Stage>,
    changed: Condvar,
    /// Guests stand at the machine.
    kiosk: AtomicBool,
    /// Somebody started the app once more while it was being closed.
    wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct Stage {
    desk: Found,
    /// Commands at work.
    busy: usize,
}

#[derive(Debug, Default)]
enum Found {
    /// Still being opened: a damaged database takes a while.
    #[default]
    NotYet,
    Here {
        desk: Arc<Desk<Internet>>,
        running: Running,
    },
    /// Opening it broke off.
    Broken,
    /// The window is being closed.
    Gone,
}

impl DeskCell {
    /// Opens the desk on this thread. Commands wait for it.
    ///
    /// # Errors
    /// If the system gives no threads for the background.
    pub fn open(&self, make: impl FnOnce() -> Arc<Desk<Internet>>) -> io::Result<()> {
        let made = catch_unwind(AssertUnwindSafe(make)).ok();
        let found = match made {
            Some(desk) => {
                self.set_kiosk(desk.app_state().kiosk);
                let running = desk.start()?;
                Found::Here { desk, running }
            }
            None => Found::Broken,
        };
        let mut stage = self.stage();
        // Somebody may have closed the window meanwhile.
        if matches!(stage.desk, Found::NotYet) {
            stage.desk = found;
        }
        self.0.changed.notify_all();
        Ok(())
    }

    /// Lets a command work at the desk, on a thread that may block. One that breaks off has answered, too.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Desk<Internet>>) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let cell = self.clone();
        let asked = tauri::async_runtime::spawn_blocking(move || {
            let at_work = cell.begin()?;
            work(&at_work.desk)
        });
        asked.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a command broke off");
            Err(internal("the command broke off"))
        })
    }

    fn begin(&self) -> Answer<AtWork<'_>> {
        let waited = self.0.changed.wait_while(self.stage(), |s| matches!(s.desk, Found::NotYet));
        let mut stage = waited.unwrap_or_else(PoisonError::into_inner);
        let desk = match &stage.desk {
            Found::Here { desk, .. } => Arc::clone(desk),
            Found::NotYet | Found::Broken => return Err(internal("the data folder could not be opened")),
            Found::Gone => return Err(internal("the window is being closed")),
        };
        stage.busy += 1;
        Ok(AtWork { cell: self, desk })
    }

    /// Takes no more commands, waits for those at work, stops the background, and saves what is left to save. False if
    /// somebody is still at work; the process may end all the same, because nothing that was answered is lost by it.
    pub fn close(&self) -> bool {
        self.close_within(PATIENCE)
    }

    fn close_within(&self, patience: Duration) -> bool {
        let (found, quiet) = {
            let mut stage = self.stage();
            let found = std::mem::replace(&mut stage.desk, Found::Gone);
            self.0.changed.notify_all();
            let waited = self.0.changed.wait_timeout_while(stage, patience, |s| s.busy > 0);
            (found, !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out())
        };
        if let Found::Here { desk, running } = found {
            drop(running);
            drop(desk);
        }
        quiet
    }

    /// True while guests stand at the machine.
    pub fn is_kiosk(&self) -> bool {
        self.0.kiosk.load(Ordering::Relaxed)
    }

    /// As the desk says.
    pub fn set_kiosk(&self, kiosk: bool) {
        self.0.kiosk.store(kiosk, Ordering::Relaxed);
    }

    /// Notes that somebody started the app once more. True if it is being closed: then a window is to follow this one.
    pub fn start_follows(&self) -> bool {
        let closing = matches!(self.stage().desk, Found::Gone);
        self.0.wanted.fetch_or(closing, Ordering::Relaxed);
        closing
    }

    /// Whether a window is to follow this one.
    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::Relaxed)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // Every change of it is one assignment.
        self.0.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command at work. Dropped also when it breaks off.
struct AtWork<'c> {
    cell: &'c DeskCell,
    desk: Arc<Desk<Internet>>,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.cell.stage().busy -= 1;
        self.cell.0.changed.notify_all();
    }
}

/// Nothing that a window could act on.
pub fn internal(detail: impl Into<String>) -> CommandError {
    CommandError::new(ErrorCode::Internal, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_core::process::world;
    use std::sync::mpsc::channel;
    use tauri::async_runtime::{block_on, spawn};

    const SOON: Duration = Duration::from_secs(20);

    fn opened(dir: &std::path::Path) -> DeskCell {
        let cell = DeskCell::default();
        cell.open(|| Arc::new(Desk::open(dir, world().unwrap(), Internet::default()).0)).unwrap();
        cell
    }

    #[test]
    fn a_command_that_panics_answers_internal_and_the_next_one_works() {
        let dir = tempfile::tempdir().unwrap();
        let cell = opened(dir.path());
        let broken: Answer<()> = block_on(cell.ask(|_| panic!("a bug")));
        assert_eq!(broken.unwrap_err().code, ErrorCode::Internal);
        assert!(block_on(cell.ask(|desk| Ok(desk.app_state().enrolments.is_empty()))).unwrap());
        assert!(!cell.start_follows() && !cell.is_wanted(), "the window that is there is shown");
        assert!(cell.close());
    }

    #[test]
    fn commands_wait_until_the_desk_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let cell = DeskCell::default();
        let early = spawn({
            let cell = cell.clone();
            async move { cell.ask(|desk| Ok(desk.app_state().post.is_none())).await }
        });
        cell.open(|| Arc::new(Desk::open(dir.path(), world().unwrap(), Internet::default()).0)).unwrap();
        assert!(block_on(early).unwrap().unwrap());
        assert!(cell.close());
    }

    #[test]
    fn a_desk_that_breaks_off_while_it_opens_is_an_answer() {
        let cell = DeskCell::default();
        cell.open(|| panic!("a bug")).unwrap();
        let answer: Answer<()> = block_on(cell.ask(|_| Ok(())));
        assert_eq!(answer.unwrap_err().code, ErrorCode::Internal);
    }

    #[test]
    fn closing_waits_for_what_is_at_work_and_takes_nothing_new() {
        let dir = tempfile::tempdir().unwrap();
        let cell = opened(dir.path());
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let scan = spawn({
            let cell = cell.clone();
            async move {
                let work = move |_: &Arc<Desk<Internet>>| {
                    begun.send(()).unwrap();
                    may_go_on.recv_timeout(SOON).unwrap();
                    Ok(7)
                };
                cell.ask(work).await
            }
        });
        has_begun.recv_timeout(SOON).unwrap();
        assert!(!cell.close_within(Duration::from_millis(1)), "somebody is at work");
        let late: Answer<()> = block_on(cell.ask(|_| Ok(())));
        assert_eq!(late.unwrap_err().detail, "the window is being closed");
        assert!(cell.start_follows() && cell.is_wanted());
        let closing = std::thread::spawn(move || cell.close());
        go_on.send(()).unwrap();
        assert!(closing.join().unwrap());
        assert_eq!(block_on(scan).unwrap().unwrap(), 7);
    }
}
