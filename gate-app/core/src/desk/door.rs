//! The post: which enrolment, list, gate and direction; and the scanner that stands there.

use super::contract::{AppState, CommandError, Post, Trouble};
use super::kept::not_in_kiosk;
use super::state::{Door, State};
use super::{Desk, Network, no_post, refused};
use crate::fault::Fault;
use crate::gate::Gate;
use crate::scan::{Scanner, Settings, Standing};

impl<N: Network> Desk<N> {
    /// Stands somewhere else. Within one enrolment nothing is opened anew; another enrolment ends supervision.
    ///
    /// # Errors
    /// `locked` in kiosk mode, `locked` or `not_supervisor` if a rehearsal begins or ends by it, `revoked`, `cannot_record` without a manifest or a disk, `internal` for a list or gate
    /// that the event does not have. The post stays what it was.
    pub fn set_post(&self, post: Post) -> Result<AppState, CommandError> {
        {
            let mut state = self.state();
            not_in_kiosk(&state)?;
            self.stand_at(&mut state, post)?;
            state.forget_scans();
            self.forget_the_loss(&mut state);
        }
        self.keep_post(Some(&post))?;
        self.hurry_watch();
        Ok(self.app_state())
    }

    fn stand_at(&self, state: &mut State, post: Post) -> Result<(), CommandError> {
        // In a rehearsal nothing counts: nobody may let people in by one.
        if post.rehearsal != state.post.is_some_and(|p| p.rehearsal) {
            self.supervised(state)?;
        }
        let same = state.post.is_some_and(|p| p.device_id == post.device_id);
        if let (true, Door::Open(scanner)) = (same, &mut state.door) {
            scanner.refresh().map_err(|fault| refused(&fault))?;
            scanner.stand(standing(&post)).map_err(|e| refused(&Fault::of_open(&e)))?;
        } else {
            let mut scanner = self.scanner_at(&post).map_err(|fault| {
                self.note_fault(state, &fault);
                refused(&fault)
            })?;
            if !same {
                self.end_supervision(state);
                // Both are of the other enrolment: its entries have the same places, its troubles stay with it.
                state.given.clear();
                state.condition = None;
            }
            scanner.set_staff(state.unlocked.as_ref().map(|u| u.staff));
            state.door = Door::Open(Box::new(scanner));
        }
        state.post = Some(post);
        Ok(())
    }

    fn scanner_at(&self, post: &Post) -> Result<Scanner, Fault> {
        let gate = Gate::open_device(&self.dir, post.device_id, self.world()).and_then(Gate::healed);
        let (gate, _) = gate.map_err(|e| Fault::of_open(&e))?;
        let settings = Settings { list: Some(post.list.to_string()), ..Settings::default() };
        let mut scanner = Scanner::new(gate, settings).map_err(|e| Fault::of_open(&e))?;
        scanner.stand(standing(post)).map_err(|e| Fault::of_open(&e))?;
        Ok(scanner)
    }

    /// Opens the scanner of the post. A post that the event no longer has is given up.
    pub(super) fn open_door(&self, state: &mut State) {
        let Some(post) = state.post else {
            state.door = Door::Closed;
            return;
        };
        // The old one must save what was shown before the new one looks for what was not.
        state.door = Door::Closed;
        match self.scanner_at(&post) {
            Ok(mut scanner) => {
                scanner.set_staff(state.unlocked.as_ref().map(|u| u.staff));
                state.door = Door::Open(Box::new(scanner));
            }
            // Guests choose no post: a kiosk stays one until a steward ends it.
            Err(Fault::Other(why)) if !state.kiosk => {
                tracing::warn!(why, "the chosen post is gone");
                state.post = None;
            }
            Err(fault) => self.get_stuck(state, fault),
        }
    }

    /// What keeps the scanner from its work may pass, and then kiosk mode and supervision go on. A revocation does not.
    pub(super) fn get_stuck(&self, state: &mut State, fault: Fault) {
        self.note_fault(state, &fault);
        if fault == Fault::Revoked {
            self.end_supervision(state);
            if std::mem::take(&mut state.kiosk)
                && let Err(error) = self.keep_kiosk(false)
            {
                // The next start meets the same revocation.
                tracing::warn!(?error, "the end of kiosk mode could not be kept");
            }
        }
        state.door = Door::Stuck(fault);
    }

    /// The scanner, opened again if it was stuck.
    pub(super) fn scanner<'s>(&self, state: &'s mut State) -> Result<&'s mut Scanner, Shut> {
        let damaged = matches!(state.machine, Some(Trouble::DatabaseDamaged { .. }));
        if !damaged && !matches!(state.door, Door::Open(_)) {
            self.open_door(state);
        }
        match &mut state.door {
            Door::Open(scanner) => Ok(scanner),
            Door::Stuck(fault) => Err(Shut::Stuck(fault.clone())),
            Door::Closed => Err(Shut::NoPost),
        }
    }
}

/// Why there is no scanner.
pub(super) enum Shut {
    NoPost,
    Stuck(Fault),
}

impl From<Shut> for CommandError {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::NoPost => no_post(),
            Shut::Stuck(fault) => refused(&fault),
        }
    }
}

const fn standing(post: &Post) -> Standing {
    Standing { list: post.list, gate: post.gate, direction: post.direction, rehearsal: post.rehearsal }
}
