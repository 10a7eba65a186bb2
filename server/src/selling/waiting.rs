//! The waiting list: joining a line, leaving it, and offers, which are holds. First come, first served: whoever
//! wants more than is free waits until enough is, and so does everybody behind, because what becomes free meanwhile
//! is kept for the line.

use serde_json::json;
use shared::ids::TicketTypeId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::claims::{self, Claim};
use super::issue::{self, IssueOrder};
use super::purchase::{Buyer, new_lines};
use super::{Actor, StepError, catalog, pay};
use crate::app::AppState;
use crate::domain::catalog::{NotOnSale, SaleEvent, Terms, Wish};
use crate::domain::language::Language;
use crate::jobs::outbox::seal;
use crate::store::event::{self, Event};
use crate::store::outbox::{self, About, NewMail};
use crate::store::sale::{self, Held, NewHold};
use crate::store::waiting::{self, Entry};
use crate::store::{Tx, booking, is_unique_violation};

/// Who would like to wait for what.
#[derive(Debug, Clone)]
pub struct Joining {
    pub entry_id: Uuid,
    pub event_id: Uuid,
    pub wish: Wish,
    pub buyer: Buyer,
    pub email: String,
    /// In which they are written to.
    pub language: Language,
}

/// Why somebody cannot wait.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("there is no such event")]
    NoEvent,
    #[error("this event has no waiting list")]
    NoList,
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    #[error("there are tickets left: buy them")]
    StillAvailable,
    #[error("you wait for these tickets already")]
    AlreadyWaiting,
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for JoinError {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

/// The event as it is now, its row locked against changes of the catalogue and of its lines.
async fn locked(
    tx: &mut Tx,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Option<(Event, SaleEvent)>, sqlx::Error> {
    let Some(row) = event::lock(tx, organizer_id, event_id).await? else { return Ok(None) };
    let sale = catalog::load(tx, organizer_id, event_id).await?;
    Ok(sale.map(|sale| (row, sale)))
}

/// Puts somebody at the end of the line of what is sold out. Their place.
///
/// # Errors
/// [`JoinError`]
pub async fn join(app: &AppState, joining: Joining) -> Result<(Entry, i64), JoinError> {
    let known = catalog::event_for_sale(app, joining.event_id).await?.ok_or(JoinError::NoEvent)?;
    let organizer_id = known.organizer_id.0;
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let (row, sale) = locked(&mut tx, organizer_id, joining.event_id).await?.ok_or(JoinError::NoEvent)?;
    if !sale.waiting_list {
        return Err(JoinError::NoList);
    }
    let wanted = joining.wish.ticket_type_id;
    if sale.types.iter().any(|t| t.ticket_type_id == wanted && t.hidden) {
        return Err(NotOnSale::UnknownType { item: 0 }.into());
    }
    let quote = sale.quote(&[joining.wish], Terms { code: None, offered: true }, now)?;
    let quota_id = quote.lines.first().map(|l| l.quota_id.0).ok_or(NotOnSale::Empty)?;
    match waiting::lock_quota(&mut tx, organizer_id, quota_id).await? {
        Some((free, queued)) if queued || free <= 0 => {}
        _ => return Err(JoinError::StillAvailable),
    }
    let (user_id, secret) = match joining.buyer {
        Buyer::User(id) => (Some(id), None),
        Buyer::Guest(hash) => (None, Some(hash.to_vec())),
    };
    let mut entry = Entry {
        entry_id: joining.entry_id,
        event_id: joining.event_id,
        line_no: 0,
        ticket_type_id: joining.wish.ticket_type_id.0,
        quota_id,
        quantity: i32::try_from(joining.wish.quantity).expect("a quote bounds quantities"),
        user_id,
        booking_secret_hash: secret,
        person: claims::person_of(app, &joining.email).to_vec(),
        email: joining.email,
        language: joining.language.as_str().to_owned(),
        status: "waiting".to_owned(),
        created_at: now,
        offered_at: None,
        offer_until: None,
        ended_at: None,
    };
    entry.line_no = waiting::join(&mut tx, organizer_id, &entry).await.map_err(|e| {
        if is_unique_violation(&e, "waiting_list_once") { JoinError::AlreadyWaiting } else { e.into() }
    })?;
    if let Some(user_id) = entry.user_id {
        waiting::note_for_user(&mut tx, organizer_id, user_id, entry.entry_id, now).await?;
    }
    if waiting::set_queued(&mut tx, organizer_id, quota_id, true).await? {
        event::bump(&mut tx, organizer_id, joining.event_id).await?;
    }
    let place = waiting::place(&mut tx, organizer_id, &entry).await?;
    let facts = json!({
        "event": row.title, "quantity": entry.quantity, "ticket_type": type_name(&sale, entry.ticket_type_id),
        "place": place,
    });
    // Until there is an offer the page asks the event's line.
    let mut link = offer_link(app, organizer_id, entry.entry_id, entry.booking_secret_hash.is_some());
    link.push(if link.contains('#') { '&' } else { '#' });
    link.push_str(&format!("event={}", entry.event_id));
    mail(app, &mut tx, organizer_id, &entry, "offer.waiting", &facts, &link, None).await?;
    tx.commit().await?;
    app.selling.catalog.forget(joining.event_id);
    Ok((entry, place))
}

/// Takes somebody out of the line; opens the public sale if nobody else stands in it. False if they wait no more.
///
/// # Errors
/// Of the database.
pub async fn leave(
    app: &AppState,
    organizer_id: Uuid,
    entry: &Entry,
    status: &str,
) -> Result<bool, sqlx::Error> {
    let mut tx = app.db.tenant(organizer_id).await?;
    event::lock(&mut tx, organizer_id, entry.event_id).await?;
    let left = waiting::end(&mut tx, organizer_id, entry.entry_id, status, app.clock.now()).await?;
    reopen_if_empty(&mut tx, organizer_id, entry.event_id, entry.quota_id).await?;
    tx.commit().await?;
    app.selling.catalog.forget(entry.event_id);
    Ok(left)
}

async fn reopen_if_empty(
    tx: &mut Tx,
    organizer_id: Uuid,
    event_id: Uuid,
    quota_id: Uuid,
) -> Result<(), sqlx::Error> {
    if waiting::head(tx, organizer_id, quota_id).await?.is_none()
        && waiting::set_queued(tx, organizer_id, quota_id, false).await?
    {
        event::bump(tx, organizer_id, event_id).await?;
    }
    Ok(())
}

/// Makes the next offer of a line, if there is room for it. False if there is nothing more to do now.
///
/// # Errors
/// [`StepError`]; nothing was offered then.
pub async fn offer_next(
    app: &AppState,
    organizer_id: Uuid,
    event_id: Uuid,
    quota_id: Uuid,
) -> Result<bool, StepError> {
    let now = app.clock.now();
    let mut tx = app.db.tenant(organizer_id).await?;
    let Some((row, sale)) = locked(&mut tx, organizer_id, event_id).await? else { return Ok(false) };
    let Some(entry) = waiting::head(&mut tx, organizer_id, quota_id).await? else {
        reopen_if_empty(&mut tx, organizer_id, event_id, quota_id).await?;
        tx.commit().await?;
        app.selling.catalog.forget(event_id);
        return Ok(false);
    };
    let made = match offer(app, &mut tx, organizer_id, &row, &sale, &entry, now).await? {
        Outcome::NoRoom => return Ok(false),
        Outcome::Impossible => {
            waiting::end(&mut tx, organizer_id, entry.entry_id, "closed", now).await?;
            false
        }
        Outcome::Made { free } => free,
    };
    reopen_if_empty(&mut tx, organizer_id, event_id, quota_id).await?;
    tx.commit().await?;
    app.selling.catalog.forget(event_id);
    if made {
        issue_free(app, organizer_id, entry.entry_id).await?;
    }
    Ok(true)
}

enum Outcome {
    Made {
        free: bool,
    },
    /// Later perhaps.
    NoRoom,
    /// Never: the type is gone, the sale over, the person has all that one may have.
    Impossible,
}

async fn offer(
    app: &AppState,
    tx: &mut Tx,
    organizer_id: Uuid,
    row: &Event,
    sale: &SaleEvent,
    entry: &Entry,
    now: OffsetDateTime,
) -> Result<Outcome, StepError> {
    let wish =
        Wish { ticket_type_id: TicketTypeId(entry.ticket_type_id), quantity: entry.quantity.unsigned_abs() };
    let quote = match sale.quote(&[wish], Terms { code: None, offered: true }, now) {
        Ok(quote) => quote,
        Err(NotOnSale::NotYet { .. }) => return Ok(Outcome::NoRoom),
        Err(_) => return Ok(Outcome::Impossible),
    };
    let claim = Claim::of(app, entry.entry_id, &entry.email, sale, &quote, None, None);
    let claim: Vec<&Claim> = claim.iter().collect();
    if !claims::admit(tx, organizer_id, row.event_id, &claim, now).await?.is_empty() {
        return Ok(Outcome::Impossible);
    }
    let until = now + sale.offer;
    let hold = NewHold {
        booking_id: entry.entry_id,
        user_id: entry.user_id,
        secret_hash: entry.booking_secret_hash.as_ref().map(hex::encode),
        email: Some(entry.email.clone()),
        language: language_of(entry),
        price_minor: quote.sum.price_minor,
        fee_minor: quote.sum.fee_minor,
        tax_minor: quote.sum.tax_minor,
        held_until: until,
        lines: new_lines(entry.entry_id, &quote),
        payment: None,
    };
    let holds = [hold];
    match sale::hold(tx, organizer_id, row.event_id, row.sale_version, &holds, now).await? {
        Held::All => {}
        Held::Stale | Held::Short(_) => return Ok(Outcome::NoRoom),
    }
    sale::note_for_users(tx, organizer_id, &holds, now).await?;
    claims::write(tx, organizer_id, row.event_id, &claim, now).await?;
    waiting::offered(tx, organizer_id, entry.entry_id, now, until).await?;
    let link = offer_link(app, organizer_id, entry.entry_id, entry.booking_secret_hash.is_some());
    let facts = json!({
        "event": row.title, "quantity": entry.quantity, "ticket_type": type_name(sale, entry.ticket_type_id),
        "until": { "at": until.format(&Rfc3339).unwrap_or_default(), "zone": row.time_zone },
    });
    mail(app, tx, organizer_id, entry, "offer.made", &facts, &link, Some(until)).await?;
    Ok(Outcome::Made { free: quote.total_minor == 0 })
}

/// Where one looks at a booking, or at a place in line that will become one.
pub fn offer_link(app: &AppState, organizer_id: Uuid, booking_id: Uuid, guest: bool) -> String {
    let origin = app.config.link_origin();
    if guest {
        let (secret, _) = super::booking_secret(app, organizer_id, booking_id);
        format!("{origin}/web/bookings/{booking_id}#secret={secret}")
    } else {
        format!("{origin}/web/bookings/{booking_id}")
    }
}

/// An offer that costs nothing needs no payment: its tickets are issued at once.
///
/// # Errors
/// [`StepError`]; the job tries it again.
pub async fn issue_free(app: &AppState, organizer_id: Uuid, booking_id: Uuid) -> Result<(), StepError> {
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = booking::find(&mut tx, organizer_id, booking_id).await?;
    let lines = booking::lines(&mut tx, organizer_id, booking_id).await?;
    tx.commit().await?;
    let Some(found) = found else { return Ok(()) };
    let order = IssueOrder {
        organizer_id,
        event_id: found.event_id,
        booking_id,
        paid: None,
        lots: pay::lots(&lines),
        actor: Actor::job(),
        mail: true,
    };
    issue::issue(app, order).await?;
    Ok(())
}

fn language_of(entry: &Entry) -> Language {
    Language::of_tag(&entry.language).unwrap_or_default()
}

fn type_name(sale: &SaleEvent, id: Uuid) -> String {
    sale.types.iter().find(|t| t.ticket_type_id.0 == id).map(|t| t.name.clone()).unwrap_or_default()
}

#[expect(clippy::too_many_arguments, reason = "what a mail consists of")]
async fn mail(
    app: &AppState,
    tx: &mut Tx,
    organizer_id: Uuid,
    entry: &Entry,
    kind: &str,
    facts: &serde_json::Value,
    link: &str,
    expires_at: Option<OffsetDateTime>,
) -> Result<(), sqlx::Error> {
    let id = app.rng.uuid(&*app.clock);
    let mail = NewMail {
        id,
        kind,
        recipient: &entry.email,
        organizer_id: Some(organizer_id),
        language: &entry.language,
        facts,
        sealed_facts: Some(&seal(app, id, &json!({ "link": link }))),
        expires_at,
    };
    let about = About { user_id: entry.user_id, event_id: Some(entry.event_id), booking_id: None };
    outbox::enqueue_about(tx, &mail, about, app.clock.now()).await
}
