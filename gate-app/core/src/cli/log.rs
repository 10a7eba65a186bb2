//! `gate log`: this device's entries, oldest first.

use super::{open, print_json};
use anyhow::Result;
use clap::Args;
use gate_core::answer::rfc3339;
use gate_core::db::table::{log_entry, upload};
use serde::Serialize;
use shared::admission::{Flags, Outcome};
use shared::bytes::Hash32;
use shared::ids::{GateId, ListId, StewardId, TicketId};
use shared::log::entry::{Direction, EntryKind, EntryPlace, LogEntry};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only the newest so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The event's id, where the folder holds several.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
}

#[derive(Serialize)]
struct Line<'e> {
    log_no: u32,
    seq: u64,
    hash: Hash32,
    kind: EntryKind,
    outcome: Outcome,
    flags: Flags,
    list: Option<ListId>,
    ticket_id: Option<TicketId>,
    code_sha256: Option<Hash32>,
    direction: Direction,
    gate: Option<GateId>,
    staff: Option<StewardId>,
    reason: Option<&'e str>,
    target: Option<EntryPlace>,
    rehearsal: bool,
    scanned_at: String,
    error_ms: u32,
    acknowledged: bool,
}

pub fn run(data: &Path, args: &LogArgs, json: bool) -> Result<u8> {
    let gate = open(data, args.event.as_deref())?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut entries = log_entry::newest(gate.db.conn(), gate.device.author, limit)?;
    entries.reverse();
    let acknowledged: BTreeMap<u32, u64> = upload::all(gate.db.conn(), gate.device.no)?.into_iter().collect();
    for stored in &entries {
        let place = stored.entry.place;
        let sent = acknowledged.get(&place.log_no).is_some_and(|upto| place.seq <= *upto);
        let line = line(&stored.entry, stored.hash, sent);
        if json {
            print_json(&line)?;
        } else {
            print(&line);
        }
    }
    Ok(0)
}

fn line(e: &LogEntry, hash: Hash32, acknowledged: bool) -> Line<'_> {
    Line {
        log_no: e.place.log_no,
        seq: e.place.seq,
        hash,
        kind: e.kind,
        outcome: e.outcome,
        flags: e.flags,
        list: e.list,
        ticket_id: e.ticket,
        code_sha256: e.text_hash,
        direction: e.direction,
        gate: e.gate,
        staff: e.staff,
        reason: e.reason.as_deref(),
        target: e.target,
        rehearsal: e.rehearsal,
        scanned_at: rfc3339(e.time.corrected),
        error_ms: e.time.error_ms,
        acknowledged,
    }
}

fn print(l: &Line<'_>) {
    let kind = format!("{:?}", l.kind).to_lowercase();
    let ticket = l.ticket_id.map_or_else(|| "-".to_owned(), |t| t.to_string());
    let sent = if l.acknowledged { "sent" } else { "unsent" };
    println!(
        "{}:{}  {}  {kind:8}  {:16}  {ticket}  {sent}  {}",
        l.log_no,
        l.seq,
        l.scanned_at,
        l.outcome.as_str(),
        l.reason.unwrap_or("")
    );
}
