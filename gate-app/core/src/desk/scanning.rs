//! Scans, overrides and undos.

use super::contract::{
    CommandError, ErrorCode, FrameAnswer, GrayFrame, PictureSource, Place, Reason, ScanSource, Verdict,
};
use super::door::Shut;
use super::state::{Refused, State};
use super::troubles::is_of_disk;
use super::{Desk, Network, frames, refused};
use crate::answer::Answer;
use crate::fault::Fault;
use crate::gate_time::{GateTime, UNANCHORED_ERROR_MS};
use crate::loaded;
use crate::scan::Given;
use crate::undo::{self, UndoError};
use shared::bytes::Nonce16;
use shared::log::entry::{EntryKind, EntryPlace};
use shared::ticket::code::text_hash;
use zeroize::Zeroizing;

impl<N: Network> Desk<N> {
    /// Decides and records one scan. The nonce names the attempt: the same one again has the first answer again.
    /// Durable when it answers; what the machine could not record is a verdict too, and never a green one.
    ///
    /// # Errors
    /// `revoked`; `cannot_record` before the first manifest; `internal` without a post.
    pub fn scan_text(&self, text: &str, nonce: Nonce16, source: ScanSource) -> Result<Verdict, CommandError> {
        tracing::debug!(?source, "scan");
        self.scan_in(&mut self.state(), text.trim(), nonce)
    }

    /// Looks for a code in a picture and scans it, unless it is one that still lies before the camera.
    ///
    /// # Errors
    /// As [`Desk::scan_text`]; `internal` for a picture without the bytes that its size promises.
    pub fn scan_frame(&self, frame: &GrayFrame<'_>) -> Result<FrameAnswer, CommandError> {
        let Some(text) = frames::decode(frame)?.map(Zeroizing::new) else { return Ok(FrameAnswer::Nothing) };
        let (text, hash) = (text.trim(), text_hash(text.trim()));
        let now_ms = self.clock.boottime_ns() / 1_000_000;
        let mut state = self.state();
        let camera = frame.source == PictureSource::Camera;
        if camera && state.view.still(hash, frame.nonce, now_ms) {
            return Ok(FrameAnswer::InView);
        }
        let verdict = self.scan_in(&mut state, text, frame.nonce)?;
        if camera {
            state.view.answered(hash, frame.nonce, now_ms);
        }
        Ok(FrameAnswer::Scan { verdict: Box::new(verdict) })
    }

    /// Reads a picture without scanning what is in it: an invitation.
    ///
    /// # Errors
    /// `internal` for a picture without the bytes that its size promises.
    pub fn read_frame(&self, frame: &GrayFrame<'_>) -> Result<Option<String>, CommandError> {
        frames::decode(frame)
    }

    /// The answer was painted: after a crash it need not be given again. Saved with the next commit, or when idle.
    pub fn scan_shown(&self, place: Place) {
        let mut state = self.state();
        let Some(at) = state.given.iter().position(|(p, _)| *p == place) else { return };
        if let (Some((_, given)), super::state::Door::Open(scanner)) =
            (state.given.remove(at), &mut state.door)
        {
            scanner.shown(&given);
        }
    }

    /// A supervisor admits the last refused scan, for a reason that stays on record.
    ///
    /// # Errors
    /// `locked`, `not_supervisor`, `reason_missing`, `nothing_to_override` (another scan came after it), or as
    /// [`Desk::scan_text`].
    pub fn override_scan(&self, place: Place, reason: &str, nonce: Nonce16) -> Result<Verdict, CommandError> {
        let mut state = self.state();
        let staff = self.supervised(&mut state)?;
        let staff =
            staff.ok_or_else(|| CommandError::new(ErrorCode::Locked, "an override needs a supervisor"))?;
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(CommandError::new(ErrorCode::ReasonMissing, "an override needs a reason"));
        }
        if let Some((_, verdict)) = state.overridden.as_ref().filter(|(n, _)| *n == nonce) {
            return Ok(verdict.clone());
        }
        let text = state.refused.as_ref().filter(|r| r.place == place).map(|r| r.text.clone());
        let text = text.ok_or_else(|| {
            CommandError::new(ErrorCode::NothingToOverride, "that is not the last refused scan")
        })?;
        let given = self.scanner(&mut state)?.override_scan(&text, nonce, reason, staff);
        let verdict = self.take(&mut state, &text, given);
        state.overridden = Some((nonce, verdict.clone()));
        Ok(verdict)
    }

    /// A supervisor takes back an admission or exit of this device; where that is recorded.
    ///
    /// # Errors
    /// `locked`, `not_supervisor`, `reason_missing`, `no_entry`, `not_undoable`, `already_undone`, `cannot_record`.
    pub fn undo(&self, place: Place, reason: &str) -> Result<Place, CommandError> {
        let device = self.post_device()?;
        let staff = self.on_record(&mut self.state())?;
        let mut gate = self.gate(device)?;
        let loaded = loaded::load(gate.db.conn(), &gate.device).map_err(|e| refused(&Fault::of_load(&e)))?;
        let target = EntryPlace { device, log_no: place.log_no, seq: place.seq };
        let done = undo::undo(&mut gate, loaded.as_ref(), target, reason, staff).map_err(|e| {
            if let UndoError::Sql(sql) = &e {
                self.note_fault(&mut self.state(), &Fault::of_sql(sql));
            }
            not_undone(&e)
        })?;
        // The same code may come again at once, and then it is another scan.
        self.state().forget_scans();
        self.hurry_watch();
        Ok(Place { log_no: done.entry.place.log_no, seq: done.entry.place.seq })
    }

    fn scan_in(&self, state: &mut State, text: &str, nonce: Nonce16) -> Result<Verdict, CommandError> {
        match self.scanner(state) {
            Ok(scanner) => {
                let given = scanner.scan(text, Some(nonce));
                if given.detail.fault == Some(Fault::Revoked) {
                    self.note_fault(state, &Fault::Revoked);
                    return Err(refused(&Fault::Revoked));
                }
                Ok(self.take(state, text, given))
            }
            Err(Shut::Stuck(fault)) if fault.is_of_the_machine() => {
                self.note_fault(state, &fault);
                Ok(self.unrecorded(state, text, &fault))
            }
            Err(shut) => Err(shut.into()),
        }
    }

    /// What follows from an answer.
    fn take(&self, state: &mut State, text: &str, given: Given) -> Verdict {
        state.scanned_ns = self.clock.boottime_ns();
        let verdict = Verdict::from(&given);
        let place = given.answer.log_no.zip(given.answer.seq).map(|(log_no, seq)| Place { log_no, seq });
        state.overridden = None;
        state.refused = place.filter(|_| given.answer.kind == EntryKind::Refuse).map(|place| Refused {
            place,
            text: Zeroizing::new(text.to_owned()),
            at_ns: state.scanned_ns,
        });
        match &given.detail.fault {
            Some(fault) => self.note_fault(state, fault),
            None => self.recorded(state),
        }
        state.remember(given);
        verdict
    }

    /// A write went through: the disk is well again.
    fn recorded(&self, state: &mut State) {
        if state.machine.as_ref().is_some_and(is_of_disk) {
            state.machine = None;
            self.announce(state);
        }
    }

    /// Red, whatever the code was worth.
    fn unrecorded(&self, state: &State, text: &str, fault: &Fault) -> Verdict {
        let list = state.post.map_or(shared::ids::ListId::from_bytes([0; 16]), |p| p.list);
        let now = GateTime::read(&*self.clock, None).best;
        Verdict {
            answer: Answer::cannot_record(text_hash(text), list, now, &fault.to_string()),
            reason: Reason::CannotRecord,
            ticket_type_name: None,
            attention: None,
            guest: None,
            manifest_age_secs: None,
            uncertainty_ms: UNANCHORED_ERROR_MS,
        }
    }
}

fn not_undone(error: &UndoError) -> CommandError {
    let code = match error {
        UndoError::Sql(_) => ErrorCode::CannotRecord,
        UndoError::NoEntry(_) | UndoError::OtherEvent => ErrorCode::NoEntry,
        UndoError::NotUndoable(_) => ErrorCode::NotUndoable,
        UndoError::Already(_) => ErrorCode::AlreadyUndone,
        UndoError::NoReason => ErrorCode::ReasonMissing,
    };
    CommandError::new(code, error.to_string())
}
