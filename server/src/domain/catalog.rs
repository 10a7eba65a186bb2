//! What is on sale, as a purchase needs it: an event with its types and prices at one version, and the
//! check of a shopping list against it.

use shared::ids::{EventId, OrganizerId, QuotaId, TicketTypeId};
use shared::money::{Currency, Tax};
use time::{Duration, OffsetDateTime};

use super::pricing::{EventFee, Stated, UnitPrice};
use super::promo::{CodeRefused, PromoCode};
use super::question::Question;
use super::ticket::{self, Window};

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// Seen by its organizer only.
    Draft,
    /// Public and on sale.
    Published,
    /// Will not take place.
    Canceled,
}

impl EventStatus {
    /// The column's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Canceled => "canceled",
        }
    }

    /// From the column, whose values a CHECK bounds.
    ///
    /// # Panics
    /// On any other word.
    #[must_use]
    pub fn from_column(word: &str) -> Self {
        match word {
            "draft" => Self::Draft,
            "published" => Self::Published,
            "canceled" => Self::Canceled,
            other => unreachable!("the CHECK of events.status does not know {other}"),
        }
    }
}

/// A ticket type as a sale needs it.
#[derive(Debug, Clone)]
pub struct SaleType {
    pub ticket_type_id: TicketTypeId,
    pub number: u16,
    pub quota_id: QuotaId,
    pub name: String,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax: Tax,
    pub sales_from: Option<OffsetDateTime>,
    pub sales_until: Option<OffsetDateTime>,
    pub window: Window,
    pub max_per_booking: u32,
    pub max_per_person: Option<u32>,
    /// Sold to those alone who have a code that unlocks it.
    pub hidden: bool,
    /// People wait for it: what is free is theirs.
    pub queued: bool,
    /// Off sale for good.
    pub archived: bool,
}

/// An event as a sale needs it. `version` names this state; the sale's statement refuses any other.
#[derive(Debug, Clone)]
pub struct SaleEvent {
    pub organizer_id: OrganizerId,
    pub event_id: EventId,
    pub version: i64,
    pub title: String,
    pub status: EventStatus,
    pub currency: Currency,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub hold: Duration,
    pub max_per_booking: u32,
    pub max_per_person: Option<u32>,
    pub fee: EventFee,
    /// How many the waiting room lets in a minute; `None`: there is none.
    pub admit_per_minute: Option<u32>,
    /// People may wait for what is sold out.
    pub waiting_list: bool,
    /// How long an offer to who waits is held.
    pub offer: Duration,
    pub types: Vec<SaleType>,
    /// What is asked of those who will come.
    pub questions: Vec<Question>,
}

/// Under which terms something is sold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    pub code: Option<&'a PromoCode>,
    /// To somebody who waited for it.
    pub offered: bool,
}

/// One wish of a shopping list.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    pub ticket_type_id: TicketTypeId,
    pub quantity: u32,
}

/// One line of a booking, priced.
#[derive(Debug, Clone)]
pub struct QuotedLine {
    pub ticket_type_id: TicketTypeId,
    pub type_no: u16,
    pub quota_id: QuotaId,
    pub quantity: u32,
    pub unit: UnitPrice,
    /// What one costs without a code.
    pub list: UnitPrice,
    /// How much less one costs than without a code.
    pub unit_discount_minor: i64,
    /// The type's, as they are now.
    pub name: String,
    pub tax_rate_bp: u16,
    pub window: Window,
}

/// What a booking will cost.
#[derive(Debug, Clone)]
pub struct Quote {
    pub lines: Vec<QuotedLine>,
    pub sum: UnitPrice,
    pub total_minor: i64,
    /// How much less it is than without a code.
    pub discount_minor: i64,
    /// Of all lines.
    pub tickets: u32,
}

/// Why something cannot be bought. `item` is the place in the shopping list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOnSale {
    #[error("the event is not on sale")]
    Event,
    #[error("the event was canceled")]
    Canceled,
    #[error("the event is over")]
    Over,
    #[error("nothing is asked for")]
    Empty,
    #[error("there is no such ticket type")]
    UnknownType { item: usize },
    #[error("this ticket type stands in the list twice")]
    Repeated { item: usize },
    #[error("this ticket type is not on sale yet")]
    NotYet { item: usize },
    #[error("this ticket type is no longer on sale")]
    NoLonger { item: usize },
    #[error("a booking takes 1 to {max} of this ticket type")]
    Quantity { item: usize, max: u32 },
    #[error("a booking takes at most {max} tickets of this event")]
    TooMany { max: u32 },
    #[error("the price cannot be computed")]
    Overflow,
    #[error("people wait for these tickets")]
    Queued { item: usize },
    #[error("one person may have at most {max} of these tickets")]
    PersonLimit { max: u32 },
    #[error(transparent)]
    Code(#[from] CodeRefused),
    #[error("this place in the waiting room has bought already")]
    PlaceUsed,
    #[error("this event has a waiting room: take a place there first")]
    PlaceNeeded,
}

/// What staff cannot give away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotGivable {
    #[error("the event was canceled")]
    Canceled,
    #[error("there is no such ticket type")]
    UnknownType,
    #[error("tickets of this type let nobody in any more")]
    Over,
}

impl SaleEvent {
    /// Prices a shopping list at `now`. Whether there is room, only the sale itself can tell.
    ///
    /// # Errors
    /// [`NotOnSale`], the first reason met.
    pub fn quote(&self, wishes: &[Wish], terms: Terms<'_>, now: OffsetDateTime) -> Result<Quote, NotOnSale> {
        match self.status {
            EventStatus::Published => {}
            EventStatus::Canceled => return Err(NotOnSale::Canceled),
            EventStatus::Draft => return Err(NotOnSale::Event),
        }
        if wishes.is_empty() {
            return Err(NotOnSale::Empty);
        }
        if let Some(code) = terms.code {
            code.check_time(now)?;
        }
        let mut quote = Quote {
            lines: Vec::with_capacity(wishes.len()),
            sum: UnitPrice::default(),
            total_minor: 0,
            discount_minor: 0,
            tickets: 0,
        };
        for (item, wish) in wishes.iter().enumerate() {
            let line = self.line(item, wish, terms, now)?;
            if quote.lines.iter().any(|l| l.ticket_type_id == wish.ticket_type_id) {
                return Err(NotOnSale::Repeated { item });
            }
            quote.add(line).ok_or(NotOnSale::Overflow)?;
        }
        if quote.tickets > self.max_per_booking {
            return Err(NotOnSale::TooMany { max: self.max_per_booking });
        }
        if let Some(max) = self.max_per_person.filter(|max| quote.tickets > *max) {
            return Err(NotOnSale::PersonLimit { max });
        }
        if terms.code.is_some_and(|code| !quote.lines.iter().any(|l| code.covers(l.ticket_type_id.0))) {
            return Err(CodeRefused::NotForThese.into());
        }
        Ok(quote)
    }

    fn line(
        &self,
        item: usize,
        wish: &Wish,
        terms: Terms<'_>,
        now: OffsetDateTime,
    ) -> Result<QuotedLine, NotOnSale> {
        let code = terms.code.filter(|code| code.covers(wish.ticket_type_id.0));
        let open = |t: &SaleType| !t.hidden || terms.offered || code.is_some_and(|code| code.unlocks);
        let of = self
            .types
            .iter()
            .find(|t| t.ticket_type_id == wish.ticket_type_id && !t.archived && open(t))
            .ok_or(NotOnSale::UnknownType { item })?;
        if of.sales_from.is_some_and(|from| now < from) {
            return Err(NotOnSale::NotYet { item });
        }
        // Without an end of its own a type sells until its tickets would let nobody in.
        let until = of.sales_until.unwrap_or(of.window.expires_at);
        if now >= until {
            return Err(NotOnSale::NoLonger { item });
        }
        if wish.quantity == 0 || wish.quantity > of.max_per_booking {
            return Err(NotOnSale::Quantity { item, max: of.max_per_booking });
        }
        if let Some(max) = of.max_per_person.filter(|max| wish.quantity > *max) {
            return Err(NotOnSale::PersonLimit { max });
        }
        if of.queued && !terms.offered {
            return Err(NotOnSale::Queued { item });
        }
        self.priced(of, wish.quantity, code).ok_or(NotOnSale::Overflow)
    }

    fn priced(&self, of: &SaleType, quantity: u32, code: Option<&PromoCode>) -> Option<QuotedLine> {
        let stated = of.stated(self.fee);
        let list = stated.unit()?;
        let unit = match code {
            Some(code) => stated.discounted(code.discount)?,
            None => list,
        };
        Some(QuotedLine {
            ticket_type_id: of.ticket_type_id,
            type_no: of.number,
            quota_id: of.quota_id,
            quantity,
            unit,
            list,
            unit_discount_minor: list.total_minor()?.checked_sub(unit.total_minor()?)?,
            name: of.name.clone(),
            tax_rate_bp: of.tax.rate_bp,
            window: of.window,
        })
    }

    /// Tickets that cost nothing, of a type on public sale or not, in its sales window or not.
    ///
    /// # Errors
    /// [`NotGivable`]
    pub fn gift(&self, wish: Wish, now: OffsetDateTime) -> Result<Quote, NotGivable> {
        if self.status == EventStatus::Canceled {
            return Err(NotGivable::Canceled);
        }
        let mut types = self.types.iter();
        let of = types
            .find(|t| t.ticket_type_id == wish.ticket_type_id && !t.archived)
            .ok_or(NotGivable::UnknownType)?;
        if now >= of.window.expires_at {
            return Err(NotGivable::Over);
        }
        let line = QuotedLine {
            ticket_type_id: of.ticket_type_id,
            type_no: of.number,
            quota_id: of.quota_id,
            quantity: wish.quantity,
            unit: UnitPrice::default(),
            list: UnitPrice::default(),
            unit_discount_minor: 0,
            name: of.name.clone(),
            tax_rate_bp: of.tax.rate_bp,
            window: of.window,
        };
        Ok(Quote {
            lines: vec![line],
            sum: UnitPrice::default(),
            total_minor: 0,
            discount_minor: 0,
            tickets: wish.quantity,
        })
    }
}

impl SaleType {
    /// What its organizer states about its price.
    #[must_use]
    pub fn stated(&self, event_fee: EventFee) -> Stated {
        Stated { price_minor: self.price_minor, fee_minor: self.fee_minor, tax: self.tax, event_fee }
    }
}

impl Quote {
    /// Adds a line. `None` on overflow.
    fn add(&mut self, line: QuotedLine) -> Option<()> {
        self.sum = self.sum.plus(&line.unit.times(line.quantity)?)?;
        self.total_minor = self.sum.total_minor()?;
        let less = line.unit_discount_minor.checked_mul(i64::from(line.quantity))?;
        self.discount_minor = self.discount_minor.checked_add(less)?;
        self.tickets = self.tickets.saturating_add(line.quantity);
        self.lines.push(line);
        Some(())
    }
}

/// How much of a ticket type is left, as the public is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    Available,
    /// A tenth or less.
    Few,
    SoldOut,
}

impl Availability {
    /// From the counters of a quota; what is held may come back and is not counted as left.
    #[must_use]
    pub fn of(capacity: i32, held: i32, sold: i32) -> Self {
        let left = i64::from(capacity) - i64::from(held) - i64::from(sold);
        if left <= 0 {
            Self::SoldOut
        } else if left * 10 <= i64::from(capacity) {
            Self::Few
        } else {
            Self::Available
        }
    }
}

/// The window of a type of this event, from the columns of both.
#[must_use]
pub fn type_window(
    event: (OffsetDateTime, Option<OffsetDateTime>),
    of_type: (Option<OffsetDateTime>, Option<OffsetDateTime>, i32),
) -> Window {
    ticket::window(of_type.0, of_type.1, event.0, event.1, of_type.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::Discount;
    use time::macros::datetime;
    use uuid::Uuid;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn type_id(n: u128) -> TicketTypeId {
        TicketTypeId(Uuid::from_u128(n))
    }

    fn event() -> SaleEvent {
        let starts_at = NOW + Duration::days(9);
        let of = |n: u16, price_minor| SaleType {
            ticket_type_id: type_id(n.into()),
            number: n,
            quota_id: QuotaId(Uuid::from_u128(n.into())),
            name: format!("type {n}"),
            price_minor,
            fee_minor: 100,
            tax: Tax { rate_bp: 1900, inclusive: true },
            sales_from: None,
            sales_until: None,
            window: ticket::window(None, None, starts_at, None, 86_400),
            max_per_booking: 4,
            max_per_person: None,
            hidden: false,
            queued: false,
            archived: false,
        };
        SaleEvent {
            organizer_id: OrganizerId(Uuid::nil()),
            event_id: EventId(Uuid::nil()),
            version: 1,
            title: "Night".to_owned(),
            status: EventStatus::Published,
            currency: "EUR".parse().unwrap(),
            starts_at,
            ends_at: None,
            hold: Duration::minutes(15),
            max_per_booking: 6,
            max_per_person: None,
            fee: EventFee::default(),
            admit_per_minute: None,
            waiting_list: true,
            offer: Duration::HOUR,
            questions: Vec::new(),
            types: vec![of(1, 2_000), of(2, 3_500)],
        }
    }

    fn wish(n: u128, quantity: u32) -> Wish {
        Wish { ticket_type_id: type_id(n), quantity }
    }

    #[test]
    fn a_quote_is_the_sum_of_its_lines() {
        let quote = event().quote(&[wish(1, 2), wish(2, 1)], Terms::default(), NOW).unwrap();
        assert_eq!((quote.total_minor, quote.tickets), (2 * 2_100 + 3_600, 3));
        assert_eq!(quote.lines.len(), 2);
    }

    #[test]
    fn limits_and_unknown_things_are_refused_by_place() {
        let event = event();
        let quote = |wishes: &[Wish]| event.quote(wishes, Terms::default(), NOW).map(|q| q.tickets);
        assert_eq!(quote(&[]), Err(NotOnSale::Empty));
        assert_eq!(quote(&[wish(1, 1), wish(9, 1)]), Err(NotOnSale::UnknownType { item: 1 }));
        assert_eq!(quote(&[wish(1, 1), wish(1, 1)]), Err(NotOnSale::Repeated { item: 1 }));
        assert_eq!(quote(&[wish(1, 0)]), Err(NotOnSale::Quantity { item: 0, max: 4 }));
        assert_eq!(quote(&[wish(1, 5)]), Err(NotOnSale::Quantity { item: 0, max: 4 }));
        assert_eq!(quote(&[wish(1, 4), wish(2, 3)]), Err(NotOnSale::TooMany { max: 6 }));
        assert_eq!(quote(&[wish(1, 4), wish(2, 2)]), Ok(6));
    }

    #[test]
    fn a_code_lowers_what_it_is_for_and_unlocks_what_is_hidden() {
        let mut event = event();
        event.types[1].hidden = true;
        let code = PromoCode {
            promo_code_id: Uuid::nil(),
            revision: 1,
            discount: Discount::Percent(5_000),
            ticket_type_ids: Some(vec![type_id(2).0]),
            unlocks: true,
            valid_from: None,
            valid_until: Some(NOW + Duration::HOUR),
            max_uses: None,
            max_uses_per_person: None,
            budget_minor: None,
        };
        let terms = Terms { code: Some(&code), offered: false };
        let both = [wish(1, 1), wish(2, 2)];
        assert_eq!(
            event.quote(&both, Terms::default(), NOW).map(|_| ()),
            Err(NotOnSale::UnknownType { item: 1 })
        );
        let quote = event.quote(&both, terms, NOW).unwrap();
        assert_eq!((quote.total_minor, quote.discount_minor), (2_100 + 2 * (1_750 + 100), 2 * 1_750));
        let late = event.quote(&both, terms, NOW + Duration::HOUR).map(|_| ());
        assert_eq!(late, Err(CodeRefused::Over.into()));
        assert_eq!(event.quote(&[wish(1, 1)], terms, NOW).map(|_| ()), Err(CodeRefused::NotForThese.into()));
        let locked = PromoCode { unlocks: false, ..code.clone() };
        let terms = Terms { code: Some(&locked), offered: false };
        assert_eq!(event.quote(&both, terms, NOW).map(|_| ()), Err(NotOnSale::UnknownType { item: 1 }));
    }

    #[test]
    fn what_people_wait_for_is_sold_to_them_alone() {
        let mut event = event();
        event.types[0].queued = true;
        let public = event.quote(&[wish(1, 1)], Terms::default(), NOW).map(|_| ());
        assert_eq!(public, Err(NotOnSale::Queued { item: 0 }));
        let offered = Terms { offered: true, ..Terms::default() };
        assert_eq!(event.quote(&[wish(1, 1)], offered, NOW).map(|q| q.total_minor), Ok(2_100));
    }

    #[test]
    fn availability_counts_what_is_held_as_gone() {
        use Availability::{Available, Few, SoldOut};
        for (capacity, held, sold, told) in [
            (100, 0, 89, Available),
            (100, 1, 89, Few),
            (100, 0, 99, Few),
            (100, 1, 99, SoldOut),
            (0, 0, 0, SoldOut),
            (5, 0, 4, Available),
        ] {
            assert_eq!(Availability::of(capacity, held, sold), told, "{capacity} {held} {sold}");
        }
    }

    #[test]
    fn sales_windows_are_half_open() {
        let mut event = event();
        event.types[0].sales_from = Some(NOW);
        event.types[0].sales_until = Some(NOW + Duration::HOUR);
        let at = |now| event.quote(&[wish(1, 1)], Terms::default(), now).map(|q| q.tickets);
        assert_eq!(at(NOW - Duration::NANOSECOND), Err(NotOnSale::NotYet { item: 0 }));
        assert_eq!(at(NOW), Ok(1));
        assert_eq!(at(NOW + Duration::HOUR), Err(NotOnSale::NoLonger { item: 0 }));
    }

    #[test]
    fn nothing_sells_of_a_draft_a_canceled_event_or_one_whose_tickets_let_nobody_in() {
        let mut event = event();
        let after = event.types[0].window.expires_at;
        assert_eq!(
            event.quote(&[wish(1, 1)], Terms::default(), after).map(|q| q.tickets),
            Err(NotOnSale::NoLonger { item: 0 })
        );
        event.types[0].archived = true;
        assert_eq!(
            event.quote(&[wish(1, 1)], Terms::default(), NOW).map(|_| ()),
            Err(NotOnSale::UnknownType { item: 0 })
        );
        event.status = EventStatus::Draft;
        assert_eq!(event.quote(&[wish(2, 1)], Terms::default(), NOW).map(|_| ()), Err(NotOnSale::Event));
        event.status = EventStatus::Canceled;
        assert_eq!(event.quote(&[wish(2, 1)], Terms::default(), NOW).map(|_| ()), Err(NotOnSale::Canceled));
    }
}
