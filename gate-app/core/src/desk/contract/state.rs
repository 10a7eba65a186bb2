//! Where this machine stands: enrolments, the chosen post, settings, and what is in the way.

use super::{CommandError, Moment, Supervision};
use serde::{Deserialize, Serialize};
use shared::admission::Outcome;
use shared::ids::{DeviceId, EventId, GateId, ListId, StewardId};
use shared::log::entry::Direction;
use shared::manifest::docs::Capability;

/// A list of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ListChoice {
    /// Identity.
    #[cfg_attr(test, ts(type = "ListId"))]
    pub id: ListId,
    /// Name for people.
    pub name: String,
    /// Totals use it alone.
    pub attendance: bool,
    /// The same ticket may enter again and again.
    pub multiple_entry: bool,
    /// After an exit the ticket may enter again.
    pub reentry_after_exit: bool,
}

/// A gate of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GateChoice {
    /// Identity.
    #[cfg_attr(test, ts(type = "GateId"))]
    pub id: GateId,
    /// Name for people.
    pub name: String,
}

/// A member of door staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StewardChoice {
    /// Identity.
    #[cfg_attr(test, ts(type = "StewardId"))]
    pub id: StewardId,
    /// Name for people.
    pub label: String,
    /// May override and undo.
    pub supervisor: bool,
}

/// One enrolment of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Enrolment {
    /// The device.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device_id: DeviceId,
    /// Its event.
    #[cfg_attr(test, ts(type = "EventId"))]
    pub event: EventId,
    /// From the organizer.
    pub label: String,
    /// Given here; stays on this machine.
    pub local_name: Option<String>,
    /// Number within the event.
    pub number: u32,
    /// The server.
    pub origin: String,
    /// `active`, `leaving` (revoked, still uploading) or `revoked`.
    #[cfg_attr(test, ts(type = "DeviceState"))]
    pub state: &'static str,
    /// What the device may do.
    #[cfg_attr(test, ts(type = "Capability[]"))]
    pub capabilities: Vec<Capability>,
    /// Of the event; absent before the first manifest, as are lists, gates and stewards.
    pub title: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// Start of the event.
    #[cfg_attr(test, ts(type = "Moment | null"))]
    pub starts_at: Option<Moment>,
    /// By id.
    pub lists: Vec<ListChoice>,
    /// By id.
    pub gates: Vec<GateChoice>,
    /// By id.
    pub stewards: Vec<StewardChoice>,
}

/// What is scanned for, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct Post {
    /// The enrolment.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device_id: DeviceId,
    /// The list.
    #[cfg_attr(test, ts(type = "ListId"))]
    pub list: ListId,
    /// The place.
    #[cfg_attr(test, ts(type = "GateId | null"))]
    pub gate: Option<GateId>,
    /// Which way people go.
    #[cfg_attr(test, ts(type = "Direction"))]
    pub direction: Direction,
    /// Scans for real, never counts.
    pub rehearsal: bool,
}

/// A language of the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// Spanish.
    Es,
    /// French.
    Fr,
}

/// What people set at this machine. Part of no log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct Settings {
    /// Of the window.
    pub language: Language,
    /// 0 to 1; 0 is silent.
    pub volume: f64,
    /// How long an ok stays.
    pub ok_ms: u32,
    /// How long an ok with something to look at stays.
    pub attention_ms: u32,
    /// How long a refusal stays.
    pub refused_ms: u32,
    /// A refusal stays until somebody takes it away.
    pub hold_refusals: bool,
    /// Without input for so long, supervision ends.
    pub auto_lock_secs: u32,
    /// The window's name of a camera; absent = the one that the system prefers.
    pub camera: Option<String>,
    /// Larger letters.
    pub larger_text: bool,
    /// In kiosk mode guests hold their tickets before the camera.
    pub kiosk_camera: bool,
}

/// All that the window needs to begin.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct AppState {
    /// Of the app.
    pub version: String,
    /// Those in use, oldest first.
    pub enrolments: Vec<Enrolment>,
    /// The chosen one.
    pub post: Option<Post>,
    /// See there.
    pub settings: Settings,
    /// Guests scan for themselves.
    pub kiosk: bool,
    /// Who has entered a PIN.
    pub supervision: Option<Supervision>,
    /// What nobody may have seen.
    pub interrupted: Option<Interrupted>,
    /// What is in the way.
    pub trouble: Option<Trouble>,
}

/// The last admission or exit of the previous run, whose answer nobody may have seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Interrupted {
    /// Corrected time.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub scanned_at: Moment,
    /// What it was.
    #[cfg_attr(test, ts(type = "Outcome"))]
    pub outcome: Outcome,
    /// Name of the ticket's type.
    pub ticket_type_name: Option<String>,
}

/// What keeps the device from its work, or soon will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trouble {
    /// No room to record.
    DiskFull {
        /// The data folder.
        path: String,
        /// What is left there.
        #[cfg_attr(test, ts(type = "number"))]
        free_bytes: u64,
    },
    /// Nothing can be written.
    DiskReadOnly {
        /// The data folder.
        path: String,
    },
    /// Another error of the disk.
    DiskError {
        /// The data folder.
        path: String,
        /// English, for logs.
        detail: String,
    },
    /// The database is no sound one, found out at work: it is made anew when that is tried, or by itself.
    DatabaseDamaged {
        /// Entries that the second copy holds.
        #[cfg_attr(test, ts(type = "number"))]
        black_box: u64,
    },
    /// It was damaged and has been made anew; this machine is still enrolled.
    DatabaseRepaired {
        /// The damaged file, which is never deleted.
        kept_as: String,
        /// Entries that the second copy holds.
        #[cfg_attr(test, ts(type = "number"))]
        black_box: u64,
    },
    /// It was damaged and has been made anew, without a single enrolment.
    DatabaseLost {
        /// The damaged file, which is never deleted.
        kept_as: String,
        /// Entries that the second copy holds.
        #[cfg_attr(test, ts(type = "number"))]
        black_box: u64,
    },
    /// Written by a later version of the app.
    DatabaseNewer {
        /// Form of the file.
        #[cfg_attr(test, ts(type = "number"))]
        found: i64,
        /// Newest known form.
        #[cfg_attr(test, ts(type = "number"))]
        known: i64,
    },
    /// The machine's clock is off.
    ClockWrong {
        /// Wall clock minus best estimate.
        #[cfg_attr(test, ts(type = "number"))]
        offset_ms: i64,
    },
    /// The organizer took the device out of use.
    Revoked {
        /// Entries that have not reached the server.
        #[cfg_attr(test, ts(type = "number"))]
        unsent: u64,
        /// Guests' data are gone from here.
        wiped: bool,
    },
    /// The manifest is past its hard limit.
    ManifestExpired {
        /// Since when.
        #[cfg_attr(test, ts(type = "Moment"))]
        since: Moment,
    },
    /// The stored manifest cannot be used.
    ManifestUnusable {
        /// English, for logs.
        detail: String,
    },
}

/// An enrolment that has come as far as people's comparing digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EnrolmentBegun {
    /// Six digits.
    pub digits: String,
    /// The server.
    pub origin: String,
}

/// How an enrolment goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrolmentNews {
    /// For the organizer's yes.
    Waiting,
    /// The line is down; it goes on by itself.
    Unreachable,
    /// Confirmed.
    Done {
        /// The device.
        #[cfg_attr(test, ts(type = "DeviceId"))]
        device_id: DeviceId,
        /// From the organizer.
        label: String,
        /// Number within the event.
        number: u32,
    },
    /// The organizer said no, or took too long.
    Declined,
    /// It cannot go on.
    Failed {
        /// Why.
        error: CommandError,
    },
}
