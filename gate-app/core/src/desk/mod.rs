//! What a window needs of a gate, whole and without any window: several enrolments side by side, the chosen post,
//! scanning, supervision, settings, troubles, and synchronising in the background. A window's commands call one
//! method here each; what it is told without asking comes through a channel ([`Event`]).
//!
//! All methods block; none may run on a window's own thread. Scanning, which is what people wait for, shares one lock
//! ([`Desk::scan_text`]) with nothing that takes long: pictures are decoded, PINs checked, logs read and statuses made
//! outside of it, on connections of their own.
//!
//! Who comes with a ticket is opened by its own code, when it is scanned; names are searched on devices of the box office
//! only, and a search by name answers `not_box_office` on all others.
//!
//! [`Desk::open`] always gives a desk. What is wrong with disk or database stands in [`AppState::trouble`], and no scan
//! is green while it does.

mod background;
pub mod contract;
mod door;
mod enrolling;
mod enrolments;
mod frames;
mod history;
mod in_view;
mod incidents;
mod kept;
mod knowing;
mod network;
mod reason;
mod rebuild;
mod scanning;
mod search;
mod state;
mod supervision;
mod troubles;
mod watch;

pub use background::Running;
pub use contract::{AppState, Event};
pub use frames::decode;
pub use in_view::{GONE_AFTER_MS, InView};
pub use network::{Internet, Network};

use crate::clock::Clock;
use crate::fault::Fault;
use crate::gate::{Gate, World};
use background::Order;
use contract::{CommandError, ErrorCode};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rebuild::{How, Mend};
use shared::ids::DeviceId;
use state::State;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;
use watch::Watch;

/// A machine at the door, with all its enrolments.
///
/// Locks are taken in the order of the fields `watch`, `state`, `rng`.
pub struct Desk<N = Internet> {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    network: N,
    events: Sender<Event>,
    orders: Mutex<Option<UnboundedSender<Order>>>,
    /// Set to stop the enrolment that is under way.
    enrolling: Mutex<Option<Arc<AtomicBool>>>,
    watch: Mutex<Watch>,
    state: Mutex<State>,
    rng: Mutex<StdRng>,
}

impl<N> std::fmt::Debug for Desk<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl<N: Network> Desk<N> {
    /// Opens a data folder, mends what can be mended, and stands at the post that was chosen last. Starts nothing in
    /// the background: see [`Desk::start`].
    #[must_use]
    pub fn open(dir: &Path, world: World, network: N) -> (Self, Receiver<Event>) {
        let (events, heard) = channel();
        let desk = Self {
            dir: dir.to_owned(),
            clock: world.clock,
            network,
            events,
            orders: Mutex::default(),
            enrolling: Mutex::default(),
            watch: Mutex::default(),
            state: Mutex::default(),
            rng: Mutex::new(world.rng),
        };
        desk.begin();
        (desk, heard)
    }

    fn begin(&self) {
        let mut state = self.state();
        match rebuild::open_sound(&self.dir, How { mend: Mend::Always, suspect: false, known: &[] }) {
            Ok(opened) => {
                state.machine = opened.trouble();
                self.recall(&mut state, &opened.db);
                self.give_up_lost_post(&mut state, &opened);
                self.heal_rebuilt(&opened);
                drop(opened);
                self.open_door(&mut state);
                self.find_interrupted(&mut state);
            }
            Err(fault) => {
                state.machine = Some(self.unopened(&fault));
                state.tried_ns = self.clock.boottime_ns();
            }
        }
        state.announced = state.trouble();
    }

    /// All that the window needs to begin.
    pub fn app_state(&self) -> AppState {
        let listed = self.enrolments();
        let mut state = self.state();
        match listed {
            Ok(listed) => state.known = listed,
            Err(fault) => self.note_fault(&mut state, &fault),
        }
        self.app_state_of(&state)
    }

    pub(crate) fn tell_app_state(&self) {
        self.emit(Event::AppState(Box::new(self.app_state())));
    }

    fn app_state_of(&self, state: &State) -> AppState {
        AppState {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enrolments: state.known.clone(),
            post: state.post,
            settings: state.settings.clone(),
            kiosk: state.kiosk,
            supervision: state.unlocked.as_ref().map(|u| self.supervision_of(u)),
            interrupted: state.interrupted.as_ref().map(|(_, told)| told.clone()),
            trouble: state.trouble(),
        }
    }

    /// Looks for news at the server now, in every enrolment.
    pub fn sync_now(&self) {
        self.order(Order::Now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A command that panicked has left a state that the next one can work with: no step leaves it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: Event) {
        // A window that is gone hears nothing.
        let _ = self.events.send(event);
    }

    fn order(&self, order: Order) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = &*orders {
            // The lanes end only with the desk.
            let _ = orders.send(order);
        }
    }

    /// Clock and chance for one more connection.
    fn world(&self) -> World {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        World { clock: Arc::clone(&self.clock), rng: StdRng::from_rng(&mut *rng) }
    }

    /// A connection of its own, for what may take long.
    fn gate(&self, device: DeviceId) -> Result<Gate, CommandError> {
        Gate::open_device(&self.dir, device, self.world()).map_err(|e| refused(&Fault::of_open(&e)))
    }

    /// The enrolment of the chosen post.
    fn post_device(&self) -> Result<DeviceId, CommandError> {
        let post = self.state().post;
        post.map(|p| p.device_id).ok_or_else(no_post)
    }
}

fn no_post() -> CommandError {
    CommandError::new(ErrorCode::Internal, "no event, list and gate are chosen")
}

/// A fault as a command's failure.
fn refused(fault: &Fault) -> CommandError {
    let code = match fault {
        Fault::Revoked => ErrorCode::Revoked,
        Fault::Other(_) => ErrorCode::Internal,
        _ => ErrorCode::CannotRecord,
    };
    CommandError::new(code, fault.to_string())
}

fn of_sql(error: &rusqlite::Error) -> CommandError {
    refused(&Fault::of_sql(error))
}

/// Runs on a thread of its own, because the caller's may belong to a runtime that must not be blocked.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, CommandError> {
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.map_err(|_| CommandError::new(ErrorCode::Internal, "a thread broke off"))
}
