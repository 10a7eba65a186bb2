//! `/organizer/events/{id}/imports`: tickets that others sold, whose barcodes gates shall know.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{look, open, record, still_on};
use crate::app::AppState;
use crate::documents::table::{Cell, table};
use crate::domain::catalog::type_window;
use crate::domain::import::{KnownType, Parsed, Row, RowError, parse};
use crate::http::auth::{Acting as _, Member, Staff};
use crate::http::booking_view::booking_secret;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::{ApiJson, ApiPath, ApiQuery};
use crate::http::page::{Page, PageQuery};
use crate::http::receipts::csv_file;
use crate::selling::StepError;
use crate::store::event::Event;
use crate::store::import::{self, Before, Import, NewImport, NewImportLine, NewImported};
use crate::store::ticket::{ChangedTicket, manifest_rows};
use crate::store::ticket_type::{self, TicketType};
use crate::store::{Tx, change, scans};

const LIST: &str = "imports";
/// Bytes of a request: 20,000 rows of 200 and some more.
const BODY_LIMIT: usize = 6 * 1024 * 1024;
const SEAL_PURPOSE: &str = "imported_tickets/barcode";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(undo))
        .routes(routes!(export))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// A list of tickets that others sold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "csv": "barcode,ticket_type,name\n4006381333931,Standing,A Guest\n", "preview": true }))]
pub(super) struct ImportRequest {
    /// With a heading: `barcode` and `ticket_type` (name, number or id), and as they are known `name`, `email`,
    /// `reference`; `ticket_type_name`, which exports have beside the id, is not read. Commas, semicolons or tabs; 20,000 rows at most.
    csv: String,
    /// Says what would happen, and does nothing.
    #[serde(default)]
    preview: bool,
    /// Takes the good rows in though others are wrong.
    #[serde(default)]
    skip_wrong: bool,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RowStatus {
    /// A ticket more.
    New,
    /// It was taken in before and that was undone: the same ticket is valid again.
    Again,
    /// It is in: nothing happens.
    AlreadyImported,
    /// It was taken in before, and somebody stopped or withdrew it by hand: it stays as it is. A stopped one can be let in
    /// again by hand, a withdrawn one never.
    Stopped,
    Wrong,
}

/// One row of the file.
#[derive(Debug, Serialize, ToSchema)]
struct RowReport {
    /// The line in the file; the heading is line 1.
    row: usize,
    status: RowStatus,
    /// Of a wrong one: what is wrong with it.
    error: Option<RowError>,
    ticket_id: Option<Uuid>,
    ticket_type_id: Option<Uuid>,
}

/// How much room is there for it.
#[derive(Debug, Serialize, ToSchema)]
struct RoomJson {
    quota_id: Uuid,
    needed: i64,
    free: i64,
}

/// What a list came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportReport {
    /// Null in a preview, and if nothing in it was new.
    import: Option<ImportJson>,
    /// Rows that are taken in: `new` and `again`.
    new: usize,
    /// Those of them that were in before, until their import was undone.
    again: usize,
    /// Rows to which nothing happens: `already_imported` and `stopped`.
    already_imported: usize,
    /// Those of them that were stopped by hand.
    stopped: usize,
    wrong: usize,
    room: Vec<RoomJson>,
    rows: Vec<RowReport>,
}

/// A list that was taken in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ImportJson {
    import_id: Uuid,
    tickets: i32,
    /// `done` or `undone`.
    state: String,
    created_by: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    undone_at: Option<OffsetDateTime>,
}

/// Lists that were taken in, the newest first.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/imports", operation_id = "list_imports", tag = "organizer",
    params(("event_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses((status = 200, body = Page<ImportJson>), (status = 404, body = Problem)),
)]
async fn list(
    State(app): State<AppState>,
    member: Member,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiQuery(query): ApiQuery<PageQuery>,
) -> Result<Json<Page<ImportJson>>, ApiError> {
    let (mut tx, _) = look(&app, &member, event_id).await?;
    let limit = query.limit();
    let rows = import::list(&mut tx, member.organizer_id, event_id, query.after(LIST)?, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(LIST, limit, rows, |i: &Import| (i.created_at, i.import_id), import_json)))
}

/// Takes tickets in that others sold, or says what would become of them.
///
/// Gates know their barcodes with the next manifest, also offline, as they know every ticket: one admission for each,
/// blocked and withdrawn ones refused. They take room from the quotas of their types. The same file again is harmless:
/// rows that are in already are left alone. Rows of an import that was undone make the same tickets valid again, but for
/// those that somebody stopped or withdrew by hand, before the undoing or after it. One wrong row keeps all of them out, unless `skip_wrong` says otherwise.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/imports", operation_id = "import_tickets", tag = "organizer",
    params(("event_id" = Uuid, Path)), request_body = ImportRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "A preview, or nothing in it was new", body = ImportReport),
        (status = 201, description = "Taken in", body = ImportReport),
        (status = 404, body = Problem),
        (status = 409, description = "`sold_out`, `event_canceled`: there must be room for all of them", body = Problem),
        (status = 422, description = "`wrong_rows`, `invalid_fields`: the member report says which rows are wrong", body = Problem),
    ),
)]
async fn create(
    State(app): State<AppState>,
    member: Member,
    ApiPath(event_id): ApiPath<Uuid>,
    ApiJson(request): ApiJson<ImportRequest>,
) -> Result<(StatusCode, Json<ImportReport>), ApiError> {
    let (mut tx, event) = open(&app, &member, event_id).await?;
    still_on(&event)?;
    let types = ticket_type::of_event(&mut tx, member.organizer_id, event_id).await?;
    let Parsed { rows, wrong } = read(request.csv, event_id, &types).await?;
    let ids: Vec<Uuid> = rows.iter().map(|r| r.ticket_id.0).collect();
    let before = import::before(&mut tx, member.organizer_id, &ids).await?;
    let before: HashMap<Uuid, RowStatus> = before.into_iter().map(|b| (b.ticket_id, status(&b))).collect();
    let stays = |r: &Row| before.get(&r.ticket_id.0).is_some_and(|status| *status != RowStatus::Again);
    let (old, new): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(stays);
    let lines = lines(&new, &types);
    let mut report = report([&old, &new], &before, &wrong, room(&lines, &types));
    if request.preview {
        return Ok((StatusCode::OK, Json(report)));
    }
    if !wrong.is_empty() && !request.skip_wrong {
        let value = serde_json::to_value(&report).map_err(ApiError::internal)?;
        return Err(ApiError::unprocessable("wrong_rows", "some rows cannot be taken in; nothing was")
            .with_member("report", value));
    }
    if new.is_empty() {
        return Ok((StatusCode::OK, Json(report)));
    }
    report.import = Some(take_in(&app, tx, &member, &event, &new, &lines, &types).await?);
    Ok((StatusCode::CREATED, Json(report)))
}

/// Reads the file beside the runtime's threads.
async fn read(csv: String, event_id: Uuid, types: &[TicketType]) -> Result<Parsed, ApiError> {
    let known: Vec<KnownType> = types
        .iter()
        .map(|t| KnownType {
            ticket_type_id: t.ticket_type_id,
            number: t.number,
            name: t.name.clone(),
            archived: t.archived_at.is_some(),
        })
        .collect();
    tokio::task::spawn_blocking(move || parse(&csv, event_id.into(), &known))
        .await
        .map_err(ApiError::internal)?
        .map_err(|e| ApiError::invalid(vec![FieldError::new("csv", "invalid", e.to_string())]))
}

/// One line of the booking for each type.
fn lines(new: &[Row], types: &[TicketType]) -> Vec<NewImportLine> {
    let mut counts: BTreeMap<Uuid, i32> = BTreeMap::new();
    for row in new {
        *counts.entry(row.ticket_type_id).or_default() += 1;
    }
    (0..)
        .zip(counts)
        .filter_map(|(line, (id, quantity))| {
            let quota_id = types.iter().find(|t| t.ticket_type_id == id)?.quota_id;
            Some(NewImportLine { line, ticket_type_id: id, quota_id, quantity })
        })
        .collect()
}

fn room(lines: &[NewImportLine], types: &[TicketType]) -> Vec<RoomJson> {
    let mut needed: BTreeMap<Uuid, i64> = BTreeMap::new();
    for line in lines {
        *needed.entry(line.quota_id).or_default() += i64::from(line.quantity);
    }
    let free = |quota: Uuid| {
        let of = types.iter().find(|t| t.quota_id == quota);
        of.map_or(0, |t| i64::from(t.capacity) - i64::from(t.held) - i64::from(t.sold))
    };
    needed.into_iter().map(|(quota_id, needed)| RoomJson { quota_id, needed, free: free(quota_id) }).collect()
}

/// What becomes of a row whose ticket was imported before.
fn status(of: &Before) -> RowStatus {
    match (of.undone, of.state.as_str()) {
        (true, _) => RowStatus::Again,
        (false, "valid") => RowStatus::AlreadyImported,
        (false, _) => RowStatus::Stopped,
    }
}

fn report(
    [old, new]: [&[Row]; 2],
    before: &HashMap<Uuid, RowStatus>,
    wrong: &[(usize, RowError)],
    room: Vec<RoomJson>,
) -> ImportReport {
    let of = |row: &Row| RowReport {
        row: row.row,
        status: before.get(&row.ticket_id.0).copied().unwrap_or(RowStatus::New),
        error: None,
        ticket_id: Some(row.ticket_id.0),
        ticket_type_id: Some(row.ticket_type_id),
    };
    let bad = |(row, error): &(usize, RowError)| RowReport {
        row: *row,
        status: RowStatus::Wrong,
        error: Some(*error),
        ticket_id: None,
        ticket_type_id: None,
    };
    let mut rows: Vec<RowReport> = new.iter().chain(old).map(of).collect();
    rows.extend(wrong.iter().map(bad));
    rows.sort_by_key(|r| r.row);
    let count = |status| rows.iter().filter(|r| r.status == status).count();
    ImportReport {
        import: None,
        new: new.len(),
        again: count(RowStatus::Again),
        already_imported: old.len(),
        stopped: count(RowStatus::Stopped),
        wrong: wrong.len(),
        room,
        rows,
    }
}

async fn take_in(
    app: &AppState,
    mut tx: Tx,
    member: &Member,
    event: &Event,
    rows: &[Row],
    lines: &[NewImportLine],
    types: &[TicketType],
) -> Result<ImportJson, ApiError> {
    let (organizer_id, now) = (member.organizer_id, app.clock.now());
    let tickets: Vec<NewImported> = rows
        .iter()
        .filter_map(|row| {
            let of = types.iter().find(|t| t.ticket_type_id == row.ticket_type_id)?;
            Some(new_ticket(app, event, row, of))
        })
        .collect();
    let (import_id, booking_id) = (app.rng.uuid(&*app.clock), app.rng.uuid(&*app.clock));
    // A booking is somebody's; this one's secret is told to nobody.
    let (_, guest) = booking_secret(app, organizer_id, booking_id);
    let new = NewImport {
        import_id,
        event_id: event.event_id,
        booking_id,
        secret_hash: &guest.secret_hash,
        created_by: member.user.user_id,
        lines,
        tickets: &tickets,
    };
    if !import::take_in(&mut tx, organizer_id, &new, now).await? {
        return Err(ApiError::conflict(
            "sold_out",
            "there is not room for all of them; nothing was taken in",
        ));
    }
    let detail = serde_json::json!({ "tickets": tickets.len() });
    record(app, &mut tx, member, "tickets.imported", ("import", import_id), detail).await?;
    let changed: Vec<ChangedTicket> = tickets
        .iter()
        .map(|t| ChangedTicket {
            ticket_id: t.ticket_id,
            type_no: t.type_no,
            generation: 0,
            state: "valid".to_owned(),
        })
        .collect();
    changed_at_gates(app, tx, organizer_id, event.event_id, &changed).await?;
    Ok(ImportJson {
        import_id,
        tickets: i32::try_from(tickets.len()).unwrap_or(i32::MAX),
        state: "done".to_owned(),
        created_by: member.user.user_id,
        created_at: now,
        undone_at: None,
    })
}

fn new_ticket(app: &AppState, event: &Event, row: &Row, of: &TicketType) -> NewImported {
    let validity = (of.valid_from, of.valid_until, of.grace_secs);
    let window = type_window((event.starts_at, event.ends_at), validity);
    let sealed = app.master_key.seal(SEAL_PURPOSE, row.barcode.as_bytes(), &app.rng);
    NewImported {
        ticket_id: row.ticket_id.0,
        ticket_type_id: row.ticket_type_id,
        type_no: of.number,
        name: row.name.clone(),
        email: row.email.clone(),
        reference: row.reference.clone(),
        barcode_sealed: hex::encode(sealed),
        not_before: window.not_before,
        expires_at: window.expires_at,
    }
}

/// The end of a change of many tickets: gates learn it last of all.
async fn changed_at_gates(
    app: &AppState,
    mut tx: Tx,
    organizer_id: Uuid,
    event_id: Uuid,
    changed: &[ChangedTicket],
) -> Result<(), ApiError> {
    change::record(&mut tx, organizer_id, event_id, &manifest_rows(changed), None)
        .await
        .map_err(StepError::from)?;
    tx.commit().await?;
    app.selling.catalog.forget(event_id);
    app.news.publish(event_id);
    Ok(())
}

/// Takes an import back, as long as none of its tickets was scanned: they are canceled, and their places free.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/imports/{import_id}/undo", operation_id = "undo_import", tag = "organizer",
    params(("event_id" = Uuid, Path), ("import_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, body = ImportJson),
        (status = 404, body = Problem),
        (status = 409, description = "`already_scanned`: somebody came in with one of them", body = Problem),
    ),
)]
async fn undo(
    State(app): State<AppState>,
    member: Member,
    ApiPath((event_id, import_id)): ApiPath<(Uuid, Uuid)>,
) -> Result<Json<ImportJson>, ApiError> {
    let (organizer_id, now) = (member.organizer_id, app.clock.now());
    let (mut tx, _) = open(&app, &member, event_id).await?;
    scans::lock_cursor(&mut tx, organizer_id, event_id).await?;
    let found = import::find(&mut tx, organizer_id, event_id, import_id).await?;
    let mut found = found.ok_or_else(|| ApiError::not_found("import"))?;
    if found.state == "undone" {
        return Ok(Json(import_json(found)));
    }
    if import::was_scanned(&mut tx, organizer_id, event_id, import_id).await? {
        return Err(ApiError::conflict("already_scanned", "somebody came in with a ticket of this import"));
    }
    let Some(changed) = import::undo(&mut tx, organizer_id, &found, member.user.user_id, now).await? else {
        return Err(ApiError::conflict("try_again", "the import was undone at the same time")
            .with_retry_after(std::time::Duration::from_secs(1)));
    };
    record(&app, &mut tx, &member, "import.undone", ("import", import_id), serde_json::json!({})).await?;
    changed_at_gates(&app, tx, organizer_id, event_id, &changed).await?;
    (found.state, found.undone_at) = ("undone".to_owned(), Some(now));
    Ok(Json(import_json(found)))
}

/// The imported tickets that let in, as CSV that can be imported again. No cell runs as a formula.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/imports.csv", operation_id = "export_imported_tickets", tag = "organizer",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem)),
)]
async fn export(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (mut tx, _) = look(&app, &staff, event_id).await?;
    let all = import::tickets(&mut tx, staff.organizer_id(), event_id).await?;
    tx.commit().await?;
    let mut rows = Vec::with_capacity(all.len());
    for ticket in all {
        let barcode =
            app.master_key.open(SEAL_PURPOSE, &ticket.barcode_sealed).map_err(ApiError::internal)?;
        let barcode = String::from_utf8(barcode.to_vec()).map_err(ApiError::internal)?;
        rows.push(vec![
            Cell::from(barcode),
            Cell::Plain(ticket.ticket_type_id.to_string()),
            Cell::from(ticket.name),
            Cell::from(ticket.email),
            Cell::from(ticket.reference),
            Cell::from(ticket.ticket_type),
        ]);
    }
    let text = table(&["barcode", "ticket_type", "name", "email", "reference", "ticket_type_name"], rows);
    Ok(csv_file(text, "imported-tickets.csv"))
}

fn import_json(of: Import) -> ImportJson {
    ImportJson {
        import_id: of.import_id,
        tickets: of.tickets,
        state: of.state,
        created_by: of.created_by,
        created_at: of.created_at,
        undone_at: of.undone_at,
    }
}
