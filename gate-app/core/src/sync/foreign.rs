//! Other devices' certificates and runs: verified before they are kept. What does not verify, or comes from a
//! device that nobody vouches for, stays out and holds nobody up.

use crate::db::Db;
use crate::db::table::cert::{self, Author, Cert};
use crate::db::table::device::Device;
use crate::db::table::log_entry::Insertion;
use crate::db::table::{cursor, log_entry, run_signature};
use rusqlite::Connection;
use shared::bytes::Hash32;
use shared::ids::DeviceId;
use shared::log::entry::LogEntry;
use shared::log::verify_run;
use shared::manifest::online::open_certificate;
use shared::manifest::trust::Trust;
use shared::ticket::keys::strong_key;
use shared::wire::gates::{Run, WaitAnswer};
use std::collections::BTreeMap;

/// What an answer brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// New entries.
    pub entries: u64,
    /// Entries that stand where another one stood.
    pub twins: u64,
    /// Runs that were kept out.
    pub rejected: u64,
}

/// Verifies and keeps what an answer of `/gates/wait` brought, and moves the cursor behind it, in one transaction.
///
/// # Errors
/// SQLite's; then nothing was kept and the cursor stands where it stood.
pub fn store(db: &Db, me: &Device, trust: &Trust, answer: &WaitAnswer) -> rusqlite::Result<Taken> {
    let certificates = verified_certificates(trust, me, answer);
    let mut taken = Taken::default();
    // Signatures are checked before anybody is made to wait for the lock.
    let mut runs = Vec::new();
    for run in &answer.runs {
        match verified_run(db.conn(), me, &certificates, run) {
            Ok(Some(entries)) => runs.push((run, entries)),
            Ok(None) => {}
            Err(Rejected::Sql(error)) => return Err(error),
            Err(Rejected::Why(why)) => {
                tracing::warn!(device = %run.device, why, "another device's run was kept out");
                taken.rejected += 1;
            }
        }
    }
    if certificates.is_empty() && runs.is_empty() && taken.rejected == 0 {
        let known = cursor::get(db.conn(), me.no)?;
        if known.scans >= answer.scans {
            return Ok(taken);
        }
    }
    let tx = db.begin()?;
    for cert in certificates.values() {
        put_certificate(&tx, cert)?;
    }
    let mut touched: Vec<Author> = Vec::new();
    for (run, entries) in runs {
        let Some(author) = cert::find(&tx, run.device)?.map(|c| c.no) else { continue };
        for ((entry, hash), bytes) in entries.iter().zip(&run.entries) {
            match log_entry::insert_foreign(&tx, author, entry, bytes, hash)? {
                Insertion::New => taken.entries += 1,
                Insertion::Twin => taken.twins += 1,
                Insertion::Same => {}
            }
        }
        if let Some((last, hash)) = entries.last() {
            run_signature::insert(&tx, author, run.log_no, last.place.seq, hash, &run.signature)?;
        }
        touched.push(author);
    }
    touched.sort_unstable();
    touched.dedup();
    for author in touched {
        cert::refresh_seen(&tx, author)?;
    }
    cursor::advance(&tx, me.no, answer.scans, taken.rejected)?;
    tx.commit()?;
    Ok(taken)
}

/// Keeps a certificate, unless the device is known with another key: the first one stays.
fn put_certificate(tx: &Connection, new: &Cert) -> rusqlite::Result<()> {
    match cert::find(tx, new.device)? {
        Some(known) if known.certificate == new.certificate => Ok(()),
        Some(known) if known.public_key != new.public_key || known.event != new.event => {
            tracing::warn!(device = %new.device, "a second key for a known device was kept out");
            Ok(())
        }
        _ => cert::put(tx, new).map(|_| ()),
    }
}

fn verified_certificates(trust: &Trust, me: &Device, answer: &WaitAnswer) -> BTreeMap<DeviceId, Cert> {
    let mut found = BTreeMap::new();
    for document in &answer.certificates {
        match open_certificate(trust, me.event, document) {
            Ok((c, _)) if c.device != me.device => {
                let cert = Cert {
                    no: Author(0),
                    event: c.event,
                    device: c.device,
                    number: c.number,
                    public_key: c.public_key,
                    certificate: document.to_vec(),
                    label: c.label,
                };
                found.entry(c.device).or_insert(cert);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a device certificate was kept out"),
        }
    }
    found
}

enum Rejected {
    Sql(rusqlite::Error),
    Why(String),
}

type Entries = Vec<(LogEntry, Hash32)>;

/// The run's entries; `None` for a run of our own, which only our own database may tell.
fn verified_run(
    db: &Connection,
    me: &Device,
    certificates: &BTreeMap<DeviceId, Cert>,
    run: &Run,
) -> Result<Option<Entries>, Rejected> {
    if run.device == me.device {
        return Ok(None);
    }
    let known = cert::find(db, run.device).map_err(Rejected::Sql)?.filter(|c| c.event == me.event);
    let key = known.as_ref().or_else(|| certificates.get(&run.device)).map(|c| c.public_key);
    let key = key.and_then(|k| strong_key(&k));
    let key = key.ok_or_else(|| Rejected::Why("nobody vouches for the device".to_owned()))?;
    let entries = verify_run(run, &key).map_err(|e| Rejected::Why(e.to_string()))?;
    if entries.iter().any(|(e, _)| i64::try_from(e.place.seq).is_err()) {
        return Err(Rejected::Why("its numbers are beyond all measure".to_owned()));
    }
    Ok(Some(entries))
}
