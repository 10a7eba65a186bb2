//! Door staff and their PINs. Five wrong ones in a row lock a steward for five minutes, on this device, whatever
//! happens to the power meanwhile.

use crate::db::table::steward_attempt;
use crate::gate::Gate;
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use shared::ids::StewardId;
use shared::manifest::docs::{ManifestHeader, Steward};
use shared::time::UnixMillis;

/// Wrong PINs in a row that lock.
pub const MAX_WRONG: u32 = 5;
/// For so long.
pub const LOCK_MS: i64 = 5 * 60 * 1000;

/// A steward whose PIN was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Who.
    pub id: StewardId,
    /// May override and undo.
    pub supervisor: bool,
}

/// Why nobody was identified.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The database: without it wrong PINs could not be counted, so none is tried.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// Not on the event's list.
    #[error("the event has no steward {0}")]
    Unknown(String),
    /// Not this PIN.
    #[error("wrong PIN; {left} tries left")]
    Wrong {
        /// Before the steward is locked.
        left: u32,
    },
    /// Too many wrong ones.
    #[error("too many wrong PINs; locked for {secs} s")]
    Locked {
        /// Still.
        secs: i64,
    },
    /// The stored hash is no argon2 hash.
    #[error("the steward's PIN cannot be checked; set a new one")]
    BadHash,
    /// Not a supervisor.
    #[error("{0} is no supervisor")]
    NotSupervisor(String),
}

/// Finds a steward by id or label.
///
/// # Errors
/// [`PinError::Unknown`].
pub fn find<'h>(header: &'h ManifestHeader, wanted: &str) -> Result<&'h Steward, PinError> {
    let id: Option<StewardId> = wanted.parse().ok();
    header
        .stewards
        .iter()
        .find(|s| Some(s.id) == id || s.label == wanted)
        .ok_or_else(|| PinError::Unknown(wanted.to_owned()))
}

/// Checks a PIN. The attempt is counted, durably, before the PIN is looked at.
///
/// # Errors
/// [`PinError`].
pub fn identify(gate: &Gate, steward: &Steward, pin: &str) -> Result<Identified, PinError> {
    let now = gate.now()?.best;
    let no = gate.device.no;
    let tx = gate.db.begin()?;
    let (wrong, last_at) = steward_attempt::get(&tx, no, steward.id)?.unwrap_or((0, UnixMillis(0)));
    // A clock that was set back must not lengthen the lock for ever, nor one set forward end it early by much: the
    // gate's time is anchored, and counts from the last wrong PIN.
    let waited = now.ms_since(last_at);
    let wrong = if wrong >= MAX_WRONG {
        if (0..LOCK_MS).contains(&waited) {
            return Err(PinError::Locked { secs: (LOCK_MS - waited + 999) / 1000 });
        }
        0
    } else {
        wrong
    };
    steward_attempt::put(&tx, no, steward.id, wrong + 1, now)?;
    tx.commit()?;

    let hash = PasswordHash::new(&steward.pin_hash).map_err(|_| PinError::BadHash)?;
    if Argon2::default().verify_password(pin.as_bytes(), &hash).is_err() {
        return Err(PinError::Wrong { left: MAX_WRONG - (wrong + 1) });
    }
    let tx = gate.db.begin()?;
    steward_attempt::delete(&tx, no, steward.id)?;
    tx.commit()?;
    Ok(Identified { id: steward.id, supervisor: steward.supervisor })
}
