//! Incidents of an event: what the log proves and somebody should see.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::time::UnixMillis;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::event;
use crate::app::AppState;
use crate::domain::incident::{Evidence, Kind};
use crate::http::page::{self, PageQuery};
use crate::http::{ApiError, ApiPath, ApiQuery, Page, Problem, Staff};
use crate::store::incidents;

const LIST: &str = "incidents";
/// Sides of one incident whose knowledge is looked up.
const KNOWLEDGE_OF: usize = 20;

/// One entry of an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct IncidentEntry {
    device_id: Uuid,
    device_number: Option<u32>,
    device_label: Option<String>,
    log_no: u32,
    seq: u64,
    #[schema(value_type = String)]
    entry_hash: shared::bytes::Hash32,
    /// Corrected scan time; true within `error_ms` of it.
    #[serde(with = "time::serde::rfc3339::option")]
    scanned_at: Option<OffsetDateTime>,
    error_ms: u32,
    gate_id: Option<Uuid>,
    steward_id: Option<Uuid>,
    /// A supervisor has taken it back.
    undone: bool,
    /// True if its device had seen an earlier entry of this incident: its signed log proves it.
    could_have_known: Option<bool>,
    note: Option<String>,
}

/// Something that the log proves.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Incident {
    incident_id: Uuid,
    kind: Kind,
    /// `open` or `closed`; closed ones are kept.
    state: &'static str,
    list_id: Option<Uuid>,
    ticket_id: Option<Uuid>,
    device_id: Option<Uuid>,
    log_no: Option<u32>,
    /// All sides, in the order of scan time.
    entries: Vec<IncidentEntry>,
    #[serde(with = "time::serde::rfc3339")]
    opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    closed_at: Option<OffsetDateTime>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentQuery {
    /// Only open ones.
    #[serde(default)]
    open: bool,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The event's incidents, newest first.
#[utoipa::path(get, path = "/organizer/events/{event_id}/incidents", operation_id = "list_incidents", tag = "devices",
    params(("event_id" = Uuid, Path), IncidentQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<Incident>), (status = 404, body = Problem)))]
pub(super) async fn list(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<IncidentQuery>,
) -> Result<Json<Page<Incident>>, ApiError> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (before, limit) = (page.after(LIST)?, page.limit());
    let mut tx = app.db.tenant(member.organizer_id).await?;
    event(&mut tx, member.organizer_id, event_id).await?;
    let page = incidents_of(&mut tx, member.organizer_id, event_id, query.open, before, limit).await?;
    tx.commit().await?;
    Ok(Json(page))
}

/// A page of incidents.
pub(in crate::http) async fn incidents_of(
    conn: &mut PgConnection,
    organizer: Uuid,
    event_id: Uuid,
    open_only: bool,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Page<Incident>, ApiError> {
    let mut found = incidents::list(conn, organizer, event_id, open_only, before, limit + 1).await?;
    let more = found.len() as i64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor =
        found.last().filter(|_| more).map(|i| page::cursor(LIST, &(i.opened_at, i.incident_id)));
    let labels: BTreeMap<Uuid, (u32, String)> = if found.is_empty() {
        BTreeMap::new()
    } else {
        let labels = incidents::labels(conn, organizer, event_id).await?;
        labels.into_iter().map(|(id, number, label)| (id.0, (number, label))).collect()
    };
    let mut items = Vec::with_capacity(found.len());
    for incident in found {
        let mut entries = Vec::with_capacity(incident.sides.len());
        for (i, side) in incident.sides.iter().enumerate() {
            let knew = match incident.kind {
                Kind::DoubleAdmission if i > 0 && i < KNOWLEDGE_OF => {
                    Some(knew_any(conn, organizer, side, &incident.sides[..i]).await?)
                }
                _ => None,
            };
            let known = labels.get(&side.device);
            entries.push(IncidentEntry {
                device_id: side.device,
                device_number: known.map(|l| l.0),
                device_label: known.map(|l| l.1.clone()),
                log_no: side.log_no,
                seq: side.seq,
                entry_hash: side.entry_hash,
                scanned_at: UnixMillis(side.at_ms).to_datetime(),
                error_ms: side.error_ms,
                gate_id: side.gate,
                steward_id: side.staff,
                undone: side.undone,
                could_have_known: knew,
                note: side.note.clone(),
            });
        }
        items.push(Incident {
            incident_id: incident.incident_id,
            kind: incident.kind,
            state: if incident.open { "open" } else { "closed" },
            list_id: incident.list_id,
            ticket_id: incident.ticket_id,
            device_id: incident.device_id,
            log_no: incident.log_no,
            entries,
            opened_at: incident.opened_at,
            updated_at: incident.updated_at,
            closed_at: incident.closed_at,
        });
    }
    Ok(Page { items, next_cursor })
}

async fn knew_any(
    conn: &mut PgConnection,
    organizer: Uuid,
    later: &Evidence,
    earlier: &[Evidence],
) -> Result<bool, sqlx::Error> {
    for side in earlier {
        if incidents::knew(conn, organizer, later, side).await? {
            return Ok(true);
        }
    }
    Ok(false)
}
