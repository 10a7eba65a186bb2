//! What a letter tells of a booking or an event, read when it is sent: as it is then, in no queue before.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use shared::ids::TicketId;
use shared::ticket::foreign::is_foreign;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::adapters::mail::Attachment;
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::notification::Channel;
use crate::http::tickets::documents::{for_mail, venue};
use crate::selling::waiting::offer_link;
use crate::store::booking::Booking;
use crate::store::outbox::Leased;
use crate::store::ticket::{self, Ticket, TypeInWords};
use crate::store::{booking, event};

const PDF: &str = "application/pdf";

/// Facts and files of a letter.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub facts: Map<String, Value>,
    pub attachments: Vec<Attachment>,
}

/// What the letter tells beyond its own facts; `None` if it is over: a hold that was paid, a booking refunded since.
pub(super) async fn of(app: &AppState, message: &Leased) -> anyhow::Result<Option<Told>> {
    let Some(organizer_id) = message.organizer_id else { return Ok(Some(Told::default())) };
    match (message.kind.as_str(), message.about.booking_id, message.about.event_id) {
        (kind, Some(booking_id), _) if kind.starts_with("booking.") => {
            of_booking(app, organizer_id, booking_id, (kind, message.channel)).await
        }
        ("event.changed", _, Some(event_id)) => of_event(app, organizer_id, event_id).await,
        _ => Ok(Some(Told::default())),
    }
}

async fn of_booking(
    app: &AppState,
    organizer_id: Uuid,
    booking_id: Uuid,
    (kind, channel): (&str, Channel),
) -> anyhow::Result<Option<Told>> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let Some(found) = booking::find(&mut tx, organizer_id, booking_id).await? else { return Ok(None) };
    let lines = booking::lines(&mut tx, organizer_id, booking_id).await?;
    let types: Vec<Uuid> = lines.iter().map(|l| l.ticket_type_id).collect();
    let words = ticket::types_in_words(&mut tx, organizer_id, &types).await?;
    let mut tickets = ticket::of_booking(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    // What was handed on is its new holder's; what others sold is theirs to print.
    tickets
        .retain(|t| t.state == "valid" && t.transferred_at.is_none() && !is_foreign(&TicketId(t.ticket_id)));
    let Some(of) = words.first() else { return Ok(None) };
    if is_over(kind, &found, of, &tickets, app.clock.now()) {
        return Ok(None);
    }
    let names: Vec<String> = lines.iter().map(|l| format!("{} × {}", l.quantity, l.name)).collect();
    let facts = json!({
        "event": of.event_title,
        "starts": moment(of.starts_at, &of.time_zone),
        "place": venue(of).join(", "),
        "tickets": names.join(", "),
        "total": { "amount_minor": found.total_minor, "currency": found.currency },
        "until": moment(found.held_until, &of.time_zone),
        "link": offer_link(app, organizer_id, booking_id, found.user_id.is_none()),
    });
    let attachments = match (kind, channel) {
        ("booking.paid", Channel::Email) => files(app, booking_id, &tickets, &words).await?,
        _ => Vec::new(),
    };
    let mut facts = object(facts);
    if attachments.iter().any(|file| file.content_type == PDF) {
        facts.insert("attached".to_owned(), json!("yes"));
    }
    Ok(Some(Told { facts, attachments }))
}

/// Nothing that its reader could still do, or would want to know.
fn is_over(kind: &str, booking: &Booking, of: &TypeInWords, tickets: &[Ticket], now: OffsetDateTime) -> bool {
    match kind {
        "booking.payment_failed" | "booking.hold_ending" => {
            booking.status != BookingStatus::Held || booking.held_until <= now
        }
        "booking.reminder" => of.event_status == "canceled" || of.starts_at <= now || tickets.is_empty(),
        _ => false,
    }
}

async fn files(
    app: &AppState,
    booking_id: Uuid,
    tickets: &[Ticket],
    words: &[TypeInWords],
) -> anyhow::Result<Vec<Attachment>> {
    let (pdf, calendar) = for_mail(app, booking_id, tickets, words)
        .await
        .map_err(|e| anyhow::anyhow!("the tickets cannot be drawn: {e:?}"))?;
    let file = |name: &str, content_type, bytes: Vec<u8>| Attachment {
        name: name.to_owned(),
        content_type,
        bytes: Arc::from(bytes),
    };
    let mut files = Vec::new();
    files.extend(pdf.map(|bytes| file("tickets.pdf", PDF, bytes)));
    files.extend(calendar.map(|text| file("event.ics", "text/calendar; charset=utf-8", text.into_bytes())));
    Ok(files)
}

async fn of_event(app: &AppState, organizer_id: Uuid, event_id: Uuid) -> anyhow::Result<Option<Told>> {
    let mut tx = app.db.worker_tenant(organizer_id).await?;
    let found = event::find(&mut tx, organizer_id, event_id).await?.context("its event is gone")?;
    tx.commit().await?;
    if found.status == "canceled" {
        return Ok(None);
    }
    let place = [&found.venue_name, &found.venue_address, &found.city];
    let place: Vec<&str> = place.into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
    let facts = json!({
        "event": found.title, "starts": moment(found.starts_at, &found.time_zone), "place": place.join(", "),
    });
    Ok(Some(Told { facts: object(facts), attachments: Vec::new() }))
}

fn moment(at: OffsetDateTime, zone: &str) -> Value {
    json!({ "at": at.format(&Rfc3339).unwrap_or_default(), "zone": zone })
}

fn object(facts: Value) -> Map<String, Value> {
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}
