//! `gate scan`: a line in, a durable answer out, in order.

use super::{identify, load, print_json};
use crate::world;
use anyhow::{Result, bail};
use clap::Args;
use gate_core::answer::Answer;
use gate_core::gate::{Gate, OpenError};
use gate_core::gate_time::GateTime;
use gate_core::scan::{Scanner, Settings};
use shared::ids::ListId;
use shared::log::entry::Direction;
use shared::ticket::code::text_hash;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// After so long without a code, what was shown is saved.
const IDLE: Duration = Duration::from_millis(250);
/// A longer line is cut; no code is as long.
const MAX_LINE: u64 = 16 * 1024;

#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Codes; without any they are read from standard input, one a line.
    codes: Vec<String>,
    /// The event's id, where the folder holds several.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// The gate's id or name; not needed where the event has one.
    #[arg(long, value_name = "GATE")]
    gate: Option<String>,
    /// The check-in list's id or name; the attendance list without.
    #[arg(long, value_name = "LIST")]
    list: Option<String>,
    /// People go out.
    #[arg(long)]
    exit: bool,
    /// A supervisor (--staff) admits against the verdict, for this reason.
    #[arg(long = "override", value_name = "REASON", requires = "staff")]
    override_reason: Option<String>,
    /// The steward's id; the PIN is taken from HVFLVSPOT_PIN.
    #[arg(long, value_name = "ID")]
    staff: Option<String>,
    /// Scan for real without counting.
    #[arg(long)]
    rehearsal: bool,
}

pub fn run(data: &Path, args: &ScanArgs) -> Result<u8> {
    // What was asked must make sense before the first line is taken; a machine that fails may recover later.
    let mut door = match open(data, args) {
        Ok(scanner) => Door::Open(Box::new(scanner)),
        Err(error) => Door::Stuck(stuck(error)?),
    };
    if !args.codes.is_empty() {
        for code in &args.codes {
            answer(&mut door, data, args, code)?;
        }
        return Ok(0);
    }
    let lines = read_lines()?;
    loop {
        match lines.recv_timeout(IDLE) {
            Ok(line) => answer(&mut door, data, args, &line?)?,
            Err(RecvTimeoutError::Timeout) => {
                if let Door::Open(scanner) = &mut door {
                    scanner.settle();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(0),
        }
    }
}

/// A scanner, or why there is none yet.
enum Door {
    Open(Box<Scanner>),
    Stuck(String),
}

/// Errors of the machine become answers; others end the command.
fn stuck(error: anyhow::Error) -> Result<String> {
    match error.downcast_ref::<OpenError>() {
        Some(open) if open.is_of_the_machine() => {
            let why = format!("{error:#}");
            tracing::error!(error = why, "scanning cannot begin");
            Ok(why)
        }
        _ => Err(error),
    }
}

fn open(data: &Path, args: &ScanArgs) -> Result<Scanner> {
    let (gate, _) = Gate::open_healed(data, args.event.as_deref(), world()?)?;
    let mut staff = None;
    if let Some(wanted) = &args.staff {
        let loaded = load(&gate)?.ok_or(OpenError::NoManifest)?;
        let who = identify(&gate, &loaded, wanted)?;
        if args.override_reason.is_some() && !who.supervisor {
            bail!("{wanted} is no supervisor and cannot override");
        }
        staff = Some(who.id);
    }
    let settings = Settings {
        list: args.list.clone(),
        gate: args.gate.clone(),
        direction: if args.exit { Direction::Out } else { Direction::In },
        override_reason: args.override_reason.clone(),
        staff,
        rehearsal: args.rehearsal,
    };
    Ok(Scanner::new(gate, settings)?)
}

fn answer(door: &mut Door, data: &Path, args: &ScanArgs, line: &str) -> Result<()> {
    // Scanners that act as keyboards end lines in their own ways.
    let code = line.trim();
    if let Door::Stuck(_) = door {
        *door = match open(data, args) {
            Ok(scanner) => Door::Open(Box::new(scanner)),
            Err(error) => Door::Stuck(stuck(error)?),
        };
    }
    match door {
        Door::Open(scanner) => {
            let given = scanner.scan(code, None);
            print_json(&given.answer)?;
            scanner.shown(&given);
        }
        Door::Stuck(why) => {
            let list = args.list.as_deref().and_then(|l| l.parse().ok());
            let list = list.unwrap_or(ListId::from_bytes([0; 16]));
            let now = GateTime::read(&*world()?.clock, None).best;
            print_json(&Answer::cannot_record(text_hash(code), list, now, why))?;
        }
    }
    Ok(())
}

/// Lines of standard input from a thread of their own, so that waiting for one can end.
fn read_lines() -> Result<Receiver<std::io::Result<String>>> {
    let (sender, receiver) = sync_channel(1024);
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut input = BufReader::new(std::io::stdin().lock());
        loop {
            let line = match read_line(&mut input) {
                Ok(Some(line)) => Ok(line),
                Ok(None) => return,
                Err(error) => Err(error),
            };
            let failed = line.is_err();
            if sender.send(line).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The next line without its end; whatever is beyond the cap is read and dropped.
fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if input.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    } else if bytes.len() as u64 == MAX_LINE {
        input.skip_until(b'\n')?;
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_but_never_joined_or_lost() {
        let long = "x".repeat(40_000);
        let text = format!("a\r\n\n{long}\nb");
        let mut input = BufReader::with_capacity(16, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [2, 0, 16_384, 1]);
        assert_eq!(lines[3], "b");
    }
}
