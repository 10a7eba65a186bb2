//! Taking back one admission or exit. Both records stay; the fold leaves the target out.

use crate::blackbox::{self, BlackBox};
use crate::db::table::{cert, log_entry};
use crate::gate::Gate;
use crate::heal;
use crate::loaded::Loaded;
use crate::own_log::{self, Appended, Draft};
use shared::ids::StewardId;
use shared::log::entry::{EntryKind, EntryPlace};
use std::sync::Arc;

/// Why nothing was undone.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Not recorded.
    #[error("cannot record the undo")]
    Sql(#[from] rusqlite::Error),
    /// No entry there.
    #[error("there is no entry {}:{}", .0.log_no, .0.seq)]
    NoEntry(EntryPlace),
    /// Of another event.
    #[error("that entry belongs to another event")]
    OtherEvent,
    /// Only admissions and exits can be undone.
    #[error("entry {}:{} is no admission and no exit", .0.log_no, .0.seq)]
    NotUndoable(EntryPlace),
    /// Done before.
    #[error("entry {}:{} was undone already", .0.log_no, .0.seq)]
    Already(EntryPlace),
    /// On record means: with a reason.
    #[error("an undo needs a reason")]
    NoReason,
}

/// Takes back the entry at a place; durable when it returns.
///
/// # Errors
/// [`UndoError`]; nothing is recorded then.
pub fn undo(
    gate: &mut Gate,
    loaded: Option<&Loaded>,
    target: EntryPlace,
    reason: &str,
    staff: Option<StewardId>,
) -> Result<Appended, UndoError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(UndoError::NoReason);
    }
    let nonce = heal::nonce(&mut gate.world.rng);
    let tx = gate.db.begin()?;
    let found = log_entry::at(&tx, &target)?.ok_or(UndoError::NoEntry(target))?.entry;
    if cert::find(&tx, target.device)?.is_none_or(|c| c.event != gate.device.event) {
        return Err(UndoError::OtherEvent);
    }
    if !matches!(found.kind, EntryKind::Entry | EntryKind::Exit | EntryKind::Override) {
        return Err(UndoError::NotUndoable(target));
    }
    if log_entry::is_undone(&tx, &target)? {
        return Err(UndoError::Already(target));
    }
    let draft = Draft {
        list: found.list,
        ticket: found.ticket,
        generation: found.generation,
        type_no: found.type_no,
        reason: Some(reason.to_owned()),
        gate: found.gate,
        staff,
        target: Some(target),
        direction: found.direction,
        rehearsal: found.rehearsal,
        manifest: loaded.map(|l| l.header.version),
        ..Draft::plain(EntryKind::Undo, nonce)
    };
    let time = gate.now()?;
    let (_, log_no) = crate::db::table::device::state_and_log(&tx, gate.device.no)?;
    let appended = own_log::append(&tx, &gate.device, log_no, draft, &time, 0, true)?;
    tx.commit()?;
    // Dropping the box waits until it is synced. Without it the next start adds the entry.
    let path = blackbox::path(gate.db.dir(), gate.device.device);
    match BlackBox::start(path, Arc::clone(&gate.world.clock)) {
        Ok(blackbox) => blackbox.add(appended.frame()),
        Err(error) => tracing::warn!(%error, "the black box has no thread"),
    }
    Ok(appended)
}
