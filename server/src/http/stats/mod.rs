//! `GET /organizer/events/{id}/stats`: sales and door in numbers, equal to what tickets and log prove.

mod series;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::admission::Outcome;
use shared::admission::fold::EventFold;
use shared::bytes::Hash32;
use shared::ids::{EventId, ListId, OrganizerId};
use shared::log::entry::EntryKind;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::devices::{Incident, incidents_of};
use crate::app::AppState;
use crate::domain::incident::Kind;
use crate::gates::fold;
use crate::http::{ApiError, ApiPath, MoneyJson, Problem, Staff};
use crate::store::stats::{self, TypeCounts};
use crate::store::{incidents, manifests, scans};

/// Incidents that stand in the statistics themselves.
const SHOWN_INCIDENTS: i64 = 10;

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get)).merge(series::routes())
}

/// One ticket type.
#[derive(Debug, Serialize, ToSchema)]
struct TypeStats {
    ticket_type_id: Uuid,
    number: u32,
    name: String,
    /// Valid and blocked tickets.
    sold: u64,
    held: u64,
    blocked: u64,
    refunded: u64,
    canceled: u64,
    withdrawn: u64,
}

/// Tickets of the event.
#[derive(Debug, Serialize, ToSchema)]
struct TicketStats {
    /// Valid and blocked tickets.
    sold: u64,
    /// Places in bookings that are not paid yet.
    held: u64,
    capacity: u64,
    blocked: u64,
    refunded: u64,
    canceled: u64,
    withdrawn: u64,
    by_type: Vec<TypeStats>,
}

/// Money of the event.
#[derive(Debug, Serialize, ToSchema)]
struct RevenueStats {
    /// Payments captured.
    gross: MoneyJson,
    /// Refunds completed.
    refunds: MoneyJson,
    net: MoneyJson,
}

/// One check-in list.
#[derive(Debug, Serialize, ToSchema)]
struct ListStats {
    list_id: Uuid,
    name: String,
    attendance: bool,
    /// Tickets with at least one admission.
    admitted: u64,
    /// Tickets whose latest record is no exit.
    on_site: u64,
    /// Admissions, repeats included.
    entries: u64,
    refusals: BTreeMap<&'static str, u64>,
}

/// One gate: what stands in the fold, and what was refused there.
#[derive(Debug, Serialize, ToSchema)]
struct GateStats {
    gate_id: Option<Uuid>,
    name: Option<String>,
    /// Admissions that count, overrides included.
    admissions: u64,
    exits: u64,
    /// Attempts refused.
    refusals: u64,
    /// Scans of all kinds as recorded, also those taken back.
    scans: u64,
}

/// Incidents of the event.
#[derive(Debug, Serialize, ToSchema)]
struct IncidentStats {
    open: u64,
    closed: u64,
    by_kind: BTreeMap<&'static str, u64>,
    /// The newest; all of them at `/organizer/events/{id}/incidents`.
    items: Vec<Incident>,
}

/// What gates compare with theirs.
#[derive(Debug, Serialize, ToSchema)]
struct FoldStats {
    #[schema(value_type = String)]
    hash: Hash32,
    /// The scan cursor that it includes.
    cursor: u64,
    /// Entries of revoked devices that do not count.
    quarantined: u64,
}

/// An event in numbers, all of one moment.
#[derive(Debug, Serialize, ToSchema)]
struct Stats {
    event_id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    tickets: TicketStats,
    revenue: RevenueStats,
    /// People admitted on the attendance list.
    admitted: u64,
    /// People on site by the attendance list.
    on_site: u64,
    /// Sold tickets not admitted yet.
    expected: u64,
    /// Attempts recorded on all lists, rehearsals left out.
    scans: u64,
    /// Refusals of the attendance list by reason.
    refusals: BTreeMap<&'static str, u64>,
    incidents: IncidentStats,
    lists: Vec<ListStats>,
    gates: Vec<GateStats>,
    fold: FoldStats,
}

/// Sales and door of an event.
#[utoipa::path(get, path = "/organizer/events/{event_id}/stats", operation_id = "get_event_stats", tag = "statistics", params(("event_id" = Uuid, Path)),
    security(("bearer" = [])), responses((status = 200, body = Stats), (status = 404, body = Problem)))]
async fn get(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Json<Stats>, ApiError> {
    let organizer = member.organizer_id;
    let mut tx = app.db.tenant_snapshot(organizer).await?;
    let money =
        stats::revenue(&mut tx, organizer, event_id).await?.ok_or_else(|| ApiError::not_found("event"))?;
    let places = stats::places(&mut tx, organizer, event_id).await?;
    let types = stats::tickets(&mut tx, organizer, event_id).await?;
    let attempts = stats::scans_by_gate(&mut tx, organizer, event_id).await?;
    let counts = incidents::counts(&mut tx, organizer, event_id).await?;
    let newest = incidents_of(&mut tx, organizer, event_id, false, None, SHOWN_INCIDENTS).await?;
    let lists = manifests::lists(&mut tx, organizer, event_id, true).await?;
    let cursor = scans::cursor(&mut tx, organizer, event_id).await?;
    let fold = fold::of(&app, &mut tx, OrganizerId(organizer), EventId(event_id)).await?;
    tx.commit().await?;

    let attendance = fold.attendance();
    let attendance_list = lists.iter().find(|l| l.attendance).map(|l| l.id);
    let sum = |get: fn(&TypeCounts) -> u64| types.iter().map(get).sum::<u64>();
    let sold = sum(|t| t.valid + t.blocked);
    let amount = |amount_minor| MoneyJson { amount_minor, currency: money.currency.clone() };
    let mut by_kind = BTreeMap::new();
    for (kind, _, n) in &counts {
        *by_kind.entry(Kind::as_str(*kind)).or_default() += n;
    }
    let incidents_where = |open: bool| counts.iter().filter(|(_, o, _)| *o == open).map(|(.., n)| n).sum();
    let through = through_gates(&fold);
    Ok(Json(Stats {
        event_id,
        at: app.clock.now(),
        tickets: TicketStats {
            sold,
            held: places.held,
            capacity: places.capacity,
            blocked: sum(|t| t.blocked),
            refunded: sum(|t| t.refunded),
            canceled: sum(|t| t.canceled),
            withdrawn: sum(|t| t.withdrawn),
            by_type: types.iter().map(of_type).collect(),
        },
        revenue: RevenueStats {
            gross: amount(money.payments_minor),
            refunds: amount(money.refunds_minor),
            net: amount(money.payments_minor - money.refunds_minor),
        },
        admitted: attendance.admitted,
        on_site: attendance.on_site,
        expected: sold.saturating_sub(attendance.admitted),
        scans: attempts.iter().map(|g| g.entries + g.exits + g.overrides + g.refusals).sum(),
        refusals: attendance_list.map(|list| refusals(&fold, list)).unwrap_or_default(),
        incidents: IncidentStats {
            open: incidents_where(true),
            closed: incidents_where(false),
            by_kind,
            items: newest.items,
        },
        lists: lists
            .into_iter()
            .map(|l| {
                let counts = fold.counts(l.id);
                ListStats {
                    list_id: l.id.0,
                    name: l.name,
                    attendance: l.attendance,
                    admitted: counts.admitted,
                    on_site: counts.on_site,
                    entries: counts.entries,
                    refusals: refusals(&fold, l.id),
                }
            })
            .collect(),
        gates: attempts
            .into_iter()
            .map(|g| {
                let (admissions, exits) = through.get(&g.gate_id).copied().unwrap_or_default();
                let scans = g.entries + g.exits + g.overrides + g.refusals;
                GateStats { gate_id: g.gate_id, name: g.name, admissions, exits, refusals: g.refusals, scans }
            })
            .collect(),
        fold: FoldStats { hash: fold.hash(), cursor, quarantined: fold.quarantined() },
    }))
}

fn of_type(t: &TypeCounts) -> TypeStats {
    TypeStats {
        ticket_type_id: t.ticket_type_id,
        number: t.number,
        name: t.name.clone(),
        sold: t.valid + t.blocked,
        held: t.held,
        blocked: t.blocked,
        refunded: t.refunded,
        canceled: t.canceled,
        withdrawn: t.withdrawn,
    }
}

fn refusals(fold: &EventFold, list: ListId) -> BTreeMap<&'static str, u64> {
    fold.refusals(list).into_iter().map(|(outcome, n)| (Outcome::as_str(outcome), n)).collect()
}

/// (admissions, exits) that count, by gate.
fn through_gates(fold: &EventFold) -> BTreeMap<Option<Uuid>, (u64, u64)> {
    let mut gates: BTreeMap<Option<Uuid>, (u64, u64)> = BTreeMap::new();
    for record in fold.histories().flat_map(|(_, _, history)| history.records()) {
        let gate = gates.entry(record.gate.map(Uuid::from)).or_default();
        match record.kind {
            EntryKind::Exit => gate.1 += 1,
            _ => gate.0 += 1,
        }
    }
    gates
}
