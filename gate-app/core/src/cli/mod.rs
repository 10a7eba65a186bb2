//! The command line. Every command prints for people, or with `--json` one object a line for programs; what is
//! wrong goes to standard error and into the exit code: 0 done, 1 not done, 2 misunderstood.

use crate::world;
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use gate_core::gate::Gate;
use gate_core::loaded::{self, Loaded};
use gate_core::steward::{self, Identified};
use std::path::{Path, PathBuf};

mod enroll;
mod log;
mod scan;
mod status;
mod sync;
mod undo;

/// The PIN of the steward named with `--staff`. Never an argument: arguments are seen by every user of the machine.
pub const PIN_ENV: &str = "HVFLVSPOT_PIN";

#[derive(Debug, Parser)]
#[command(
    name = "gate",
    version,
    about = "Decides ticket scans offline and synchronises them later",
    after_help = "Example, from a new machine to the first scan:\n  \
        gate --data ./door enroll 'https://tickets.example/gates/enroll#1.…'\n  \
        gate --data ./door sync\n  \
        gate --data ./door scan < codes.txt\n  \
        gate --data ./door run     (keeps in touch while others scan)\n\n\
        Environment: HVFLVSPOT_PIN (PIN for --staff), HVFLVSPOT_GATE_CONNECT (HOST:PORT to dial instead of the \
        server's address), HVFLVSPOT_LOG (what is logged to standard error, such as info)"
)]
pub struct Cli {
    /// Data folder: database, key and log of this device. Keep it private and keep it.
    #[arg(long, value_name = "DIR", env = "HVFLVSPOT_GATE_DATA", global = true)]
    data: Option<PathBuf>,
    /// One JSON object a line instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Become a device of an event, by link (from the QR) or by typed code.
    #[command(
        after_help = "Examples:\n  gate --data ./door enroll 'https://tickets.example/gates/enroll#1.…'\n  \
        gate --data ./door enroll 4F7K-9M2X --server https://tickets.example"
    )]
    Enroll(enroll::EnrollArgs),
    /// Upload what was scanned, download what is new, once.
    #[command(after_help = "Example:\n  gate --data ./door sync --json")]
    Sync(EventArgs),
    /// Decide codes from the arguments, or from standard input one a line; answers one JSON object a line.
    #[command(
        after_help = "Examples:\n  gate --data ./door scan HV1:…\n  gate --data ./door scan --exit < codes.txt\n  \
        HVFLVSPOT_PIN=… gate --data ./door scan --staff ID --override 'lost her bag' HV1:…"
    )]
    Scan(scan::ScanArgs),
    /// Take back an admission or an exit of this device.
    #[command(
        after_help = "Example:\n  HVFLVSPOT_PIN=… gate --data ./door undo 1:17 --reason 'wrong person' --staff ID"
    )]
    Undo(undo::UndoArgs),
    /// What this gate knows, has, and lacks.
    #[command(after_help = "Example:\n  gate --data ./door status --json")]
    Status(EventArgs),
    /// This device's log, oldest first.
    #[command(after_help = "Example:\n  gate --data ./door log --json")]
    Log(log::LogArgs),
    /// Keep in touch with the server until stopped; `scan` may run beside it.
    #[command(after_help = "Example:\n  gate --data ./door run")]
    Run(EventArgs),
    /// Measure scans against their floor on this machine.
    #[command(hide = true, after_help = "Example:\n  gate bench-scan --tickets 100000 --json")]
    BenchScan(BenchArgs),
}

#[derive(Debug, Args)]
struct EventArgs {
    /// The event's id, where the folder holds several.
    #[arg(long, value_name = "ID")]
    event: Option<String>,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Tickets in the manifest.
    #[arg(long, default_value_t = 100_000)]
    tickets: u32,
    /// Scans that are measured.
    #[arg(long, default_value_t = 2000)]
    scans: u32,
}

impl Cli {
    /// Does what was asked; the exit code.
    ///
    /// # Errors
    /// For people.
    pub fn run(self) -> Result<u8> {
        let json = self.json;
        if let Command::BenchScan(args) = self.command {
            gate_core::bench::scan(args.tickets, args.scans, json, world()?)?;
            return Ok(0);
        }
        let data = self.data.context("name the data folder with --data DIR")?;
        match self.command {
            Command::Enroll(args) => enroll::run(&data, &args, json),
            Command::Sync(args) => sync::once(&data, args.event.as_deref(), json),
            Command::Scan(args) => scan::run(&data, &args),
            Command::Undo(args) => undo::run(&data, &args, json),
            Command::Status(args) => status::run(&data, args.event.as_deref(), json),
            Command::Log(args) => log::run(&data, &args, json),
            Command::Run(args) => sync::stay(&data, args.event.as_deref(), json),
            Command::BenchScan(_) => Ok(0),
        }
    }
}

/// One JSON object as one line, written in one piece.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    use std::io::Write as _;
    let mut line = serde_json::to_vec(value).context("plain data becomes JSON")?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)?;
    out.flush()?;
    Ok(())
}

/// Checks the PIN of `--staff`.
fn identify(gate: &Gate, loaded: &Loaded, staff: &str) -> Result<Identified> {
    let steward = steward::find(&loaded.header, staff)?;
    let pin = std::env::var(PIN_ENV).with_context(|| format!("--staff needs the PIN in {PIN_ENV}"))?;
    Ok(steward::identify(gate, steward, &pin)?)
}

/// The manifest in use, if there is one that can be used.
fn load(gate: &Gate) -> Result<Option<Loaded>> {
    Ok(loaded::load(gate.db.conn(), &gate.device)?)
}

fn open(data: &Path, event: Option<&str>) -> Result<Gate> {
    Ok(Gate::open(data, event, world()?)?)
}
