//! `gate undo LOG_NO:SEQ --reason R`.

use super::{identify, load, print_json};
use crate::world;
use anyhow::{Context, Result, bail};
use clap::Args;
use gate_core::answer::rfc3339;
use gate_core::gate::{Gate, OpenError};
use gate_core::undo::undo;
use shared::log::entry::EntryPlace;
use std::path::Path;

#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The entry, as `scan` and `log` show it.
    #[arg(value_name = "LOG_NO:SEQ")]
    place: String,
    /// Why; it stays on record.
    #[arg(long)]
    reason: String,
    /// The supervisor's id; the PIN is taken from HVFLVSPOT_PIN. Needed where the event has supervisors.
    #[arg(long, value_name = "ID")]
    staff: Option<String>,
    /// The event's id, where the folder holds several.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
}

pub fn run(data: &Path, args: &UndoArgs, json: bool) -> Result<u8> {
    let (log_no, seq) = args
        .place
        .split_once(':')
        .and_then(|(log_no, seq)| Some((log_no.parse().ok()?, seq.parse().ok()?)))
        .context("an entry is named LOG_NO:SEQ, such as 1:17")?;
    let (mut gate, _) = Gate::open_healed(data, args.event.as_deref(), world()?)?;
    let loaded = load(&gate)?.ok_or(OpenError::NoManifest)?;
    let supervised = loaded.header.stewards.iter().any(|s| s.supervisor);
    let staff = match &args.staff {
        Some(wanted) => {
            let who = identify(&gate, &loaded, wanted)?;
            if supervised && !who.supervisor {
                bail!("{wanted} is no supervisor and cannot undo");
            }
            Some(who.id)
        }
        None if supervised => bail!("an undo needs a supervisor: --staff ID and the PIN in HVFLVSPOT_PIN"),
        None => None,
    };
    let target = EntryPlace { device: gate.device.device, log_no, seq };
    let done = undo(&mut gate, Some(&loaded), target, &args.reason, staff)?;
    let place = done.entry.place;
    if json {
        print_json(&serde_json::json!({
            "kind": done.entry.kind,
            "log_no": place.log_no,
            "seq": place.seq,
            "target": { "log_no": log_no, "seq": seq },
            "ticket_id": done.entry.ticket,
            "scanned_at": rfc3339(done.entry.time.corrected),
        }))?;
    } else {
        println!("{log_no}:{seq} is undone; recorded as {}:{}", place.log_no, place.seq);
    }
    Ok(0)
}
