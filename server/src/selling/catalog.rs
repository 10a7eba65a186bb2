//! Prices in memory. An entry may be stale: the sale's statement names its version and refuses then, and
//! the next look asks the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::ids::{EventId, OrganizerId, QuotaId, TicketTypeId};
use shared::money::Tax;
use sqlx::PgConnection;
use time::Duration;
use uuid::Uuid;

use crate::app::App;
use crate::domain::catalog::{EventStatus, SaleEvent, SaleType, type_window};
use crate::domain::question::Question;
use crate::store::{directory, event, question, ticket_type};

/// Events kept at most; when full, all are forgotten.
const MAX_EVENTS: usize = 2_000;

/// Events on sale by id.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<Uuid, Arc<SaleEvent>>>);

impl Cache {
    /// Forgets an event.
    pub fn forget(&self, event_id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&event_id);
    }

    fn get(&self, event_id: Uuid) -> Option<Arc<SaleEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&event_id).cloned()
    }

    fn put(&self, event: Arc<SaleEvent>) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() >= MAX_EVENTS {
            events.clear();
        }
        events.insert(event.event_id.0, event);
    }
}

/// An event for sale, from memory if it is there. `None` if there is no such event.
pub async fn event_for_sale(app: &App, event_id: Uuid) -> Result<Option<Arc<SaleEvent>>, sqlx::Error> {
    if let Some(event) = app.selling.catalog.get(event_id) {
        return Ok(Some(event));
    }
    let mut tx = app.db.platform().await?;
    let place = directory::find(&mut tx, "event", &event_id.to_string()).await?;
    tx.commit().await?;
    let Some(place) = place else { return Ok(None) };
    let mut tx = app.db.tenant(place.organizer_id).await?;
    let event = load(&mut tx, place.organizer_id, event_id).await?;
    tx.commit().await?;
    Ok(event.map(|event| {
        let event = Arc::new(event);
        app.selling.catalog.put(Arc::clone(&event));
        event
    }))
}

/// The same as it stands now: what is in memory is good if it is of the event's version.
pub async fn event_as_it_is(app: &App, event_id: Uuid) -> Result<Option<Arc<SaleEvent>>, sqlx::Error> {
    if let Some(known) = app.selling.catalog.get(event_id) {
        let organizer_id = known.organizer_id.0;
        let mut tx = app.db.tenant(organizer_id).await?;
        let version = event::sale_version(&mut tx, organizer_id, event_id).await?;
        tx.commit().await?;
        if version == Some(known.version) {
            return Ok(Some(known));
        }
        app.selling.catalog.forget(event_id);
    }
    event_for_sale(app, event_id).await
}

/// Reads an event for sale; under the organizer's context.
pub(super) async fn load(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<SaleEvent>, sqlx::Error> {
    // The event first: if it changes meanwhile its version is the old one, and the sale refuses.
    let Some(event) = event::find(conn, organizer_id, event_id).await? else { return Ok(None) };
    let types = ticket_type::of_event(conn, organizer_id, event_id).await?;
    let questions = question::asked(conn, organizer_id, event_id).await?;
    let of = |t: ticket_type::TicketType| SaleType {
        ticket_type_id: TicketTypeId(t.ticket_type_id),
        number: u16::try_from(t.number).expect("a CHECK bounds type numbers"),
        quota_id: QuotaId(t.quota_id),
        price_minor: t.price_minor,
        fee_minor: t.fee_minor,
        tax: Tax {
            rate_bp: u16::try_from(t.tax_rate_bp).expect("a CHECK bounds tax rates"),
            inclusive: t.tax_inclusive,
        },
        sales_from: t.sales_from,
        sales_until: t.sales_until,
        window: type_window((event.starts_at, event.ends_at), (t.valid_from, t.valid_until, t.grace_secs)),
        max_per_booking: t.max_per_booking.unsigned_abs(),
        max_per_person: t.max_per_person.map(i32::unsigned_abs),
        hidden: t.hidden,
        queued: t.queued,
        archived: t.archived_at.is_some(),
        name: t.name,
    };
    Ok(Some(SaleEvent {
        organizer_id: OrganizerId(organizer_id),
        event_id: EventId(event_id),
        version: event.sale_version,
        status: EventStatus::from_column(&event.status),
        currency: event.currency.parse().expect("a CHECK bounds currencies"),
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        hold: Duration::seconds(i64::from(event.hold_secs)),
        max_per_booking: event.max_per_booking.unsigned_abs(),
        max_per_person: event.max_per_person.map(i32::unsigned_abs),
        fee: event.fee(),
        admit_per_minute: event.admit_per_minute.map(i32::unsigned_abs),
        waiting_list: event.waiting_list,
        offer: Duration::seconds(i64::from(event.offer_secs)),
        types: types.into_iter().map(of).collect(),
        questions: questions.into_iter().map(Question::from).collect(),
        title: event.title,
    }))
}
