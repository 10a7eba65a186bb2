//! What is looked at again and again: status, counts, troubles, the deadline of supervision. On a connection of its
//! own, and never more than a tenth of the time, however long the log is.

use super::background::Order;
use super::contract::{Counts, Event, Trouble, WindowStatus};
use super::enrolments::in_use;
use super::incidents::fault_of;
use super::state::{Door, State};
use super::troubles::CLOCK_WRONG_MS;
use super::{Desk, Network};
use crate::answer::rfc3339;
use crate::db::Db;
use crate::db::table::device::{Device, State as DeviceState};
use crate::db::table::{bucket, manifest};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::loaded::Loaded;
use crate::status::{Look, look};
use shared::ids::{DeviceId, ListId};
use shared::manifest::docs::ListConfig;
use shared::manifest::rows::{TicketState, parse_rows};
use shared::time::UnixMillis;
use std::sync::{MutexGuard, PoisonError};

/// Of the time that a look takes, so much is rested afterwards.
const REST: u64 = 10;
/// Without any change the status is made anew after so long: clocks drift and manifests age.
const STALE_NS: u64 = 10_000_000_000;
/// After so long without a scan what was shown is saved.
const IDLE_NS: u64 = 250_000_000;
/// The text of a refused scan lives no longer.
const REFUSED_NS: u64 = 10 * 60 * 1_000_000_000;

/// What the watch remembers between looks.
#[derive(Default)]
pub(super) struct Watch {
    gate: Option<Gate>,
    /// Of the connection at the last status.
    data_version: Option<i64>,
    made_ns: u64,
    next_ns: u64,
    /// Which list the last status counted.
    list: Option<ListId>,
    /// Enrolments with what may change about them.
    print: Vec<(DeviceId, DeviceState, Option<i64>)>,
    expected: Option<((DeviceId, i64, ListId), u64)>,
    status: Option<WindowStatus>,
}

impl Watch {
    /// The file may be another one now.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

impl<N: Network> Desk<N> {
    /// The status line; `None` without any enrolment, or while nothing can be read.
    pub fn status(&self) -> Option<WindowStatus> {
        self.look();
        self.watch_state().status.clone()
    }

    /// Does whatever is due. [`Desk::start`] calls it four times a second.
    pub fn tick(&self) {
        let now_ns = self.clock.boottime_ns();
        {
            let mut state = self.state();
            self.lock_if_due(&mut state);
            if state.refused.as_ref().is_some_and(|r| now_ns.saturating_sub(r.at_ns) > REFUSED_NS) {
                state.refused = None;
            }
            if now_ns.saturating_sub(state.scanned_ns) > IDLE_NS
                && let Door::Open(scanner) = &mut state.door
                && scanner.has_unsaved()
            {
                scanner.settle();
            }
        }
        self.retry_by_itself(now_ns);
        if now_ns >= self.watch_state().next_ns {
            self.look();
        }
    }

    /// Looks now, and says what has changed.
    pub(super) fn look(&self) {
        let mut watch = self.watch_state();
        let began_ns = self.clock.boottime_ns();
        let looked = self.look_with(&mut watch);
        let ended_ns = self.clock.boottime_ns();
        watch.next_ns = ended_ns.saturating_add(ended_ns.saturating_sub(began_ns).saturating_mul(REST));
        if let Err(fault) = looked {
            watch.gate = None;
            watch.data_version = None;
            self.note_fault(&mut self.state(), &fault);
        }
    }

    /// The next tick looks, however soon it comes.
    pub(super) fn hurry_watch(&self) {
        if let Ok(mut watch) = self.watch.try_lock() {
            (watch.next_ns, watch.data_version) = (0, None);
        }
    }

    pub(super) fn watch_state(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_with(&self, watch: &mut Watch) -> Result<(), Fault> {
        let post = self.state().post;
        let sql = |e: rusqlite::Error| Fault::of_sql(&e);
        let devices = match &watch.gate {
            Some(gate) => in_use(gate.db.conn()).map_err(sql)?,
            None => in_use(Db::open(&self.dir).map_err(|e| Fault::of_db(&e))?.conn()).map_err(sql)?,
        };
        let wanted = match post {
            Some(post) => devices.iter().find(|d| d.device == post.device_id),
            None => devices.iter().rev().find(|d| d.state == DeviceState::Active).or(devices.last()),
        };
        let Some(wanted) = wanted else {
            (watch.gate, watch.status) = (None, None);
            {
                let mut state = self.state();
                state.condition = None;
                self.announce(&mut state);
            }
            self.note_print(watch, Vec::new());
            return Ok(());
        };
        if watch.gate.as_ref().is_none_or(|g| g.device.device != wanted.device) {
            let gate = Gate::open_device(&self.dir, wanted.device, self.world());
            watch.gate = Some(gate.map_err(|e| Fault::of_open(&e))?);
            watch.data_version = None;
        }
        let Some(gate) = &watch.gate else { return Ok(()) };
        let version = gate.db.data_version().map_err(sql)?;
        let now_ns = self.clock.boottime_ns();
        let list = post.map(|p| p.list);
        let same = watch.data_version == Some(version) && watch.list == list;
        if same && now_ns.saturating_sub(watch.made_ns) < STALE_NS {
            return Ok(());
        }
        let print = fingerprint(gate, &devices).map_err(sql)?;
        self.make_status(watch, list)?;
        (watch.data_version, watch.made_ns, watch.list) = (Some(version), now_ns, list);
        self.note_print(watch, print);
        Ok(())
    }

    fn make_status(&self, watch: &mut Watch, list: Option<ListId>) -> Result<(), Fault> {
        let Some(gate) = &watch.gate else { return Ok(()) };
        let seen = match look(gate) {
            Ok(seen) => seen,
            Err(error) => {
                let fault = fault_of(&error);
                if let Fault::Manifest(_) = &fault {
                    // A scanner that is open goes on with the manifest in its memory until another one is stored; one
                    // that has to be opened anew cannot. A manifest that comes whole replaces what is stored.
                    self.note_fault(&mut self.state(), &fault);
                    return Ok(());
                }
                return Err(fault);
            }
        };
        let counts = count(gate, &seen, list, &mut watch.expected).map_err(|e| Fault::of_sql(&e))?;
        let status = WindowStatus { status: seen.status.clone(), now: rfc3339(seen.time.best), counts };
        {
            let mut state = self.state();
            state.condition = condition(&seen);
            self.announce(&mut state);
        }
        watch.status = Some(status.clone());
        self.emit(Event::Status(Box::new(status)));
        Ok(())
    }

    /// Enrolments came, went, or have another manifest.
    fn note_print(&self, watch: &mut Watch, print: Vec<(DeviceId, DeviceState, Option<i64>)>) {
        if watch.print == print {
            return;
        }
        watch.print = print;
        self.order(Order::Refresh);
        self.catch_up(&mut self.state());
        self.tell_app_state();
    }

    /// Brings the scanner to the newest manifest, or opens the one that waited for its first.
    fn catch_up(&self, state: &mut State) {
        match &mut state.door {
            Door::Open(scanner) => {
                if let Err(fault) = scanner.refresh() {
                    self.get_stuck(state, fault);
                }
            }
            Door::Stuck(_) => self.open_door(state),
            Door::Closed => {}
        }
    }
}

fn fingerprint(
    gate: &Gate,
    devices: &[Device],
) -> rusqlite::Result<Vec<(DeviceId, DeviceState, Option<i64>)>> {
    devices.iter().map(|d| Ok((d.device, d.state, manifest::generation(gate.db.conn(), d.no)?))).collect()
}

/// What is wrong with clock, manifest or enrolment, the worst first.
fn condition(seen: &Look) -> Option<Trouble> {
    let status = &seen.status;
    let state = status.state;
    if state == DeviceState::Leaving.as_str() || state == DeviceState::Revoked.as_str() {
        let wiped = state == DeviceState::Revoked.as_str();
        return Some(Trouble::Revoked { unsent: status.queue.unsent, wiped });
    }
    if let Some(loaded) = &seen.loaded {
        let hard_until: UnixMillis = loaded.header.hard_until.millis();
        if seen.time.best >= hard_until {
            return Some(Trouble::ManifestExpired { since: rfc3339(hard_until) });
        }
    }
    let offset_ms = status.clock.offset_ms;
    (offset_ms.abs() > CLOCK_WRONG_MS).then_some(Trouble::ClockWrong { offset_ms })
}

fn count(
    gate: &Gate,
    seen: &Look,
    list: Option<ListId>,
    cache: &mut Option<((DeviceId, i64, ListId), u64)>,
) -> rusqlite::Result<Counts> {
    let Some(loaded) = &seen.loaded else { return Ok(Counts::default()) };
    let lists = &loaded.header.lists;
    let list = match list {
        Some(id) => lists.iter().find(|l| l.id == id),
        None => lists.iter().find(|l| l.attendance),
    };
    let Some(list) = list else { return Ok(Counts::default()) };
    let key = (gate.device.device, loaded.generation, list.id);
    let expected = match cache {
        Some((for_key, expected)) if *for_key == key => *expected,
        _ => {
            let expected = expected(gate, loaded, list)?;
            *cache = Some((key, expected));
            expected
        }
    };
    let counts = seen.fold.counts(list.id);
    Ok(Counts { admitted: counts.admitted, on_site: counts.on_site, entries: counts.entries, expected })
}

/// Valid and blocked tickets whose type the list admits.
fn expected(gate: &Gate, loaded: &Loaded, list: &ListConfig) -> rusqlite::Result<u64> {
    if loaded.header.tickets == 0 {
        return Ok(0);
    }
    let comes = |state| matches!(state, TicketState::Valid | TicketState::Blocked);
    let mut sum = 0;
    for no in 0..4096u16 {
        sum += bucket::with_rows(gate.db.conn(), gate.device.no, no, |rows| {
            // Rows were verified when they were stored.
            let rows = parse_rows(rows).unwrap_or_default();
            rows.iter().filter(|r| comes(r.state) && list.ticket_types.contains(r.type_no)).count() as u64
        })?;
    }
    Ok(sum)
}
