//! What `gate status` says. Field names are a contract with whoever watches gates.

use crate::answer::rfc3339;
use crate::db::table::{cursor, device, log_entry, upload};
use crate::gate::Gate;
use crate::gate_time::GateTime;
use crate::loaded::{self, LoadError, Loaded};
use crate::sync::upload::unsent;
use serde::Serialize;
use shared::admission::fold::{EventFold, ListPolicies};
use shared::admission::history::CutOffs;
use shared::bytes::Hash32;
use shared::ids::{DeviceId, EventId};

/// The state of one enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Status {
    /// The device.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device_id: DeviceId,
    /// Its event.
    #[cfg_attr(test, ts(type = "EventId"))]
    pub event: EventId,
    /// `active`, `leaving` (revoked, still uploading) or `revoked`.
    #[cfg_attr(test, ts(type = "DeviceState"))]
    pub state: &'static str,
    /// The manifest in use.
    pub manifest: Option<ManifestStatus>,
    /// What the server has not acknowledged.
    pub queue: Queue,
    /// The clock.
    pub clock: ClockStatus,
    /// When both ways last worked.
    #[cfg_attr(test, ts(type = "Moment | null"))]
    pub last_sync_at: Option<String>,
    /// The last attempt reached the server.
    pub online: bool,
    /// What the last attempt complained of.
    pub problem: Option<String>,
    /// What the log proves.
    pub fold: FoldStatus,
}

/// The manifest in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ManifestStatus {
    /// Version of the trust root.
    pub root_version: u32,
    /// See DESIGN's manifest version.
    pub epoch: u32,
    /// See `epoch`.
    #[cfg_attr(test, ts(type = "number"))]
    pub change_seq: u64,
    /// Nothing sold before is missing; RFC 3339.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub as_of: String,
    /// Amber after; RFC 3339.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub fresh_until: String,
    /// Refuses after; RFC 3339.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub hard_until: String,
    /// Number of tickets.
    pub tickets: u32,
}

/// The upload queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Queue {
    /// Entries not acknowledged, over all logs.
    #[cfg_attr(test, ts(type = "number"))]
    pub unsent: u64,
    /// Of the current log the server has 1 to here.
    #[cfg_attr(test, ts(type = "number"))]
    pub acknowledged_seq: u64,
    /// Last entry of the current log.
    #[cfg_attr(test, ts(type = "number"))]
    pub last_seq: u64,
}

/// The clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClockStatus {
    /// Wall clock minus best estimate.
    #[cfg_attr(test, ts(type = "number"))]
    pub offset_ms: i64,
    /// Half-width of the estimate's error.
    pub uncertainty_ms: u32,
}

/// The fold over all entries that this gate knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FoldStatus {
    /// People inside, by the attendance list.
    #[cfg_attr(test, ts(type = "number"))]
    pub on_site: u64,
    /// Open incidents.
    #[cfg_attr(test, ts(type = "number"))]
    pub incidents: u64,
    /// The same on every replica that knows the same entries.
    #[cfg_attr(test, ts(type = "Hash"))]
    pub hash: Hash32,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// SQLite's.
    #[error("database")]
    Sql(#[from] rusqlite::Error),
    /// The manifest cannot be used.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Reads everything; writes nothing.
///
/// # Errors
/// [`StatusError`].
pub fn status(gate: &Gate) -> Result<Status, StatusError> {
    look(gate).map(|seen| seen.status)
}

/// A status with what it was made of.
#[derive(Debug)]
pub struct Look {
    /// The status.
    pub status: Status,
    /// All entries of the event, folded.
    pub fold: EventFold,
    /// The manifest in use.
    pub loaded: Option<Loaded>,
    /// What time it was.
    pub time: GateTime,
}

/// As [`status`], and gives what was read for it.
///
/// # Errors
/// [`StatusError`].
pub fn look(gate: &Gate) -> Result<Look, StatusError> {
    let (db, me) = (gate.db.conn(), &gate.device);
    let (state, log_no) = device::state_and_log(db, me.no)?;
    let loaded = loaded::load(db, me)?;
    let root_version = loaded::trust(db, me)?.version();
    let (policies, cut_offs) = match &loaded {
        Some(l) => (ListPolicies::of(&l.header.lists), l.cut_offs.clone()),
        None => (ListPolicies::default(), CutOffs::default()),
    };
    let mut records = Vec::new();
    log_entry::for_each_of_event(db, me.event, |record| records.push(record))?;
    let fold = EventFold::of(records, policies, &cut_offs);
    let time = gate.now()?;
    let cursor = cursor::get(db, me.no)?;
    let status = Status {
        device_id: me.device,
        event: me.event,
        state: state.as_str(),
        manifest: loaded.as_ref().map(|l| ManifestStatus {
            root_version,
            epoch: l.header.version.epoch,
            change_seq: l.header.version.change_seq,
            as_of: rfc3339(l.header.version.as_of.millis()),
            fresh_until: rfc3339(l.header.fresh_until.millis()),
            hard_until: rfc3339(l.header.hard_until.millis()),
            tickets: l.header.tickets,
        }),
        queue: Queue {
            unsent: unsent(db, me)?,
            acknowledged_seq: upload::acknowledged(db, me.no, log_no)?,
            last_seq: log_entry::head(db, me.author, log_no)?.seq,
        },
        clock: ClockStatus { offset_ms: time.wall_offset_ms(), uncertainty_ms: time.error_ms },
        last_sync_at: cursor.last_sync_at.map(rfc3339),
        online: cursor.online,
        problem: cursor.problem,
        fold: FoldStatus {
            on_site: fold.attendance().on_site,
            incidents: fold.incidents().iter().filter(|i| i.is_open()).count() as u64,
            hash: fold.hash(),
        },
    };
    Ok(Look { status, fold, loaded, time })
}
