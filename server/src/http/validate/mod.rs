//! `POST /tickets/validate`: the verdict of the server, by the same rule as at every gate; with `check_in`
//! it is recorded in the log of the event's virtual device.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::admission::explain::{Names, explain};
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::bytes::{Hash32, Nonce16, sha256};
use shared::ids::{EventId, GateId, ListId, OrganizerId};
use shared::log::entry::{Direction, EntryPlace};
use shared::ticket::code::MAX_TEXT_LEN;
use shared::time::UnixMillis;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::AppState;
use crate::gates::online::{self, Decided, OnlineError, Scan};
use crate::http::booking_view::labels_of;
use crate::http::{Acting as _, ApiError, ApiJson, Problem, Staff};
use crate::store::scans::{self, NewOnlineScan};
use crate::store::ticket;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(validate))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Way {
    #[default]
    In,
    Out,
}

/// Records the scan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CheckIn {
    list_id: Uuid,
    gate_id: Option<Uuid>,
    /// `in` without it.
    #[serde(default)]
    direction: Way,
    /// Identity of this attempt, 16 bytes in hex: the same nonce is the same scan, and gets the same answer.
    #[schema(value_type = Option<String>)]
    nonce: Option<Nonce16>,
    /// Decides and records as ever, and never counts.
    #[serde(default)]
    rehearsal: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Validate {
    /// The text of the QR.
    code: String,
    /// The event it is presented at; by default the one it was issued for.
    event_id: Option<Uuid>,
    check_in: Option<CheckIn>,
}

/// An admission.
#[derive(Debug, Serialize, ToSchema)]
struct AdmissionJson {
    #[serde(with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
    gate_id: Option<Uuid>,
    device_id: Uuid,
}

/// Where a scan is on record.
#[derive(Debug, Serialize, ToSchema)]
struct RecordedJson {
    device_id: Uuid,
    log_no: u32,
    seq: u64,
    #[schema(value_type = String)]
    nonce: Nonce16,
}

/// Who comes with a ticket.
#[derive(Debug, Serialize, ToSchema)]
struct AttendeeNote {
    name: Option<String>,
    /// Answers to the questions that have `show_at_door`.
    notes: Vec<DoorNote>,
}

#[derive(Debug, Serialize, ToSchema)]
struct DoorNote {
    label: String,
    /// A text, or true or false.
    value: serde_json::Value,
}

/// The verdict.
#[derive(Debug, Serialize, ToSchema)]
struct ValidateAnswer {
    /// `ok`, or the first defect: see docs/PROTOCOL.md.
    outcome: &'static str,
    /// May the person go through?
    admit: bool,
    flags: Vec<&'static str>,
    /// What the log records: `entry`, `exit` or `refuse`.
    #[schema(value_type = String)]
    kind: shared::log::entry::EntryKind,
    event_id: Uuid,
    list_id: Uuid,
    ticket_id: Option<Uuid>,
    ticket_type_id: Option<Uuid>,
    ticket_type: Option<String>,
    /// For the steward, at every scan of this type.
    attention: Option<String>,
    first_admission: Option<AdmissionJson>,
    /// Who comes with it, and what the organizer wants the door to know. Not kept with the scan.
    attendee: Option<AttendeeNote>,
    /// For people.
    explanation: String,
    #[serde(with = "time::serde::rfc3339::option")]
    scanned_at: Option<OffsetDateTime>,
    /// With `check_in`: the entry.
    recorded: Option<RecordedJson>,
}

/// Decides a code online. Without `check_in` nothing is recorded and the attendance list's policy applies.
#[utoipa::path(post, path = "/tickets/validate", operation_id = "validate_ticket", tag = "tickets", request_body = Validate, security(("bearer" = [])),
    responses((status = 200, body = ValidateAnswer), (status = 404, body = Problem, description = "`not_found`: event, list or gate"),
              (status = 409, body = Problem, description = "`nonce_reused`"),
              (status = 422, body = Problem, description = "`event_unknown`: say at which event")))]
async fn validate(
    State(app): State<AppState>,
    member: Staff,
    ApiJson(body): ApiJson<Validate>,
) -> Result<Json<serde_json::Value>, ApiError> {
    if body.code.len() > MAX_TEXT_LEN {
        return Err(ApiError::invalid_field("code", "too_long", "no code is that long"));
    }
    let organizer = OrganizerId(member.organizer_id);
    let event = event_of(&app, organizer, &body).await?;
    let check_in = body.check_in.as_ref();
    let scan = Scan {
        event,
        text: &body.code,
        list: check_in.map(|c| ListId(c.list_id)),
        gate: check_in.and_then(|c| c.gate_id).map(GateId),
        direction: match check_in.map(|c| c.direction) {
            Some(Way::Out) => Direction::Out,
            _ => Direction::In,
        },
        now: UnixMillis(app.clock.now_ms()),
        rehearsal: check_in.is_some_and(|c| c.rehearsal),
    };
    match check_in {
        None => {
            let mut tx = app.db.tenant(organizer.0).await?;
            let decided = online::ask(&mut tx, organizer, &scan).await?;
            tx.commit().await?;
            let answer = to_json(&answer(&scan, &decided, None))?;
            Ok(Json(with_attendee(&app, organizer, answer).await))
        }
        Some(check_in) => {
            let nonce = check_in.nonce.unwrap_or_else(|| Nonce16(app.rng.bytes()));
            let answer = record(&app, &member, &scan, nonce).await?;
            Ok(Json(with_attendee(&app, organizer, answer).await))
        }
    }
}

/// Adds who comes, once the ticket is proven: names stand in the ticket's row alone, not in the log of scans. The
/// verdict is recorded by now: it is told also if the name cannot be read.
async fn with_attendee(
    app: &AppState,
    organizer: OrganizerId,
    mut answer: serde_json::Value,
) -> serde_json::Value {
    let id = answer["ticket_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
    let Some(id) = id.filter(|_| !answer["ticket_type_id"].is_null()) else { return answer };
    match attendee_of(app, organizer, id).await {
        Ok(Some(note)) => answer["attendee"] = note,
        Ok(None) => {}
        Err(e) => tracing::warn!(ticket_id = %id, "the answer to a scan does not say who comes: {e:#}"),
    }
    answer
}

async fn attendee_of(
    app: &AppState,
    organizer: OrganizerId,
    id: Uuid,
) -> anyhow::Result<Option<serde_json::Value>> {
    let mut tx = app.db.tenant(organizer.0).await?;
    let found = ticket::find(&mut tx, &[organizer.0], id).await?;
    tx.commit().await?;
    let Some(found) = found else { return Ok(None) };
    let labels = labels_of(app, std::slice::from_ref(&found)).await?;
    let mut answers = found.answers();
    let notes: Vec<DoorNote> = labels
        .into_iter()
        .filter(|(_, _, at_door)| *at_door)
        .filter_map(|(id, label, _)| Some(DoorNote { label, value: answers.remove(&id)? }))
        .collect();
    if found.attendee_name.is_none() && notes.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_value(AttendeeNote { name: found.attendee_name, notes })?))
}

async fn event_of(app: &AppState, organizer: OrganizerId, body: &Validate) -> Result<EventId, ApiError> {
    if let Some(event) = body.event_id {
        return Ok(EventId(event));
    }
    let mut tx = app.db.tenant(organizer.0).await?;
    let event = online::event_of_code(&mut tx, organizer.0, &body.code).await?;
    tx.commit().await?;
    event.ok_or_else(|| {
        ApiError::unprocessable(
            "event_unknown",
            "the code names no event of yours: say at which event it is presented",
        )
    })
}

/// Decides and records under the locks of the log, once per nonce.
async fn record(
    app: &AppState,
    member: &Staff,
    scan: &Scan<'_>,
    nonce: Nonce16,
) -> Result<serde_json::Value, ApiError> {
    let organizer = OrganizerId(member.organizer_id);
    let request_hash = request_hash(scan);
    let device = online::virtual_device(app, organizer, scan.event).await?;
    let mut tx = app.db.tenant(organizer.0).await?;
    online::lock(&mut tx, organizer, scan.event, &device).await?;
    if let Some(known) = scans::online_scan(&mut tx, organizer.0, scan.event.0, &nonce.0).await? {
        if known.request_hash != request_hash {
            return Err(ApiError::conflict("nonce_reused", "this nonce names another scan"));
        }
        return Ok(known.answer);
    }
    let decided = online::ask(&mut tx, organizer, scan).await?;
    let place = online::write(app, &mut tx, organizer, &device, scan, &decided, nonce).await?;
    let answer = to_json(&answer(scan, &decided, Some((place, nonce))))?;
    let remembered = NewOnlineScan {
        nonce: &nonce.0,
        request_hash: &request_hash,
        place,
        answer: &answer,
        requested_by: member.actor().1,
        created_at: app.clock.now(),
    };
    scans::remember_online_scan(&mut tx, organizer.0, scan.event.0, &remembered).await?;
    tx.commit().await?;
    app.news.publish(scan.event);
    Ok(answer)
}

/// What makes two requests with one nonce the same.
fn request_hash(scan: &Scan<'_>) -> Hash32 {
    let list = scan.list.map_or([0; 16], |l| *l.as_bytes());
    let gate = scan.gate.map_or([0; 16], |g| *g.as_bytes());
    let out = [u8::from(scan.direction == Direction::Out) | u8::from(scan.rehearsal) << 1];
    sha256(b"hvflvspot/online-scan/v1\0", &[&list, &gate, &out, scan.text.as_bytes()])
}

fn answer(scan: &Scan<'_>, decided: &Decided, recorded: Option<(EntryPlace, Nonce16)>) -> ValidateAnswer {
    let verdict = &decided.verdict;
    let zone = EventZone::named(&decided.time_zone);
    let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
    let names = Names { list: &decided.list.name, gates: &decided.gates, zone, now: scan.now };
    ValidateAnswer {
        outcome: verdict.outcome.as_str(),
        admit: verdict.is_ok(),
        flags: verdict.flags.names().collect(),
        kind: verdict.kind,
        event_id: scan.event.0,
        list_id: decided.list.id.0,
        ticket_id: verdict.ticket_id.map(Uuid::from),
        ticket_type_id: verdict.ticket_type.map(Uuid::from),
        ticket_type: verdict.ticket_type_name.clone(),
        attention: verdict.attention.clone(),
        first_admission: verdict.first_admission.map(|f| AdmissionJson {
            at: f.at.to_datetime(),
            gate_id: f.gate.map(Uuid::from),
            device_id: f.device.0,
        }),
        attendee: None,
        explanation: explain(verdict, &names),
        scanned_at: scan.now.to_datetime(),
        recorded: recorded.map(|(place, nonce)| RecordedJson {
            device_id: place.device.0,
            log_no: place.log_no,
            seq: place.seq,
            nonce,
        }),
    }
}

fn to_json(answer: &ValidateAnswer) -> Result<serde_json::Value, ApiError> {
    serde_json::to_value(answer).map_err(ApiError::internal)
}

impl From<OnlineError> for ApiError {
    fn from(e: OnlineError) -> Self {
        match e {
            OnlineError::NoEvent => Self::not_found("event"),
            OnlineError::NoList => Self::not_found("check-in list"),
            OnlineError::NoGate => Self::not_found("gate"),
            OnlineError::NoTicket => Self::not_found("ticket"),
            OnlineError::NoType => Self::not_found("ticket type"),
            OnlineError::Keys(e) => e.into(),
            OnlineError::Database(e) => e.into(),
            e @ OnlineError::Ring(_) => Self::internal(e),
        }
    }
}
