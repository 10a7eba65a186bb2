//! Runs of our own log: closed with our signature on the way out, and what the server's answers mean here.

use super::plan::{LogState, Offer, Span, Told, retry_at};
use crate::db::Db;
use crate::db::table::device::{self, Device};
use crate::db::table::upload::Refused;
use crate::db::table::{log_entry, upload};
use crate::gate_time::GateTime;
use crate::own_log;
use rusqlite::Connection;
use shared::bytes::Nonce16;
use shared::log::entry::EntryPlace;
use shared::log::sign_run;
use shared::wire::gates::{MAX_RUN_BYTES, MAX_RUN_ENTRIES, Run, UploadAnswer};

/// Our logs with what the server has of them.
///
/// # Errors
/// SQLite's.
pub fn logs(db: &Connection, me: &Device) -> rusqlite::Result<Vec<LogState>> {
    log_entry::logs(db, me.author)?
        .into_iter()
        .map(|(log_no, last)| {
            let acknowledged = upload::acknowledged(db, me.no, log_no)?;
            Ok(LogState { log_no, last, acknowledged })
        })
        .collect()
}

/// Entries that the server has not acknowledged, over all logs.
///
/// # Errors
/// SQLite's.
pub fn unsent(db: &Connection, me: &Device) -> rusqlite::Result<u64> {
    let mut sum = 0;
    for log in logs(db, me)? {
        sum += log_entry::count_after(db, me.author, log.log_no, log.acknowledged)?;
    }
    Ok(sum)
}

/// A signed run and the numbers in it: those of the offer, as far as they fit and follow each other. `None` if
/// the first is not there (a tail that could not be proven).
///
/// # Errors
/// SQLite's.
pub fn run(db: &Connection, me: &Device, offer: &Offer) -> rusqlite::Result<Option<(Run, Span)>> {
    let (from, to) = offer.span;
    let rows = log_entry::range(db, me.author, offer.log_no, from, to, MAX_RUN_ENTRIES)?;
    let mut entries = Vec::with_capacity(rows.len());
    let (mut bytes_left, mut next, mut last_hash) = (MAX_RUN_BYTES, from, None);
    for (seq, hash, bytes) in rows {
        if seq != next || bytes.len() > bytes_left {
            break;
        }
        bytes_left -= bytes.len();
        next += 1;
        last_hash = Some(hash);
        entries.push(bytes.into());
    }
    let Some(hash) = last_hash else { return Ok(None) };
    let last = EntryPlace { device: me.device, log_no: offer.log_no, seq: next - 1 };
    let signature = sign_run(&me.seed.signing_key(), last, &hash);
    let run = Run { device: me.device, log_no: offer.log_no, entries, signature };
    Ok(Some((run, (from, next - 1))))
}

/// The server took a run. Opens the next log if the answer proves that this one has two histories: then a copy of
/// this folder has written on, or an older copy was put back.
///
/// # Errors
/// SQLite's; then nothing is noted and the run is offered again.
pub fn note_taken(
    db: &Db,
    me: &Device,
    span: Span,
    answer: &UploadAnswer,
    time: &GateTime,
    nonce: Nonce16,
) -> rusqlite::Result<Option<own_log::Appended>> {
    let tx = db.begin()?;
    let last = log_entry::head(&tx, me.author, answer.log_no)?.seq;
    upload::acknowledge(&tx, me.no, answer.log_no, answer.acknowledged.min(last))?;
    settle_refused(&tx, me, answer.log_no, span, None)?;
    let (_, current) = device::state_and_log(&tx, me.no)?;
    let mut forked = None;
    // A log that holds its fork entry only is as new as can be: a server that says "forked" to everything must not
    // make us open one after the other.
    let worth_it = current == 1 || last > 1;
    if answer.log_no == current && worth_it && (answer.forked || answer.acknowledged > last) {
        let why = if answer.forked {
            format!("log {current}: the server holds other entries at its places")
        } else {
            format!("log {current}: the server holds entries up to {}, here are {last}", answer.acknowledged)
        };
        forked = Some(own_log::open_next_log(&tx, me, current, why, time, nonce)?);
    }
    tx.commit()?;
    Ok(forked)
}

/// The server refused a run for what it holds. Nothing is lost: it is offered again later, in smaller pieces.
///
/// # Errors
/// SQLite's.
pub fn note_refused(
    db: &Db,
    me: &Device,
    log_no: u32,
    span: Span,
    problem: &str,
    time: &GateTime,
) -> rusqlite::Result<()> {
    let tx = db.begin()?;
    settle_refused(&tx, me, log_no, span, Some((problem, time)))?;
    tx.commit()
}

/// Takes `span` out of the refused run that it is the beginning of; what is left of that may be tried at once.
fn settle_refused(
    tx: &Connection,
    me: &Device,
    log_no: u32,
    (from, to): Span,
    again: Option<(&str, &GateTime)>,
) -> rusqlite::Result<()> {
    let known = upload::refused(tx, me.no)?;
    let before = known.iter().find(|r| r.log_no == log_no && (r.from..=r.to).contains(&from));
    if let Some(r) = before {
        upload::delete_refused(tx, me.no, log_no, r.from)?;
        if to < r.to {
            upload::put_refused(tx, me.no, &Refused { from: to + 1, ..r.clone() }, "rest of a refused run")?;
        }
    }
    if let Some((problem, time)) = again {
        let tries = before.map_or(0, |r| r.tries) + 1;
        let run = Refused { log_no, from, to, tries, retry_at: retry_at(time.best, tries) };
        upload::put_refused(tx, me.no, &run, problem)?;
    }
    Ok(())
}

/// What the plan needs of an answer.
#[must_use]
pub fn told(answer: &UploadAnswer) -> Told {
    Told {
        acknowledged: answer.acknowledged,
        holes: answer.holes.iter().filter(|h| h.from <= h.to).map(|h| (h.from, h.to)).collect(),
    }
}
