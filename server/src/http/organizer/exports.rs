//! `/organizer/events/{id}/exports/…`: an event's rows as CSV, written page by page while they are read.
//!
//! A file is of one moment: the statistics of that moment are the sums of its columns.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use shared::admission::Outcome;
use shared::admission::fold::EventFold;
use shared::ids::{DeviceId, EventId, ListId, OrganizerId, TicketId};
use shared::log::entry::EntryPlace;
use shared::time::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::record;
use crate::app::AppState;
use crate::documents::money::plain;
use crate::documents::table::{Cell, lines, names};
use crate::gates::fold;
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::http::streamed::Streamed;
use crate::store::event::{self, Event};
use crate::store::stats::LATE_MS;
use crate::store::{Tx, export, manifests};

/// Rows that are in memory at a time.
pub(super) const PAGE: i64 = 1_000;
/// Each holds a database connection: what is written while it is read must be read at one moment.
pub(super) static AT_ONCE: Semaphore = Semaphore::const_new(2);
/// Who takes no page for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// A spreadsheet reads UTF-8 if the file begins so.
const BYTE_ORDER_MARK: &str = "\u{feff}";
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(bookings))
        .routes(routes!(tickets))
        .routes(routes!(scans))
        .routes(routes!(transactions))
}

/// Bookings of an event as CSV, oldest first.
///
/// `held` sums up to `tickets.held` of the statistics. Begins with a byte order mark; no cell runs as a formula.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/exports/bookings.csv", operation_id = "export_bookings", tag = "statistics",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem),
        (status = 503, description = "`overloaded`: others are exporting", body = Problem),
    ),
)]
async fn bookings(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    begin(app, staff, event_id, What::Bookings).await
}

/// Tickets of an event as CSV, in the order of their making.
///
/// `sold` (1 for valid and blocked ones), `admitted` and `on_site` (attendance list) sum up to these figures of the
/// statistics. Begins with a byte order mark; no cell runs as a formula.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/exports/tickets.csv", operation_id = "export_tickets", tag = "statistics",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem),
        (status = 503, description = "`overloaded`: others are exporting", body = Problem),
    ),
)]
async fn tickets(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    begin(app, staff, event_id, What::Tickets).await
}

/// Everything that was scanned as CSV, device by device in the order of their logs.
///
/// `scanned_at` is the time at the door, `received_at` that of arrival here; `late` is 1 if more than two minutes lie
/// between. `counts` is 1 for entries, overrides and exits that stand (not undone, no rehearsal, not in quarantine).
/// Begins with a byte order mark; no cell runs as a formula.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/exports/scans.csv", operation_id = "export_scans", tag = "statistics",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem),
        (status = 503, description = "`overloaded`: others are exporting", body = Problem),
    ),
)]
async fn scans(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    begin(app, staff, event_id, What::Scans).await
}

/// Payments and refunds of an event as CSV, oldest first.
///
/// `net_minor` sums up to `revenue.net` of the statistics, its positive part to `gross`, its negative to `refunds`.
/// Begins with a byte order mark; no cell runs as a formula.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/exports/transactions.csv", operation_id = "export_transactions", tag = "statistics",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses(
        (status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem),
        (status = 503, description = "`overloaded`: others are exporting", body = Problem),
    ),
)]
async fn transactions(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    begin(app, staff, event_id, What::Transactions).await
}

#[derive(Debug, Clone, Copy)]
enum What {
    Bookings,
    Tickets,
    Scans,
    Transactions,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Tickets => "tickets",
            Self::Scans => "scans",
            Self::Transactions => "transactions",
        }
    }
}

/// Notes who asked, takes a snapshot and begins to write.
async fn begin(app: AppState, staff: Staff, event_id: Uuid, what: What) -> Result<Response, ApiError> {
    let permit = AT_ONCE.try_acquire().map_err(|_| ApiError::overloaded())?;
    note(&app, &staff, event_id, what.name()).await?;
    let organizer = staff.organizer_id;
    let mut tx = app.db.tenant_snapshot(organizer).await?;
    let event = event::find(&mut tx, organizer, event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    let door = match what {
        What::Tickets | What::Scans => Some(Door::read(&app, &mut tx, organizer, event_id).await?),
        What::Bookings | What::Transactions => None,
    };
    let (sender, pages) = mpsc::channel(2);
    let export = Export { tx, organizer, event, door, sender, _permit: permit };
    tokio::spawn(export.write(what));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.csv\"", what.name())),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, Body::new(Streamed(pages))).into_response())
}

/// Who took an event's rows away is on record before the first of them leaves.
pub(super) async fn note(app: &AppState, staff: &Staff, event_id: Uuid, what: &str) -> Result<(), ApiError> {
    let mut tx = app.db.tenant(staff.organizer_id).await?;
    event::find(&mut tx, staff.organizer_id, event_id).await?.ok_or_else(|| ApiError::not_found("event"))?;
    let detail = serde_json::json!({ "what": what });
    record(app, &mut tx, staff, "event.exported", ("event", event_id), detail).await?;
    tx.commit().await?;
    Ok(())
}

/// What the log says of tickets.
pub(super) struct Door {
    fold: Arc<EventFold>,
    attendance: Option<ListId>,
}

impl Door {
    pub(super) async fn read(
        app: &AppState,
        tx: &mut Tx,
        organizer: Uuid,
        event: Uuid,
    ) -> Result<Self, sqlx::Error> {
        let lists = manifests::lists(tx, organizer, event, true).await?;
        let attendance = lists.iter().find(|l| l.attendance).map(|l| l.id);
        let fold = fold::of(app, tx, OrganizerId(organizer), EventId(event)).await?;
        Ok(Self { fold, attendance })
    }

    /// When it was first admitted on the attendance list, and whether it is inside.
    pub(super) fn attendance(&self, ticket: Uuid) -> (Option<UnixMillis>, bool) {
        let history = self.attendance.and_then(|list| self.fold.history(list, TicketId(ticket)));
        let Some(history) = history else { return (None, false) };
        (history.first_admission().map(|first| first.at), history.present())
    }

    fn counts(&self, list: Option<Uuid>, ticket: Option<Uuid>, place: EntryPlace, hash: &[u8]) -> bool {
        let of = list.zip(ticket).and_then(|(l, t)| self.fold.history(ListId(l), TicketId(t)));
        of.is_some_and(|history| {
            history.records().iter().any(|r| r.place == place && r.hash.as_bytes()[..] == *hash)
        })
    }
}

/// Why an export ended early. The client sees a body that breaks off.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("nobody takes it any more")]
    Gone,
}

type PageResult = Result<Bytes, Broken>;

/// A file that is being written.
struct Export {
    tx: Tx,
    organizer: Uuid,
    event: Event,
    door: Option<Door>,
    sender: mpsc::Sender<PageResult>,
    _permit: SemaphorePermit<'static>,
}

impl Export {
    async fn write(mut self, what: What) {
        let done = match what {
            What::Bookings => self.bookings().await,
            What::Tickets => self.tickets().await,
            What::Scans => self.scans().await,
            What::Transactions => self.transactions().await,
        };
        match done {
            Ok(()) => {}
            Err(Broken::Gone) => tracing::debug!(what = what.name(), "nobody takes an export any more"),
            Err(e) => {
                tracing::warn!(what = what.name(), "an export broke off: {e}");
                // A body without its end tells the client so.
                let _ = tokio::time::timeout(PATIENCE, self.sender.send(Err(e))).await;
            }
        }
    }

    async fn send(&self, bytes: Vec<u8>) -> Result<(), Broken> {
        let sent = tokio::time::timeout(PATIENCE, self.sender.send(Ok(bytes.into()))).await;
        sent.map_err(|_| Broken::Gone)?.map_err(|_| Broken::Gone)
    }

    async fn heading(&self, columns: &[&str]) -> Result<(), Broken> {
        let mut bytes = BYTE_ORDER_MARK.as_bytes().to_vec();
        bytes.extend(lines([names(columns)]));
        self.send(bytes).await
    }

    async fn bookings(&mut self) -> Result<(), Broken> {
        self.heading(&[
            "booking_id",
            "created_at",
            "paid_at",
            "closed_at",
            "status",
            "email",
            "places",
            "held",
            "price",
            "fee",
            "tax",
            "total",
            "total_minor",
            "refunded_minor",
            "currency",
        ])
        .await?;
        let mut after = None;
        loop {
            let page =
                export::bookings(&mut self.tx, self.organizer, self.event.event_id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.created_at, last.booking_id));
            let rows = page.into_iter().map(|b| {
                vec![
                    id(b.booking_id),
                    at(Some(b.created_at)),
                    at(b.paid_at),
                    at(b.closed_at),
                    Cell::from(b.status),
                    Cell::from(b.email),
                    number(b.places),
                    number(b.held),
                    Cell::Plain(plain(b.price_minor, &b.currency)),
                    Cell::Plain(plain(b.fee_minor, &b.currency)),
                    Cell::Plain(plain(b.tax_minor, &b.currency)),
                    Cell::Plain(plain(b.total_minor, &b.currency)),
                    number(b.total_minor),
                    number(b.refunded_minor),
                    Cell::from(b.currency),
                ]
            });
            self.send(lines(rows)).await?;
        }
    }

    async fn tickets(&mut self) -> Result<(), Broken> {
        self.heading(&[
            "ticket_id",
            "booking_id",
            "ticket_type",
            "type_number",
            "state",
            "name",
            "email",
            "issued_at",
            "sold",
            "admitted",
            "admitted_at",
            "on_site",
        ])
        .await?;
        let mut after = None;
        loop {
            let page =
                export::tickets(&mut self.tx, self.organizer, self.event.event_id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.ticket_id);
            let rows = page.into_iter().map(|t| {
                let seen = self.door.as_ref().map(|door| door.attendance(t.ticket_id));
                let (first, inside) = seen.unwrap_or_default();
                vec![
                    id(t.ticket_id),
                    id(t.booking_id),
                    Cell::from(t.ticket_type),
                    number(t.type_no.into()),
                    Cell::from(t.state),
                    Cell::from(t.attendee_name),
                    Cell::from(t.email),
                    at(Some(t.issued_at)),
                    flag(t.sold),
                    flag(first.is_some()),
                    at(first.and_then(UnixMillis::to_datetime)),
                    flag(inside),
                ]
            });
            let bytes = lines(rows);
            self.send(bytes).await?;
        }
    }

    async fn scans(&mut self) -> Result<(), Broken> {
        self.heading(&[
            "device",
            "device_number",
            "log_no",
            "seq",
            "kind",
            "outcome",
            "list",
            "list_id",
            "gate",
            "gate_id",
            "ticket_id",
            "ticket_type",
            "steward",
            "direction",
            "rehearsal",
            "scanned_at",
            "error_ms",
            "received_at",
            "delay_ms",
            "late",
            "counts",
        ])
        .await?;
        let (organizer, event) = (self.organizer, self.event.event_id);
        for device in export::devices(&mut self.tx, organizer, event).await? {
            let mut after = None;
            loop {
                let page =
                    export::scans(&mut self.tx, organizer, event, device.device_id, after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = Some((last.log_no, last.seq, last.entry_hash.clone()));
                let bytes = lines(page.into_iter().map(|s| scan_cells(&device, s, self.door.as_ref())));
                self.send(bytes).await?;
            }
        }
        Ok(())
    }

    async fn transactions(&mut self) -> Result<(), Broken> {
        self.heading(&[
            "transaction_id",
            "booking_id",
            "created_at",
            "completed_at",
            "kind",
            "status",
            "provider",
            "provider_ref",
            "amount",
            "amount_minor",
            "net_minor",
            "currency",
            "reason",
            "failure_code",
        ])
        .await?;
        let mut after = None;
        loop {
            let page =
                export::transactions(&mut self.tx, self.organizer, self.event.event_id, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.created_at, last.transaction_id));
            let rows = page.into_iter().map(|t| {
                vec![
                    id(t.transaction_id),
                    id(t.booking_id),
                    at(Some(t.created_at)),
                    at(t.completed_at),
                    Cell::from(t.kind),
                    Cell::from(t.status),
                    Cell::from(t.provider),
                    Cell::from(t.provider_ref),
                    Cell::Plain(plain(t.amount_minor, &t.currency)),
                    number(t.amount_minor),
                    number(t.net_minor),
                    Cell::from(t.currency),
                    Cell::from(t.reason),
                    Cell::from(t.failure_code),
                ]
            });
            self.send(lines(rows)).await?;
        }
    }
}

fn scan_cells(device: &export::Scanner, s: export::ScanRow, door: Option<&Door>) -> Vec<Cell> {
    let word = |words: &[&'static str], n: i16| {
        usize::try_from(n).ok().and_then(|n| words.get(n).copied()).unwrap_or_default()
    };
    let outcome = usize::try_from(s.outcome).ok().and_then(|n| Outcome::ALL.get(n).copied());
    let place = EntryPlace {
        device: DeviceId(device.device_id),
        log_no: u32::try_from(s.log_no).unwrap_or_default(),
        seq: u64::try_from(s.seq).unwrap_or_default(),
    };
    let counts = door.is_some_and(|door| door.counts(s.list_id, s.ticket_id, place, &s.entry_hash));
    let optional = |id: Option<Uuid>| Cell::Plain(id.map(|id| id.to_string()).unwrap_or_default());
    vec![
        Cell::from(device.label.as_str()),
        number(device.number),
        number(s.log_no),
        number(s.seq),
        Cell::from(word(&export::KINDS, s.kind)),
        Cell::from(outcome.map_or("", Outcome::as_str)),
        Cell::from(s.list),
        optional(s.list_id),
        Cell::from(s.gate),
        optional(s.gate_id),
        optional(s.ticket_id),
        Cell::from(s.ticket_type),
        Cell::from(s.steward),
        Cell::from(if s.outward { "out" } else { "in" }),
        flag(s.rehearsal),
        at(UnixMillis(s.corrected_ms).to_datetime()),
        number(s.error_ms),
        at(Some(s.received_at)),
        number(s.delay_ms),
        flag(s.delay_ms > LATE_MS),
        flag(counts),
    ]
}

fn id(id: Uuid) -> Cell {
    Cell::Plain(id.to_string())
}

fn number(n: i64) -> Cell {
    Cell::Plain(n.to_string())
}

fn flag(yes: bool) -> Cell {
    number(yes.into())
}

fn at(at: Option<OffsetDateTime>) -> Cell {
    Cell::Plain(at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default())
}
