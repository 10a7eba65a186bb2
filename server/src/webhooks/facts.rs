//! What is told of what happens. Each function is called in the transaction of the fact, before its last statement. Payloads
//! hold ids, amounts and times; who wants to know more asks for it (docs/WEBHOOKS.md).

use serde_json::{Map, Value, json};
use shared::admission::history::CutOffs;
use shared::bytes::Hash32;
use shared::ids::EventId;
use shared::log::entry::{EntryKind, LogEntry};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::App;
use crate::domain::incident::{Finding, Subject};
use crate::domain::webhook::{Fact, FactType, instant};
use crate::store::booking::Booking;
use crate::store::event::Event;
use crate::store::issue::NewTicket;
use crate::store::ticket_type::TicketType;
use crate::store::webhook::{self, SoldOut};

/// Something new.
pub fn fact(app: &App, of: FactType, event_id: Option<Uuid>, booking_id: Option<Uuid>, data: Value) -> Fact {
    Fact { id: app.rng.uuid(&*app.clock), of, event_id, booking_id, data }
}

/// A booking was paid (a free one: made).
#[must_use]
pub fn booking_paid(app: &App, of: &Booking, tickets: &[NewTicket]) -> Fact {
    let tickets: Vec<Value> = tickets
        .iter()
        .map(|t| json!({ "ticket_id": t.ticket_id, "ticket_type_id": t.ticket_type_id }))
        .collect();
    let data = json!({
        "booking_id": of.booking_id, "event_id": of.event_id, "status": of.status.as_str(),
        "total": { "amount_minor": of.total_minor, "currency": of.currency }, "tickets": tickets,
        "paid_at": of.paid_at.and_then(instant),
    });
    fact(app, FactType::BookingPaid, Some(of.event_id), Some(of.booking_id), data)
}

/// Money went back, of all of a booking or of a part.
#[must_use]
pub fn booking_refunded(
    app: &App,
    of: &Booking,
    transaction_id: Uuid,
    amount_minor: i64,
    tickets: &[Uuid],
) -> Fact {
    let data = json!({
        "booking_id": of.booking_id, "event_id": of.event_id, "status": of.status.as_str(),
        "transaction_id": transaction_id, "amount": { "amount_minor": amount_minor, "currency": of.currency },
        "revoked_ticket_ids": tickets,
    });
    fact(app, FactType::BookingRefunded, Some(of.event_id), Some(of.booking_id), data)
}

/// Nothing is left of a quota.
#[must_use]
pub fn tickets_sold_out(app: &App, event_id: Uuid, of: &SoldOut) -> Fact {
    let data = json!({
        "event_id": event_id, "quota_id": of.quota_id, "name": of.name, "capacity": of.capacity,
        "ticket_type_ids": of.ticket_type_ids,
    });
    fact(app, FactType::TicketsSoldOut, Some(event_id), None, data)
}

/// The members of an object.
fn members(data: Value) -> Map<String, Value> {
    match data {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The names of the members that are new, or others than before.
fn differing(before: &Map<String, Value>, of: &Map<String, Value>) -> Vec<String> {
    let other = |(name, value): &(&String, &Value)| before.get(*name) != Some(*value);
    of.iter().filter(other).map(|(name, _)| name.clone()).collect()
}

/// What of an event is told.
fn of_event(of: &Event) -> Map<String, Value> {
    members(json!({
        "event_id": of.event_id, "slug": of.slug, "status": of.status, "title": of.title, "category_id": of.category_id,
        "admission_at": of.admission_at.and_then(instant), "starts_at": instant(of.starts_at),
        "ends_at": of.ends_at.and_then(instant), "time_zone": of.time_zone, "venue_name": of.venue_name,
        "venue_address": of.venue_address, "city": of.city, "country": of.country,
    }))
}

/// An event went on sale.
#[must_use]
pub fn event_published(app: &App, of: &Event) -> Fact {
    fact(app, FactType::EventPublished, Some(of.event_id), None, of_event(of).into())
}

/// A published event is another than before, if it is in what is told of it.
#[must_use]
pub fn event_changed(app: &App, before: &Event, of: &Event) -> Option<Fact> {
    let (old, mut data) = (of_event(before), of_event(of));
    let changed = differing(&old, &data);
    if of.status != "published" || changed.is_empty() {
        return None;
    }
    data.insert("changed".to_owned(), changed.into());
    Some(fact(app, FactType::EventChanged, Some(of.event_id), None, data.into()))
}

/// An event was canceled.
#[must_use]
pub fn event_canceled(app: &App, of: &Event, reason: &str) -> Fact {
    let mut data = of_event(of);
    data.insert("reason".to_owned(), Some(reason).filter(|r| !r.is_empty()).into());
    fact(app, FactType::EventCanceled, Some(of.event_id), None, data.into())
}

/// What of a ticket type is told.
fn of_type(event: &Event, of: &TicketType) -> Map<String, Value> {
    let amount = |minor: i64| json!({ "amount_minor": minor, "currency": event.currency });
    let total = of.stated(event.fee()).unit().and_then(|unit| unit.total_minor());
    members(json!({
        "ticket_type_id": of.ticket_type_id, "event_id": of.event_id, "number": of.number, "name": of.name,
        "price": amount(of.price_minor), "fee": amount(of.fee_minor), "total": total.map(amount),
        "tax": { "rate_bp": of.tax_rate_bp, "inclusive": of.tax_inclusive },
        "quota_id": of.quota_id, "capacity": of.capacity, "max_per_booking": of.max_per_booking,
        "sales_from": of.sales_from.and_then(instant), "sales_until": of.sales_until.and_then(instant),
        "valid_from": of.valid_from.and_then(instant), "valid_until": of.valid_until.and_then(instant),
        "hidden": of.hidden, "archived": of.archived_at.is_some(),
    }))
}

/// The ticket types of a published event that are new, or others than before, if it is in what is told of them. An
/// event's own fee is part of what each costs.
#[must_use]
pub fn ticket_types_changed(
    app: &App,
    (event_before, before): (&Event, &[TicketType]),
    (event, types): (&Event, &[TicketType]),
) -> Vec<Fact> {
    if event.status != "published" {
        return Vec::new();
    }
    let told = types.iter().filter_map(|of| {
        let mut data = of_type(event, of);
        let old = before.iter().find(|old| old.ticket_type_id == of.ticket_type_id);
        let changed = match old {
            Some(old) => {
                Some(differing(&of_type(event_before, old), &data)).filter(|names| !names.is_empty())?
            }
            None => differing(&Map::new(), &data),
        };
        data.insert("created".to_owned(), old.is_none().into());
        data.insert("changed".to_owned(), changed.into());
        Some(fact(app, FactType::TicketTypeChanged, Some(event.event_id), None, data.into()))
    });
    told.collect()
}

/// A ticket has another holder.
#[must_use]
pub fn ticket_transferred(
    app: &App,
    (event_id, booking_id, ticket_type_id): (Uuid, Uuid, Uuid),
    (ticket_id, generation): (Uuid, i16),
    replaces: Option<Uuid>,
) -> Fact {
    let data = json!({
        "ticket_id": ticket_id, "event_id": event_id, "booking_id": booking_id, "ticket_type_id": ticket_type_id,
        "generation": generation, "replaces_ticket_id": replaces,
    });
    fact(app, FactType::TicketTransferred, Some(event_id), Some(booking_id), data)
}

/// The admissions among entries of a log. An entry is the same fact wherever and however often it arrives. What waits in
/// quarantine, or was rejected there, is none: `cut_offs` say so.
#[must_use]
pub fn checked_in<'e>(
    event: EventId,
    entries: impl IntoIterator<Item = (&'e LogEntry, Hash32)>,
    cut_offs: &CutOffs,
) -> Vec<Fact> {
    let admissions = entries.into_iter().filter(|(entry, _)| {
        matches!(entry.kind, EntryKind::Entry | EntryKind::Override)
            && !entry.rehearsal
            && cut_offs.include(entry.place)
    });
    admissions
        .filter_map(|(entry, hash)| {
            let ticket = entry.ticket?;
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&hash.0[..16]);
            let scanned_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(entry.time.corrected.0) * 1_000_000);
            Some(Fact {
                id: uuid::Builder::from_custom_bytes(bytes).into_uuid(),
                of: FactType::TicketCheckedIn,
                event_id: Some(event.0),
                booking_id: None,
                data: json!({
                    "ticket_id": ticket.0, "event_id": event.0, "list_id": entry.list.map(|l| l.0),
                    "gate_id": entry.gate.map(|g| g.0), "device_id": entry.place.device.0,
                    "log_no": entry.place.log_no, "seq": entry.place.seq,
                    "override": entry.kind == EntryKind::Override, "scanned_at": scanned_at.ok().and_then(instant),
                }),
            })
        })
        .collect()
}

/// An incident was opened, or is one no longer. At `now`: it may be opened again later.
#[must_use]
pub fn incident(event: EventId, finding: &Finding, now: OffsetDateTime) -> Fact {
    let (incident_id, kind) = (finding.subject.id(event), finding.subject.kind());
    let (list, ticket, device, log_no) = match finding.subject {
        Subject::Admission { list, ticket } => (Some(list.0), Some(ticket.0), None, None),
        Subject::Log { device, log_no, .. } => (None, None, Some(device.0), Some(log_no)),
    };
    let of = if finding.open { FactType::IncidentOpened } else { FactType::IncidentClosed };
    let told = shared::bytes::sha256(
        b"hvflvspot/incident-told/v1\0",
        &[incident_id.as_bytes(), &[u8::from(finding.open)], &now.unix_timestamp_nanos().to_be_bytes()],
    );
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&told.0[..16]);
    Fact {
        id: uuid::Builder::from_custom_bytes(bytes).into_uuid(),
        of,
        event_id: Some(event.0),
        booking_id: None,
        data: json!({
            "incident_id": incident_id, "event_id": event.0, "kind": kind.as_str(), "list_id": list, "ticket_id": ticket,
            "device_id": device, "log_no": log_no,
        }),
    }
}

/// Enters facts.
///
/// # Errors
/// The database's.
pub async fn tell(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    facts: &[Fact],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    webhook::tell(conn, organizer_id, facts, now).await.map(drop)
}
