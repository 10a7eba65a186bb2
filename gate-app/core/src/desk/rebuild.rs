//! Opening the database only if it is sound. Everything that can still be read of a damaged one and proves itself goes
//! into a new one, which takes its place once it is whole; the damaged one is kept beside it, never deleted. Saved are:
//! enrolments with their keys, trust, settings, the manifest if its rows still add up to what was signed, and entries
//! whose bytes have their hash. Own entries that are missing come from the black box, where [`crate::heal`] looks at
//! each opening; others' are downloaded again.

use super::contract::Trouble;
use crate::blackbox;
use crate::db::table::{bucket, device, manifest, setting};
use crate::db::{Db, FILE, Folder};
use crate::fault::Fault;
use crate::loaded;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use shared::ids::DeviceId;
use shared::log::entry_hash;
use shared::manifest::buckets::{bucket_hash, buckets_hash, empty_hashes};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Written at each opening, so that a disk without room is found before the first guest.
const PROBE: &str = "probe";

/// Whether a damaged database may be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mend {
    Never,
    /// If no enrolment is lost by it: a disk that reads badly now may read well a minute later.
    IfWhole,
    Always,
}

/// How to open a database.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    pub mend: Mend,
    /// Something of it could not be read before, so that all of it is looked at.
    pub suspect: bool,
    /// Enrolments that it must hold, beside those that have a black box.
    pub known: &'a [DeviceId],
}

/// A sound database.
pub(super) struct Opened {
    pub db: Db,
    mended: Option<Mended>,
}

/// What became of a damaged database.
struct Mended {
    kept_as: PathBuf,
    made: Made,
    /// Entries that the black boxes hold.
    black_box: u64,
}

/// The new database's enrolments.
struct Made {
    saved: Vec<DeviceId>,
    /// Those that were known and are not in it.
    gone: Vec<DeviceId>,
}

impl Made {
    fn is_loss(&self) -> bool {
        self.saved.is_empty() || !self.gone.is_empty()
    }
}

impl Opened {
    /// True if it was made anew.
    pub const fn is_mended(&self) -> bool {
        self.mended.is_some()
    }

    /// Enrolments whose logs may lack entries that the black box has: all, if the database is a new one.
    pub fn devices_to_heal(&self) -> &[DeviceId] {
        self.mended.as_ref().map_or(&[], |m| &m.made.saved)
    }

    /// False if the enrolment was lost with a damaged database.
    pub fn may_hold(&self, device: DeviceId) -> bool {
        self.mended.as_ref().is_none_or(|m| m.made.saved.contains(&device))
    }

    /// What people must hear of it.
    pub fn trouble(&self) -> Option<Trouble> {
        let mended = self.mended.as_ref()?;
        let (kept_as, black_box) = (mended.kept_as.display().to_string(), mended.black_box);
        Some(if mended.made.is_loss() {
            Trouble::DatabaseLost { kept_as, black_box }
        } else {
            Trouble::DatabaseRepaired { kept_as, black_box }
        })
    }
}

/// Opens the folder's database, made anew if it is damaged, and writes to it once.
pub(super) fn open_sound(dir: &Path, how: How<'_>) -> Result<Opened, Fault> {
    match open_checked(dir, how.suspect) {
        Ok(db) => Ok(Opened { db, mended: None }),
        Err(Fault::Damaged(why)) if how.mend != Mend::Never => {
            let mended = rebuild(dir, how, &why)?;
            tracing::error!(why, kept = %mended.kept_as.display(), "the damaged database was put aside");
            let db = Db::open(dir).map_err(|e| Fault::of_db(&e))?;
            Ok(Opened { db, mended: Some(mended) })
        }
        Err(fault) => Err(fault),
    }
}

/// Entries in all black boxes of a folder.
pub(super) fn boxed(dir: &Path) -> u64 {
    let mut count = 0;
    for (_, path) in blackbox::all(dir) {
        // What cannot be read is not counted.
        let _ = blackbox::read(&path, |_, _| count += 1);
    }
    count
}

fn open_checked(dir: &Path, suspect: bool) -> Result<Db, Fault> {
    let db = Db::open(dir).map_err(|e| Fault::of_db(&e))?;
    // The quick one does not compare indexes with their tables.
    let check = if suspect { "pragma integrity_check(1)" } else { "pragma quick_check(1)" };
    let verdict: String = db.conn().query_row(check, [], |r| r.get(0)).map_err(|e| Fault::of_sql(&e))?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    write_once(&db)?;
    Ok(db)
}

/// Opens the folder's database and writes to it, without looking whether all of it is sound.
pub(super) fn probe(dir: &Path) -> Result<(), Fault> {
    write_once(&Db::open(dir).map_err(|e| Fault::of_db(&e))?)
}

fn write_once(db: &Db) -> Result<(), Fault> {
    let written = db.begin().and_then(|tx| {
        setting::put(&tx, PROBE, "1")?;
        setting::delete(&tx, PROBE)?;
        tx.commit()
    });
    written.map_err(|e| Fault::of_sql(&e))
}

/// How long another process may take with what it writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the new database is made.
const REBUILDING: &str = "gate.sqlite.rebuilding";

/// Makes a new database of what can be saved and puts it in the damaged one's place. Until the very last step the damaged
/// one stays where it is, so that a crash or a full disk costs nothing but the attempt. Until then, too, no other process
/// writes to it: [`Db::assert_in_place`] tells them afterwards.
fn rebuild(dir: &Path, how: How<'_>, why: &str) -> Result<Mended, Fault> {
    let (file, new) = (dir.join(FILE), dir.join(REBUILDING));
    let of_io = |e: std::io::Error| Fault::of_io(&e);
    match std::fs::remove_dir_all(&new) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(of_io(e)),
        _ => std::fs::create_dir(&new).map_err(of_io)?,
    }
    let lock = lock(&file).map_err(|e| Fault::of_sql(&e))?;
    let made = make_new(dir, &new, how, why);
    if made.is_err() {
        // It holds keys and names.
        let _ = std::fs::remove_dir_all(&new);
    }
    let made = made?;
    std::fs::File::open(new.join(FILE)).and_then(|f| f.sync_all()).map_err(of_io)?;
    let kept = keep_beside(dir).map_err(of_io)?;
    let alone = Folder::alone(dir);
    // The old log of changes would be played into the new file, so it goes first. A crash between the two leaves a
    // database without its latest changes, to be rebuilt; entries among them are in the black box.
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(&file, suffix)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(of_io(e)),
            _ => {}
        }
    }
    std::fs::rename(new.join(FILE), &file).map_err(of_io)?;
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(of_io)?;
    if let Err(error) = std::fs::remove_dir_all(&new) {
        tracing::warn!(%error, "what rebuilding left stays until the next time");
    }
    drop((alone, lock));
    // Not before the swap: until then such a key may still be read by the next try.
    for device in &made.gone {
        if let Err(error) = blackbox::mark_lost(dir, *device) {
            tracing::warn!(%error, %device, "the loss of a key could not be noted");
        }
    }
    Ok(Mended { kept_as: kept, made, black_box: boxed(dir) })
}

/// Keeps other processes from writing to a database. Nothing is read by this connection: an error while reading would end
/// its transaction.
fn lock(file: &Path) -> rusqlite::Result<Option<Connection>> {
    let locked = open_old(file).and_then(|lock| lock.execute_batch("begin immediate").map(|()| lock));
    match locked {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if matches!(Fault::of_sql(&error), Fault::Busy(_)) => Err(error),
        Err(error) => {
            // Most of them could not write to such a file either. What one of them does all the same is in its black box.
            tracing::warn!(%error, "the damaged database could not be locked");
            Ok(None)
        }
    }
}

/// The damaged database, which stays as it was found, with its write-ahead log beside it.
fn open_old(file: &Path) -> rusqlite::Result<Connection> {
    let old = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    old.busy_timeout(PATIENCE)?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(old)
}

/// Makes the new database beside the old one.
fn make_new(dir: &Path, new: &Path, how: How<'_>, why: &str) -> Result<Made, Fault> {
    let sql = |e: rusqlite::Error| Fault::of_sql(&e);
    let db = Db::open(new).map_err(|e| Fault::of_db(&e))?;
    match open_old(&dir.join(FILE)) {
        Ok(old) => salvage(&old, &db).map_err(sql)?,
        Err(error) => tracing::error!(%error, "nothing could be saved of the damaged database"),
    }
    let saved: Vec<DeviceId> = device::all(db.conn()).map_err(sql)?.iter().map(|d| d.device).collect();
    let boxed = blackbox::all(dir).into_iter().map(|(device, _)| device);
    let mut gone: Vec<DeviceId> = boxed
        .chain(how.known.iter().copied())
        .filter(|d| !saved.contains(d) && !blackbox::is_lost(dir, *d))
        .collect();
    gone.sort_unstable();
    gone.dedup();
    let made = Made { saved, gone };
    if how.mend != Mend::Always && made.is_loss() {
        return Err(Fault::Damaged(why.to_owned()));
    }
    drop_unsigned(&db).map_err(sql)?;
    // One file is moved: nothing may be left in its write-ahead log.
    let busy: i64 =
        db.conn().query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0)).map_err(sql)?;
    if busy != 0 {
        return Err(Fault::Disk("the new database could not be closed".to_owned()));
    }
    Ok(made)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Gives the damaged file and its write-ahead log a second name, or copies them where a file has but one; that name.
fn keep_beside(dir: &Path) -> std::io::Result<PathBuf> {
    let name = |n: u32| dir.join(format!("{FILE}.damaged-{n}"));
    let free = (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0));
    let file = dir.join(FILE);
    // The log first: the name that is looked for above is given last, when all is there.
    for suffix in ["-wal", ""] {
        let (from, to) = (beside(&file, suffix), beside(&free, suffix));
        if !from.exists() {
            continue;
        }
        if to.exists() {
            std::fs::remove_file(&to)?;
        }
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to)?;
            std::fs::File::open(&to)?.sync_all()?;
        }
    }
    std::fs::File::open(dir)?.sync_all()?;
    Ok(free)
}

/// Parents before children, because the new database checks what refers to what. Cursors are left out: with them other
/// devices' entries that are lost here, and guests' records, would never be asked for again.
const TABLES: [(&str, &str); 16] = [
    ("cert", "no, event, device, number, public_key, certificate, label"),
    (
        "device",
        "no, state, origin, invitation, seed, public_key, device_nonce, enrolment, server_nonce, trust_root_hash,
         organizer, event, device, author, log_no, created_at",
    ),
    ("trust_root", "device_no, version, document, succession"),
    ("setting", "name, value"),
    ("own_note", "device_no, local_name, left_at"),
    ("steward_attempt", "device_no, steward, wrong, last_at"),
    ("anchor", "device_no, boot_id, server_time, monotonic_ns, uncertainty_ms, floor"),
    ("upload", "device_no, log_no, acknowledged"),
    (
        "manifest",
        "device_no, generation, root_version, epoch, change_seq, as_of, header, key_list, server_time",
    ),
    ("bucket", "id, rows"),
    ("bucket_hash", "device_no, no, hash"),
    ("guest_sealed", "device_no, ticket, generation, sealed"),
    ("guest_name", "device_no, ticket, type_no, booking, name, note, folded"),
    ("run_signature", "author, log_no, last_seq, last_hash, signature"),
    (ENTRIES, ENTRY_COLUMNS),
    // The log's rows once more from their other end: damage in the middle hides neither half.
    (ENTRIES, ENTRY_COLUMNS),
];
const ENTRIES: &str = "log_entry";
const ENTRY_COLUMNS: &str =
    "hash, bytes, author, log_no, seq, twin, kind, list, ticket, nonce, target_device,
     target_log_no, target_seq, late, corrected, session, shown";

fn salvage(old: &Connection, into: &Db) -> rusqlite::Result<()> {
    let tx = into.begin()?;
    for (i, (table, columns)) in TABLES.iter().enumerate() {
        let order = if i + 1 == TABLES.len() { " order by id desc" } else { "" };
        let saved = copy(old, &tx, table, columns, order)?;
        tracing::info!(table, saved, "rows saved of the damaged database");
    }
    tx.commit()
}

/// Copies the rows of a table up to the first that cannot be read. Only an error of the new database is one.
fn copy(
    old: &Connection,
    new: &Connection,
    table: &str,
    columns: &str,
    order: &str,
) -> rusqlite::Result<u64> {
    let Ok(mut reading) = old.prepare(&format!("select {columns} from {table}{order}")) else { return Ok(0) };
    let count = reading.column_count();
    let marks = vec!["?"; count].join(", ");
    let mut writing = new.prepare(&format!("insert or ignore into {table} ({columns}) values ({marks})"))?;
    let Ok(mut rows) = reading.query([]) else { return Ok(0) };
    let mut saved = 0;
    while let Ok(Some(row)) = rows.next() {
        if table == ENTRIES && !proves_itself(row) {
            continue;
        }
        let Ok(values) = (0..count).map(|i| row.get::<_, Value>(i)).collect::<rusqlite::Result<Vec<_>>>()
        else {
            continue;
        };
        match writing.execute(params_from_iter(values)) {
            Ok(n) => saved += n as u64,
            // A rotten value: the tables' own checks keep it out.
            Err(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(saved)
}

fn proves_itself(row: &Row<'_>) -> bool {
    let hash = row.get::<_, [u8; 32]>(0);
    let bytes = row.get_ref(1).map(|b| b.as_blob().map(entry_hash));
    matches!((hash, bytes), (Ok(hash), Ok(Ok(of_bytes))) if of_bytes.0 == hash)
}

/// Forgets manifests whose header does not verify or whose rows do not add up to it: they are fetched again.
fn drop_unsigned(db: &Db) -> rusqlite::Result<()> {
    for me in device::all(db.conn())? {
        let Some(loaded) = loaded::load(db.conn(), &me).ok().flatten() else {
            forget_manifest(db, me.no)?;
            continue;
        };
        let mut hashes = empty_hashes();
        for no in 0..4096u16 {
            let hash = bucket::with_rows(db.conn(), me.no, no, |rows| bucket_hash(no, rows))?;
            if let Some(slot) = hashes.get_mut(usize::from(no)) {
                *slot = hash;
            }
        }
        let mut stored = empty_hashes();
        bucket::read_hashes(db.conn(), me.no, &mut stored[..])?;
        if buckets_hash(&hashes) != loaded.header.buckets_hash || stored != hashes {
            forget_manifest(db, me.no)?;
        }
    }
    Ok(())
}

fn forget_manifest(db: &Db, no: device::DeviceNo) -> rusqlite::Result<()> {
    let tx = db.begin()?;
    bucket::delete_all(&tx, no)?;
    manifest::delete(&tx, no)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What is not taken over, and why that loses nothing.
    const LEFT: [(&str, &str); 7] = [
        // Downloaded again from the beginning, so that others' entries which are lost here come back.
        ("cursor", ""),
        // So are guest records: those that were saved serve until then.
        ("guest_cursor", ""),
        ("guest_sealed", "walk"),
        ("guest_name", "walk"),
        ("cert", "seen_log_no, seen_seq, told_log_no, told_seq"),
        // Offered again at once, and refused again if need be.
        ("refused_run", ""),
        // Given anew, in the same order.
        ("log_entry", "id"),
    ];

    fn names(columns: &str) -> BTreeSet<String> {
        columns.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect()
    }

    #[test]
    fn every_column_of_every_table_is_saved_or_left_on_purpose() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let list = |sql: &str, of: &[&str]| -> BTreeSet<String> {
            let mut statement = db.conn().prepare(sql).unwrap();
            let rows = statement.query_map(params_from_iter(of), |r| r.get(0)).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        };
        let tables =
            list("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'", &[]);
        let named: BTreeSet<String> =
            TABLES.iter().chain(&LEFT).map(|(table, _)| (*table).to_owned()).collect();
        assert_eq!(named, tables, "tables");
        for table in &tables {
            let of = |all: &[(&str, &str)]| -> BTreeSet<String> {
                all.iter().filter(|(name, _)| name == table).flat_map(|(_, columns)| names(columns)).collect()
            };
            let (saved, left) = (of(&TABLES), of(&LEFT));
            if saved.is_empty() {
                assert!(left.is_empty(), "{table} is left as a whole");
                continue;
            }
            assert!(saved.is_disjoint(&left), "{table}");
            let columns = list("select name from pragma_table_info(?1)", &[table]);
            assert_eq!(saved.union(&left).cloned().collect::<BTreeSet<_>>(), columns, "columns of {table}");
        }
    }
}
