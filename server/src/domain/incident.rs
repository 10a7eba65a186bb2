//! Incidents as the organizer sees them: what the shared fold proves (double admission, forked log), and
//! what an upload shows besides (a jumping clock, entries that contradict themselves).

use serde::{Deserialize, Serialize};
use shared::admission::fold::{ListPolicies, incident_of};
use shared::admission::history::{IncidentStatus, TicketHistory};
use shared::bytes::{Hash32, sha256};
use shared::ids::{DeviceId, EventId, ListId, TicketId};
use shared::log::entry::{EntryKind, LogEntry};
use uuid::Uuid;

/// A clock that is off, or jumps, by more than this is an incident.
pub const CLOCK_TOLERANCE_MS: i64 = 120_000;
/// Entries named in one incident at most. It stays one incident; the log has them all.
pub const MAX_SIDES: usize = 200;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = IncidentKind)]
pub enum Kind {
    /// One ticket entered one list again without leaving it.
    DoubleAdmission,
    /// A device signed different entries for one place, or two histories of one log.
    ForkedLog,
    /// A device's clock jumped, or is off by more than two minutes.
    ClockJump,
    /// A device signed entries that contradict themselves.
    FaultyEntry,
    /// A device could not prove the end of its log and opened another.
    ReplacedLog,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::DoubleAdmission, Self::ForkedLog, Self::ClockJump, Self::FaultyEntry, Self::ReplacedLog];

    /// The column's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DoubleAdmission => "double_admission",
            Self::ForkedLog => "forked_log",
            Self::ClockJump => "clock_jump",
            Self::FaultyEntry => "faulty_entry",
            Self::ReplacedLog => "replaced_log",
        }
    }

    /// From the column, whose values a CHECK bounds.
    #[must_use]
    pub fn from_column(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// What an incident is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Admission { list: ListId, ticket: TicketId },
    Log { kind: Kind, device: DeviceId, log_no: u32 },
}

/// One entry of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub device: Uuid,
    pub log_no: u32,
    pub seq: u64,
    pub entry_hash: Hash32,
    /// Corrected scan time, Unix ms, with its error bar.
    pub at_ms: i64,
    pub error_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gate: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub staff: Option<Uuid>,
    #[serde(default)]
    pub undone: bool,
    /// What about it, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Something found, to be stored as the one incident of its subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub subject: Subject,
    pub open: bool,
    pub sides: Vec<Evidence>,
}

impl Subject {
    /// What kind of incident it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Admission { .. } => Kind::DoubleAdmission,
            Self::Log { kind, .. } => *kind,
        }
    }

    /// The same id however often it is found.
    #[must_use]
    pub fn id(&self, event: EventId) -> Uuid {
        let hash = match self {
            Self::Admission { list, ticket } => sha256(
                b"hvflvspot/incident/v1\0",
                &[b"a", event.as_bytes(), list.as_bytes(), ticket.as_bytes()],
            ),
            Self::Log { kind, device, log_no } => sha256(
                b"hvflvspot/incident/v1\0",
                &[b"l", event.as_bytes(), device.as_bytes(), &log_no.to_be_bytes(), kind.as_str().as_bytes()],
            ),
        };
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.0[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// The double admission of a history, open or closed; `None` if there never was one.
#[must_use]
pub fn double_admission(
    list: ListId,
    ticket: TicketId,
    history: &TicketHistory,
    policies: &ListPolicies,
) -> Option<Finding> {
    let double = incident_of(list, history, policies)?;
    let sides = double
        .sides
        .iter()
        .take(MAX_SIDES)
        .map(|s| Evidence {
            device: s.place.device.0,
            log_no: s.place.log_no,
            seq: s.place.seq,
            entry_hash: s.hash,
            at_ms: s.at.0,
            error_ms: s.error_ms,
            gate: s.gate.map(Uuid::from),
            staff: s.staff.map(Uuid::from),
            undone: s.undone,
            note: None,
        })
        .collect();
    Some(Finding {
        subject: Subject::Admission { list, ticket },
        open: double.status == IncidentStatus::Open,
        sides,
    })
}

/// Evidence that names one entry.
#[must_use]
pub fn evidence(entry: &LogEntry, hash: Hash32, note: String) -> Evidence {
    Evidence {
        device: entry.place.device.0,
        log_no: entry.place.log_no,
        seq: entry.place.seq,
        entry_hash: hash,
        at_ms: entry.time.corrected.0,
        error_ms: entry.time.error_ms,
        gate: entry.gate.map(Uuid::from),
        staff: entry.staff.map(Uuid::from),
        undone: false,
        note: Some(note),
    }
}

/// What the entries of one run show by themselves: a jumping clock, self-contradictions.
#[must_use]
pub fn of_entries(entries: &[(LogEntry, Hash32)]) -> Vec<Finding> {
    let Some((first, _)) = entries.first() else { return Vec::new() };
    let log = |kind, sides: Vec<Evidence>| Finding {
        subject: Subject::Log { kind, device: first.place.device, log_no: first.place.log_no },
        open: true,
        sides,
    };
    let mut clock = Vec::new();
    let mut faults = Vec::new();
    let mut replaced = Vec::new();
    let mut before: Option<&LogEntry> = None;
    for (entry, hash) in entries {
        if clock.len() < MAX_SIDES
            && let Some(note) = clock_note(before, entry)
        {
            clock.push(evidence(entry, *hash, note));
        }
        if faults.len() < MAX_SIDES
            && let Err(fault) = entry.check()
        {
            faults.push(evidence(entry, *hash, fault.to_string()));
        }
        if entry.kind == EntryKind::Fork {
            let reason = entry.reason.as_deref().unwrap_or("no reason given");
            replaced.push(evidence(entry, *hash, reason.chars().take(200).collect()));
        }
        before = Some(entry);
    }
    [(Kind::ClockJump, clock), (Kind::FaultyEntry, faults), (Kind::ReplacedLog, replaced)]
        .into_iter()
        .filter(|(_, sides)| !sides.is_empty())
        .map(|(kind, sides)| log(kind, sides))
        .collect()
}

/// What is wrong with the clock at an entry, if anything is. Within one boot wall clock and boot clock must
/// advance together; between entries corrected time must not fall by more than both error bars.
fn clock_note(before: Option<&LogEntry>, entry: &LogEntry) -> Option<String> {
    let before = before?;
    let (a, b) = (&before.time, &entry.time);
    let fell = a.corrected.ms_since(b.corrected);
    if fell > i64::from(a.error_ms) + i64::from(b.error_ms) + CLOCK_TOLERANCE_MS {
        return Some(format!("scan time fell by {} s", fell / 1000));
    }
    if a.boot_id != b.boot_id {
        return None;
    }
    let elapsed =
        i64::try_from(b.monotonic_ns.saturating_sub(a.monotonic_ns) / 1_000_000).unwrap_or(i64::MAX);
    let jump = b.wall.ms_since(a.wall).saturating_sub(elapsed);
    (jump.abs() > CLOCK_TOLERANCE_MS).then(|| format!("the wall clock jumped by {} s", jump / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_has_one_id_however_often_it_is_found() {
        let event = EventId::from_bytes([1; 16]);
        let a =
            Subject::Admission { list: ListId::from_bytes([2; 16]), ticket: TicketId::from_bytes([3; 16]) };
        let b =
            Subject::Admission { list: ListId::from_bytes([3; 16]), ticket: TicketId::from_bytes([2; 16]) };
        assert_eq!(a.id(event), a.id(event));
        assert_ne!(a.id(event), b.id(event));
        assert_ne!(a.id(event), a.id(EventId::from_bytes([9; 16])));
        for kind in Kind::ALL {
            assert_eq!(Kind::from_column(kind.as_str()), Some(kind));
        }
    }
}
