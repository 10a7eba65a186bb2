//! Complimentary tickets: a free booking that staff makes for somebody.

use serde_json::json;
use uuid::Uuid;

use super::purchase::{Buyer, HoldAnswer, Order, finish, hold_it, new_hold};
use super::waiting::offer_link;
use super::{Actor, StepError, catalog};
use crate::app::AppState;
use crate::domain::booking::BookingStatus;
use crate::domain::catalog::{NotGivable, Wish};
use crate::domain::language::Language;
use crate::jobs::outbox::seal;
use crate::store::audit::{self, Act};
use crate::store::complimentary::{self, Given};
use crate::store::outbox::{self, NewMail};
use crate::store::{booking, event};

/// Tickets to give.
#[derive(Debug, Clone)]
pub struct Gift {
    /// The caller's: who repeats it after a crash gives nothing twice.
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub wish: Wish,
    pub email: String,
    /// In which they are written to.
    pub language: Language,
    pub note: String,
    pub given_by: Uuid,
    /// SHA-256 of the secret that opens the booking.
    pub secret_hash: [u8; 32],
    pub actor: Actor,
}

/// Why nothing was given.
#[derive(Debug, thiserror::Error)]
pub enum GiftError {
    #[error("there is no such event")]
    NoEvent,
    #[error(transparent)]
    NotGivable(#[from] NotGivable),
    #[error("there are not that many tickets left")]
    SoldOut,
    #[error("its places were held and given up again: ask anew, with another key")]
    Gone,
    #[error("the catalogue changes faster than it can be read")]
    Unsettled,
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for GiftError {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

/// Takes the places, issues the tickets and writes to whom they are given. Room that others wait for can be given
/// away too: that is staff's decision.
///
/// # Errors
/// [`GiftError`]; after a `Step` repeat it with the same id.
pub async fn give(app: &AppState, gift: Gift) -> Result<(), GiftError> {
    for _ in 0..3 {
        let event = catalog::event_for_sale(app, gift.event_id).await?.ok_or(GiftError::NoEvent)?;
        let organizer_id = event.organizer_id.0;
        let now = app.clock.now();
        let order = Order {
            booking_id: gift.booking_id,
            event_id: gift.event_id,
            buyer: Buyer::Guest(gift.secret_hash),
            wishes: vec![gift.wish],
            email: Some(gift.email.clone()),
            language: gift.language,
            mail: false,
            person: gift.email.clone(),
            promo_code: None,
            place: None,
            payment: None,
            actor: gift.actor.clone(),
            key: None,
        };
        let quote = event.gift(gift.wish, now)?;
        let mut tx = app.db.tenant(organizer_id).await?;
        let begun = booking::find(&mut tx, organizer_id, gift.booking_id).await?.is_some();
        tx.commit().await?;
        if !begun {
            let hold = new_hold(&order, &quote, now + event.hold, None);
            match hold_it(app, &event, hold, None, None).await? {
                HoldAnswer::Held => {}
                HoldAnswer::Short(_) => return Err(GiftError::SoldOut),
                HoldAnswer::Stale | HoldAnswer::Refused(_) | HoldAnswer::NotYourTurn => {
                    app.selling.catalog.forget(gift.event_id);
                    continue;
                }
            }
        }
        // Already issued before, perhaps: then nothing happens here.
        finish(app, &event, &quote, &order, None, now).await?;
        let mut tx = app.db.tenant(organizer_id).await?;
        let booking = booking::find(&mut tx, organizer_id, gift.booking_id).await?;
        tx.commit().await?;
        // Begun before, and its hold went while nobody came back: there is nothing to announce.
        if booking.is_none_or(|b| b.status != BookingStatus::Paid) {
            return Err(GiftError::Gone);
        }
        return Ok(note(app, organizer_id, &gift).await?);
    }
    Err(GiftError::Unsettled)
}

/// Writes the gift down and to its recipient, once.
async fn note(app: &AppState, organizer_id: Uuid, gift: &Gift) -> Result<(), StepError> {
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some(event) = event::find(&mut tx, organizer_id, gift.event_id).await? else { return Ok(()) };
    let lines = booking::lines(&mut tx, organizer_id, gift.booking_id).await?;
    let Some(line) = lines.first() else { return Ok(()) };
    let given = Given {
        booking_id: gift.booking_id,
        event_id: gift.event_id,
        ticket_type_id: line.ticket_type_id,
        quantity: line.quantity,
        note: gift.note.clone(),
        given_by: gift.given_by,
        created_at: now,
    };
    if !complimentary::insert(&mut tx, organizer_id, &given).await? {
        return Ok(());
    }
    let id = app.rng.uuid(&*app.clock);
    let link = offer_link(app, organizer_id, gift.booking_id, true);
    let facts = json!({ "event": event.title, "quantity": line.quantity, "ticket_type": line.name });
    let mail = NewMail {
        id,
        kind: "offer.complimentary",
        recipient: &gift.email,
        organizer_id: Some(organizer_id),
        language: gift.language.as_str(),
        facts: &facts,
        sealed_facts: Some(&seal(app, id, &json!({ "link": link }))),
        expires_at: None,
    };
    outbox::enqueue(&mut tx, &mail, now).await?;
    let act = Act {
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: gift.actor.kind,
        actor_id: gift.actor.id,
        action: "tickets.given",
        object_kind: "booking",
        object_id: gift.booking_id,
        request_id: gift.actor.request_id.as_deref(),
        detail: json!({ "ticket_type_id": line.ticket_type_id, "quantity": line.quantity }),
    };
    audit::record(&mut tx, organizer_id, &act, now).await?;
    tx.commit().await?;
    Ok(())
}
