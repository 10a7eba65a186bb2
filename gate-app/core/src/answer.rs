//! What a scan answers, as one JSON object a line. Field names are a contract with whoever drives the gate.

use crate::loaded::Loaded;
use serde::Serialize;
use shared::admission::explain::{Names, explain};
use shared::admission::zone::{Utc, Zone};
use shared::admission::{FirstAdmission, Flags, Outcome, Verdict};
use shared::bytes::Hash32;
use shared::ids::{DeviceId, GateId, ListId, TicketId, TicketTypeId};
use shared::log::entry::EntryKind;
use shared::manifest::docs::ListConfig;
use shared::time::UnixMillis;

/// The answer to one scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Answer {
    /// SHA-256 of the text.
    #[cfg_attr(test, ts(type = "Hash"))]
    pub code_sha256: Hash32,
    /// The first defect, or ok.
    #[cfg_attr(test, ts(type = "Outcome"))]
    pub outcome: Outcome,
    /// Remarks.
    #[cfg_attr(test, ts(type = "Flag[]"))]
    pub flags: Flags,
    /// What was recorded.
    #[cfg_attr(test, ts(type = "EntryKind"))]
    pub kind: EntryKind,
    /// The ticket, once the code could be read.
    #[cfg_attr(test, ts(type = "TicketId | null"))]
    pub ticket_id: Option<TicketId>,
    /// Its type, if the manifest knows it.
    #[cfg_attr(test, ts(type = "TicketTypeId | null"))]
    pub ticket_type: Option<TicketTypeId>,
    /// The list.
    #[cfg_attr(test, ts(type = "ListId"))]
    pub list: ListId,
    /// Corrected time of the scan, RFC 3339.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub scanned_at: String,
    /// Where it is recorded; absent if it is not.
    pub log_no: Option<u32>,
    /// See `log_no`.
    #[cfg_attr(test, ts(type = "number | null"))]
    pub seq: Option<u64>,
    /// The admission that stands first on this list.
    pub first_admission: Option<First>,
    /// For the steward.
    pub explanation: String,
}

/// An earlier admission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct First {
    /// RFC 3339.
    #[cfg_attr(test, ts(type = "Moment"))]
    pub at: String,
    /// Where.
    #[cfg_attr(test, ts(type = "GateId | null"))]
    pub gate: Option<GateId>,
    /// By which device.
    #[cfg_attr(test, ts(type = "DeviceId"))]
    pub device: DeviceId,
}

impl From<FirstAdmission> for First {
    fn from(f: FirstAdmission) -> Self {
        Self { at: rfc3339(f.at), gate: f.gate, device: f.device }
    }
}

impl Answer {
    /// From a verdict; `place` once it is durable.
    #[must_use]
    pub fn of(
        verdict: &Verdict,
        loaded: &Loaded,
        list: &ListConfig,
        at: UnixMillis,
        place: Option<(u32, u64)>,
    ) -> Self {
        let zone: &dyn Zone = loaded.zone.as_ref().map_or(&Utc, |z| z);
        let names = Names { list: &list.name, gates: &loaded.header.gates, zone, now: at };
        let mut explanation = explain(verdict, &names);
        if let Some(note) = &verdict.attention {
            explanation.push_str(" Attention: ");
            explanation.push_str(note);
        }
        Self {
            code_sha256: verdict.text_hash,
            outcome: verdict.outcome,
            flags: verdict.flags,
            kind: verdict.kind,
            ticket_id: verdict.ticket_id,
            ticket_type: verdict.ticket_type,
            list: verdict.list,
            scanned_at: rfc3339(at),
            log_no: place.map(|p| p.0),
            seq: place.map(|p| p.1),
            first_admission: verdict.first_admission.map(Into::into),
            explanation,
        }
    }

    /// Red, whatever the code was worth: the record could not be made.
    #[must_use]
    pub fn cannot_record(text_hash: Hash32, list: ListId, at: UnixMillis, why: &str) -> Self {
        Self {
            code_sha256: text_hash,
            outcome: Outcome::CannotRecord,
            flags: Flags::NONE,
            kind: EntryKind::Refuse,
            ticket_id: None,
            ticket_type: None,
            list,
            scanned_at: rfc3339(at),
            log_no: None,
            seq: None,
            first_admission: None,
            explanation: format!("Cannot record: {why}. Do not let in; call for help."),
        }
    }

    /// True if the person may go through.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// RFC 3339 in UTC; the number itself where the calendar ends.
#[must_use]
pub fn rfc3339(at: UnixMillis) -> String {
    at.to_datetime()
        .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}
