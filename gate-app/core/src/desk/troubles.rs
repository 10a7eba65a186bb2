//! What keeps the device from its work, in one word with its facts, and trying again.

use super::background::Order;
use super::contract::{Event, Trouble};
use super::state::State;
use super::{Desk, Network, rebuild};
use crate::db::FILE;
use crate::fault::Fault;
use crate::gate::Gate;

/// A wall clock that is further off is shown.
pub(super) const CLOCK_WRONG_MS: i64 = 120_000;

impl<N: Network> Desk<N> {
    /// Tries again what the trouble stands in the way of. A damaged database is kept aside and rebuilt from what is
    /// sound of it and from the black box. `None` once it is over.
    pub fn trouble_retry(&self) -> Option<Trouble> {
        // Lanes hold connections to the file that may be put aside.
        self.pause_lanes();
        {
            let mut watch = self.watch_state();
            let mut state = self.state();
            watch.forget();
            // Nothing was recalled yet if the database could not be opened at the start.
            let blank = state.post.is_none();
            state.door = super::state::Door::Closed;
            match rebuild::open_sound(&self.dir) {
                Ok(opened) => {
                    state.machine = opened.trouble();
                    if blank {
                        self.recall(&mut state, &opened.db);
                    }
                    self.heal_rebuilt(&opened);
                    drop(opened);
                    self.open_door(&mut state);
                }
                Err(fault) => state.machine = self.trouble_of(&fault),
            }
        }
        self.order(Order::Resume);
        self.look();
        let mut state = self.state();
        self.announce(&mut state);
        state.trouble()
    }

    /// Puts entries of the black box into a database that was made anew, for every enrolment that it still has.
    pub(super) fn heal_rebuilt(&self, opened: &rebuild::Opened) {
        for device in opened.devices_to_heal() {
            let gate = Gate::open_device(&self.dir, device, self.world()).and_then(Gate::healed);
            if let Err(error) = gate {
                tracing::error!(%error, %device, "entries of the black box could not be put back");
            }
        }
    }

    /// Keeps a fault in mind if people can do something about it, and says so.
    pub(super) fn note_fault(&self, state: &mut State, fault: &Fault) {
        match self.trouble_of(fault) {
            Some(trouble @ Trouble::ManifestUnusable { .. }) => state.condition = Some(trouble),
            Some(trouble) => state.machine = Some(trouble),
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
            Fault::Damaged(detail) => {
                tracing::error!(detail, "the database is damaged");
                let kept_as = self.dir.join(FILE).display().to_string();
                Trouble::DatabaseDamaged { kept_as, black_box: rebuild::boxed(&self.dir) }
            }
            Fault::Newer { found, known } => Trouble::DatabaseNewer { found: *found, known: *known },
            Fault::Manifest(detail) => Trouble::ManifestUnusable { detail: detail.clone() },
            Fault::Revoked | Fault::NoManifest | Fault::Other(_) => return None,
        })
    }

    fn is_read_only(&self) -> bool {
        rustix::fs::statvfs(&self.dir).is_ok_and(|s| s.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    }

    fn free_bytes(&self) -> u64 {
        rustix::fs::statvfs(&self.dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize))
    }
}
