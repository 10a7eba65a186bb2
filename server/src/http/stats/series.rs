//! `GET /organizer/events/{id}/stats/series`: the figures of the statistics, spread over days and over five minutes.
//! Every column sums up to the figure that it spreads.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::admission::Outcome;
use shared::admission::fold::EventFold;
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::ids::{EventId, OrganizerId};
use shared::log::entry::EntryKind;
use shared::time::UnixMillis;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::AppState;
use crate::gates::fold;
use crate::http::{ApiError, ApiPath, MoneyJson, Problem, Staff};
use crate::store::stats::{self, QUARTER_SECS, Slot};

/// Length of a slot at the door.
const SLOT_MS: i64 = 300_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Sales of one type on one day.
#[derive(Debug, Serialize, ToSchema)]
struct SalesDay {
    /// At the venue.
    #[schema(format = Date)]
    on: String,
    ticket_type_id: Uuid,
    /// Tickets sold that day that are valid or blocked now.
    sold: u64,
    /// Tickets whose money went back that day, whenever they were sold.
    refunded: u64,
    /// What was to be paid for that day's sales of the type, with fees and tax; refunds are not taken off.
    booked: MoneyJson,
}

/// Money that moved on one day.
#[derive(Debug, Serialize, ToSchema)]
struct MoneyDay {
    /// At the venue.
    #[schema(format = Date)]
    on: String,
    gross: MoneyJson,
    refunds: MoneyJson,
}

/// Who went through in five minutes, as it counts.
#[derive(Debug, Serialize, ToSchema)]
struct Arrivals {
    /// Their beginning, by the time at the door.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    list_id: Uuid,
    gate_id: Option<Uuid>,
    /// Number of the ticket type.
    type_number: Option<u16>,
    /// Entries and overrides that stand.
    entries: u64,
    exits: u64,
}

/// What was scanned in five minutes, rehearsals left out; also what was taken back.
#[derive(Debug, Serialize, ToSchema)]
struct Attempts {
    /// Their beginning, by the time at the door.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    list_id: Option<Uuid>,
    gate_id: Option<Uuid>,
    /// Number of the ticket type, as far as the code told it.
    type_number: Option<i32>,
    scans: u64,
    /// Of them: arrived here more than two minutes after they were made.
    late: u64,
    refusals: BTreeMap<&'static str, u64>,
}

/// The event over time, all of one moment.
#[derive(Debug, Serialize, ToSchema)]
struct Series {
    event_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    sales: Vec<SalesDay>,
    money: Vec<MoneyDay>,
    arrivals: Vec<Arrivals>,
    attempts: Vec<Attempts>,
}

/// Sales by day and type, money by day, arrivals and refusals by five minutes, list and gate.
#[utoipa::path(get, path = "/organizer/events/{event_id}/stats/series", operation_id = "get_event_series", tag = "statistics", params(("event_id" = Uuid, Path)),
    security(("bearer" = [])), responses((status = 200, body = Series), (status = 404, body = Problem)))]
async fn get(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<Series>, ApiError> {
    let organizer = member.organizer_id;
    let mut tx = app.db.tenant_snapshot(organizer).await?;
    let facts = stats::currency_and_zone(&mut tx, organizer, event_id).await?;
    let (currency, zone) = facts.ok_or_else(|| ApiError::not_found("event"))?;
    let sales = stats::sales_by_quarter(&mut tx, organizer, event_id).await?;
    let moved = stats::money_by_quarter(&mut tx, organizer, event_id).await?;
    let attempts = stats::attempts_by_slot(&mut tx, organizer, event_id, SLOT_MS).await?;
    let fold = fold::of(&app, &mut tx, OrganizerId(organizer), EventId(event_id)).await?;
    tx.commit().await?;

    let zone = EventZone::named(&zone);
    let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
    let day = |quarter: i64| {
        let at = UnixMillis(quarter.saturating_mul(QUARTER_SECS * 1000));
        zone.local(at).map_or_else(String::new, |local| local.date().to_string())
    };
    let amount = |amount_minor| MoneyJson { amount_minor, currency: currency.clone() };
    let mut by_type: BTreeMap<(String, Uuid), (u64, u64, i64)> = BTreeMap::new();
    for s in sales {
        let of = by_type.entry((day(s.quarter), s.ticket_type_id)).or_default();
        *of = (of.0 + s.sold, of.1 + s.refunded, of.2 + s.booked_minor);
    }
    let mut by_day: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for m in moved {
        let of = by_day.entry(day(m.quarter)).or_default();
        *of = (of.0 + m.payments_minor, of.1 + m.refunds_minor);
    }
    Ok(Json(Series {
        event_id,
        at: app.clock.now(),
        sales: by_type
            .into_iter()
            .map(|((on, ticket_type_id), (sold, refunded, booked))| SalesDay {
                on,
                ticket_type_id,
                sold,
                refunded,
                booked: amount(booked),
            })
            .collect(),
        money: by_day
            .into_iter()
            .map(|(on, (gross, refunds))| MoneyDay { on, gross: amount(gross), refunds: amount(refunds) })
            .collect(),
        arrivals: arrivals(&fold),
        attempts: of_slots(attempts),
    }))
}

/// When a slot begins. One outside the calendar, of a clock gone mad, stands at 1970.
fn begin(slot: i64) -> OffsetDateTime {
    UnixMillis(slot.saturating_mul(SLOT_MS)).to_datetime().unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Slot, list, gate, number of the type.
type Through = (i64, Uuid, Option<Uuid>, Option<u16>);

fn arrivals(fold: &EventFold) -> Vec<Arrivals> {
    let mut slots: BTreeMap<Through, (u64, u64)> = BTreeMap::new();
    for (list, _, history) in fold.histories() {
        for record in history.records() {
            let key = (record.at.0.div_euclid(SLOT_MS), list.0, record.gate.map(Uuid::from), record.type_no);
            let of = slots.entry(key).or_default();
            match record.kind {
                EntryKind::Exit => of.1 += 1,
                _ => of.0 += 1,
            }
        }
    }
    slots
        .into_iter()
        .map(|((slot, list_id, gate_id, type_number), (entries, exits))| Arrivals {
            at: begin(slot),
            list_id,
            gate_id,
            type_number,
            entries,
            exits,
        })
        .collect()
}

/// Slot, list, gate, number of the type.
type Tried = (i64, Option<Uuid>, Option<Uuid>, Option<i32>);

fn of_slots(rows: Vec<Slot>) -> Vec<Attempts> {
    let mut slots: BTreeMap<Tried, Attempts> = BTreeMap::new();
    for row in rows {
        let of = slots.entry((row.slot, row.list_id, row.gate_id, row.type_no)).or_insert_with(|| Attempts {
            at: begin(row.slot),
            list_id: row.list_id,
            gate_id: row.gate_id,
            type_number: row.type_no,
            scans: 0,
            late: 0,
            refusals: BTreeMap::new(),
        });
        of.scans += row.scans;
        of.late += row.late;
        if let Some(outcome) = row.refused.and_then(|n| Outcome::ALL.get(usize::from(n))) {
            *of.refusals.entry(outcome.as_str()).or_default() += row.scans;
        }
    }
    slots.into_values().collect()
}
