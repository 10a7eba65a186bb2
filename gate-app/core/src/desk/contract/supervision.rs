//! What only supervisors see and do.

use super::{Moment, Place};
use crate::answer::First;
use serde::Serialize;
use shared::admission::history::IncidentStatus;
use shared::bytes::Hash32;
use shared::ids::{DeviceId, GateId, ListId, StewardId, TicketId};

/// A steward whose PIN was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Supervision {
    /// Who.
    #[cfg_attr(test, ts(type = "StewardId"))]
    pub staff: StewardId,
    /// Name for people.
    pub label: String,
    /// May override and undo.
    pub supervisor: bool,
    /// Ends then unless something is done before.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub until: Moment,
}

/// What the log proves and somebody should see, with names for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Incident {
    /// One ticket entered one list again without leaving it.
    DoubleAdmission {
        /// The list.
        #[cfg_attr(test, ts(type = "ListId"))]
        list: ListId,
        /// Its name; its id if it is gone.
        list_name: String,
        /// The ticket.
        #[cfg_attr(test, ts(type = "TicketId"))]
        ticket: TicketId,
        /// Name of its type.
        ticket_type_name: Option<String>,
        /// Open until an undo resolves it.
        #[cfg_attr(test, ts(type = "\"open\" | \"closed\""))]
        status: IncidentStatus,
        /// In the order of scan time.
        sides: Vec<Side>,
    },
    /// A device signed different entries for the same place.
    ForkedLog {
        /// The device.
        #[cfg_attr(test, ts(type = "DeviceId"))]
        device: DeviceId,
        /// What people call it.
        device_label: String,
        /// Its log.
        log_no: u32,
        /// Each place with its hashes.
        places: Vec<ForkedAt>,
    },
}

/// A place with more than one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ForkedAt {
    /// Number in the log.
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
    /// Sorted.
    #[cfg_attr(test, ts(type = "Hash[]"))]
    pub hashes: Vec<Hash32>,
}

/// An entry of any device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SidePlace {
    /// Whose.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device: DeviceId,
    /// Which log.
    pub log_no: u32,
    /// Number in it.
    #[cfg_attr(test, ts(type = "number"))]
    pub seq: u64,
}

/// One admission that is part of a double admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Side {
    /// The entry.
    pub place: SidePlace,
    /// What people call its device.
    pub device_label: String,
    /// Corrected time.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub at: Moment,
    /// Error bar.
    pub error_ms: u32,
    /// Where.
    #[cfg_attr(test, ts(type = "GateId | null"))]
    pub gate: Option<GateId>,
    /// Who was at the device.
    #[cfg_attr(test, ts(type = "StewardId | null"))]
    pub staff: Option<StewardId>,
    /// A supervisor has taken it back since.
    pub undone: bool,
    /// Its seen vector proves that its device knew an earlier side.
    pub knew: bool,
}

/// Entries of a revoked device after its cut-off, which wait for the organizer's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct QuarantineNote {
    /// The device.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device: DeviceId,
    /// What people call it.
    pub device_label: String,
    /// Its last entry that counts.
    pub revoked_after: Place,
    /// How many wait.
    #[cfg_attr(test, ts(type = "number"))]
    pub entries: u64,
    /// Scan time of the last of them.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub last_at: Moment,
}

/// State of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(rename = "TicketState"))]
#[serde(rename_all = "snake_case")]
pub enum TicketWord {
    /// Lets in.
    Valid,
    /// Stopped for now.
    Blocked,
    /// The money went back.
    Refunded,
    /// The event or the booking was canceled.
    Canceled,
    /// By the organizer.
    Withdrawn,
}

/// What a search finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Hit {
    /// The ticket.
    #[cfg_attr(test, ts(type = "TicketId"))]
    pub ticket_id: TicketId,
    /// Name of its type.
    pub ticket_type_name: Option<String>,
    /// Its state.
    pub state: TicketWord,
    /// The guest's name; on devices of the box office only.
    pub name: Option<String>,
    /// As `name`.
    pub booking: Option<String>,
    /// On the list that is scanned for.
    pub first_admission: Option<First>,
    /// Inside, by that list.
    pub inside: bool,
}
