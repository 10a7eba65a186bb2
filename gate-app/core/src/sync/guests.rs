//! Guest records, page by page. They decide nothing: what cannot be kept is left out, and holds up nobody.

use super::engine::{CallError, Engine, LONG, Lane, MAX_STEPS};
use super::transport::Transport;
use crate::db::Db;
use crate::db::table::device::{self, Device, DeviceNo, State};
use crate::db::table::guest_cursor::{self, GuestCursor};
use crate::db::table::guest_name::{self, GuestName};
use crate::db::table::{cert, guest_sealed, manifest};
use crate::folded;
use crate::loaded;
use rusqlite::Connection;
use shared::cbor;
use shared::guest::seal::MAX_SEALED_BYTES;
use shared::guest::{MAX_NAME, MAX_TEXT};
use shared::manifest::docs::{Capability, ManifestVersion};
use shared::manifest::online::open_certificate;
use shared::ticket::MAX_GENERATION;
use shared::wire::guests::{GuestPage, GuestRow, MAX_CURSOR_BYTES, MAX_PAGE_BYTES, MAX_REFERENCE};

const PATH: &str = "/gates/guest-records";

impl<T: Transport> Engine<T> {
    /// True if the manifest in use knows of changes that the guest records do not.
    ///
    /// # Errors
    /// SQLite's.
    pub fn guests_due(&self) -> rusqlite::Result<bool> {
        let gate = self.gate();
        due(gate.db.conn(), gate.device.no)
    }

    /// Fetches guest records until they are as new as the manifest. Nothing else waits for it.
    pub async fn guests_lane(&self) -> Lane {
        let mut lane = Lane::default();
        for _ in 0..MAX_STEPS {
            match self.guests_step(&mut lane).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.note_revocation(&error);
                    tracing::warn!(%error, "guest records stay what they were");
                    lane.error = Some(error);
                    break;
                }
            }
        }
        lane
    }

    async fn guests_step(&self, lane: &mut Lane) -> Result<bool, CallError> {
        let (asked, held) = {
            let gate = self.gate();
            let (db, no) = (gate.db.conn(), gate.device.no);
            match manifest::version(db, no)? {
                Some(held) if due(db, no)? => (guest_cursor::get(db, no)?.cursor, held),
                _ => return Ok(false),
            }
        };
        let query = if asked.is_empty() { String::new() } else { format!("cursor={}", hex::encode(&asked)) };
        let body = self.signed("GET", PATH, query, Vec::new(), LONG, MAX_PAGE_BYTES).await?;
        let page: GuestPage = cbor::decode(&body, MAX_PAGE_BYTES)?;
        let gate = self.gate();
        let taken = store(&gate.db, &gate.device, &asked, held, &page)?;
        lane.exchanges += 1;
        lane.entries += taken.records;
        lane.refused += taken.rejected;
        Ok(taken.more)
    }
}

/// What a page came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records that came or went.
    pub records: u64,
    /// Rows that no server of ours sends.
    pub rejected: u64,
    /// More pages wait, and the cursor moved.
    pub more: bool,
}

/// True if the manifest in use knows of changes that the records do not. Devices that are revoked fetch none.
///
/// # Errors
/// SQLite's.
pub fn due(db: &Connection, no: DeviceNo) -> rusqlite::Result<bool> {
    let (state, _) = device::state_and_log(db, no)?;
    let Some(held) = manifest::version(db, no)?.filter(|_| state == State::Active) else { return Ok(false) };
    Ok(guest_cursor::get(db, no)?.complete < place(held))
}

const fn place(version: ManifestVersion) -> (u32, u64) {
    (version.epoch, version.change_seq)
}

/// True if this device's own certificate says that it may know names. What cannot be read says no.
#[must_use]
pub fn may_know_names(db: &Connection, me: &Device) -> bool {
    let Ok(Some(own)) = cert::find(db, me.device) else { return false };
    let Ok(trust) = loaded::trust(db, me) else { return false };
    open_certificate(&trust, me.event, &own.certificate)
        .is_ok_and(|(c, _)| c.capabilities.contains(&Capability::BoxOffice))
}

/// Keeps a page, which was asked for with the cursor `asked` while `held` was the manifest in use.
///
/// # Errors
/// SQLite's; then everything is as it was.
pub fn store(
    db: &Db,
    me: &Device,
    asked: &[u8],
    held: ManifestVersion,
    page: &GuestPage,
) -> rusqlite::Result<Taken> {
    let may_know = may_know_names(db.conn(), me);
    let tx = db.begin()?;
    let (state, _) = device::state_and_log(&tx, me.no)?;
    let before = guest_cursor::get(&tx, me.no)?;
    // Revoked or left meanwhile: nothing is kept. Another process was quicker: what it has is as good.
    if state != State::Active || before.cursor != asked || page.cursor.len() > MAX_CURSOR_BYTES {
        return Ok(Taken::default());
    }
    let names = page.names && may_know;
    let walk = before.walk + i64::from(page.anew);
    let mut taken = Taken { more: page.more && *page.cursor != *asked, ..Taken::default() };
    // Before the rows, so that the count says whether there was anything to forget.
    let forgotten = if names { 0 } else { guest_name::delete_before(&tx, me.no, i64::MAX)? };
    for row in &page.rows {
        if !is_sane(row) {
            tracing::warn!(ticket = %row.ticket, "a guest record was kept out");
            taken.rejected += 1;
            continue;
        }
        match &row.sealed {
            Some(sealed) => guest_sealed::put(&tx, me.no, walk, row.ticket, row.generation, sealed)?,
            None => guest_sealed::delete(&tx, me.no, row.ticket)?,
        }
        match row.plain.as_ref().filter(|_| names) {
            Some(plain) => {
                let guest = GuestName {
                    ticket: row.ticket,
                    type_no: plain.type_no,
                    booking: plain.booking.clone(),
                    name: plain.name.clone(),
                    note: plain.note.clone(),
                };
                let folded = folded::index(&[plain.name.as_deref().unwrap_or_default(), &plain.booking]);
                guest_name::put(&tx, me.no, walk, &guest, &folded)?;
            }
            None => guest_name::delete(&tx, me.no, row.ticket)?,
        }
        taken.records += 1;
    }
    let mut complete = before.complete;
    if !page.more {
        // What is in none of the pages of this walk is gone.
        guest_name::delete_before(&tx, me.no, walk)?;
        guest_sealed::delete_before(&tx, me.no, walk)?;
        // Not below what is held: a server that lost something must not be asked in a circle.
        complete = (page.epoch, page.change_seq).max(place(held));
    }
    guest_cursor::put(&tx, me.no, &GuestCursor { cursor: page.cursor.to_vec(), walk, complete, names })?;
    tx.commit()?;
    if forgotten > 0 {
        forget_write_ahead(db.conn())?;
    }
    Ok(taken)
}

/// Forgets all records and names of an enrolment. [`forget_write_ahead`] after the commit.
///
/// # Errors
/// SQLite's.
pub fn wipe(tx: &Connection, no: DeviceNo) -> rusqlite::Result<()> {
    guest_sealed::delete_before(tx, no, i64::MAX)?;
    guest_name::delete_before(tx, no, i64::MAX)?;
    guest_cursor::delete(tx, no)
}

/// What was deleted must not stay readable in the write-ahead log.
///
/// # Errors
/// SQLite's.
pub fn forget_write_ahead(db: &Connection) -> rusqlite::Result<()> {
    db.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
}

/// Within the bounds that every server of ours keeps.
fn is_sane(row: &GuestRow) -> bool {
    let short = |text: &str, max: usize| text.chars().count() <= max;
    row.generation <= MAX_GENERATION
        && row.sealed.as_ref().is_none_or(|s| s.len() <= MAX_SEALED_BYTES)
        && row.plain.as_ref().is_none_or(|p| {
            short(&p.booking, MAX_REFERENCE)
                && p.name.as_ref().is_none_or(|n| short(n, MAX_NAME))
                && p.note.as_ref().is_none_or(|n| short(n, MAX_TEXT))
        })
}
