//! Measures scans beside their floor in the same run: one strict verification plus one bare durable commit. The
//! two are measured in turns, so that a busy machine slows both.

pub mod synthetic;

use crate::db::{Db, DbError};
use crate::gate::{Gate, World};
use crate::heal::nonce;
use crate::scan::{Scanner, Settings};
use serde::Serialize;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketRow;
use shared::ticket::code::{parse, verifies};
use std::path::Path;
use synthetic::{Organizer, Rows};

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// The made-up manifest.
    #[error(transparent)]
    Install(#[from] synthetic::InstallError),
    /// The scanner.
    #[error(transparent)]
    Open(#[from] crate::gate::OpenError),
    /// The file system.
    #[error("temporary folder")]
    Io(#[from] std::io::Error),
    /// A scan of a valid ticket was refused: there is nothing to measure.
    #[error("a valid ticket was refused: {0}")]
    Refused(String),
}

/// One figure.
#[derive(Debug, Serialize)]
struct Figure<'a> {
    bench: &'a str,
    case: &'a str,
    metric: &'a str,
    value: f64,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

/// Scans `scans` tickets of a manifest of `tickets`, prints p50 and p99 with their floors.
///
/// # Errors
/// [`BenchError`].
pub fn scan(tickets: u32, scans: u32, json: bool, mut world: World) -> Result<(), BenchError> {
    let dir = Folder::new(&mut world)?;
    let now = world.clock.wall();
    let organizer = Organizer::new(now, &mut world.rng);
    let clock = std::sync::Arc::clone(&world.clock);
    let case = format!("{tickets} tickets");

    let mut rows: Vec<TicketRow> = (0..tickets.max(scans)).map(|_| organizer.row(&mut world.rng)).collect();
    rows.sort_unstable_by_key(|r| r.ticket_id);
    let picked = pick(&rows, scans, &mut world);
    let codes: Vec<String> = picked.iter().map(|r| organizer.code(r, now.secs().minus_secs(3600))).collect();

    let db = Db::open(&dir.0)?;
    let me = organizer.enroll(&db, 1, &mut world.rng)?;
    let echo = nonce(&mut world.rng);
    let version = ManifestVersion { epoch: 1, change_seq: 1, as_of: now.secs() };
    let answer = organizer.answer(version, &rows, Rows::Full, echo, now);
    drop(rows);
    let started = clock.boottime_ns();
    organizer.install(&db, &me, &answer, echo, &mut |_| Ok(()))?;
    let apply_ms = (clock.boottime_ns() - started) as f64 / 1e6;
    drop((answer, db));

    let floor_db = floor_database(&dir.0)?;
    let gate = Gate::open(&dir.0, None, world)?;
    let mut scanner = Scanner::new(gate, Settings::default())?;
    let key = organizer.tickets.verifying_key();
    let (mut measured, mut floors) = (Vec::new(), Vec::new());
    for code in &codes {
        let started = clock.boottime_ns();
        let given = scanner.scan(code, None);
        measured.push(clock.boottime_ns() - started);
        if !given.answer.is_ok() {
            return Err(BenchError::Refused(given.answer.explanation));
        }
        scanner.shown(&given);

        let started = clock.boottime_ns();
        let parsed = parse(code).map_err(|_| BenchError::Refused("unreadable".to_owned()))?;
        let genuine = verifies(&parsed, &key, organizer.header.organizer, organizer.header.event);
        bare_commit(&floor_db, genuine)?;
        floors.push(clock.boottime_ns() - started);
    }
    for (metric, at) in [("p50", 0.50), ("p99", 0.99)] {
        let (value, floor) = (quantile_us(&mut measured, at), quantile_us(&mut floors, at));
        let figure = Figure {
            bench: "scan",
            case: &case,
            metric,
            value,
            unit: "us",
            floor: Some(floor),
            ratio: Some(value / floor),
        };
        print(&figure, json);
    }
    print_plain(&case, "manifest applied", apply_ms, "ms", json);
    if let Some(mib) = peak_memory_mib() {
        print_plain(&case, "peak memory, making the manifest included", mib, "MiB", json);
    }
    Ok(())
}

/// Tickets that are scanned: spread over the whole manifest, in random order.
fn pick(rows: &[TicketRow], scans: u32, world: &mut World) -> Vec<TicketRow> {
    use rand::Rng as _;
    let step = (rows.len() / scans.max(1) as usize).max(1);
    let mut picked: Vec<TicketRow> = rows.iter().step_by(step).take(scans as usize).copied().collect();
    for i in (1..picked.len()).rev() {
        let j = usize::try_from(world.rng.next_u64() % (i as u64 + 1)).unwrap_or(0);
        picked.swap(i, j);
    }
    picked
}

/// A database that does nothing but commit one small row durably.
fn floor_database(dir: &Path) -> rusqlite::Result<rusqlite::Connection> {
    let db = rusqlite::Connection::open(dir.join("floor.sqlite"))?;
    db.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full;
         create table floor (id integer primary key, genuine integer) strict;",
    )?;
    Ok(db)
}

fn bare_commit(db: &rusqlite::Connection, genuine: bool) -> rusqlite::Result<()> {
    db.prepare_cached("insert into floor (genuine) values (?1)")?.execute([genuine])?;
    Ok(())
}

fn quantile_us(ns: &mut [u64], at: f64) -> f64 {
    ns.sort_unstable();
    let index = ((ns.len() as f64 * at) as usize).min(ns.len().saturating_sub(1));
    ns.get(index).copied().unwrap_or(0) as f64 / 1000.0
}

fn print(figure: &Figure<'_>, json: bool) {
    if json {
        println!("{}", serde_json::to_string(figure).expect("plain numbers become JSON"));
    } else {
        let beside = match (figure.floor, figure.ratio) {
            (Some(floor), Some(ratio)) => format!("  floor {floor:.0}  ratio {ratio:.2}"),
            _ => String::new(),
        };
        println!(
            "{} · {} · {}: {:.1} {}{beside}",
            figure.bench, figure.case, figure.metric, figure.value, figure.unit
        );
    }
}

fn print_plain(case: &str, metric: &str, value: f64, unit: &str, json: bool) {
    print(&Figure { bench: "scan", case, metric, value, unit, floor: None, ratio: None }, json);
}

fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    kib.trim().parse::<f64>().ok().map(|kib| kib / 1024.0)
}

/// A folder below the system's temporary one, gone at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(world: &mut World) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("hvflvspot-bench-{}", nonce(&mut world.rng)));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
