//! Rules as organizers write them: checked against the event before they are kept, and tried before they hold.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::admission::explain::{Names, explain};
use shared::admission::rule::CompiledRule;
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::ids::{EventId, GateId, ListId, OrganizerId, TicketId};
use shared::time::UnixMillis;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::door::Numbers;
use super::look;
use crate::app::AppState;
use crate::gates::online::{self, Trial, Tried};
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiJson, ApiPath};
use crate::http::fields::{Instant, Wrong, given};
use crate::store::door::{self, Gate};

/// The rule as it is kept and as gates get it: types by number, ids in their usual form. Notes what is wrong.
pub(super) fn checked(rule: &Value, numbers: &Numbers, gates: &[Gate], wrong: &mut Wrong) -> Value {
    let mut rule = rule.clone();
    let mut missing = Vec::new();
    Known { numbers, gates }.settle(&mut rule, "rule", &mut missing);
    // What names something that is not there would not parse either; one word for one mistake.
    if let (true, Err(e)) = (missing.is_empty(), CompiledRule::parse(&rule.to_string())) {
        wrong.note("rule", "invalid", e.to_string());
    }
    for (field, message) in missing {
        wrong.note(field, "unknown", message);
    }
    rule
}

/// The rule as clients know it: types by id.
pub(super) fn told(mut rule: Value, numbers: &Numbers) -> Value {
    each_set(&mut rule, "rule", &mut |name, item, _| {
        if let ("ticket_type", Some(number)) = (name, item.as_i64())
            && let Some(id) = numbers.id(number)
        {
            *item = Value::String(id.to_string());
        }
    });
    rule
}

/// True if the rule names the gate.
pub(super) fn names_gate(rule: &Value, gate: Uuid) -> bool {
    let mut found = false;
    let text = gate.to_string();
    each_set(&mut rule.clone(), "rule", &mut |name, item, _| {
        found |= name == "gate" && item.as_str() == Some(&text);
    });
    found
}

/// What rules of an event may name.
struct Known<'a> {
    numbers: &'a Numbers,
    gates: &'a [Gate],
}

impl Known<'_> {
    /// Puts numbers for the ids of types; tells where something is named that the event does not have.
    fn settle(&self, rule: &mut Value, at: &str, missing: &mut Vec<(String, &'static str)>) {
        each_set(rule, at, &mut |name, item, at| {
            let id = item.as_str().and_then(|text| text.parse::<Uuid>().ok());
            match (name, id, item.as_i64()) {
                ("gate", Some(id), _) if self.gates.iter().any(|g| g.gate_id == id) => {
                    *item = Value::String(id.to_string());
                }
                ("gate", Some(_), _) => missing.push((at, "there is no such gate")),
                ("ticket_type", Some(id), _) => match self.numbers.number(id) {
                    Some(number) => *item = number.into(),
                    None => missing.push((at, "there is no such ticket type")),
                },
                ("ticket_type", None, Some(number)) if self.numbers.id(number).is_none() => {
                    missing.push((at, "there is no ticket type of this number"));
                }
                _ => {}
            }
        });
    }
}

/// Visits the items of every `gate` and `ticket_type`, with the place of each as field errors name it.
fn each_set(rule: &mut Value, at: &str, visit: &mut impl FnMut(&str, &mut Value, String)) {
    let Some(parts) = rule.as_object_mut() else { return };
    for (name, part) in parts {
        let at = format!("{at}.{name}");
        match (name.as_str(), part) {
            ("not", part) => each_set(part, &at, visit),
            ("and" | "or", Value::Array(parts)) => {
                for (n, part) in parts.iter_mut().enumerate() {
                    each_set(part, &format!("{at}[{n}]"), visit);
                }
            }
            (name @ ("gate" | "ticket_type"), Value::Array(items)) => {
                for (n, item) in items.iter_mut().enumerate() {
                    visit(name, item, format!("{at}[{n}]"));
                }
            }
            _ => {}
        }
    }
}

/// A scan that is only imagined. `ticket_id` or `ticket_type_id` is required.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ticket_type_id": "01890a5d-ac96-774b-bcce-b302099a8057", "at": "2026-12-24T19:00:00Z", "rule": { "after": { "time": { "time_of_day": "18:30" } } } }))]
pub(super) struct TryFields {
    /// A ticket of the event, with everything that was scanned of it.
    ticket_id: Option<Uuid>,
    /// A valid ticket of this type that was never scanned.
    ticket_type_id: Option<Uuid>,
    /// Where; no gate without it.
    gate_id: Option<Uuid>,
    /// When; now without it.
    at: Option<Instant>,
    /// In place of the list's rule; null: without a rule.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Object>)]
    rule: Option<Option<Value>>,
}

/// What the verdict would be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TryAnswer {
    list_id: Uuid,
    /// `ok`, or the first defect: see docs/PROTOCOL.md.
    outcome: &'static str,
    /// May the person go in?
    admit: bool,
    flags: Vec<&'static str>,
    /// Null for a ticket that is only imagined.
    ticket_id: Option<Uuid>,
    ticket_type_id: Option<Uuid>,
    ticket_type: Option<String>,
    /// For the steward, at every scan of this type.
    attention: Option<String>,
    /// What the steward would read.
    explanation: String,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

/// Says what the verdict on a ticket would be, and records nothing.
///
/// Decided by the same rule as at every gate, with the list as it stands or with the rule in the body. Everything
/// that was scanned so far counts, also what lies after `at`.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/lists/{list_id}/try", operation_id = "try_checkin_list", tag = "door",
    params(("event_id" = Uuid, Path), ("list_id" = Uuid, Path)), request_body = TryFields, security(("bearer" = [])),
    responses(
        (status = 200, body = TryAnswer), (status = 403, body = Problem),
        (status = 404, description = "`not_found`: event, list, gate, ticket or ticket type", body = Problem), (status = 422, body = Problem),
    ),
)]
pub(super) async fn try_list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath((event_id, list_id)): ApiPath<(Uuid, Uuid)>,
    ApiJson(fields): ApiJson<TryFields>,
) -> Result<Json<TryAnswer>, ApiError> {
    let organizer_id = member.organizer_id;
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let numbers = Numbers::read(&mut tx, &member, event_id).await?;
    let gates = door::gates(&mut tx, organizer_id, event_id).await?;
    let mut wrong = Wrong::default();
    let rule = fields
        .rule
        .as_ref()
        .map(|rule| rule.as_ref().map(|rule| checked(rule, &numbers, &gates, &mut wrong).to_string()));
    let ticket = match (fields.ticket_id, fields.ticket_type_id) {
        (Some(id), None) => Some(Tried::Ticket(TicketId(id))),
        (None, Some(id)) => {
            let number = numbers.number(id).and_then(|n| u16::try_from(n).ok());
            Some(Tried::OfType(number.ok_or_else(|| ApiError::not_found("ticket type"))?))
        }
        (Some(_), Some(_)) => {
            wrong.note("ticket_type_id", "invalid", "either a ticket or a ticket type");
            None
        }
        (None, None) => {
            wrong.note("ticket_id", "required", "a ticket or a ticket type is required");
            None
        }
    };
    wrong.check()?;
    let Some(ticket) = ticket else { return Err(ApiError::not_found("ticket")) };
    let at = fields.at.map_or_else(|| app.clock.now(), |at| at.0);
    let now = UnixMillis::from(at);
    let trial = Trial {
        event: EventId(event_id),
        list: ListId(list_id),
        ticket,
        gate: fields.gate_id.map(GateId),
        now,
        rule: rule.as_ref().map(Option::as_deref),
    };
    let decided = online::try_out(&mut tx, OrganizerId(organizer_id), &trial).await?;
    tx.commit().await?;
    let verdict = &decided.verdict;
    let zone = EventZone::named(&decided.time_zone);
    let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
    let names = Names { list: &decided.list.name, gates: &decided.gates, zone, now };
    Ok(Json(TryAnswer {
        list_id,
        outcome: verdict.outcome.as_str(),
        admit: verdict.is_ok(),
        flags: verdict.flags.names().collect(),
        ticket_id: fields.ticket_id,
        ticket_type_id: verdict.ticket_type.map(Uuid::from),
        ticket_type: verdict.ticket_type_name.clone(),
        attention: verdict.attention.clone(),
        explanation: explain(verdict, &names),
        at,
    }))
}
