//! A scan that would be admitted, and handles to spoil it.

use shared::admission::rule::CompiledRule;
use shared::admission::zone::{EventZone, Zone};
use shared::admission::{
    CutOffs, Flag, Flags, Knowledge, Learned, ManifestView, Outcome, Question, Record, TicketHistory,
    Verdict, decide,
};
use shared::bytes::{Hash32, Kid};
use shared::ids::{DeviceId, EventId, GateId, ListId, OrganizerId, TicketId, TicketTypeId};
use shared::log::entry::{Direction, EntryKind, EntryPlace};
use shared::manifest::docs::{
    EventInfo, Gap, GateConfig, ListConfig, ManifestHeader, ManifestVersion, TicketTypeConfig, TypeSet,
};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::ticket::Payload;
use shared::ticket::keys::Presented;
use shared::time::{UnixMillis, UnixSecs};

/// 2026-11-22 10:00:00 UTC, a Sunday; 11:00 in Vienna.
pub const NOW: UnixSecs = UnixSecs(1_795_341_600);
pub const HOUR: u32 = 3600;
pub const TEXT_HASH: Hash32 = Hash32([9; 32]);

pub fn ticket_id(n: u8) -> TicketId {
    TicketId::from_bytes([n; 16])
}
pub fn gate_id(n: u8) -> GateId {
    GateId::from_bytes([n; 16])
}
pub fn device_id(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 16])
}

/// How the text reads; the payload stands apart, so that defects can be combined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reads {
    Foreign,
    Malformed,
    UnknownKey,
    BadSignature,
    WrongEvent,
    Verified,
}

#[derive(Debug, Clone)]
pub struct Scene {
    pub reads: Reads,
    pub payload: Payload,
    pub row: Option<TicketRow>,
    pub learned: Option<Learned>,
    pub header: Option<ManifestHeader>,
    pub list: ListConfig,
    pub rule_not_compiled: bool,
    pub direction: Direction,
    pub gate: Option<GateId>,
    pub now: UnixMillis,
    pub uncertainty_ms: u32,
    pub records: Vec<Record>,
    pub cut_offs: CutOffs,
    pub override_reason: Option<&'static str>,
    pub rehearsal: bool,
    pub zone: Option<EventZone>,
}

pub fn type_config(number: u16) -> TicketTypeConfig {
    TicketTypeConfig {
        number,
        id: TicketTypeId::from_bytes([number.to_be_bytes()[1]; 16]),
        name: format!("Type {number}"),
        not_before: UnixSecs(NOW.0 - 2 * HOUR),
        expires_at: UnixSecs(NOW.0 + 10 * HOUR),
        attention: None,
    }
}

impl Scene {
    /// A known, valid ticket of type 1 (types 1 and 2 exist), first entry, fresh manifest of half an hour ago.
    pub fn admitted() -> Self {
        let payload = Payload {
            generation: 1,
            kid: Kid([1, 2, 3, 4]),
            ticket_id: ticket_id(7),
            type_no: 1,
            issued_at: UnixSecs(NOW.0 - 24 * HOUR),
            not_before: UnixSecs(NOW.0 - 3 * HOUR),
            expires_at: UnixSecs(NOW.0 + 30 * HOUR),
        };
        let list = ListConfig {
            id: ListId::from_bytes([3; 16]),
            name: "Main".into(),
            ticket_types: TypeSet::Only(vec![1, 2]),
            multiple_entry: false,
            reentry_after_exit: false,
            attendance: true,
            rule: None,
        };
        let header = ManifestHeader {
            organizer: OrganizerId::from_bytes([1; 16]),
            event: EventId::from_bytes([2; 16]),
            version: ManifestVersion { epoch: 1, change_seq: 5, as_of: UnixSecs(NOW.0 - HOUR / 2) },
            gaps: vec![],
            tickets: 1,
            imports: 0,
            key_list_hash: Hash32([0; 32]),
            buckets_hash: Hash32([0; 32]),
            info: EventInfo {
                title: "Concert".into(),
                time_zone: "Europe/Vienna".into(),
                admission_at: Some(UnixSecs(NOW.0 - HOUR)),
                starts_at: UnixSecs(NOW.0 + HOUR),
                ends_at: Some(UnixSecs(NOW.0 + 4 * HOUR)),
            },
            lists: vec![],
            gates: vec![GateConfig { id: gate_id(1), name: "North".into() }],
            stewards: vec![],
            ticket_types: vec![type_config(1), type_config(2)],
            fresh_until: UnixSecs(NOW.0 + 23 * HOUR),
            hard_until: UnixSecs(NOW.0 + 71 * HOUR),
        };
        Self {
            reads: Reads::Verified,
            payload,
            row: Some(TicketRow {
                ticket_id: payload.ticket_id,
                type_no: 1,
                generation: 1,
                state: TicketState::Valid,
            }),
            learned: None,
            header: Some(header),
            list,
            rule_not_compiled: false,
            direction: Direction::In,
            gate: Some(gate_id(1)),
            now: NOW.millis(),
            uncertainty_ms: 0,
            records: vec![],
            cut_offs: CutOffs::default(),
            override_reason: None,
            rehearsal: false,
            zone: EventZone::named("Europe/Vienna"),
        }
    }

    pub fn with(mut self, spoil: impl FnOnce(&mut Self)) -> Self {
        spoil(&mut self);
        self
    }

    pub fn header(&mut self) -> &mut ManifestHeader {
        self.header.as_mut().expect("this scene has a manifest")
    }

    pub fn row(&mut self) -> &mut TicketRow {
        self.row.as_mut().expect("this scene's ticket is known")
    }

    /// Sold after the manifest.
    pub fn late(&mut self) {
        self.row = None;
        self.payload.issued_at = UnixSecs(NOW.0 - 60);
    }

    /// Adds a record of this ticket, `minutes` before now.
    pub fn earlier(&mut self, kind: EntryKind, minutes: i64) {
        let seq = self.records.len() as u64 + 1;
        let at = self.now.plus_ms(-minutes * 60_000);
        self.records.push(record(kind, seq, at, self.list.id, self.payload.ticket_id));
    }

    pub fn history(&self) -> TicketHistory {
        TicketHistory::fold(&self.records, &self.records, &self.cut_offs)
    }

    pub fn decide(&self) -> Verdict {
        let (payload, text_hash) = (self.payload, TEXT_HASH);
        let presented = match self.reads {
            Reads::Foreign => Presented::Foreign { text_hash },
            Reads::Malformed => Presented::Malformed { text_hash },
            Reads::UnknownKey => Presented::UnknownKey { payload, text_hash },
            Reads::BadSignature => Presented::BadSignature { payload, text_hash },
            Reads::WrongEvent => {
                Presented::WrongEvent { payload, text_hash, event: EventId::from_bytes([8; 16]) }
            }
            Reads::Verified => Presented::Verified { payload, text_hash },
        };
        let rule = self.list.rule.as_deref().filter(|_| !self.rule_not_compiled).map(CompiledRule::compile);
        let history = self.history();
        decide(&Question {
            presented: &presented,
            direction: self.direction,
            list: &self.list,
            rule: rule.as_ref(),
            gate: self.gate,
            now: self.now,
            uncertainty_ms: self.uncertainty_ms,
            knowledge: Knowledge {
                manifest: self.header.as_ref().map(ManifestView::from),
                known: self.row,
                learned: self.learned,
            },
            history: &history,
            override_reason: self.override_reason,
            rehearsal: self.rehearsal,
            zone: self.zone.as_ref().map(|z| z as &dyn Zone),
        })
    }
}

pub fn record(kind: EntryKind, seq: u64, at: UnixMillis, list: ListId, ticket: TicketId) -> Record {
    Record {
        place: EntryPlace { device: device_id(5), log_no: 1, seq },
        hash: Hash32([seq as u8; 32]),
        kind,
        outcome: Outcome::Ok,
        flags: Flags::NONE,
        list: Some(list),
        ticket: Some(ticket),
        generation: Some(1),
        type_no: Some(1),
        gate: Some(gate_id(1)),
        staff: None,
        at,
        error_ms: 10,
        rehearsal: false,
        target: None,
    }
}

pub fn gap(from: u32, to: u32) -> Gap {
    Gap { from: UnixSecs(from), to: UnixSecs(to) }
}

pub fn flags(of: &[Flag]) -> Flags {
    of.iter().copied().collect()
}
