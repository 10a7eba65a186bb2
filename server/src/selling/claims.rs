//! What a hold takes beside room: a use of a promo code, a share of a limit per person, a place in the waiting room.
//! Looked at under locks before the room is taken, and written after it, in the hold's own transaction. A sale
//! without any of these costs nothing here.
//!
//! Locks in this order: persons and places (`claim_locks`), codes, then the quotas by the hold itself.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::App;
use crate::domain::catalog::{Quote, SaleEvent};
use crate::domain::person;
use crate::domain::promo::{CodeRefused, PromoCode};
use crate::store::promo::{self, NewClaim, Stored};

/// What a booking wants beside room.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(super) booking_id: Uuid,
    person: [u8; 32],
    /// Tickets of the event that one person may have.
    max_per_person: Option<u32>,
    /// Wanted tickets by type, and how many of it one person may have.
    types: Vec<(Uuid, u32, Option<u32>)>,
    /// The code and the state of it that the price was computed from.
    code: Option<(Uuid, i64)>,
    discount_minor: i64,
    /// A place in the waiting room, and what it is locked by.
    place: Option<(i64, [u8; 32])>,
}

/// Why a booking does not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimRefused {
    /// The code was changed since it was read: price it anew.
    Stale,
    Code(CodeRefused),
    /// Tickets that one person may have.
    PersonLimit(u32),
    PlaceUsed,
}

/// Who a buyer is where something is counted per person.
pub(crate) fn person_of(app: &App, email: &str) -> [u8; 32] {
    person::key_of(&claimant_key(app), email)
}

fn claimant_key(app: &App) -> [u8; 32] {
    *app.master_key.subkey("hvflvspot/claimants/v1\0")
}

impl Claim {
    /// `None` if the booking wants nothing that is counted.
    pub(super) fn of(
        app: &App,
        booking_id: Uuid,
        email: &str,
        event: &SaleEvent,
        quote: &Quote,
        code: Option<&PromoCode>,
        place: Option<i64>,
    ) -> Option<Self> {
        let limit_of =
            |id: Uuid| event.types.iter().find(|t| t.ticket_type_id.0 == id).and_then(|t| t.max_per_person);
        let types: Vec<_> = quote
            .lines
            .iter()
            .map(|l| (l.ticket_type_id.0, l.quantity, limit_of(l.ticket_type_id.0)))
            .collect();
        let limited = event.max_per_person.is_some() || types.iter().any(|(.., max)| max.is_some());
        if !limited && code.is_none() && place.is_none() {
            return None;
        }
        let key = claimant_key(app);
        Some(Self {
            booking_id,
            person: person::key_of(&key, email),
            max_per_person: event.max_per_person,
            types,
            code: code.map(|code| (code.promo_code_id, code.revision)),
            discount_minor: quote.discount_minor,
            place: place.map(|place| (place, person::key_of_place(&key, place))),
        })
    }

    fn is_limited(&self) -> bool {
        self.max_per_person.is_some() || self.types.iter().any(|(.., max)| max.is_some())
    }

    fn row(&self) -> NewClaim {
        NewClaim {
            booking_id: self.booking_id,
            person: hex::encode(self.person),
            promo_code_id: self.code.map(|(id, _)| id),
            discount_minor: self.discount_minor,
            queue_place: self.place.map(|(place, _)| place),
        }
    }
}

/// Looks at the claims of a batch, first come, first served: which bookings are refused, and why. What is granted
/// stays grantable until the transaction ends.
pub(super) async fn admit(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    claims: &[&Claim],
    now: OffsetDateTime,
) -> Result<HashMap<Uuid, ClaimRefused>, sqlx::Error> {
    let mut refused = HashMap::new();
    if claims.is_empty() {
        return Ok(refused);
    }
    let mut room = Room::read(conn, organizer_id, event_id, claims, now).await?;
    for claim in claims {
        if let Err(why) = room.take(conn, organizer_id, claim).await? {
            refused.insert(claim.booking_id, why);
        }
    }
    Ok(refused)
}

/// Writes the claims of what is held now.
pub(super) async fn write(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    claims: &[&Claim],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewClaim> = claims.iter().map(|c| c.row()).collect();
    promo::claim(conn, organizer_id, event_id, &rows, now).await
}

/// What is left of everything that the claims of a batch want; locked.
struct Room {
    codes: HashMap<Uuid, Stored>,
    /// Codes that were freed of what came to nothing.
    settled: HashSet<Uuid>,
    /// Uses and discounts that this batch was granted.
    granted: HashMap<Uuid, (i64, i64)>,
    /// Uses of a code by a person.
    uses: HashMap<(Uuid, [u8; 32]), i64>,
    /// Tickets of a type that a person has.
    had: HashMap<([u8; 32], Uuid), i64>,
    places: HashSet<i64>,
}

impl Room {
    async fn read(
        conn: &mut PgConnection,
        organizer_id: Uuid,
        event_id: Uuid,
        claims: &[&Claim],
        now: OffsetDateTime,
    ) -> Result<Self, sqlx::Error> {
        let persons: Vec<&[u8]> = claims.iter().map(|c| &c.person[..]).collect();
        let places: Vec<i64> = claims.iter().filter_map(|c| Some(c.place?.0)).collect();
        let locks = claims.iter().filter_map(|c| Some(&c.place.as_ref()?.1[..]));
        let claimants: Vec<&[u8]> = persons.iter().copied().chain(locks).collect();
        promo::lock_claimants(conn, organizer_id, event_id, &claimants, now).await?;
        let wanted: HashSet<Uuid> = claims.iter().filter_map(|c| Some(c.code?.0)).collect();
        let wanted: Vec<Uuid> = wanted.into_iter().collect();
        let codes = match wanted.is_empty() {
            true => Vec::new(),
            false => promo::lock(conn, organizer_id, &wanted).await?,
        };
        let codes: HashMap<Uuid, Stored> = codes.into_iter().map(|c| (c.promo_code_id, c)).collect();
        let counted = |id: &Uuid| codes.get(id).is_some_and(|code| code.max_uses_per_person.is_some());
        let pairs: HashSet<(Uuid, [u8; 32])> = claims
            .iter()
            .filter_map(|claim| Some((claim.code.map(|(id, _)| id).filter(counted)?, claim.person)))
            .collect();
        let pairs: Vec<(Uuid, [u8; 32])> = pairs.into_iter().collect();
        let uses: HashMap<_, _> = match pairs.is_empty() {
            true => HashMap::new(),
            false => {
                let wanted: Vec<(Uuid, &[u8])> =
                    pairs.iter().map(|(id, person)| (*id, &person[..])).collect();
                let counts = promo::uses_by(conn, organizer_id, &wanted).await?;
                pairs.into_iter().zip(counts).collect()
            }
        };
        let mut had = HashMap::new();
        if claims.iter().any(|c| c.is_limited()) {
            for row in promo::had_by(conn, organizer_id, event_id, &persons).await? {
                if let Ok(person) = <[u8; 32]>::try_from(row.person.as_slice()) {
                    had.insert((person, row.ticket_type_id), row.tickets);
                }
            }
        }
        let places = match places.is_empty() {
            true => Vec::new(),
            false => promo::places_used(conn, organizer_id, event_id, &places).await?,
        };
        Ok(Self {
            codes,
            settled: HashSet::new(),
            granted: HashMap::new(),
            uses,
            had,
            places: places.into_iter().collect(),
        })
    }

    async fn take(
        &mut self,
        conn: &mut PgConnection,
        organizer_id: Uuid,
        claim: &Claim,
    ) -> Result<Result<(), ClaimRefused>, sqlx::Error> {
        if let Some((place, _)) = claim.place
            && self.places.contains(&place)
        {
            return Ok(Err(ClaimRefused::PlaceUsed));
        }
        if let Err(why) = self.check_person(claim) {
            return Ok(Err(why));
        }
        if let Some((id, revision)) = claim.code {
            if let Err(why) = self.check_code(conn, organizer_id, claim, id, revision).await? {
                return Ok(Err(why));
            }
            let granted = self.granted.entry(id).or_default();
            *granted = (granted.0 + 1, granted.1 + claim.discount_minor);
            *self.uses.entry((id, claim.person)).or_default() += 1;
        }
        for (id, n, _) in &claim.types {
            *self.had.entry((claim.person, *id)).or_default() += i64::from(*n);
        }
        self.places.extend(claim.place.map(|(place, _)| place));
        Ok(Ok(()))
    }

    fn check_person(&self, claim: &Claim) -> Result<(), ClaimRefused> {
        let of_event = |had: &HashMap<([u8; 32], Uuid), i64>| -> i64 {
            had.iter().filter(|((person, _), _)| *person == claim.person).map(|(_, n)| n).sum()
        };
        let wanted: i64 = claim.types.iter().map(|(_, n, _)| i64::from(*n)).sum();
        if let Some(max) = claim.max_per_person
            && of_event(&self.had) + wanted > i64::from(max)
        {
            return Err(ClaimRefused::PersonLimit(max));
        }
        for (id, n, max) in &claim.types {
            let had = self.had.get(&(claim.person, *id)).copied().unwrap_or_default();
            if let Some(max) = max
                && had + i64::from(*n) > i64::from(*max)
            {
                return Err(ClaimRefused::PersonLimit(*max));
            }
        }
        Ok(())
    }

    async fn check_code(
        &mut self,
        conn: &mut PgConnection,
        organizer_id: Uuid,
        claim: &Claim,
        id: Uuid,
        revision: i64,
    ) -> Result<Result<(), ClaimRefused>, sqlx::Error> {
        let Some(code) = self.codes.get_mut(&id).filter(|code| code.revision == revision) else {
            return Ok(Err(ClaimRefused::Stale));
        };
        let terms = code.terms();
        let by_person = self.uses.get(&(id, claim.person)).copied().unwrap_or_default();
        if let Err(why) = terms.check_person(by_person) {
            return Ok(Err(ClaimRefused::Code(why)));
        }
        let (granted, spent) = self.granted.get(&id).copied().unwrap_or_default();
        let left = |code: &Stored| {
            terms.check_left(code.uses + granted, code.spent_minor + spent, claim.discount_minor)
        };
        // Perhaps something of it came to nothing.
        if left(code).is_err() && self.settled.insert(id) {
            (code.uses, code.spent_minor) = promo::settle(conn, organizer_id, id).await?;
        }
        Ok(left(code).map_err(ClaimRefused::Code))
    }
}
