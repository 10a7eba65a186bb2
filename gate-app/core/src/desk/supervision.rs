//! Who has entered a PIN, until when; and kiosk mode, which a PIN ends.
//!
//! An event without any supervisor would otherwise never see its incidents or leave: there supervised commands need no
//! PIN, as with `gate undo`. An override always needs a supervisor.

use super::contract::{CommandError, ErrorCode, Event, Supervision};
use super::kept::not_in_kiosk;
use super::state::{Door, State};
use super::{Desk, Network, no_post, refused};
use crate::answer::rfc3339;
use crate::fault::{Fault, chain};
use crate::gate::{Gate, OpenError};
use crate::loaded::{self, LoadError};
use crate::steward::{self, PinError};
use shared::ids::{DeviceId, StewardId};
use shared::manifest::docs::Steward;
use shared::time::UnixMillis;

/// A steward whose PIN was right.
#[derive(Debug, Clone)]
pub(super) struct Unlocked {
    pub staff: StewardId,
    pub device: DeviceId,
    label: String,
    supervisor: bool,
    /// Boot clock.
    deadline_ns: u64,
    /// Best time and boot clock when the PIN was entered.
    since: (UnixMillis, u64),
}

impl<N: Network> Desk<N> {
    /// Checks a PIN; right, it opens supervision until nothing was done for `auto_lock_secs`.
    ///
    /// # Errors
    /// `wrong_pin` (tries left), `pin_locked` (seconds), `pin_unusable`, `cannot_record` (without a record of wrong
    /// PINs none is tried), `internal` without a post or for somebody who is not on the event's list.
    pub fn unlock(&self, staff: StewardId, pin: &str) -> Result<Supervision, CommandError> {
        let device = self.post_device()?;
        let unlocked = self.identify(device, staff, pin)?;
        let mut state = self.state();
        if state.post.is_none_or(|p| p.device_id != device) {
            return Err(no_post());
        }
        let supervision = self.supervision_of(&unlocked);
        if let Door::Open(scanner) = &mut state.door {
            scanner.set_staff(Some(staff));
        }
        state.unlocked = Some(unlocked);
        self.emit(Event::Supervision(Some(supervision.clone())));
        Ok(supervision)
    }

    /// Ends supervision.
    pub fn lock(&self) {
        self.end_supervision(&mut self.state());
    }

    /// Somebody is still working: the deadline moves. `None` if it has passed.
    pub fn keep_unlocked(&self) -> Option<Supervision> {
        let mut state = self.state();
        self.lock_if_due(&mut state);
        let deadline_ns = self.deadline_ns(&state);
        let unlocked = state.unlocked.as_mut()?;
        unlocked.deadline_ns = deadline_ns;
        let supervision = self.supervision_of(unlocked);
        self.emit(Event::Supervision(Some(supervision.clone())));
        Some(supervision)
    }

    /// From now on guests scan for themselves.
    ///
    /// # Errors
    /// `locked`, `not_supervisor`, `cannot_record`; `internal` without a post.
    pub fn kiosk_enter(&self) -> Result<(), CommandError> {
        {
            let mut state = self.state();
            not_in_kiosk(&state)?;
            if self.supervised(&mut state)?.is_none() {
                return Err(CommandError::new(
                    ErrorCode::Locked,
                    "nobody here has a PIN that could end kiosk mode",
                ));
            }
        }
        // Kept before it holds: a guest who pulls the plug must not end it.
        self.keep_kiosk(true)?;
        let mut state = self.state();
        state.kiosk = true;
        self.end_supervision(&mut state);
        drop(state);
        self.tell_app_state();
        Ok(())
    }

    /// Any steward's PIN ends kiosk mode; without one (`None`, whatever `pin` says) it ends where nobody has any.
    ///
    /// # Errors
    /// As [`Desk::unlock`]; `locked` if there is somebody with a PIN and none was given.
    pub fn kiosk_leave(&self, staff: Option<StewardId>, pin: &str) -> Result<(), CommandError> {
        let device = self.post_device()?;
        match staff {
            Some(staff) => drop(self.identify(device, staff, pin)?),
            None if self.has_stewards(device)? => {
                return Err(CommandError::new(ErrorCode::Locked, "a steward's PIN is needed"));
            }
            None => {}
        }
        self.state().kiosk = false;
        self.tell_app_state();
        self.keep_kiosk(false)
    }

    /// The supervisor at work, whose deadline moves; `None` where the event has no supervisor at all.
    pub(super) fn supervised(&self, state: &mut State) -> Result<Option<StewardId>, CommandError> {
        self.lock_if_due(state);
        let stewards: Option<&[Steward]> = match &state.door {
            Door::Open(scanner) => Some(&scanner.loaded().header.stewards),
            _ => None,
        };
        // Before anybody's rights: whoever has entered a PIN may not do less than nobody.
        if let Some(all) = stewards.filter(|all| all.iter().all(|s| !s.supervisor)) {
            let on_list = |u: &Unlocked| all.iter().any(|s| s.id == u.staff);
            if !state.unlocked.as_ref().is_none_or(on_list) {
                self.end_supervision(state);
            }
            return Ok(None);
        }
        let Some(unlocked) = &state.unlocked else {
            return Err(CommandError::new(ErrorCode::Locked, "a supervisor's PIN is needed"));
        };
        // The organizer may have taken somebody off the list since.
        let supervisor = match stewards {
            Some(all) => all.iter().find(|s| s.id == unlocked.staff).map(|s| s.supervisor),
            None => Some(unlocked.supervisor),
        };
        let (staff, label) = (unlocked.staff, unlocked.label.clone());
        match supervisor {
            None => {
                self.end_supervision(state);
                Err(CommandError::new(
                    ErrorCode::Locked,
                    format!("{label} is not on the event's list any more"),
                ))
            }
            Some(false) => {
                Err(CommandError::new(ErrorCode::NotSupervisor, format!("{label} is no supervisor")))
            }
            Some(true) => {
                let deadline_ns = self.deadline_ns(state);
                if let Some(unlocked) = &mut state.unlocked {
                    unlocked.deadline_ns = deadline_ns;
                }
                Ok(Some(staff))
            }
        }
    }

    /// As [`Desk::supervised`], but who did it, for the record: where no supervisor is needed, whoever has entered a PIN.
    pub(super) fn on_record(&self, state: &mut State) -> Result<Option<StewardId>, CommandError> {
        let supervisor = self.supervised(state)?;
        Ok(supervisor.or(state.unlocked.as_ref().map(|u| u.staff)))
    }

    pub(super) fn lock_if_due(&self, state: &mut State) {
        let now_ns = self.clock.boottime_ns();
        if state.unlocked.as_ref().is_some_and(|u| now_ns >= u.deadline_ns) {
            self.end_supervision(state);
        }
    }

    pub(super) fn end_supervision(&self, state: &mut State) {
        if state.unlocked.take().is_none() {
            return;
        }
        if let Door::Open(scanner) = &mut state.door {
            scanner.set_staff(None);
        }
        self.emit(Event::Supervision(None));
    }

    pub(super) fn supervision_of(&self, unlocked: &Unlocked) -> Supervision {
        let (best, since_ns) = unlocked.since;
        let ms = unlocked.deadline_ns.saturating_sub(since_ns) / 1_000_000;
        Supervision {
            staff: unlocked.staff,
            label: unlocked.label.clone(),
            supervisor: unlocked.supervisor,
            until: rfc3339(best.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))),
        }
    }

    fn deadline_ns(&self, state: &State) -> u64 {
        let secs = u64::from(state.settings.auto_lock_secs);
        self.clock.boottime_ns().saturating_add(secs.saturating_mul(1_000_000_000))
    }

    /// True if somebody on the list could enter a PIN. Nobody can where there is no manifest to name anybody.
    fn has_stewards(&self, device: DeviceId) -> Result<bool, CommandError> {
        if let Door::Open(scanner) = &self.state().door {
            return Ok(!scanner.loaded().header.stewards.is_empty());
        }
        let gate = match Gate::open_device(&self.dir, device, self.world()) {
            // A database that was made anew may have lost the enrolment.
            Err(OpenError::NoDevice(_)) => return Ok(false),
            opened => opened.map_err(|e| refused(&Fault::of_open(&e)))?,
        };
        match loaded::load(gate.db.conn(), &gate.device) {
            Ok(loaded) => Ok(loaded.is_some_and(|l| !l.header.stewards.is_empty())),
            Err(LoadError::Sql(error)) => Err(super::of_sql(&error)),
            // Rotten: it admits nobody and checks no PIN.
            Err(_) => Ok(false),
        }
    }

    /// Outside of the lock: checking a PIN takes long on purpose.
    fn identify(&self, device: DeviceId, staff: StewardId, pin: &str) -> Result<Unlocked, CommandError> {
        let gate = self.gate(device)?;
        let loaded = loaded::load(gate.db.conn(), &gate.device).map_err(|e| refused(&Fault::of_load(&e)))?;
        let loaded = loaded.ok_or_else(|| refused(&Fault::NoManifest))?;
        let steward = loaded.header.stewards.iter().find(|s| s.id == staff);
        let steward = steward.ok_or_else(|| not_identified(&PinError::Unknown(staff.to_string())))?;
        let identified = steward::identify(&gate, steward, pin).map_err(|e| not_identified(&e))?;
        let now = gate.now().map_err(|e| super::of_sql(&e))?;
        Ok(Unlocked {
            staff,
            device,
            label: steward.label.clone(),
            supervisor: identified.supervisor,
            deadline_ns: self.deadline_ns(&self.state()),
            since: (now.best, now.monotonic_ns),
        })
    }
}

fn not_identified(error: &PinError) -> CommandError {
    let plain = |code| CommandError::new(code, chain(error));
    match error {
        PinError::Wrong { left } => {
            CommandError { count: Some(u64::from(*left)), ..plain(ErrorCode::WrongPin) }
        }
        PinError::Locked { secs } => {
            CommandError { secs: Some(u64::try_from(*secs).unwrap_or(0)), ..plain(ErrorCode::PinLocked) }
        }
        PinError::BadHash => plain(ErrorCode::PinUnusable),
        PinError::Sql(_) => plain(ErrorCode::CannotRecord),
        PinError::NotSupervisor(_) => plain(ErrorCode::NotSupervisor),
        PinError::Unknown(_) => plain(ErrorCode::Internal),
    }
}
