//! A made-up venue: one organizer, one event, one gate with a data folder of its own and a clock that stands still.
#![allow(
    dead_code,
    missing_debug_implementations,
    reason = "each test file uses its part; nobody prints a venue"
)]

use gate_core::answer::Answer;
use gate_core::bench::synthetic::{InstallError, Organizer, Rows};
use gate_core::clock::{Clock as _, TestClock};
use gate_core::db::Db;
use gate_core::db::table::device::Device;
use gate_core::db::table::log_entry::{self, Stored};
use gate_core::gate::{Gate, World};
use gate_core::scan::{Scanner, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use shared::bytes::Nonce16;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketRow;
use shared::time::UnixMillis;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod server;

/// 2027-01-15T08:00:00Z.
pub const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

pub struct Venue {
    /// When it was made.
    pub now: UnixMillis,
    pub dir: tempfile::TempDir,
    pub organizer: Organizer,
    pub clock: TestClock,
    pub rng: StdRng,
    pub device: Device,
    /// Sorted by id.
    pub rows: Vec<TicketRow>,
    pub version: ManifestVersion,
}

/// The organizer that every venue begins with.
pub fn organizer() -> Organizer {
    Organizer::new(NOW, &mut StdRng::seed_from_u64(7))
}

impl Venue {
    /// Ten valid tickets, the manifest installed.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// As [`Venue::new`] after the organizer was changed.
    pub fn with(change: impl FnOnce(&mut Organizer)) -> Self {
        let mut venue = Self::empty(change);
        venue.publish().unwrap();
        venue
    }

    /// Enrolled, without a manifest.
    pub fn empty(change: impl FnOnce(&mut Organizer)) -> Self {
        Self::at(NOW, change)
    }

    /// As [`Venue::empty`], at another time.
    pub fn at(now: UnixMillis, change: impl FnOnce(&mut Organizer)) -> Self {
        let mut rng = StdRng::seed_from_u64(8);
        let mut organizer = Organizer::new(now, &mut StdRng::seed_from_u64(7));
        change(&mut organizer);
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let device = organizer.enroll(&db, 1, &mut rng).unwrap();
        let mut rows: Vec<TicketRow> = (0..10).map(|_| organizer.row(&mut rng)).collect();
        rows.sort_unstable_by_key(|r| r.ticket_id);
        let version = ManifestVersion { epoch: 1, change_seq: 0, as_of: now.secs().minus_secs(120) };
        let clock = TestClock::at(now);
        Self { now, dir, organizer, clock, rng, device, rows, version }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn world(&mut self) -> World {
        World { clock: Arc::new(self.clock.clone()), rng: StdRng::from_rng(&mut self.rng) }
    }

    /// The next manifest with the venue's rows, through all checks.
    pub fn publish(&mut self) -> Result<(), InstallError> {
        self.version.change_seq += 1;
        let echo = Nonce16([3; 16]);
        let answer = self.organizer.answer(self.version, &self.rows, Rows::Full, echo, self.now);
        let db = Db::open(self.dir.path()).unwrap();
        self.organizer.install(&db, &self.device, &answer, echo, &mut |_| Ok(()))
    }

    pub fn gate(&mut self) -> Gate {
        let dir = self.dir.path().to_owned();
        self.gate_at(&dir)
    }

    pub fn gate_at(&mut self, dir: &Path) -> Gate {
        let world = self.world();
        Gate::open_healed(dir, None, world).unwrap().0
    }

    pub fn scanner(&mut self) -> Scanner {
        self.scanner_with(Settings::default())
    }

    pub fn scanner_with(&mut self, settings: Settings) -> Scanner {
        Scanner::new(self.gate(), settings).unwrap()
    }

    /// The code of the ticket with that index, sold long before the manifest.
    pub fn code(&self, index: usize) -> String {
        self.code_of(&self.rows[index])
    }

    pub fn code_of(&self, row: &TicketRow) -> String {
        self.organizer.code(row, self.now.secs().minus_secs(3600))
    }

    /// What the gate's wall clock shows.
    pub fn clock_now(&self) -> UnixMillis {
        self.clock.wall()
    }

    /// This device's log, oldest first.
    pub fn log(&self) -> Vec<Stored> {
        log_at(self.dir.path(), &self.device)
    }
}

pub fn log_at(dir: &Path, device: &Device) -> Vec<Stored> {
    let db = Db::open(dir).unwrap();
    let mut all = log_entry::newest(db.conn(), device.author, 1_000_000).unwrap();
    all.reverse();
    all
}

/// Scans and says that the answer was shown.
pub fn scan(scanner: &mut Scanner, code: &str) -> Answer {
    let given = scanner.scan(code, None);
    scanner.shown(&given);
    given.answer
}

/// What a power cut or kill −9 at this moment leaves behind: the folder's files as they are.
pub fn snapshot(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in files(dir) {
        // The index of the write-ahead log is shared memory; it does not survive.
        if !name.to_string_lossy().ends_with("-shm") {
            std::fs::copy(dir.join(&name), copy.path().join(&name)).unwrap();
        }
    }
    copy
}

/// Names of the folder's files in which these letters stand somewhere.
pub fn files_with(dir: &Path, text: &str) -> Vec<String> {
    files_with_bytes(dir, text.as_bytes())
}

pub fn files_with_bytes(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let holds = |name: &PathBuf| {
        std::fs::read(dir.join(name)).unwrap().windows(bytes.len()).any(|window| window == bytes)
    };
    files(dir).into_iter().filter(holds).map(|name| name.display().to_string()).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.file_type().unwrap().is_file())
        .map(|e| e.file_name().into())
        .collect()
}

/// Numbers are gapless and every entry names the one before it.
pub fn assert_chained(log: &[Stored]) {
    let mut before = (1, 0, shared::log::run::NO_ENTRY);
    for stored in log {
        let place = stored.entry.place;
        if place.log_no != before.0 {
            before = (before.0 + 1, 0, shared::log::run::NO_ENTRY);
        }
        assert_eq!((place.log_no, place.seq), (before.0, before.1 + 1));
        assert!(stored.entry.follows(&before.2));
        stored.entry.check().unwrap();
        before = (place.log_no, place.seq, stored.hash);
    }
}
