//! Deciding a scan at the server by the same rule as at a gate, and recording it in the log of the event's
//! virtual device (number 0).

use ed25519_dalek::SigningKey;
use shared::admission::decide::{Knowledge, ManifestView, Question, Verdict, decide};
use shared::admission::rule::CompiledRule;
use shared::admission::zone::{EventZone, Zone};
use shared::admission::{CutOffs, TicketHistory};
use shared::bytes::{Hash32, Kid, Nonce16, PublicKey};
use shared::cbor;
use shared::ids::{DeviceId, EventId, GateId, ListId, OrganizerId, TicketId};
use shared::log::entry::{Direction, EntryPlace, LogEntry, ScanTime};
use shared::log::run::{NO_ENTRY, entry_hash, sign_run};
use shared::manifest::docs::{DeviceCertificate, DocKind, GateConfig, KeyList, ListConfig, ManifestVersion};
use shared::manifest::rows::{TicketRow, TicketState};
use shared::manifest::sign1;
use shared::ticket::Payload;
use shared::ticket::foreign;
use shared::ticket::keys::{KeyRing, KeyRingError, Presented};
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::gates::Run;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{KeyError, open_key, organizer_key, record};
use crate::app::AppState;
use crate::domain::device::AFTER_EVENT;
use crate::store::devices::{self, Device, NewDevice};
use crate::store::directory::{self, Place};
use crate::store::manifests::Configuration;
use crate::store::{import, is_unique_violation, manifests, scans};

/// Associated data under which a virtual device's key is sealed.
const SEAL_PURPOSE: &str = "devices/virtual";
/// The virtual device has one log.
const LOG_NO: u32 = 1;

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    #[error("there is no such event")]
    NoEvent,
    #[error("the event has no such list")]
    NoList,
    #[error("the event has no such gate")]
    NoGate,
    #[error("the event has no such ticket")]
    NoTicket,
    #[error("the event has no such ticket type")]
    NoType,
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One scan.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    pub event: EventId,
    pub text: &'a str,
    /// `None`: the attendance list.
    pub list: Option<ListId>,
    pub gate: Option<GateId>,
    pub direction: Direction,
    pub now: UnixMillis,
    /// Decides for real and never counts.
    pub rehearsal: bool,
}

/// A scan that is only imagined: the way in, with a genuine code.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    pub event: EventId,
    pub list: ListId,
    pub ticket: Tried,
    pub gate: Option<GateId>,
    pub now: UnixMillis,
    /// In place of the list's rule.
    pub rule: Option<Option<&'a str>>,
}

/// Whose verdict is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Tried {
    /// A ticket of the event, with its scans so far.
    Ticket(TicketId),
    /// A valid ticket of the type with this number that was never scanned.
    OfType(u16),
}

/// The verdict with what explains it.
#[derive(Debug)]
pub struct Decided {
    pub verdict: Verdict,
    pub list: ListConfig,
    pub gates: Vec<GateConfig>,
    pub time_zone: String,
    pub known: ManifestVersion,
}

/// Decides over what the transaction sees. To record the verdict, the log must be locked before.
pub async fn ask(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    scan: &Scan<'_>,
) -> Result<Decided, OnlineError> {
    let (org, event) = (organizer.0, scan.event.0);
    let (config, list) = configured(conn, organizer, scan).await?;
    let keys = KeyList {
        organizer,
        issued_at: scan.now.secs(),
        ticket_keys: manifests::ticket_keys(conn, org).await?,
        revoked_devices: manifests::revoked_devices(conn, org).await?,
    };
    let presented = KeyRing::new(&keys, scan.event)?.present(scan.text);
    let cut_offs = record::cut_offs(&keys.revoked_devices);
    let ticket = match &presented {
        Presented::Foreign { text_hash } => Some(foreign::ticket_of(scan.event, text_hash)),
        other => other.payload().map(|payload| payload.ticket_id),
    };
    let (known, history) = match ticket {
        None => (None, TicketHistory::default()),
        Some(ticket) => {
            let known = scans::ticket_row(conn, org, event, ticket).await?;
            (known, history_of(conn, organizer, scan.event, list.id, ticket, &cut_offs).await?)
        }
    };
    judge(conn, organizer, scan, (config, list), Subject { presented, known, history }).await
}

/// What the verdict on an imagined scan would be.
pub async fn try_out(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    trial: &Trial<'_>,
) -> Result<Decided, OnlineError> {
    let scan = Scan {
        event: trial.event,
        text: "",
        list: Some(trial.list),
        gate: trial.gate,
        direction: Direction::In,
        now: trial.now,
        rehearsal: false,
    };
    let (config, mut list) = configured(conn, organizer, &scan).await?;
    if let Some(rule) = trial.rule {
        list.rule = rule.map(str::to_owned);
    }
    let (row, history) = match trial.ticket {
        Tried::Ticket(ticket) => {
            let row = scans::ticket_row(conn, organizer.0, scan.event.0, ticket).await?;
            let cut_offs = record::cut_offs(&manifests::revoked_devices(conn, organizer.0).await?);
            let history = history_of(conn, organizer, scan.event, list.id, ticket, &cut_offs).await?;
            (row.ok_or(OnlineError::NoTicket)?, history)
        }
        Tried::OfType(type_no) => {
            let ticket_id = TicketId(Uuid::nil());
            let row = TicketRow { ticket_id, type_no, generation: 0, state: TicketState::Valid };
            (row, TicketHistory::default())
        }
    };
    let of_type = config.ticket_types.iter().find(|t| t.number == row.type_no).ok_or(OnlineError::NoType)?;
    let payload = Payload {
        generation: row.generation,
        kid: Kid([0; 4]),
        ticket_id: row.ticket_id,
        type_no: row.type_no,
        issued_at: UnixSecs(0),
        not_before: of_type.not_before,
        expires_at: of_type.expires_at,
    };
    let presented = Presented::Verified { payload, text_hash: Hash32([0; 32]) };
    judge(conn, organizer, &scan, (config, list), Subject { presented, known: Some(row), history }).await
}

/// The event as it is set up, and the list that the scan is for.
async fn configured(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    scan: &Scan<'_>,
) -> Result<(Configuration, ListConfig), OnlineError> {
    let config = manifests::configuration(conn, organizer.0, scan.event.0).await?;
    let config = config.ok_or(OnlineError::NoEvent)?;
    let list = match scan.list {
        Some(id) => config.lists.iter().find(|l| l.id == id),
        None => config.lists.iter().find(|l| l.attendance),
    };
    let list = list.ok_or(OnlineError::NoList)?.clone();
    if scan.gate.is_some_and(|id| !config.gates.iter().any(|g| g.id == id)) {
        return Err(OnlineError::NoGate);
    }
    Ok((config, list))
}

async fn history_of(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    list: ListId,
    ticket: TicketId,
    cut_offs: &CutOffs,
) -> Result<TicketHistory, sqlx::Error> {
    let histories = record::histories(conn, organizer, event, &[(list, ticket)], cut_offs).await?;
    Ok(histories.into_iter().next().map(|(_, history)| history).unwrap_or_default())
}

/// What is presented, and what is on record of it.
struct Subject {
    presented: Presented,
    known: Option<TicketRow>,
    history: TicketHistory,
}

async fn judge(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    scan: &Scan<'_>,
    (config, list): (Configuration, ListConfig),
    subject: Subject,
) -> Result<Decided, OnlineError> {
    let (org, event) = (organizer.0, scan.event.0);
    let position = manifests::position(conn, org, event).await?.ok_or(OnlineError::NoEvent)?;
    let imports = import::is_any(conn, org, event).await?;
    // What a restored database lost was sold all the same: gates admit it, and so do we.
    let gaps = manifests::gaps(conn, org, event).await?;
    // We are the truth: nothing is late here and nothing stale.
    let version = ManifestVersion {
        epoch: position.lineage.as_ref().map_or(0, |l| l.epoch),
        change_seq: position.change_seq,
        as_of: UnixSecs(u32::MAX),
    };
    let rule = list.rule.as_deref().map(CompiledRule::compile);
    let zone = EventZone::named(&config.info.time_zone);
    let verdict = decide(&Question {
        presented: &subject.presented,
        direction: scan.direction,
        list: &list,
        rule: rule.as_ref(),
        gate: scan.gate,
        now: scan.now,
        uncertainty_ms: 0,
        knowledge: Knowledge {
            manifest: Some(ManifestView {
                version,
                gaps: &gaps,
                imports: u32::from(imports),
                info: &config.info,
                ticket_types: &config.ticket_types,
                fresh_until: UnixSecs(u32::MAX),
                hard_until: UnixSecs(u32::MAX),
            }),
            known: subject.known,
            learned: None,
        },
        history: &subject.history,
        override_reason: None,
        rehearsal: scan.rehearsal,
        zone: zone.as_ref().map(|z| z as &dyn Zone),
    });
    Ok(Decided {
        verdict,
        list,
        gates: config.gates,
        time_zone: config.info.time_zone,
        known: ManifestVersion { as_of: scan.now.secs(), ..version },
    })
}

/// The event's virtual device, made on first use in a transaction of its own.
pub async fn virtual_device(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
) -> Result<Device, OnlineError> {
    loop {
        let mut tx = app.db.tenant(organizer.0).await?;
        if let Some(device) = devices::by_number(&mut tx, organizer.0, event.0, 0).await? {
            return Ok(device);
        }
        match make_virtual(app, &mut tx, organizer, event).await {
            Ok(()) => tx.commit().await?,
            // Another request was quicker: its device is found in the next round.
            Err(OnlineError::Database(e)) if is_unique_violation(&e, "devices_") => {}
            Err(e) => return Err(e),
        }
    }
}

async fn make_virtual(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
) -> Result<(), OnlineError> {
    let times = manifests::event_times(conn, organizer.0, event.0).await?.ok_or(OnlineError::NoEvent)?;
    let key = SigningKey::from_bytes(&app.rng.bytes());
    let device = DeviceId(app.rng.uuid(&*app.clock));
    let not_after = times.ends_at.unwrap_or(times.starts_at) + AFTER_EVENT;
    let label = "Server";
    let certificate = DeviceCertificate {
        organizer,
        event,
        device,
        number: 0,
        public_key: PublicKey(key.verifying_key().to_bytes()),
        capabilities: devices::capabilities(false),
        not_after: not_after.into(),
        label: label.to_owned(),
    };
    let online = organizer_key(app, conn, organizer.0, "online").await?;
    let new = NewDevice {
        device_id: device,
        event_id: event.0,
        number: 0,
        label,
        box_office: false,
        public_key: certificate.public_key,
        private_key_sealed: Some(&app.master_key.seal(SEAL_PURPOSE, &key.to_bytes(), &app.rng)),
        certificate: &sign1::sign(DocKind::DeviceCertificate, &online, &cbor::encode(&certificate)),
        not_after,
        confirmed_at: app.clock.now(),
        confirmed_by: None,
    };
    devices::insert(conn, organizer.0, &new).await?;
    let place = Place { organizer_id: organizer.0, event_id: Some(event.0) };
    directory::claim(conn, "device", &device.to_string(), place).await?;
    Ok(())
}

/// Locks what a recorded verdict depends on: the virtual device's log, then the event's. In this order, as
/// uploads do.
pub async fn lock(
    conn: &mut PgConnection,
    organizer: OrganizerId,
    event: EventId,
    device: &Device,
) -> Result<(), sqlx::Error> {
    scans::lock_log(conn, organizer.0, event.0, device.device_id, LOG_NO).await?;
    scans::lock_cursor(conn, organizer.0, event.0).await
}

/// Writes the verdict into the locked log; returns its place.
pub async fn write(
    app: &AppState,
    conn: &mut PgConnection,
    organizer: OrganizerId,
    device: &Device,
    scan: &Scan<'_>,
    decided: &Decided,
    nonce: Nonce16,
) -> Result<EntryPlace, OnlineError> {
    let sealed = device.private_key_sealed.as_deref().ok_or(KeyError::Missing("virtual device"))?;
    let key = open_key(&app.master_key, SEAL_PURPOSE, "virtual device", sealed)?;
    let head = scans::head(conn, organizer.0, device.device_id, LOG_NO).await?;
    let (seq, prev_hash) = head.map_or((1, NO_ENTRY), |(seq, hash)| (seq + 1, hash));
    let verdict = &decided.verdict;
    let place = EntryPlace { device: device.device_id, log_no: LOG_NO, seq };
    let entry = LogEntry {
        place,
        prev_hash,
        kind: verdict.kind,
        outcome: verdict.outcome,
        flags: verdict.flags,
        list: Some(verdict.list),
        ticket: verdict.ticket_id,
        generation: verdict.generation,
        kid: verdict.kid,
        text_hash: Some(verdict.text_hash),
        type_no: verdict.type_no,
        reason: None,
        gate: scan.gate,
        staff: None,
        nonce,
        target: None,
        direction: verdict.direction,
        rehearsal: verdict.rehearsal,
        time: ScanTime {
            corrected: scan.now,
            error_ms: 0,
            wall: scan.now,
            boot_id: app.gates.boot_id,
            monotonic_ns: u64::try_from(app.clock.monotonic().as_nanos()).unwrap_or(u64::MAX),
            anchor: None,
        },
        manifest: Some(decided.known),
        seen: Vec::new(),
    };
    let bytes = entry.to_bytes();
    let hash: Hash32 = entry_hash(&bytes);
    let run = Run {
        device: device.device_id,
        log_no: LOG_NO,
        signature: sign_run(&key, place, &hash),
        entries: vec![bytes.into()],
    };
    record::run(conn, organizer, scan.event, &run, &[(entry, hash)], app.clock.now()).await?;
    Ok(place)
}

/// The event that a code was issued for, by its ticket or, if that is unknown, by its key.
pub async fn event_of_code(
    conn: &mut PgConnection,
    organizer: Uuid,
    text: &str,
) -> Result<Option<EventId>, sqlx::Error> {
    let Ok(parsed) = shared::ticket::code::parse(text) else { return Ok(None) };
    scans::event_of_code(conn, organizer, parsed.payload.ticket_id.0, &parsed.payload.kid.0).await
}
