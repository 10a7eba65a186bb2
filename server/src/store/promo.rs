//! Promo codes and what bookings take of them.
//!
//! `uses` and `spent_minor` of a code are never below what live bookings have taken. They rise in the transaction of
//! the hold, under the lock of the code's row. A booking that comes to nothing gives its use back, but only when
//! somebody meets the limit: [`settle`] then takes off what is dead. So expiry and cancellation know nothing of
//! codes, and no counter can be left behind. What was paid stays used, also after a refund.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::pricing::Discount;
use crate::domain::promo::{CodeRefused, PromoCode};

/// A code as stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub promo_code_id: Uuid,
    pub event_id: Uuid,
    pub code: String,
    pub code_key: String,
    pub percent_bp: Option<i32>,
    pub amount_minor: Option<i64>,
    pub ticket_type_ids: Option<Vec<Uuid>>,
    pub unlocks: bool,
    pub valid_from: Option<OffsetDateTime>,
    pub valid_until: Option<OffsetDateTime>,
    pub max_uses: Option<i32>,
    pub max_uses_per_person: Option<i32>,
    pub budget_minor: Option<i64>,
    pub revision: i64,
    pub uses: i64,
    pub spent_minor: i64,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
}

impl Stored {
    /// As a sale needs it.
    #[must_use]
    pub fn terms(&self) -> PromoCode {
        PromoCode {
            promo_code_id: self.promo_code_id,
            revision: self.revision,
            discount: match (self.percent_bp, self.amount_minor) {
                (Some(bp), _) => Discount::Percent(u16::try_from(bp).expect("a CHECK bounds percentages")),
                (None, Some(minor)) => Discount::Amount(minor),
                (None, None) => Discount::None,
            },
            ticket_type_ids: self.ticket_type_ids.clone(),
            unlocks: self.unlocks,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            max_uses: self.max_uses.map(i32::unsigned_abs),
            max_uses_per_person: self.max_uses_per_person.map(i32::unsigned_abs),
            budget_minor: self.budget_minor,
        }
    }
}

/// The live code of an event, by its key.
pub async fn by_key(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    code_key: &str,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        "select promo_code_id, event_id, code, code_key, percent_bp, amount_minor, ticket_type_ids, unlocks, valid_from,
                valid_until, max_uses, max_uses_per_person, budget_minor, revision, uses, spent_minor, created_at,
                updated_at, archived_at
           from promo_codes
          where organizer_id = $1 and event_id = $2 and code_key = $3 and archived_at is null",
        organizer_id,
        event_id,
        code_key,
    )
    .fetch_optional(conn)
    .await
}

/// One live code of an event.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    promo_code_id: Uuid,
) -> Result<Option<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        "select promo_code_id, event_id, code, code_key, percent_bp, amount_minor, ticket_type_ids, unlocks, valid_from,
                valid_until, max_uses, max_uses_per_person, budget_minor, revision, uses, spent_minor, created_at,
                updated_at, archived_at
           from promo_codes
          where organizer_id = $1 and event_id = $2 and promo_code_id = $3 and archived_at is null",
        organizer_id,
        event_id,
        promo_code_id,
    )
    .fetch_optional(conn)
    .await
}

/// The live codes of an event, the youngest first.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Stored>, sqlx::Error> {
    let (after_at, after_id) = after.unzip();
    sqlx::query_as!(
        Stored,
        "select promo_code_id, event_id, code, code_key, percent_bp, amount_minor, ticket_type_ids, unlocks, valid_from,
                valid_until, max_uses, max_uses_per_person, budget_minor, revision, uses, spent_minor, created_at,
                updated_at, archived_at
           from promo_codes
          where organizer_id = $1 and event_id = $2 and archived_at is null
            and ($3::timestamptz is null or (created_at, promo_code_id) < ($3, $4))
          order by created_at desc, promo_code_id desc
          limit $5",
        organizer_id,
        event_id,
        after_at,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Adds a code. One that the event has already is a unique violation `promo_codes_code`.
pub async fn insert(conn: &mut PgConnection, organizer_id: Uuid, of: &Stored) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into promo_codes (organizer_id, promo_code_id, event_id, code, code_key, percent_bp, amount_minor,
                                  ticket_type_ids, unlocks, valid_from, valid_until, max_uses, max_uses_per_person,
                                  budget_minor, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)",
        organizer_id,
        of.promo_code_id,
        of.event_id,
        of.code,
        of.code_key,
        of.percent_bp,
        of.amount_minor,
        of.ticket_type_ids.as_deref(),
        of.unlocks,
        of.valid_from,
        of.valid_until,
        of.max_uses,
        of.max_uses_per_person,
        of.budget_minor,
        of.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes what may change of a code: all but its counters. False if its limits would fall below what is used: take
/// off first what is dead, by [`settle`].
pub async fn update(conn: &mut PgConnection, organizer_id: Uuid, of: &Stored) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update promo_codes
            set code = $3, code_key = $4, percent_bp = $5, amount_minor = $6, ticket_type_ids = $7, unlocks = $8,
                valid_from = $9, valid_until = $10, max_uses = $11, max_uses_per_person = $12, budget_minor = $13,
                updated_at = $14, archived_at = $15, revision = revision + 1
          where organizer_id = $1 and promo_code_id = $2 and ($11::integer is null or uses <= $11)
            and ($13::bigint is null or spent_minor <= $13)",
        organizer_id,
        of.promo_code_id,
        of.code,
        of.code_key,
        of.percent_bp,
        of.amount_minor,
        of.ticket_type_ids.as_deref(),
        of.unlocks,
        of.valid_from,
        of.valid_until,
        of.max_uses,
        of.max_uses_per_person,
        of.budget_minor,
        of.updated_at,
        of.archived_at,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What live bookings have of a code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub promo_code_id: Uuid,
    /// In bookings that are not paid yet.
    pub held: i64,
    /// In bookings that were paid, refunded ones too.
    pub used: i64,
    pub discount_held_minor: i64,
    pub discount_used_minor: i64,
}

/// The usage of codes; none of those that nobody ever used.
pub async fn usage(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    promo_code_ids: &[Uuid],
) -> Result<Vec<Usage>, sqlx::Error> {
    sqlx::query_as!(
        Usage,
        r#"select c.promo_code_id as "promo_code_id!",
                  count(*) filter (where b.status = 'held') as "held!",
                  count(*) filter (where b.paid_at is not null) as "used!",
                  coalesce(sum(c.discount_minor) filter (where b.status = 'held'), 0)::bigint as "discount_held_minor!",
                  coalesce(sum(c.discount_minor) filter (where b.paid_at is not null), 0)::bigint
                    as "discount_used_minor!"
             from booking_claims c
             join bookings b on b.organizer_id = c.organizer_id and b.booking_id = c.booking_id
            where c.organizer_id = $1 and c.promo_code_id = any ($2)
            group by c.promo_code_id"#,
        organizer_id,
        promo_code_ids,
    )
    .fetch_all(conn)
    .await
}

/// Locks codes, in the order of their ids. Archived ones are not among them.
pub async fn lock(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    promo_code_ids: &[Uuid],
) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        "select promo_code_id, event_id, code, code_key, percent_bp, amount_minor, ticket_type_ids, unlocks, valid_from,
                valid_until, max_uses, max_uses_per_person, budget_minor, revision, uses, spent_minor, created_at,
                updated_at, archived_at
           from promo_codes
          where organizer_id = $1 and promo_code_id = any ($2) and archived_at is null
          order by promo_code_id
            for no key update",
        organizer_id,
        promo_code_ids,
    )
    .fetch_all(conn)
    .await
}

/// Takes the uses off a locked code that came to nothing. What is left: (uses, spent).
pub async fn settle(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    promo_code_id: Uuid,
) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with dead as (
          update booking_claims c set released = true
            from bookings b
           where c.organizer_id = $1 and c.promo_code_id = $2 and not c.released
             and b.organizer_id = $1 and b.booking_id = c.booking_id
             and b.status in ('expired', 'canceled') and b.paid_at is null
          returning c.discount_minor
        )
        update promo_codes
           set uses = uses - (select count(*) from dead),
               spent_minor = spent_minor - (select coalesce(sum(discount_minor), 0) from dead)
         where organizer_id = $1 and promo_code_id = $2
        returning uses, spent_minor
        "#,
        organizer_id,
        promo_code_id,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.uses, row.spent_minor))
}

/// Locks what is counted per person; whoever counts it next waits for this transaction's end.
pub async fn lock_claimants(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    claimants: &[&[u8]],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into claim_locks (organizer_id, event_id, claimant, seen_at)
         select $1, $2, c, $4 from (select distinct unnest($3::bytea[]) as c) as all_of_them order by c
         on conflict (organizer_id, event_id, claimant) do update set seen_at = excluded.seen_at",
        organizer_id,
        event_id,
        claimants as &[&[u8]],
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Tickets that a person has or holds of a type.
#[derive(Debug, Clone)]
pub struct Had {
    pub person: Vec<u8>,
    pub ticket_type_id: Uuid,
    pub tickets: i64,
}

/// What locked persons have of an event's types: what they hold, and of what they paid the tickets that are left.
pub async fn had_by(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    persons: &[&[u8]],
) -> Result<Vec<Had>, sqlx::Error> {
    sqlx::query_as!(
        Had,
        r#"select c.person, l.ticket_type_id,
                  sum(case when b.status = 'held' then l.quantity::bigint
                           else (select count(*) from tickets k
                                  where k.organizer_id = $1 and k.booking_id = l.booking_id
                                    and k.ticket_type_id = l.ticket_type_id and k.state in ('valid', 'blocked'))
                      end)::bigint as "tickets!"
             from booking_claims c
             join bookings b on b.organizer_id = c.organizer_id and b.booking_id = c.booking_id
             join booking_lines l on l.organizer_id = c.organizer_id and l.booking_id = c.booking_id
            where c.organizer_id = $1 and c.event_id = $2 and c.person = any ($3)
              and b.status in ('held', 'paid', 'partially_refunded')
            group by c.person, l.ticket_type_id"#,
        organizer_id,
        event_id,
        persons as &[&[u8]],
    )
    .fetch_all(conn)
    .await
}

/// How often locked persons use locked codes, in one statement; in the order of the pairs.
pub async fn uses_by(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    pairs: &[(Uuid, &[u8])],
) -> Result<Vec<i64>, sqlx::Error> {
    let (codes, persons): (Vec<Uuid>, Vec<&[u8]>) = pairs.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"select (select count(*)
                     from booking_claims c
                     join bookings b on b.organizer_id = c.organizer_id and b.booking_id = c.booking_id
                    where c.organizer_id = $1 and c.promo_code_id = w.code and c.person = w.person
                      and (b.status = 'held' or b.paid_at is not null)) as "uses!"
             from unnest($2::uuid[], $3::bytea[]) with ordinality as w(code, person, place)
            order by w.place"#,
        organizer_id,
        &codes,
        &persons as &[&[u8]],
    )
    .fetch_all(conn)
    .await
}

/// Which of the (locked) places in the waiting room have bought.
pub async fn places_used(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    places: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select queue_place as "place!" from booking_claims
            where organizer_id = $1 and event_id = $2 and queue_place = any ($3)"#,
        organizer_id,
        event_id,
        places,
    )
    .fetch_all(conn)
    .await
}

/// What a booking takes beside room.
#[derive(Debug, Clone, Serialize)]
pub struct NewClaim {
    pub booking_id: Uuid,
    /// Hex.
    pub person: String,
    pub promo_code_id: Option<Uuid>,
    pub discount_minor: i64,
    pub queue_place: Option<i64>,
}

/// Writes claims of just held bookings, and raises the counters of their codes, whose rows are locked.
pub async fn claim(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    claims: &[NewClaim],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with wanted as (
          select * from jsonb_to_recordset($3) as w(booking_id uuid, person text, promo_code_id uuid,
                                                    discount_minor bigint, queue_place bigint)
        ), claimed as (
          insert into booking_claims (organizer_id, booking_id, event_id, person, promo_code_id, discount_minor,
                                      queue_place, created_at)
          select $1, w.booking_id, $2, decode(w.person, 'hex'), w.promo_code_id, w.discount_minor, w.queue_place, $4
            from wanted w
          returning booking_id
        ), raised as (
          update promo_codes p set uses = p.uses + n.uses, spent_minor = p.spent_minor + n.spent
            from (select promo_code_id, count(*) as uses, sum(discount_minor)::bigint as spent from wanted
                   where promo_code_id is not null group by promo_code_id) as n
           where p.organizer_id = $1 and p.promo_code_id = n.promo_code_id
          returning p.promo_code_id
        )
        select (select count(*) from claimed) as "claimed!", (select count(*) from raised) as "raised!",
               (select count(distinct promo_code_id) from wanted) as "codes!"
        "#,
        organizer_id,
        event_id,
        Json(claims) as _,
        now,
    )
    .fetch_one(conn)
    .await?;
    if usize::try_from(row.claimed) != Ok(claims.len()) || row.raised != row.codes {
        return Err(sqlx::Error::Protocol("claims were written in part".to_owned()));
    }
    Ok(())
}

/// A claim as stored.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// As its organizer wrote it.
    pub code: Option<String>,
    pub discount_minor: i64,
}

/// What a booking took, if anything.
pub async fn of_booking(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Option<Claimed>, sqlx::Error> {
    sqlx::query_as!(
        Claimed,
        r#"select p.code as "code?", c.discount_minor
             from booking_claims c
             left join promo_codes p on p.organizer_id = c.organizer_id and p.promo_code_id = c.promo_code_id
            where c.organizer_id = $1 and c.booking_id = $2"#,
        organizer_id,
        booking_id,
    )
    .fetch_optional(conn)
    .await
}

/// True if the person of an expired booking has meanwhile bought so much that the booking's tickets would be more than
/// one person may have. The person is locked.
async fn passes_limits(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    event_id: Uuid,
    person: &[u8],
) -> Result<bool, sqlx::Error> {
    let wanted = sqlx::query!(
        r#"select l.ticket_type_id, sum(l.quantity)::bigint as "tickets!", t.max_per_person,
                  e.max_per_person as of_event
             from booking_lines l
             join ticket_types t on t.organizer_id = l.organizer_id and t.ticket_type_id = l.ticket_type_id
             join events e on e.organizer_id = t.organizer_id and e.event_id = t.event_id
            where l.organizer_id = $1 and l.booking_id = $2
            group by l.ticket_type_id, t.max_per_person, e.max_per_person"#,
        organizer_id,
        booking_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let had = had_by(conn, organizer_id, event_id, &[person]).await?;
    let all: i64 = wanted.iter().map(|w| w.tickets).sum::<i64>() + had.iter().map(|h| h.tickets).sum::<i64>();
    Ok(wanted.iter().any(|of| {
        let before = had.iter().find(|h| h.ticket_type_id == of.ticket_type_id).map_or(0, |h| h.tickets);
        of.max_per_person.is_some_and(|max| before + of.tickets > i64::from(max))
            || of.of_event.is_some_and(|max| all > i64::from(max))
    }))
}

/// Before an expired booking comes back to life: takes its use of a code again if that was given away meanwhile, and
/// sees that its person has not bought elsewhere what one person may have. False if the code or the share is used up:
/// the booking stays dead. Locks the person, then the code, before the booking and its quotas.
pub async fn take_again(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let claim = sqlx::query!(
        "select event_id, person, promo_code_id from booking_claims where organizer_id = $1 and booking_id = $2",
        organizer_id,
        booking_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(claim) = claim else { return Ok(true) };
    lock_claimants(conn, organizer_id, claim.event_id, &[&claim.person], now).await?;
    if passes_limits(conn, organizer_id, booking_id, claim.event_id, &claim.person).await? {
        return Ok(false);
    }
    let Some(promo_code_id) = claim.promo_code_id else { return Ok(true) };
    // Its terms do not matter any more (it may be over or archived), its counters do.
    sqlx::query!(
        "select promo_code_id from promo_codes where organizer_id = $1 and promo_code_id = $2 for no key update",
        organizer_id,
        promo_code_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let row = sqlx::query!(
        "select c.released, c.discount_minor, p.max_uses, p.max_uses_per_person, p.budget_minor
           from booking_claims c
           join promo_codes p on p.organizer_id = c.organizer_id and p.promo_code_id = c.promo_code_id
          where c.organizer_id = $1 and c.booking_id = $2",
        organizer_id,
        booking_id,
    )
    .fetch_one(&mut *conn)
    .await?;
    let by_person = uses_by(conn, organizer_id, &[(promo_code_id, &claim.person)]).await?;
    if row.max_uses_per_person.is_some_and(|max| by_person.first().is_some_and(|n| *n >= i64::from(max))) {
        return Ok(false);
    }
    if !row.released {
        return Ok(true);
    }
    let (uses, spent) = settle(conn, organizer_id, promo_code_id).await?;
    let limits = PromoCode {
        promo_code_id,
        revision: 0,
        discount: Discount::None,
        ticket_type_ids: None,
        unlocks: false,
        valid_from: None,
        valid_until: None,
        max_uses: row.max_uses.map(i32::unsigned_abs),
        max_uses_per_person: None,
        budget_minor: row.budget_minor,
    };
    if limits.check_left(uses, spent, row.discount_minor) == Err(CodeRefused::UsedUp) {
        return Ok(false);
    }
    sqlx::query!(
        "with mine as (
           update booking_claims set released = false
            where organizer_id = $1 and booking_id = $2 and released
           returning promo_code_id, discount_minor
         )
         update promo_codes p set uses = p.uses + 1, spent_minor = p.spent_minor + mine.discount_minor
           from mine
          where p.organizer_id = $1 and p.promo_code_id = mine.promo_code_id",
        organizer_id,
        booking_id,
    )
    .execute(conn)
    .await?;
    Ok(true)
}
