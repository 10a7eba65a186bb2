//! Tickets to print and to put into a calendar: `ticket.pdf`, `tickets.pdf`, `event.ics`.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::qr::{PRIVATE, not_valid};
use super::show::ticket_of;
use crate::app::AppState;
use crate::documents::calendar::{self, Entry};
use crate::documents::ticket::{TicketPage, tickets};
use crate::documents::unhurried::unhurried;
use crate::documents::when::Moment;
use crate::http::auth::Caller;
use crate::http::booking_view::{booking_of, code_of};
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiPath;
use crate::store::booking;
use crate::store::ticket::{self, Ticket, TypeInWords};

/// A ticket to print: one A4 page with its code.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/ticket.pdf", operation_id = "get_ticket_pdf", tag = "tickets",
    params(("ticket_id" = Uuid, Path)), security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The page", content_type = "application/pdf", body = Vec<u8>),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn ticket_pdf(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let ticket = ticket_of(&app, &caller, ticket_id).await?;
    if ticket.state != "valid" {
        return Err(not_valid(&ticket.state));
    }
    let bytes = printed(&app, std::slice::from_ref(&ticket), Pace::AtOnce).await?;
    Ok(pdf(bytes, &format!("ticket-{ticket_id}.pdf")))
}

/// All valid tickets of a booking to print, a page each.
#[utoipa::path(
    get, path = "/bookings/{booking_id}/tickets.pdf", operation_id = "get_booking_tickets_pdf", tag = "bookings",
    params(("booking_id" = Uuid, Path)), security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "The pages", content_type = "application/pdf", body = Vec<u8>),
        (status = 404, body = Problem),
        (status = 409, description = "`no_valid_tickets`, `ticket_not_valid`: not paid yet, refunded, handed on, or sold by others", body = Problem),
    ),
)]
pub(super) async fn booking_pdf(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (booking, _) = booking_of(&app, &caller, booking_id).await?;
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let mut all = ticket::of_booking(&mut tx, booking.organizer_id, booking_id).await?;
    tx.commit().await?;
    // What was handed on is its new holder's to print.
    all.retain(|t| t.state == "valid" && t.transferred_at.is_none());
    if all.is_empty() {
        return Err(ApiError::conflict("no_valid_tickets", "this booking has no ticket that lets in"));
    }
    let bytes = printed(&app, &all, Pace::AtOnce).await?;
    Ok(pdf(bytes, &format!("tickets-{booking_id}.pdf")))
}

/// The event of a ticket for calendars.
#[utoipa::path(
    get, path = "/tickets/{ticket_id}/event.ics", operation_id = "get_ticket_calendar", tag = "tickets",
    params(("ticket_id" = Uuid, Path)), security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "RFC 5545", content_type = "text/calendar", body = String),
        (status = 404, body = Problem),
        (status = 409, description = "`ticket_not_valid`", body = Problem),
    ),
)]
pub(super) async fn ticket_ics(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(ticket_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let ticket = ticket_of(&app, &caller, ticket_id).await?;
    let words = words(&app, ticket.organizer_id, &[ticket.ticket_type_id]).await?;
    let of = words.first().ok_or_else(|| ApiError::not_found("ticket"))?;
    // A canceled event is what a calendar must learn.
    if ticket.state != "valid" && of.event_status != "canceled" {
        return Err(not_valid(&ticket.state));
    }
    Ok(ics(&app, of, &format!("tickets/{ticket_id}")))
}

/// The event of a booking for calendars.
#[utoipa::path(
    get, path = "/bookings/{booking_id}/event.ics", operation_id = "get_booking_calendar", tag = "bookings",
    params(("booking_id" = Uuid, Path)), security(("bearer" = []), ("booking_secret" = [])),
    responses(
        (status = 200, description = "RFC 5545", content_type = "text/calendar", body = String),
        (status = 404, body = Problem),
    ),
)]
pub(super) async fn booking_ics(
    State(app): State<AppState>,
    caller: Caller,
    ApiPath(booking_id): ApiPath<Uuid>,
) -> Result<Response, ApiError> {
    let (booking, _) = booking_of(&app, &caller, booking_id).await?;
    let mut tx = app.db.tenant(booking.organizer_id).await?;
    let lines = booking::lines(&mut tx, booking.organizer_id, booking_id).await?;
    tx.commit().await?;
    let types: Vec<Uuid> = lines.iter().map(|l| l.ticket_type_id).collect();
    let words = words(&app, booking.organizer_id, &types).await?;
    let of = words.first().ok_or_else(|| ApiError::not_found("booking"))?;
    Ok(ics(&app, of, &format!("bookings/{booking_id}")))
}

async fn words(app: &AppState, organizer_id: Uuid, types: &[Uuid]) -> Result<Vec<TypeInWords>, ApiError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let words = ticket::types_in_words(&mut tx, organizer_id, types).await?;
    tx.commit().await?;
    Ok(words)
}

/// What goes with the mail of a booking: its tickets to print, if it has any that let in, and the event's entry for
/// calendars. `words` are those of the tickets' types.
pub(crate) async fn for_mail(
    app: &AppState,
    booking_id: Uuid,
    tickets: &[Ticket],
    words: &[TypeInWords],
) -> Result<(Option<Vec<u8>>, Option<String>), ApiError> {
    let calendar = words.first().map(|of| calendar::file(&entry(app, of, &format!("bookings/{booking_id}"))));
    if tickets.is_empty() {
        return Ok((None, calendar));
    }
    Ok((Some(printed(app, tickets, Pace::Unhurried).await?), calendar))
}

/// Whether somebody looks at a screen until it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    AtOnce,
    /// Buyers come first: drawing what goes by mail is a third of a sale's work.
    Unhurried,
}

/// The PDF of valid tickets of one organizer; drawn beside the runtime's threads.
async fn printed(app: &AppState, all: &[Ticket], pace: Pace) -> Result<Vec<u8>, ApiError> {
    let organizer_id = all.first().ok_or_else(|| ApiError::not_found("ticket"))?.organizer_id;
    let types: Vec<Uuid> = all.iter().map(|t| t.ticket_type_id).collect();
    let words = words(app, organizer_id, &types).await?;
    let mut pages = Vec::with_capacity(all.len());
    for ticket in all {
        let of = words.iter().find(|w| w.ticket_type_id == ticket.ticket_type_id);
        let (Some(of), Some(code)) = (of, code_of(app, ticket).await?) else { continue };
        pages.push(page(ticket, of, code));
    }
    if pages.is_empty() {
        return Err(ApiError::conflict("ticket_not_valid", "tickets that others sold are theirs to print"));
    }
    let title = words.first().map(|w| w.event_title.clone()).unwrap_or_default();
    let (fonts, now) = (std::sync::Arc::clone(&app.fonts), app.clock.now());
    let draw = move || tickets(&fonts, &title, &pages, now);
    let drawn = match pace {
        Pace::AtOnce => tokio::task::spawn_blocking(draw).await.map_err(ApiError::internal)?,
        Pace::Unhurried => unhurried(draw).await.map_err(ApiError::internal)?,
    };
    drawn.map_err(ApiError::internal)
}

fn page(ticket: &Ticket, of: &TypeInWords, code: String) -> TicketPage {
    let moment = |at| Moment::new(at, &of.time_zone);
    TicketPage {
        organizer: of.organizer_name.clone(),
        event: of.event_title.clone(),
        starts: moment(of.starts_at),
        admission: of.admission_at.map(moment),
        ends: of.ends_at.map(moment),
        venue: venue(of),
        ticket_type: of.name.clone(),
        holder: ticket.attendee_name.clone(),
        valid_from: ticket.not_before.map(moment),
        booking: ticket.booking_id.to_string(),
        ticket: ticket.ticket_id.to_string(),
        code,
    }
}

/// Name, address and place, as far as they are known.
pub(crate) fn venue(of: &TypeInWords) -> Vec<String> {
    let place = match &of.country {
        Some(country) if !of.city.is_empty() => format!("{}, {country}", of.city),
        _ => of.city.clone(),
    };
    [of.venue_name.clone(), of.venue_address.clone(), place].into_iter().filter(|l| !l.is_empty()).collect()
}

fn ics(app: &AppState, of: &TypeInWords, page: &str) -> Response {
    let kind = (header::CONTENT_TYPE, "text/calendar; charset=utf-8");
    let name = (header::CONTENT_DISPOSITION, "attachment; filename=\"event.ics\"");
    ([kind, name, PRIVATE], calendar::file(&entry(app, of, page))).into_response()
}

/// `page` below `/web/` shows what it is for; without the secret, which calendars are too open for, only where it was
/// opened before or somebody is signed in.
fn entry(app: &AppState, of: &TypeInWords, page: &str) -> Entry {
    let link = format!("{}/web/{page}", app.config.link_origin());
    Entry {
        event_id: of.event_id,
        title: of.event_title.clone(),
        description: format!("{}. Your tickets: {link}", of.organizer_name),
        location: venue(of).join(", "),
        place: of.latitude.zip(of.longitude),
        url: Some(link),
        starts_at: of.starts_at,
        ends_at: of.ends_at,
        changed_at: of.event_updated_at,
        created_at: of.event_created_at,
        canceled: of.event_status == "canceled",
    }
}

fn pdf(bytes: Vec<u8>, name: &str) -> Response {
    let name = format!("inline; filename=\"{name}\"");
    let headers = [
        (header::CONTENT_TYPE, "application/pdf".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (PRIVATE.0, PRIVATE.1.to_owned()),
    ];
    (headers, bytes).into_response()
}
