//! Invitations of devices: make, look at, confirm by the six digits, decline.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::bytes::{Nonce16, PublicKey};
use shared::cbor;
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::manifest::docs::{DeviceCertificate, DocKind};
use shared::manifest::sign1;
use shared::wire::enroll::{Link, TypedCode};
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::device::DeviceJson;
use super::{event, note};
use crate::app::AppState;
use crate::domain::device::{
    AFTER_EVENT, Confirm, ConfirmRefusal, Revealed, SLOT_TTL, SecretKind, Slot, SlotState, TRIES, secret_hash,
};
use crate::gates::organizer_key;
use crate::http::gates::{first_root, origin};
use crate::http::{ApiError, ApiJson, ApiPath, ApiQuery, Member, Page, PageQuery, Problem};
use crate::store::devices::{self, Device, NewDevice};
use crate::store::directory::{self, Place};
use crate::store::slots::{self, NewSlot, SlotKey};
use crate::store::{Tx, manifests};

/// Names tried for a typed code before we give up; there are a million.
const NAMES_TRIED: usize = 16;
const LIST: &str = "device_slots";

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSlot {
    /// What people will call the device, 1 to 80 characters.
    label: String,
    /// May the device see plain names for search?
    #[serde(default)]
    box_office: bool,
}

/// A new invitation. The secrets stand here once and never again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NewSlotJson {
    #[serde(flatten)]
    slot: SlotJson,
    /// For the device to open or scan.
    link: String,
    /// The link as a QR code, SVG.
    qr_svg: String,
    /// To type instead, with the server's address: eight characters.
    code: String,
    /// The server's address that goes with the code.
    server: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SlotStateJson {
    /// Waits for its machine.
    Open,
    /// A machine answered; it will show its digits at once.
    Committed,
    /// The machine shows the digits: compare and confirm.
    Revealed,
    Confirmed,
    Declined,
    Expired,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SlotJson {
    slot_id: Uuid,
    label: String,
    box_office: bool,
    state: SlotStateJson,
    /// What the machine must show too.
    digits: Option<String>,
    device_id: Option<Uuid>,
    /// Wrong secrets or digits left.
    tries_left: i16,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl SlotJson {
    fn of(slot: &Slot, now: OffsetDateTime) -> Self {
        let over = now >= slot.expires_at;
        let (state, digits, device_id) = match &slot.state {
            SlotState::Open if over => (SlotStateJson::Expired, None, None),
            SlotState::Committed(_) if over => (SlotStateJson::Expired, None, None),
            SlotState::Revealed(..) if over => (SlotStateJson::Expired, None, None),
            SlotState::Open => (SlotStateJson::Open, None, None),
            SlotState::Committed(_) => (SlotStateJson::Committed, None, None),
            SlotState::Revealed(_, shown) => (SlotStateJson::Revealed, Some(shown.digits.clone()), None),
            SlotState::Confirmed(_, shown, device) => {
                (SlotStateJson::Confirmed, Some(shown.digits.clone()), Some(*device))
            }
            SlotState::Declined => (SlotStateJson::Declined, None, None),
        };
        Self {
            slot_id: slot.slot_id,
            label: slot.label.clone(),
            box_office: slot.box_office,
            state,
            digits,
            device_id,
            tries_left: slot.tries_left,
            created_at: slot.created_at,
            expires_at: slot.expires_at,
        }
    }
}

/// Invites one machine: a link, its QR, and a code to type. Single use, ten minutes, five tries.
#[utoipa::path(post, path = "/organizer/events/{event_id}/devices/slots", operation_id = "create_device_slot", tag = "devices", params(("event_id" = Uuid, Path)),
    request_body = CreateSlot, security(("bearer" = [])),
    responses((status = 201, body = NewSlotJson), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "`event_over`"), (status = 422, body = Problem)))]
pub(super) async fn create(
    State(app): State<AppState>,
    member: Member,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(body): ApiJson<CreateSlot>,
) -> Result<(StatusCode, Json<NewSlotJson>), ApiError> {
    let label = body.label.trim();
    if !(1..=80).contains(&label.chars().count()) {
        return Err(ApiError::invalid_field("label", "length", "1 to 80 characters"));
    }
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let mut tx = app.db.tenant(organizer).await?;
    let times = event(&mut tx, organizer, event_id).await?;
    if now >= times.ends_at.unwrap_or(times.starts_at) + AFTER_EVENT {
        return Err(event_over());
    }
    slots::release_names(&mut tx, organizer, now).await?;
    let slot_id = app.rng.uuid(&*app.clock);
    let secret = Nonce16(app.rng.bytes());
    let place = Place { organizer_id: organizer, event_id: Some(event_id) };
    let typed = claim_typed(&app, &mut tx, place).await?;
    directory::claim(&mut tx, "slot", &slot_id.to_string(), place).await?;
    let new = NewSlot {
        slot_id,
        event_id,
        label,
        box_office: body.box_office,
        short_name: &typed.slot,
        link_secret_hash: secret_hash(slot_id, SecretKind::Link, &secret.0),
        typed_secret_hash: secret_hash(slot_id, SecretKind::Typed, typed.secret.as_bytes()),
        tries: TRIES,
        created_by: member.user.user_id,
        created_at: now,
        expires_at: now + SLOT_TTL,
    };
    slots::insert(&mut tx, organizer, &new).await?;
    let root = first_root(&manifests::trust_roots(&mut tx, organizer, 0).await?)?;
    note(
        &app,
        &mut tx,
        &member,
        "device_slot.created",
        ("device_slot", slot_id),
        json!({ "event_id": event_id }),
    )
    .await?;
    let slot = slots::lock(&mut tx, organizer, SlotKey::Id(slot_id)).await?.ok_or_else(no_slot)?;
    tx.commit().await?;

    let server = origin(&app)?;
    let link =
        Link { origin: server.clone(), slot: Nonce16(*slot_id.as_bytes()), secret, trust_root_hash: root };
    let link = link.to_url();
    let qr = QrCode::new(link.as_bytes()).map_err(ApiError::internal)?;
    let qr_svg = qr.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    let body = NewSlotJson { slot: SlotJson::of(&slot, now), link, qr_svg, code: typed.to_text(), server };
    Ok((StatusCode::CREATED, Json(body)))
}

/// A typed code whose name nobody else holds now.
async fn claim_typed(app: &AppState, tx: &mut Tx, place: Place) -> Result<TypedCode, ApiError> {
    for _ in 0..NAMES_TRIED {
        let typed = TypedCode::from_random(app.rng.bytes());
        if directory::claim(tx, "slot", &typed.slot, place).await? {
            return Ok(typed);
        }
    }
    Err(ApiError::unavailable(
        "no_free_code",
        "too many invitations are open everywhere; try again in some minutes",
        std::time::Duration::from_secs(60),
    ))
}

fn no_slot() -> ApiError {
    ApiError::not_found("invitation")
}

fn event_over() -> ApiError {
    ApiError::conflict("event_over", "the event is over: no more devices can be enrolled")
}

/// The invitations of an event, the newest first.
#[utoipa::path(get, path = "/organizer/events/{event_id}/devices/slots", operation_id = "list_device_slots", tag = "devices", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])), responses((status = 200, body = Page<SlotJson>), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<SlotJson>>, ApiError> {
    let (after, limit) = (query.after(LIST)?, query.limit());
    let mut tx = app.db.tenant(member.organizer_id).await?;
    event(&mut tx, member.organizer_id, event_id).await?;
    let slots = slots::of_event(&mut tx, member.organizer_id, event_id, after, limit + 1).await?;
    tx.commit().await?;
    let now = app.clock.now();
    Ok(Json(Page::of(LIST, limit, slots, |s| (s.created_at, s.slot_id), |s| SlotJson::of(&s, now))))
}

/// One invitation: ask it for the digits to compare.
#[utoipa::path(get, path = "/organizer/events/{event_id}/devices/slots/{slot_id}", operation_id = "get_device_slot", tag = "devices",
    params(("event_id" = Uuid, Path), ("slot_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, body = SlotJson), (status = 404, body = Problem)))]
pub(super) async fn get(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, slot_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<SlotJson>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let slot = slot_of(&mut tx, &member, event_id, slot_id).await?;
    tx.commit().await?;
    Ok(Json(SlotJson::of(&slot, app.clock.now())))
}

async fn slot_of(tx: &mut Tx, member: &Member, event_id: Uuid, slot_id: Uuid) -> Result<Slot, ApiError> {
    let slot = slots::lock(tx, member.organizer_id, SlotKey::Id(slot_id)).await?;
    slot.filter(|s| s.event_id == event_id).ok_or_else(no_slot)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmSlot {
    /// The six digits as the machine shows them.
    digits: String,
}

/// Lets the machine in, if it shows these digits.
#[utoipa::path(post, path = "/organizer/events/{event_id}/devices/slots/{slot_id}/confirm", operation_id = "confirm_device_slot", tag = "devices",
    params(("event_id" = Uuid, Path), ("slot_id" = Uuid, Path)), request_body = ConfirmSlot, security(("bearer" = [])),
    responses((status = 200, body = DeviceJson), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "`not_revealed`, `declined`, `state_conflict`, `event_over`"),
              (status = 410, body = Problem, description = "`invitation_expired`"),
              (status = 422, body = Problem, description = "`digits_differ`: five times, and it is declined")))]
pub(super) async fn confirm(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, slot_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(body): ApiJson<ConfirmSlot>,
) -> Result<Json<DeviceJson>, ApiError> {
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let digits: String = body.digits.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let mut tx = app.db.tenant(organizer).await?;
    let slot = slot_of(&mut tx, &member, event_id, slot_id).await?;
    let device = match slot.confirm(&digits, now) {
        Ok(Confirm::Again(device)) => DeviceId(device),
        Ok(Confirm::Make(revealed)) => {
            let device = make_device(&app, &mut tx, &member, &slot, &revealed).await?;
            if !slots::confirm(&mut tx, organizer, slot_id, device.0, member.user.user_id, now).await? {
                return Err(ApiError::conflict("state_conflict", "the invitation has changed meanwhile"));
            }
            device
        }
        Err(ConfirmRefusal::WrongDigits) => {
            slots::spend_try(&mut tx, organizer, slot_id, now).await?;
            tx.commit().await?;
            return Err(ApiError::unprocessable(
                "digits_differ",
                "the machine shows other digits: if they truly differ, decline, for somebody else is in between",
            ));
        }
        Err(ConfirmRefusal::NotYet) => {
            return Err(ApiError::conflict("not_revealed", "no machine has answered this invitation yet"));
        }
        Err(ConfirmRefusal::Expired) => {
            return Err(ApiError::gone("invitation_expired", "the invitation is over: make a new one"));
        }
        Err(ConfirmRefusal::Declined) => {
            return Err(ApiError::conflict("declined", "the invitation was declined"));
        }
    };
    let device = devices::find(&mut tx, organizer, device).await?;
    tx.commit().await?;
    app.news.publish(event_id);
    device.map(|d: Device| Json(DeviceJson::of(&d, now))).ok_or_else(|| ApiError::not_found("device"))
}

/// Makes the device: number, certificate, directory.
async fn make_device(
    app: &AppState,
    tx: &mut Tx,
    member: &Member,
    slot: &Slot,
    revealed: &Revealed,
) -> Result<DeviceId, ApiError> {
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let times = event(tx, organizer, slot.event_id).await?;
    let not_after = times.ends_at.unwrap_or(times.starts_at) + AFTER_EVENT;
    if now >= not_after {
        return Err(event_over());
    }
    let device = DeviceId(app.rng.uuid(&*app.clock));
    let certificate = DeviceCertificate {
        organizer: OrganizerId(organizer),
        event: EventId(slot.event_id),
        device,
        number: devices::next_number(tx, organizer, slot.event_id).await?,
        public_key: PublicKey(revealed.public_key.0),
        capabilities: devices::capabilities(slot.box_office),
        not_after: not_after.into(),
        label: slot.label.clone(),
    };
    let online = organizer_key(app, tx, organizer, "online").await?;
    let new = NewDevice {
        device_id: device,
        event_id: slot.event_id,
        number: certificate.number,
        label: &slot.label,
        box_office: slot.box_office,
        public_key: certificate.public_key,
        private_key_sealed: None,
        certificate: &sign1::sign(DocKind::DeviceCertificate, &online, &cbor::encode(&certificate)),
        not_after,
        confirmed_at: now,
        confirmed_by: Some(member.user.user_id),
    };
    devices::insert(tx, organizer, &new).await?;
    let place = Place { organizer_id: organizer, event_id: Some(slot.event_id) };
    directory::claim(tx, "device", &device.to_string(), place).await?;
    let detail = json!({ "event_id": slot.event_id, "slot_id": slot.slot_id, "number": certificate.number });
    note(app, tx, member, "device.confirmed", ("device", device.0), detail).await?;
    Ok(device)
}

/// Sends the machine away.
#[utoipa::path(post, path = "/organizer/events/{event_id}/devices/slots/{slot_id}/decline", operation_id = "decline_device_slot", tag = "devices",
    params(("event_id" = Uuid, Path), ("slot_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, body = SlotJson), (status = 404, body = Problem),
              (status = 409, body = Problem, description = "`confirmed`: revoke the device instead")))]
pub(super) async fn decline(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, slot_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<SlotJson>, ApiError> {
    let (organizer, now) = (member.organizer_id, app.clock.now());
    let mut tx = app.db.tenant(organizer).await?;
    slot_of(&mut tx, &member, event_id, slot_id).await?;
    if !slots::decline(&mut tx, organizer, slot_id, member.user.user_id, now).await? {
        return Err(ApiError::conflict("confirmed", "the device is confirmed already: revoke it instead"));
    }
    note(&app, &mut tx, &member, "device_slot.declined", ("device_slot", slot_id), json!({})).await?;
    let slot = slot_of(&mut tx, &member, event_id, slot_id).await?;
    tx.commit().await?;
    Ok(Json(SlotJson::of(&slot, now)))
}
