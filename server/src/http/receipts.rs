//! What was paid, on paper and as a table: `/bookings/{id}/receipt.pdf`, `/organizer/events/{id}/ledger.csv`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use time::format_description::well_known::Rfc3339;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::auth::{Caller, Staff};
use super::booking_view::booking_of;
use super::error::{ApiError, Problem};
use super::extract::ApiPath;
use crate::app::AppState;
use crate::documents::money::plain;
use crate::documents::receipt::{Issuer, Movement, Receipt, ReceiptLine, receipt as print};
use crate::documents::table::{Cell, table};
use crate::documents::when::Moment;
use crate::store::booking::Booking;
use crate::store::receipt::{self, Line, Numbered};
use crate::store::{Tx, event, is_unique_violation, organizer, transaction};

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(ledger))
}

/// The receipt of a paid booking: number, seller, lines, fees, tax by rate, payments and refunds.
///
/// It gets its number when somebody first asks for it; number and seller stay as they were then. Refunds are added
/// as they happen.
#[utoipa::path(
    get, path = "/bookings/{booking_id}/receipt.pdf", operation_id = "get_receipt", tag = "bookings",
    params(("booking_id" = Uuid, Path)), security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The receipt", content_type = "application/pdf", body = Vec<u8>),
        (status = 404, body = Problem),
        (status = 409, description = "`not_paid`: nothing was paid (yet)", body = Problem),
    ),
)]
async fn show(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (booking, _) = booking_of(&app, &caller, booking_id).await?;
    if booking.paid_at.is_none() || booking.total_minor == 0 {
        return Err(ApiError::conflict("not_paid", "nothing was paid for this booking"));
    }
    let made = read(&app, &booking).await?;
    let (fonts, now) = (Arc::clone(&app.fonts), app.clock.now());
    let name = format!("inline; filename=\"receipt-{}.pdf\"", made.number);
    let bytes = tokio::task::spawn_blocking(move || print(&fonts, &made, now))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, bytes).into_response())
}

async fn read(app: &AppState, booking: &Booking) -> Result<Receipt, ApiError> {
    let (organizer_id, booking_id) = (booking.organizer_id, booking.booking_id);
    let mut tx = app.db.tenant(organizer_id).await?;
    let event = event::find(&mut tx, organizer_id, booking.event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("booking"))?;
    tx.commit().await?;
    let numbered = numbered(app, booking, &event.time_zone).await?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let lines = receipt::lines(&mut tx, organizer_id, booking_id).await?;
    let promo_code = receipt::promo_code(&mut tx, organizer_id, booking_id).await?;
    let movements = transaction::of_booking(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let moment = |at| Moment::new(at, &event.time_zone);
    let done = movements.into_iter().filter_map(|m| {
        // A payment whose money went back whole is `refunded`; a refund that was made is `completed`.
        let moved = matches!(m.status.as_str(), "completed" | "refunded");
        let at = m.completed_at.filter(|_| moved)?;
        Some(Movement {
            at: moment(at),
            refund: m.kind == "refund",
            amount_minor: m.amount_minor,
            provider: m.provider,
        })
    });
    Ok(Receipt {
        number: format!("{}-{:06}", numbered.year, numbered.number),
        issued: moment(numbered.issued_at),
        issuer: numbered.issuer.0,
        buyer: booking.email.clone(),
        event: event.title.clone(),
        event_at: moment(event.starts_at),
        booking: booking_id.to_string(),
        currency: booking.currency.clone(),
        promo_code,
        lines: lines.into_iter().map(line).collect(),
        movements: done.collect(),
    })
}

/// The receipt's number; the next one if it has none yet, of the year that its date says: where the event is.
async fn numbered(app: &AppState, booking: &Booking, zone: &str) -> Result<Numbered, ApiError> {
    let (organizer_id, booking_id) = (booking.organizer_id, booking.booking_id);
    loop {
        let mut tx = app.db.tenant(organizer_id).await?;
        if let Some(numbered) = receipt::find(&mut tx, organizer_id, booking_id).await? {
            return Ok(numbered);
        }
        let issuer = issuer(&mut tx, organizer_id).await?;
        let now = app.clock.now();
        let stamp = (Moment::new(now, zone).year(), now);
        match receipt::number(&mut tx, organizer_id, booking_id, &issuer, stamp).await {
            Ok(numbered) => {
                tx.commit().await?;
                return Ok(numbered);
            }
            // Another request was quicker: its number is found in the next round.
            Err(e) if is_unique_violation(&e, "receipts_") => {}
            Err(e) => return Err(e.into()),
        }
    }
}

async fn issuer(tx: &mut Tx, organizer_id: Uuid) -> Result<Issuer, ApiError> {
    let of = organizer::find(tx, organizer_id).await?.ok_or_else(|| ApiError::not_found("booking"))?;
    Ok(Issuer {
        name: of.name,
        legal_name: of.legal_name,
        address: of.address,
        country: of.country,
        tax_id: of.tax_id,
    })
}

fn line(of: Line) -> ReceiptLine {
    ReceiptLine {
        rate_bp: of.tax_rate_bp.into(),
        name: of.name,
        quantity: of.quantity.into(),
        unit_price_minor: of.unit_price_minor,
        unit_fee_minor: of.unit_fee_minor,
        unit_tax_minor: of.unit_tax_minor,
        list_price_minor: of.list_price_minor,
        list_fee_minor: of.list_fee_minor,
    }
}

/// The double-entry ledger of an event as CSV: every line that was ever booked, oldest first.
///
/// The lines of an entry sum to zero, as do those of a booking whose money all went back. A line of tax names the rates
/// in its booking as they were at the sale, in hundredths of a percent. Discounts are deducted from sales before they are
/// booked: `GET /organizer/events/{id}/ledger` says how much they were.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/ledger.csv", operation_id = "export_ledger", tag = "organizer",
    params(("event_id" = Uuid, Path)), security(("bearer" = [])),
    responses((status = 200, description = "RFC 4180", content_type = "text/csv", body = String), (status = 404, body = Problem)),
)]
async fn ledger(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let mut tx = app.db.tenant(staff.organizer_id).await?;
    event::find(&mut tx, staff.organizer_id, event_id).await?.ok_or_else(|| ApiError::not_found("event"))?;
    let rows = receipt::ledger(&mut tx, staff.organizer_id, event_id).await?;
    tx.commit().await?;
    let heading = [
        "booked_at",
        "entry_id",
        "line",
        "kind",
        "booking_id",
        "account",
        "amount",
        "amount_minor",
        "currency",
        "tax_rates_bp",
    ];
    let cells = rows.into_iter().map(|row| {
        vec![
            Cell::Plain(row.booked_at.format(&Rfc3339).unwrap_or_default()),
            Cell::Plain(row.entry_id.to_string()),
            Cell::Plain(row.line.to_string()),
            Cell::from(row.kind),
            Cell::Plain(row.booking_id.to_string()),
            Cell::from(row.account),
            Cell::Plain(plain(row.amount_minor, &row.currency)),
            Cell::Plain(row.amount_minor.to_string()),
            Cell::from(row.currency),
            Cell::Plain(row.tax_rates_bp.unwrap_or_default()),
        ]
    });
    Ok(csv_file(table(&heading, cells), "ledger.csv"))
}

/// A table to save.
pub(super) fn csv_file(text: String, name: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    (headers, text).into_response()
}
