//! `GET /organizer/events/{id}/stats`: sales and door in numbers, equal to what tickets and log prove. Beside it the same
//! over time (`series`), and told as it changes (`live`). What each figure means: docs/decisions/0024-statistics.md.

mod figures;
pub mod live;
mod series;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shared::bytes::Hash32;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::devices::{DeviceJson, Incident};
use crate::app::AppState;
use crate::http::{ApiError, ApiPath, MoneyJson, Problem, Staff};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get)).merge(series::routes()).merge(live::routes())
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
    /// Of the sold ones: admitted on the attendance list.
    admitted: u64,
    /// Of the sold ones: not admitted yet.
    expected: u64,
    /// Of the sold ones: never admitted. Null until the event is over.
    no_shows: Option<u64>,
    /// Attempts with codes of this type on all lists, rehearsals left out.
    scans: u64,
    /// Those of them that were refused, by reason.
    refusals: BTreeMap<&'static str, u64>,
    revenue: RevenueStats,
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

/// Money of the event, or of one ticket type. The sums over all types are those of the event.
#[derive(Debug, Serialize, ToSchema)]
struct RevenueStats {
    /// Payments captured, fees and taxes in them.
    gross: MoneyJson,
    /// Refunds completed. One of an amount, for no ticket, is shared out over the types of its booking.
    refunds: MoneyJson,
    /// Gross less refunds.
    net: MoneyJson,
    /// Of the net: fees, without their tax.
    fees: MoneyJson,
    /// Of the net: taxes on prices and fees.
    tax: MoneyJson,
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
    /// The same by reason.
    reasons: BTreeMap<&'static str, u64>,
    /// Scans of all kinds as recorded, also those taken back.
    scans: u64,
    /// Of them: arrived here more than two minutes after they were made.
    late: u64,
}

/// One device at the door, and how far it can be relied upon.
#[derive(Debug, Serialize, ToSchema)]
struct DeviceStats {
    #[serde(flatten)]
    device: DeviceJson,
    /// Changes of the manifest that it does not have yet; null if it holds none of this lineage.
    manifest_behind: Option<u64>,
    /// Attempts of it that are here, rehearsals left out.
    scans: u64,
    /// Of them: arrived here more than two minutes after they were made.
    late: u64,
    /// When the newest of them was made, by the time at the door.
    #[serde(with = "time::serde::rfc3339::option")]
    last_scan_at: Option<OffsetDateTime>,
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
    /// Sold tickets never admitted, once the event is over (without an end, a day after its start); null before, and of an
    /// event that did not take place.
    no_shows: Option<u64>,
    /// Attempts recorded on all lists, rehearsals left out.
    scans: u64,
    /// Of them: arrived here more than two minutes after they were made.
    late_scans: u64,
    /// Refusals of the attendance list by reason.
    refusals: BTreeMap<&'static str, u64>,
    incidents: IncidentStats,
    lists: Vec<ListStats>,
    gates: Vec<GateStats>,
    /// By number; 0 is this server's own.
    devices: Vec<DeviceStats>,
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
    Ok(Json(figures::read(&app, member.organizer_id, event_id).await?.stats))
}
