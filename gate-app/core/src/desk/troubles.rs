//! What keeps the device from its work, in one word with its facts, and trying again.

use super::background::Order;
use super::contract::{Event, Trouble};
use super::rebuild::{self, How, Mend};
use super::state::{Door, State};
use super::{Desk, Network};
use crate::fault::Fault;
use crate::gate::Gate;
use shared::ids::DeviceId;

/// Between two tries that nobody asked for.
const RETRY_NS: u64 = 5_000_000_000;

/// A wall clock that is further off is shown.
pub(super) const CLOCK_WRONG_MS: i64 = 120_000;

/// What came of opening the database again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retried {
    /// It was made anew.
    Mended,
    /// Nothing was found to be wrong with it.
    Sound,
    Not,
}

impl<N: Network> Desk<N> {
    /// Tries again what the trouble stands in the way of. A damaged database is kept aside and rebuilt from what is
    /// sound of it and from the black box. `None` once it is over; who asks again has read what became of it.
    pub fn trouble_retry(&self) -> Option<Trouble> {
        if self.retry(Mend::Always) == Retried::Mended {
            self.tell_app_state();
        }
        self.state().trouble()
    }

    fn retry(&self, mend: Mend) -> Retried {
        // Lanes hold connections to the file that may be put aside.
        self.pause_lanes();
        let retried = {
            let mut watch = self.watch_state();
            let mut state = self.state();
            watch.forget();
            self.open_anew(&mut state, mend)
        };
        self.order(Order::Resume);
        self.look();
        self.announce(&mut self.state());
        retried
    }

    fn open_anew(&self, state: &mut State, mend: Mend) -> Retried {
        // Nothing was recalled yet if the database could not be opened at the start.
        let blank = state.post.is_none();
        let known: Vec<DeviceId> = state.known.iter().map(|e| e.device_id).collect();
        state.door = Door::Closed;
        match rebuild::open_sound(&self.dir, How { mend, suspect: state.suspect, known: &known }) {
            Ok(opened) => {
                state.suspect = false;
                state.machine = opened.trouble();
                if blank {
                    self.recall(state, &opened.db);
                } else if opened.is_mended() {
                    self.keep_all(state);
                    // Their entries have other row numbers there.
                    state.given.clear();
                }
                self.give_up_lost_post(state, &opened);
                self.heal_rebuilt(&opened);
                let retried = if opened.is_mended() { Retried::Mended } else { Retried::Sound };
                drop(opened);
                self.open_door(state);
                retried
            }
            Err(fault) => {
                state.machine = Some(self.unopened(&fault));
                Retried::Not
            }
        }
    }

    /// A post whose enrolment was lost is none, and no kiosk stands there: who holds its PIN is not known any more.
    pub(super) fn give_up_lost_post(&self, state: &mut State, opened: &rebuild::Opened) {
        if state.post.is_none_or(|post| opened.may_hold(post.device_id)) {
            return;
        }
        // One that never scanned has no black box to tell of it.
        if let Some(Trouble::DatabaseRepaired { kept_as, black_box }) = &state.machine {
            state.machine = Some(Trouble::DatabaseLost { kept_as: kept_as.clone(), black_box: *black_box });
        }
        self.end_supervision(state);
        state.forget_scans();
        state.given.clear();
        (state.post, state.kiosk, state.condition) = (None, false, None);
        self.keep_all(state);
    }

    /// A disk may be well again while nobody is there to scan or to ask: a kiosk has no button. Until it takes a write
    /// nothing is closed for it, and then all is opened anew. A damaged database is made anew as soon as that costs no
    /// enrolment, and once: where the next one is damaged as well, somebody should look.
    pub(super) fn retry_by_itself(&self, now_ns: u64) {
        let (damaged, mend) = {
            let mut state = self.state();
            let damaged = matches!(state.machine, Some(Trouble::DatabaseDamaged { .. }));
            let due = now_ns.saturating_sub(state.tried_ns) >= RETRY_NS;
            if !due || !(damaged && !state.mended || state.machine.as_ref().is_some_and(is_of_disk)) {
                return;
            }
            state.tried_ns = now_ns;
            (damaged, if state.mended { Mend::Never } else { Mend::IfWhole })
        };
        if !damaged && let Err(fault) = rebuild::probe(&self.dir) {
            self.note_fault(&mut self.state(), &fault);
            return;
        }
        let retried = self.retry(mend);
        // What looks sound and cannot be read all the same is nothing that another try would mend.
        if retried == Retried::Mended || (damaged && retried == Retried::Sound) {
            self.state().mended = true;
        }
        if retried == Retried::Mended {
            self.tell_app_state();
        }
    }

    /// The trouble of a database that could not be opened at all: there always is one.
    pub(super) fn unopened(&self, fault: &Fault) -> Trouble {
        tracing::error!(%fault, "the database could not be opened");
        let path = self.dir.display().to_string();
        self.trouble_of(fault).unwrap_or_else(|| Trouble::DiskError { path, detail: fault.to_string() })
    }

    /// Puts entries of the black box into a database that was made anew, for every enrolment that it still has.
    pub(super) fn heal_rebuilt(&self, opened: &rebuild::Opened) {
        for &device in opened.devices_to_heal() {
            let gate = Gate::open_device(&self.dir, device, self.world()).and_then(Gate::healed);
            if let Err(error) = gate {
                tracing::error!(%error, %device, "entries of the black box could not be put back");
            }
        }
    }

    /// There is an enrolment again, or another one was chosen.
    pub(super) fn forget_the_loss(&self, state: &mut State) {
        if matches!(state.machine, Some(Trouble::DatabaseLost { .. })) {
            state.machine = None;
            self.announce(state);
        }
    }

    /// Keeps a fault in mind if people can do something about it, and says so.
    pub(super) fn note_fault(&self, state: &mut State, fault: &Fault) {
        match self.trouble_of(fault) {
            Some(trouble @ Trouble::ManifestUnusable { .. }) => state.condition = Some(trouble),
            Some(trouble) => {
                // A look a quarter of a second finds the same again.
                if state.machine.as_ref() != Some(&trouble) {
                    tracing::error!(%fault, "the machine keeps this device from its work");
                }
                let damaged = matches!(trouble, Trouble::DatabaseDamaged { .. });
                if damaged && matches!(state.door, Door::Open(_)) {
                    // Nothing more is written to it.
                    state.door = Door::Stuck(fault.clone());
                }
                if damaged && !state.suspect {
                    (state.suspect, state.tried_ns) = (true, 0);
                } else if state.machine.is_none() {
                    state.tried_ns = self.clock.boottime_ns();
                }
                state.machine = Some(trouble);
            }
            // The next look counts what is unsent.
            None => self.hurry_watch(),
        }
        self.announce(state);
    }

    /// Tells the window if the trouble is another one now.
    pub(super) fn announce(&self, state: &mut State) {
        let trouble = state.trouble();
        if state.announced != trouble {
            state.announced.clone_from(&trouble);
            self.emit(Event::Trouble(trouble));
        }
    }

    pub(super) fn trouble_of(&self, fault: &Fault) -> Option<Trouble> {
        let path = self.dir.display().to_string();
        Some(match fault {
            Fault::DiskFull => Trouble::DiskFull { free_bytes: self.free_bytes(), path },
            Fault::ReadOnly => Trouble::DiskReadOnly { path },
            // SQLite calls a file that it cannot make unopenable, whatever the reason.
            Fault::Disk(_) if self.is_read_only() => Trouble::DiskReadOnly { path },
            Fault::Disk(detail) => Trouble::DiskError { path, detail: detail.clone() },
            Fault::Damaged(_) => Trouble::DatabaseDamaged { black_box: rebuild::boxed(&self.dir) },
            Fault::Newer { found, known } => Trouble::DatabaseNewer { found: *found, known: *known },
            Fault::Manifest(detail) => Trouble::ManifestUnusable { detail: detail.clone() },
            Fault::Busy(_) | Fault::Revoked | Fault::NoManifest | Fault::Other(_) => return None,
        })
    }

    fn is_read_only(&self) -> bool {
        rustix::fs::statvfs(&self.dir).is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize))
    }
}

/// True if a write that goes through ends it.
pub(super) const fn is_of_disk(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::DiskFull { .. } | Trouble::DiskReadOnly { .. } | Trouble::DiskError { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::desk::Internet;
    use crate::gate::World;
    use rand::SeedableRng as _;
    use shared::time::UnixMillis;
    use std::sync::Arc;

    #[test]
    fn a_database_that_is_busy_for_a_moment_is_no_trouble_of_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::at(UnixMillis(1_800_000_000_000)));
        let world = World { clock, rng: rand::rngs::StdRng::seed_from_u64(1) };
        let (desk, _heard) = Desk::open(dir.path(), world, Internet::default());
        let busy = Fault::Busy("database is locked".to_owned());
        desk.note_fault(&mut desk.state(), &busy);
        assert_eq!(desk.app_state().trouble, None);
        let unopened = desk.unopened(&busy);
        assert!(
            is_of_disk(&unopened),
            "at the start nothing is known yet, and it is tried again: {unopened:?}"
        );
    }
}
