//! A purchase: price it, hold it, and, if asked to, pay it in the same call.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::{self, Claim, ClaimRefused};
use super::issue::{self, IssueOrder, IssuedTicket, Lot};
use super::once::Ahead;
use super::pay::{self, PayBy, Payment, Settled};
use super::rush::{self, Done, Step};
use super::{Actor, StepError, catalog};
use crate::app::AppState;
use crate::domain::catalog::{NotOnSale, Quote, QuotedLine, SaleEvent, Terms, Wish};
use crate::domain::language::Language;
use crate::domain::ledger::Amounts;
use crate::domain::promo::{CodeRefused, PromoCode, code_key};
use crate::store::idempotency::Claiming;
use crate::store::promo;
use crate::store::sale::{self, Held, NewHold, NewLine};

/// Who buys.
#[derive(Debug, Clone, Copy)]
pub enum Buyer {
    User(Uuid),
    /// SHA-256 of the secret that the purchase returns.
    Guest([u8; 32]),
}

/// A shopping list, signed.
#[derive(Debug, Clone)]
pub struct Order {
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub buyer: Buyer,
    pub wishes: Vec<Wish>,
    pub email: Option<String>,
    /// In which they are written to.
    pub language: Language,
    /// Its tickets go to the buyer by mail when they are issued; false if somebody else writes to them.
    pub mail: bool,
    /// Whose purchase it counts as, where something is counted per person.
    pub person: String,
    pub promo_code: Option<String>,
    /// In the waiting room, of an event that has one.
    pub place: Option<i64>,
    pub payment: Option<PayBy>,
    pub actor: Actor,
    /// The request's Idempotency-Key, if the hold is to claim it.
    pub key: Option<Ahead>,
}

/// A purchase that holds capacity.
#[derive(Debug, Clone)]
pub struct Purchased {
    pub event: Arc<SaleEvent>,
    pub quote: Quote,
    pub held_until: OffsetDateTime,
    pub created_at: OffsetDateTime,
    pub result: PurchaseResult,
}

/// What became of its payment.
#[derive(Debug, Clone)]
pub enum PurchaseResult {
    /// None was asked for.
    Held,
    /// Paid, or free: the tickets.
    Paid(Vec<IssuedTicket>),
    /// Not paid; it is held as long as it says.
    Unpaid(Settled),
}

/// Why nothing was bought.
#[derive(Debug, thiserror::Error)]
pub enum PurchaseError {
    #[error("there is no such event")]
    NoEvent,
    #[error(transparent)]
    NotOnSale(#[from] NotOnSale),
    /// Place in the shopping list.
    #[error("sold out")]
    SoldOut { item: usize },
    #[error("its key says that it is somebody else's turn")]
    NotYourTurn,
    #[error("the catalogue changes faster than it can be read")]
    Unsettled,
    #[error(transparent)]
    Step(#[from] StepError),
}

impl From<sqlx::Error> for PurchaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Step(error.into())
    }
}

#[derive(Debug, Clone)]
pub(crate) struct HoldOrder {
    pub(super) organizer_id: Uuid,
    event_id: Uuid,
    version: i64,
    hold: NewHold,
    claim: Option<Claim>,
    /// Held only if this key is claimed along with it and says that it is our turn.
    pub(super) key: Option<Claiming>,
}

impl HoldOrder {
    pub(super) const fn booking_id(&self) -> Uuid {
        self.hold.booking_id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldAnswer {
    Held,
    /// Its key says that somebody else is at it, or was.
    NotYourTurn,
    Stale,
    /// Which line does not fit.
    Short(usize),
    Refused(ClaimRefused),
}

/// Buys. The booking's id is the caller's: who repeats a purchase after a crash looks for it first.
///
/// # Errors
/// [`PurchaseError`]; with a `Step` in the middle the booking may exist and be held.
pub async fn purchase(app: &AppState, order: Order) -> Result<Purchased, PurchaseError> {
    let mut key = order.key.clone();
    // Prices come from memory; when they turn out to be stale, from the database.
    for _ in 0..3 {
        let event = catalog::event_for_sale(app, order.event_id).await?.ok_or(PurchaseError::NoEvent)?;
        let now = app.clock.now();
        if event.admit_per_minute.is_some() && order.place.is_none() {
            return Err(NotOnSale::PlaceNeeded.into());
        }
        let code = match &order.promo_code {
            Some(text) => Some(code_of(app, &event, text).await?),
            None => None,
        };
        let terms = Terms { code: code.as_ref(), offered: false };
        let quote = match event.quote(&order.wishes, terms, now) {
            Ok(quote) => quote,
            Err(e) => {
                // Perhaps only the memory is stale.
                if catalog_is_current(app, &event).await? {
                    return Err(e.into());
                }
                continue;
            }
        };
        let payment = order
            .payment
            .as_ref()
            .filter(|_| quote.total_minor > 0)
            .map(|by| pay::new_payment(app, app.rng.uuid(&*app.clock), by));
        let hold = new_hold(&order, &quote, now + event.hold, payment);
        let payment_id = hold.payment.as_ref().map(|p| p.payment_id);
        let held_until = hold.held_until;
        let claim =
            Claim::of(app, order.booking_id, &order.person, &event, &quote, code.as_ref(), order.place);
        match hold_it(app, &event, hold, claim, key.take()).await? {
            HoldAnswer::Held => {}
            HoldAnswer::NotYourTurn => return Err(PurchaseError::NotYourTurn),
            HoldAnswer::Refused(ClaimRefused::Stale) => continue,
            HoldAnswer::Refused(ClaimRefused::Code(why)) => return Err(NotOnSale::Code(why).into()),
            HoldAnswer::Refused(ClaimRefused::PersonLimit(max)) => {
                return Err(NotOnSale::PersonLimit { max }.into());
            }
            HoldAnswer::Refused(ClaimRefused::PlaceUsed) => return Err(NotOnSale::PlaceUsed.into()),
            HoldAnswer::Stale => {
                app.selling.catalog.forget(order.event_id);
                continue;
            }
            HoldAnswer::Short(item) => return Err(PurchaseError::SoldOut { item }),
        }
        let result = finish(app, &event, &quote, &order, payment_id, now).await?;
        return Ok(Purchased { event, quote, held_until, created_at: now, result });
    }
    Err(PurchaseError::Unsettled)
}

/// A live code of the event, in its state now.
async fn code_of(app: &AppState, event: &SaleEvent, text: &str) -> Result<PromoCode, PurchaseError> {
    let organizer_id = event.organizer_id.0;
    let mut tx = app.db.tenant(organizer_id).await?;
    let found = promo::by_key(&mut tx, organizer_id, event.event_id.0, &code_key(text)).await?;
    tx.commit().await?;
    Ok(found.ok_or(NotOnSale::Code(CodeRefused::Unknown))?.terms())
}

/// What a purchase would cost now. Nothing is taken: uses and room that are left now may be gone a moment later.
///
/// # Errors
/// [`PurchaseError`], as the purchase itself.
pub async fn quote(
    app: &AppState,
    event_id: Uuid,
    wishes: &[Wish],
    promo_code: Option<&str>,
) -> Result<(Arc<SaleEvent>, Quote), PurchaseError> {
    let event = catalog::event_as_it_is(app, event_id).await?.ok_or(PurchaseError::NoEvent)?;
    let code = match promo_code {
        Some(text) => Some(code_of(app, &event, text).await?),
        None => None,
    };
    let quote = event.quote(wishes, Terms { code: code.as_ref(), offered: false }, app.clock.now())?;
    if let Some(code) = &code {
        let organizer_id = event.organizer_id.0;
        let mut tx = app.db.tenant(organizer_id).await?;
        let usage = promo::usage(&mut tx, organizer_id, &[code.promo_code_id]).await?;
        tx.commit().await?;
        let of = usage.first().copied().unwrap_or_default();
        let (uses, spent) = (of.held + of.used, of.discount_held_minor + of.discount_used_minor);
        code.check_left(uses, spent, quote.discount_minor).map_err(NotOnSale::Code)?;
    }
    Ok((event, quote))
}

/// False if the entry in memory was stale; it is forgotten then.
async fn catalog_is_current(app: &AppState, event: &SaleEvent) -> Result<bool, sqlx::Error> {
    app.selling.catalog.forget(event.event_id.0);
    let now = catalog::event_for_sale(app, event.event_id.0).await?;
    Ok(now.is_some_and(|now| now.version == event.version))
}

/// Pays what is held, or issues it at once if it is free.
pub(super) async fn finish(
    app: &AppState,
    event: &SaleEvent,
    quote: &Quote,
    order: &Order,
    payment_id: Option<Uuid>,
    begun_at: OffsetDateTime,
) -> Result<PurchaseResult, StepError> {
    let lots: Vec<Lot> = quote
        .lines
        .iter()
        .map(|l| Lot {
            ticket_type_id: l.ticket_type_id.0,
            type_no: l.type_no,
            window: l.window,
            quantity: l.quantity,
        })
        .collect();
    let (organizer_id, event_id, booking_id) = (event.organizer_id.0, event.event_id.0, order.booking_id);
    if quote.total_minor == 0 {
        let free = IssueOrder {
            organizer_id,
            event_id,
            booking_id,
            paid: None,
            lots,
            actor: order.actor.clone(),
            mail: order.mail,
        };
        return Ok(match issue::issue(app, free).await? {
            Some(tickets) => PurchaseResult::Paid(tickets),
            None => PurchaseResult::Unpaid(Settled::Elsewhere),
        });
    }
    let (Some(by), Some(transaction_id)) = (&order.payment, payment_id) else {
        return Ok(PurchaseResult::Held);
    };
    let payment = Payment {
        organizer_id,
        event_id,
        booking_id,
        transaction_id,
        by: by.clone(),
        provider_ref: None,
        amount_minor: quote.total_minor,
        currency: event.currency.to_string(),
        attempt: 1,
        begun_at,
        amounts: Amounts {
            price_minor: quote.sum.price_minor,
            fee_minor: quote.sum.fee_minor,
            tax_minor: quote.sum.tax_minor,
        },
        lots,
    };
    Ok(match pay::drive(app, &payment, order.actor.clone()).await? {
        Settled::Paid(tickets) => PurchaseResult::Paid(tickets),
        other => PurchaseResult::Unpaid(other),
    })
}

/// The lines of a booking to be.
pub(super) fn new_lines(booking_id: Uuid, quote: &Quote) -> Vec<NewLine> {
    let line = |(line, l): (i16, &QuotedLine)| NewLine {
        booking_id,
        line,
        ticket_type_id: l.ticket_type_id.0,
        quota_id: l.quota_id.0,
        quantity: i32::try_from(l.quantity).expect("a quote bounds quantities"),
        unit_price_minor: l.unit.price_minor,
        unit_fee_minor: l.unit.fee_minor,
        unit_tax_minor: l.unit.tax_minor,
        name: l.name.clone(),
        tax_rate_bp: l.tax_rate_bp.into(),
        list_price_minor: l.list.price_minor,
        list_fee_minor: l.list.fee_minor,
    };
    (0..).zip(&quote.lines).map(line).collect()
}

pub(super) fn new_hold(
    order: &Order,
    quote: &Quote,
    held_until: OffsetDateTime,
    payment: Option<sale::NewPayment>,
) -> NewHold {
    let (user_id, secret_hash) = match order.buyer {
        Buyer::User(id) => (Some(id), None),
        Buyer::Guest(hash) => (None, Some(hex::encode(hash))),
    };
    NewHold {
        booking_id: order.booking_id,
        user_id,
        secret_hash,
        email: order.email.clone(),
        language: order.language,
        price_minor: quote.sum.price_minor,
        fee_minor: quote.sum.fee_minor,
        tax_minor: quote.sum.tax_minor,
        held_until,
        lines: new_lines(order.booking_id, quote),
        payment,
    }
}

pub(super) async fn hold_it(
    app: &AppState,
    event: &SaleEvent,
    hold: NewHold,
    claim: Option<Claim>,
    key: Option<Ahead>,
) -> Result<HoldAnswer, StepError> {
    let order = Arc::new(HoldOrder {
        key: key.as_ref().map(|key| key.claiming),
        organizer_id: event.organizer_id.0,
        event_id: event.event_id.0,
        version: event.version,
        hold,
        claim,
    });
    match rush::submit(app, event.event_id.0, Step::Hold(order)).await? {
        Done::Held(answer, claim) => {
            if let (Some(key), Some(claim)) = (key, claim) {
                key.tell(claim);
            }
            Ok(answer)
        }
        _ => Err(StepError::Died),
    }
}

/// Holds what fits of a batch, first come, first served.
pub(super) async fn hold_all(
    app: &AppState,
    conn: &mut PgConnection,
    orders: &[Arc<HoldOrder>],
) -> Result<Vec<HoldAnswer>, StepError> {
    let Some(first) = orders.first() else { return Ok(Vec::new()) };
    let (organizer_id, event_id, version) = (first.organizer_id, first.event_id, first.version);
    // Who looked at an older or newer catalogue looks again and comes back.
    let same = |o: &&Arc<HoldOrder>| o.version == version;
    let now = app.clock.now();
    let wanted: Vec<&Claim> = orders.iter().filter(same).filter_map(|o| o.claim.as_ref()).collect();
    let refused = claims::admit(conn, organizer_id, event_id, &wanted, now).await?;
    let granted = |o: &&Arc<HoldOrder>| same(o) && !refused.contains_key(&o.hold.booking_id);
    let holds: Vec<NewHold> = orders.iter().filter(granted).map(|o| o.hold.clone()).collect();
    let (fitting, short) = match hold_some(conn, first, &holds, now).await? {
        Held::All => (holds, HashMap::new()),
        Held::Stale => return Ok(vec![HoldAnswer::Stale; orders.len()]),
        Held::Short(free) => {
            // The rows of the quotas stay ours until the commit: what fits now will fit.
            let (fitting, short) = first_come_first_served(holds, free);
            if !fitting.is_empty() {
                match sale::hold(conn, organizer_id, event_id, version, &fitting, now).await? {
                    Held::All => {}
                    Held::Stale => return Ok(vec![HoldAnswer::Stale; orders.len()]),
                    Held::Short(_) => {
                        return Err(sqlx::Error::Protocol("locked capacity shrank".to_owned()).into());
                    }
                }
            }
            (fitting, short)
        }
    };
    if !fitting.is_empty() {
        sale::note_for_users(conn, organizer_id, &fitting, now).await?;
        let took = |claim: &&Claim| fitting.iter().any(|hold| hold.booking_id == claim.booking_id);
        let wanted: Vec<&Claim> = wanted.into_iter().filter(took).collect();
        claims::write(conn, organizer_id, event_id, &wanted, now).await?;
    }
    let answer = |order: &Arc<HoldOrder>| {
        let id = order.hold.booking_id;
        match (refused.get(&id), short.get(&id)) {
            _ if order.version != version => HoldAnswer::Stale,
            (Some(why), _) => HoldAnswer::Refused(*why),
            (None, Some(line)) => HoldAnswer::Short(*line),
            (None, None) => HoldAnswer::Held,
        }
    };
    Ok(orders.iter().map(answer).collect())
}

/// Nothing to hold is held at once.
async fn hold_some(
    conn: &mut PgConnection,
    of: &HoldOrder,
    holds: &[NewHold],
    now: OffsetDateTime,
) -> Result<Held, sqlx::Error> {
    match holds {
        [] => Ok(Held::All),
        _ => sale::hold(conn, of.organizer_id, of.event_id, of.version, holds, now).await,
    }
}

/// Splits a batch by what is free: those who fit, in their order, and of each other one the line that does not.
fn first_come_first_served(
    holds: Vec<NewHold>,
    mut free: HashMap<Uuid, i64>,
) -> (Vec<NewHold>, HashMap<Uuid, usize>) {
    let mut short = HashMap::new();
    let fitting = holds.into_iter().filter(|hold| {
        let mut left = free.clone();
        for (at, line) in hold.lines.iter().enumerate() {
            let room = left.entry(line.quota_id).or_insert(0);
            *room -= i64::from(line.quantity);
            if *room < 0 {
                short.insert(hold.booking_id, at);
                return false;
            }
        }
        free = left;
        true
    });
    (fitting.collect(), short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(n: u128, lines: &[(u128, i32)]) -> NewHold {
        let booking_id = Uuid::from_u128(n);
        let line = |(quota, quantity): &(u128, i32)| NewLine {
            booking_id,
            line: 0,
            ticket_type_id: Uuid::nil(),
            quota_id: Uuid::from_u128(*quota),
            quantity: *quantity,
            unit_price_minor: 0,
            unit_fee_minor: 0,
            unit_tax_minor: 0,
            name: String::new(),
            tax_rate_bp: 0,
            list_price_minor: 0,
            list_fee_minor: 0,
        };
        NewHold {
            booking_id,
            user_id: None,
            secret_hash: None,
            email: None,
            language: Language::En,
            price_minor: 0,
            fee_minor: 0,
            tax_minor: 0,
            held_until: OffsetDateTime::UNIX_EPOCH,
            lines: lines.iter().map(line).collect(),
            payment: None,
        }
    }

    #[test]
    fn who_comes_first_is_served_and_a_booking_is_never_split() {
        let free = HashMap::from([(Uuid::from_u128(1), 3), (Uuid::from_u128(2), 1)]);
        let holds = vec![
            hold(10, &[(1, 2)]),
            hold(11, &[(1, 1), (2, 2)]), // its second line does not fit: nothing of it is taken
            hold(12, &[(1, 2)]),
            hold(13, &[(1, 1), (2, 1)]),
            hold(14, &[(3, 1)]), // a quota that is not there has no room
        ];
        let (fitting, short) = first_come_first_served(holds, free);
        let ids: Vec<u128> = fitting.iter().map(|h| h.booking_id.as_u128()).collect();
        assert_eq!(ids, [10, 13]);
        assert_eq!(short, HashMap::from([11, 12, 14].map(|n| (Uuid::from_u128(n), usize::from(n == 11)))));
    }
}
