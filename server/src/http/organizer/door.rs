//! `/organizer/events/{id}/lists`, `/gates`, `/stewards`: what the door needs.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{finish, look, open, room_for_one_more, rules};
use crate::app::AppState;
use crate::domain::account::Password;
use crate::domain::steward::is_pin;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::fields::{Wrong, given};
use crate::http::page::{Page, PageQuery};
use crate::store::door::{self, CheckinList, Gate, Steward};
use crate::store::ticket_type::TicketType;
use crate::store::{Tx, ticket_type};

/// A check-in list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListJson {
    list_id: Uuid,
    name: String,
    /// The event's totals use this list alone. One per event.
    attendance: bool,
    /// Null: every ticket type, also later ones.
    ticket_type_ids: Option<Vec<Uuid>>,
    multiple_entry: bool,
    reentry_after_exit: bool,
    /// A typed condition, with ticket types by id; null: none.
    #[schema(value_type = Option<Object>)]
    rule: Option<Value>,
}

/// Fields of a list. To create: `name` is required. To update: what is given is changed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Entrance", "attendance": true, "multiple_entry": false, "reentry_after_exit": true }))]
pub(super) struct ListFields {
    name: Option<String>,
    /// Exactly one list has it; giving it to one takes it from the other. It cannot be taken back.
    attendance: Option<bool>,
    /// Null: every ticket type.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Vec<Uuid>>)]
    ticket_type_ids: Option<Option<Vec<Uuid>>>,
    /// The same ticket may enter again and again.
    multiple_entry: Option<bool>,
    /// After an exit the ticket may enter again.
    reentry_after_exit: Option<bool>,
    /// A typed condition (docs/PROTOCOL.md, section 10); null: none. It names ticket types by id or by number, and only
    /// types and gates that the event has.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>, example = json!({ "compare": { "value": "entries_today", "op": "<", "to": 2 } }))]
    rule: Option<Option<Value>>,
}

/// The check-in lists of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/lists", operation_id = "list_checkin_lists", tag = "door", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Page<ListJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn lists(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<ListJson>>, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let numbers = Numbers::read(&mut tx, &member, event_id).await?;
    let lists = door::lists(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let all = lists.into_iter().map(|l| numbers.json(l)).collect();
    Ok(Json(Page::of_few("lists", &query, all, |l: &ListJson| l.list_id)?))
}

/// Adds a check-in list.
///
/// With `attendance` it takes the place of the present attendance list; the one that the event began with is
/// removed then, if nobody ever changed it or scanned on it.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/lists", operation_id = "create_checkin_list", tag = "door", params(("event_id" = Uuid, Path)),
    request_body = ListFields, security(("bearer" = [])),
    responses(
        (status = 201, body = ListJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`too_many`", body = Problem), (status = 422, body = Problem),
    ),
)]
pub(super) async fn create_list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<ListFields>,
) -> Result<(StatusCode, Json<ListJson>), ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let now = app.clock.now();
    let mut list = CheckinList {
        list_id: app.rng.uuid(&*app.clock),
        event_id,
        name: String::new(),
        attendance: fields.attendance.unwrap_or(false),
        type_numbers: None,
        multiple_entry: false,
        reentry_after_exit: false,
        rule: None,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    let numbers = Numbers::read(&mut tx, &member, event_id).await?;
    let gates = door::gates(&mut tx, member.organizer_id, event_id).await?;
    let mut wrong = Wrong::default();
    if fields.name.is_none() {
        wrong.note("name", "required", "this field is required");
    }
    fields.apply(&mut list, &numbers, &gates, &mut wrong);
    wrong.check()?;
    room_for_one_more(door::lists(&mut tx, member.organizer_id, event_id).await?.len())?;
    if list.attendance {
        door::end_attendance(&mut tx, member.organizer_id, event_id, now).await?;
    }
    door::put_list(&mut tx, member.organizer_id, &list).await?;
    finish(&app, tx, &member, event_id, "list.created", ("list", list.list_id)).await?;
    Ok((StatusCode::CREATED, Json(numbers.json(list))))
}

/// Changes a check-in list. Gates follow it with their next manifest.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/lists/{list_id}", operation_id = "update_checkin_list", tag = "door",
    params(("event_id" = Uuid, Path), ("list_id" = Uuid, Path)), request_body = ListFields, security(("bearer" = [])),
    responses(
        (status = 200, body = ListJson), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`attendance_required`", body = Problem), (status = 422, body = Problem),
    ),
)]
pub(super) async fn update_list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, list_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<ListFields>,
) -> Result<Json<ListJson>, ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut list = find_list(&mut tx, &member, event_id, list_id).await?;
    let numbers = Numbers::read(&mut tx, &member, event_id).await?;
    let gates = door::gates(&mut tx, member.organizer_id, event_id).await?;
    let mut wrong = Wrong::default();
    fields.apply(&mut list, &numbers, &gates, &mut wrong);
    wrong.check()?;
    list.updated_at = app.clock.now();
    match (list.attendance, fields.attendance) {
        (true, Some(false)) => return Err(attendance_required()),
        (false, Some(true)) => {
            door::end_attendance(&mut tx, member.organizer_id, event_id, list.updated_at).await?;
            list.attendance = true;
        }
        _ => {}
    }
    door::put_list(&mut tx, member.organizer_id, &list).await?;
    finish(&app, tx, &member, event_id, "list.updated", ("list", list_id)).await?;
    Ok(Json(numbers.json(list)))
}

/// Removes a check-in list. Its scans stay on record. The attendance list stays.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/lists/{list_id}", operation_id = "archive_checkin_list", tag = "door",
    params(("event_id" = Uuid, Path), ("list_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`attendance_required`: give it to another list first", body = Problem),
    ),
)]
pub(super) async fn archive_list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, list_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut list = find_list(&mut tx, &member, event_id, list_id).await?;
    if list.attendance {
        return Err(attendance_required());
    }
    list.archived_at = Some(app.clock.now());
    door::put_list(&mut tx, member.organizer_id, &list).await?;
    finish(&app, tx, &member, event_id, "list.archived", ("list", list_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A place where tickets are scanned.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GateJson {
    gate_id: Uuid,
    name: String,
}

/// Fields of a gate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "North door" }))]
pub(super) struct GateFields {
    name: String,
}

/// The gates of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/gates", operation_id = "list_gates", tag = "door", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Page<GateJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn gates(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<GateJson>>, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let gates = door::gates(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let all = gates.into_iter().map(gate_json).collect();
    Ok(Json(Page::of_few("gates", &query, all, |g: &GateJson| g.gate_id)?))
}

/// Adds a gate.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/gates", operation_id = "create_gate", tag = "door", params(("event_id" = Uuid, Path)),
    request_body = GateFields, security(("bearer" = [])),
    responses((status = 201, body = GateJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn create_gate(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<GateFields>,
) -> Result<(StatusCode, Json<GateJson>), ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    room_for_one_more(door::gates(&mut tx, member.organizer_id, event_id).await?.len())?;
    let mut wrong = Wrong::default();
    let name = wrong.line("name", &fields.name, 1, 200);
    wrong.check()?;
    let gate = Gate {
        gate_id: app.rng.uuid(&*app.clock),
        event_id,
        name,
        created_at: app.clock.now(),
        archived_at: None,
    };
    door::put_gate(&mut tx, member.organizer_id, &gate).await?;
    finish(&app, tx, &member, event_id, "gate.created", ("gate", gate.gate_id)).await?;
    Ok((StatusCode::CREATED, Json(gate_json(gate))))
}

/// Renames a gate.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/gates/{gate_id}", operation_id = "update_gate", tag = "door",
    params(("event_id" = Uuid, Path), ("gate_id" = Uuid, Path)), request_body = GateFields, security(("bearer" = [])),
    responses((status = 200, body = GateJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn update_gate(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, gate_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<GateFields>,
) -> Result<Json<GateJson>, ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut gate = find_gate(&mut tx, &member, event_id, gate_id).await?;
    let mut wrong = Wrong::default();
    gate.name = wrong.line("name", &fields.name, 1, 200);
    wrong.check()?;
    door::put_gate(&mut tx, member.organizer_id, &gate).await?;
    finish(&app, tx, &member, event_id, "gate.updated", ("gate", gate_id)).await?;
    Ok(Json(gate_json(gate)))
}

/// Removes a gate. Its scans stay on record. One that a list's rule names stays.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/gates/{gate_id}", operation_id = "archive_gate", tag = "door",
    params(("event_id" = Uuid, Path), ("gate_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 204), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`gate_in_rule`: change the rule of that list first", body = Problem),
    ),
)]
pub(super) async fn archive_gate(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, gate_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut gate = find_gate(&mut tx, &member, event_id, gate_id).await?;
    let lists = door::lists(&mut tx, member.organizer_id, event_id).await?;
    let names_it = |l: &&CheckinList| l.rule.as_ref().is_some_and(|rule| rules::names_gate(rule, gate_id));
    if let Some(list) = lists.iter().find(names_it) {
        let why = format!("the rule of the list {} names this gate", list.name);
        return Err(ApiError::conflict("gate_in_rule", why));
    }
    gate.archived_at = Some(app.clock.now());
    door::put_gate(&mut tx, member.organizer_id, &gate).await?;
    finish(&app, tx, &member, event_id, "gate.archived", ("gate", gate_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A member of door staff. The PIN is never told again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StewardJson {
    steward_id: Uuid,
    label: String,
    /// May override and undo.
    supervisor: bool,
}

/// Fields of a steward. To create: `label` and `pin` are required. To update: what is given is changed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "label": "Kim", "supervisor": true, "pin": "246810" }))]
pub(super) struct StewardFields {
    label: Option<String>,
    supervisor: Option<bool>,
    /// 4 to 8 digits; kept as argon2id hash.
    #[schema(pattern = "^[0-9]{4,8}$")]
    pin: Option<String>,
}

/// The stewards of an event.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/stewards", operation_id = "list_stewards", tag = "door", params(("event_id" = Uuid, Path), PageQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Page<StewardJson>), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn stewards(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<StewardJson>>, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let stewards = door::stewards(&mut tx, member.organizer_id, event_id).await?;
    tx.commit().await?;
    let all = stewards.into_iter().map(steward_json).collect();
    Ok(Json(Page::of_few("stewards", &query, all, |s: &StewardJson| s.steward_id)?))
}

/// Adds a steward.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/stewards", operation_id = "create_steward", tag = "door", params(("event_id" = Uuid, Path)),
    request_body = StewardFields, security(("bearer" = [])),
    responses((status = 201, body = StewardJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn create_steward(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(fields): ApiJson<StewardFields>,
) -> Result<(StatusCode, Json<StewardJson>), ApiError> {
    let mut wrong = Wrong::default();
    for (field, missing) in [("label", fields.label.is_none()), ("pin", fields.pin.is_none())] {
        if missing {
            wrong.note(field, "required", "this field is required");
        }
    }
    fields.check(&mut wrong);
    wrong.check()?;
    let pin_hash = fields.pin_hash(&app).await?.unwrap_or_default();
    let (mut tx, _) = open(&app, &member, event_id).await?;
    room_for_one_more(door::stewards(&mut tx, member.organizer_id, event_id).await?.len())?;
    let now = app.clock.now();
    let steward = Steward {
        steward_id: app.rng.uuid(&*app.clock),
        event_id,
        label: fields.label.unwrap_or_default().trim().to_owned(),
        supervisor: fields.supervisor.unwrap_or(false),
        pin_hash,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    door::put_steward(&mut tx, member.organizer_id, &steward).await?;
    finish(&app, tx, &member, event_id, "steward.created", ("steward", steward.steward_id)).await?;
    Ok((StatusCode::CREATED, Json(steward_json(steward))))
}

/// Changes a steward, as the PIN.
#[utoipa::path(
    put, path = "/organizer/events/{event_id}/stewards/{steward_id}", operation_id = "update_steward", tag = "door",
    params(("event_id" = Uuid, Path), ("steward_id" = Uuid, Path)), request_body = StewardFields, security(("bearer" = [])),
    responses((status = 200, body = StewardJson), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
)]
pub(super) async fn update_steward(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, steward_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<StewardFields>,
) -> Result<Json<StewardJson>, ApiError> {
    let mut wrong = Wrong::default();
    fields.check(&mut wrong);
    wrong.check()?;
    let pin_hash = fields.pin_hash(&app).await?;
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut steward = find_steward(&mut tx, &member, event_id, steward_id).await?;
    if let Some(label) = &fields.label {
        label.trim().clone_into(&mut steward.label);
    }
    steward.supervisor = fields.supervisor.unwrap_or(steward.supervisor);
    steward.pin_hash = pin_hash.unwrap_or(steward.pin_hash);
    steward.updated_at = app.clock.now();
    door::put_steward(&mut tx, member.organizer_id, &steward).await?;
    finish(&app, tx, &member, event_id, "steward.updated", ("steward", steward_id)).await?;
    Ok(Json(steward_json(steward)))
}

/// Removes a steward.
#[utoipa::path(
    delete, path = "/organizer/events/{event_id}/stewards/{steward_id}", operation_id = "archive_steward", tag = "door",
    params(("event_id" = Uuid, Path), ("steward_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)),
)]
pub(super) async fn archive_steward(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, steward_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<StatusCode, ApiError> {
    let (mut tx, _) = open(&app, &member, event_id).await?;
    let mut steward = find_steward(&mut tx, &member, event_id, steward_id).await?;
    steward.archived_at = Some(app.clock.now());
    door::put_steward(&mut tx, member.organizer_id, &steward).await?;
    finish(&app, tx, &member, event_id, "steward.archived", ("steward", steward_id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn attendance_required() -> ApiError {
    ApiError::conflict(
        "attendance_required",
        "an event has one attendance list: give `attendance` to another list instead",
    )
}

impl ListFields {
    fn apply(&self, list: &mut CheckinList, numbers: &Numbers, gates: &[Gate], wrong: &mut Wrong) {
        if let Some(name) = &self.name {
            list.name = wrong.line("name", name, 1, 200);
        }
        if let Some(types) = &self.ticket_type_ids {
            list.type_numbers = types.as_ref().map(|ids| numbers.of(ids, wrong));
        }
        if let Some(rule) = &self.rule {
            list.rule = rule.as_ref().map(|rule| rules::checked(rule, numbers, gates, wrong));
        }
        list.multiple_entry = self.multiple_entry.unwrap_or(list.multiple_entry);
        list.reentry_after_exit = self.reentry_after_exit.unwrap_or(list.reentry_after_exit);
    }
}

impl StewardFields {
    fn check(&self, wrong: &mut Wrong) {
        if let Some(label) = &self.label {
            wrong.line("label", label, 1, 100);
        }
        if self.pin.as_ref().is_some_and(|pin| !is_pin(pin)) {
            wrong.note("pin", "invalid", "4 to 8 digits");
        }
    }

    /// Hashed where passwords are, so that both together take no more threads than there are cores.
    async fn pin_hash(&self, app: &AppState) -> Result<Option<String>, ApiError> {
        let Some(pin) = &self.pin else { return Ok(None) };
        Ok(Some(app.passwords.hash(&Password::new(pin.as_str())).await?))
    }
}

/// Numbers of an event's ticket types: lists keep numbers, as gates do; clients know ids.
pub(super) struct Numbers(Vec<(Uuid, i32)>);

impl Numbers {
    pub(super) async fn read(tx: &mut Tx, member: &Staff, event_id: Uuid) -> Result<Self, sqlx::Error> {
        Ok(Self::of_types(&ticket_type::of_event(tx, member.organizer_id, event_id).await?))
    }

    pub(super) fn of_types(types: &[TicketType]) -> Self {
        Self(types.iter().map(|t| (t.ticket_type_id, t.number)).collect())
    }

    pub(super) fn number(&self, id: Uuid) -> Option<i32> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, number)| *number)
    }

    pub(super) fn id(&self, number: i64) -> Option<Uuid> {
        self.0.iter().find(|(_, known)| i64::from(*known) == number).map(|(id, _)| *id)
    }

    fn of(&self, ids: &[Uuid], wrong: &mut Wrong) -> Vec<i32> {
        let mut numbers = Vec::with_capacity(ids.len());
        for (at, id) in ids.iter().enumerate() {
            match self.number(*id) {
                Some(number) => numbers.push(number),
                None => {
                    wrong.note(format!("ticket_type_ids[{at}]"), "unknown", "there is no such ticket type")
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    pub(super) fn json(&self, list: CheckinList) -> ListJson {
        let id = |number: &i32| self.id(i64::from(*number));
        ListJson {
            list_id: list.list_id,
            name: list.name,
            attendance: list.attendance,
            ticket_type_ids: list.type_numbers.map(|numbers| numbers.iter().filter_map(id).collect()),
            multiple_entry: list.multiple_entry,
            reentry_after_exit: list.reentry_after_exit,
            rule: list.rule.map(|rule| rules::told(rule, self)),
        }
    }
}

async fn find_list(
    tx: &mut Tx,
    member: &Staff,
    event_id: Uuid,
    list_id: Uuid,
) -> Result<CheckinList, ApiError> {
    let lists = door::lists(tx, member.organizer_id, event_id).await?;
    lists.into_iter().find(|l| l.list_id == list_id).ok_or_else(|| ApiError::not_found("list"))
}

async fn find_gate(tx: &mut Tx, member: &Staff, event_id: Uuid, gate_id: Uuid) -> Result<Gate, ApiError> {
    let gates = door::gates(tx, member.organizer_id, event_id).await?;
    gates.into_iter().find(|g| g.gate_id == gate_id).ok_or_else(|| ApiError::not_found("gate"))
}

async fn find_steward(
    tx: &mut Tx,
    member: &Staff,
    event_id: Uuid,
    steward_id: Uuid,
) -> Result<Steward, ApiError> {
    let stewards = door::stewards(tx, member.organizer_id, event_id).await?;
    stewards.into_iter().find(|s| s.steward_id == steward_id).ok_or_else(|| ApiError::not_found("steward"))
}

pub(super) fn gate_json(of: Gate) -> GateJson {
    GateJson { gate_id: of.gate_id, name: of.name }
}

pub(super) fn steward_json(of: Steward) -> StewardJson {
    StewardJson { steward_id: of.steward_id, label: of.label, supervisor: of.supervisor }
}
