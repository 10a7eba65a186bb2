//! Taking capacity: THE guarded sale. Everything that turns room into a booking is in [`hold`].

use std::collections::HashMap;

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::promo;
use crate::domain::language::Language;

/// A booking to be.
#[derive(Debug, Clone, Serialize)]
pub struct NewHold {
    pub booking_id: Uuid,
    pub user_id: Option<Uuid>,
    /// Hex of SHA-256 of the guest's secret.
    pub secret_hash: Option<String>,
    pub email: Option<String>,
    /// In which its buyer is written to.
    pub language: Language,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax_minor: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub held_until: OffsetDateTime,
    #[serde(skip)]
    pub lines: Vec<NewLine>,
    /// A payment that starts in the same transaction.
    #[serde(flatten)]
    pub payment: Option<NewPayment>,
}

/// One line of it.
#[derive(Debug, Clone, Serialize)]
pub struct NewLine {
    pub booking_id: Uuid,
    pub line: i16,
    pub ticket_type_id: Uuid,
    pub quota_id: Uuid,
    pub quantity: i32,
    pub unit_price_minor: i64,
    pub unit_fee_minor: i64,
    pub unit_tax_minor: i64,
    /// As they are now, for the receipt.
    pub name: String,
    pub tax_rate_bp: i32,
    /// Net, of one without its promo code.
    pub list_price_minor: i64,
    pub list_fee_minor: i64,
}

/// A payment about to be asked of a provider.
#[derive(Debug, Clone, Serialize)]
pub struct NewPayment {
    pub payment_id: Uuid,
    pub provider: String,
    /// The organizer's own account with the provider; none: the server's.
    pub account_id: Option<Uuid>,
    pub token: Option<String>,
    /// The hold waits for it until then.
    #[serde(with = "time::serde::rfc3339")]
    pub payment_until: OffsetDateTime,
    /// When the reconcile job asks, if nobody else did.
    #[serde(with = "time::serde::rfc3339")]
    pub next_attempt_at: OffsetDateTime,
}

/// What became of a batch: all of it or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// All are held.
    All,
    /// Prices or limits changed since `version`: nothing was written.
    Stale,
    /// Not all of them fit: nothing was written. What is free per quota; these rows stay locked by this
    /// transaction, so that a second call with what fits cannot fail again.
    Short(HashMap<Uuid, i64>),
}

/// Holds capacity for all of `holds` or for none, in one statement: the quota rows are locked in the
/// order of their ids, guarded, raised, and the bookings, lines and payment attempts written. The guard stands where
/// the rows are locked, and so are the newest: at the update it would be asked of the rows as they were when the
/// statement began, and turn away who waited for room that was given back meanwhile. For the same reason a canceled event
/// says on its quotas that it is over: the event's own row is seen as it was when the statement began.
/// All are of one event at `version`.
pub async fn hold(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    version: i64,
    holds: &[NewHold],
    now: OffsetDateTime,
) -> Result<Held, sqlx::Error> {
    let lines: Vec<&NewLine> = holds.iter().flat_map(|h| &h.lines).collect();
    let row = sqlx::query!(
        r#"
        with wanted as (
          select * from jsonb_to_recordset($5) as w(
            booking_id uuid, user_id uuid, secret_hash text, email text, language text, price_minor bigint, fee_minor bigint,
            tax_minor bigint, held_until timestamptz, payment_id uuid, provider text, account_id uuid, token text,
            payment_until timestamptz, next_attempt_at timestamptz)
        ), lines as (
          select * from jsonb_to_recordset($6) as l(
            booking_id uuid, line smallint, ticket_type_id uuid, quota_id uuid, quantity integer,
            unit_price_minor bigint, unit_fee_minor bigint, unit_tax_minor bigint, name text, tax_rate_bp integer,
            list_price_minor bigint, list_fee_minor bigint)
        ), need as (
          select quota_id, sum(quantity) as n from lines group by quota_id
        ), room as materialized (
          select q.quota_id, q.closed, q.capacity - q.held - q.sold as free,
                 quota_fits(q.held, q.sold, need.n, q.capacity) as fits
            from quotas q join need on need.quota_id = q.quota_id
           where q.organizer_id = $1
           order by q.quota_id
             for no key update of q
        ), verdict as materialized (
          select exists (select from events where organizer_id = $1 and event_id = $2 and sale_version = $3)
                 and not exists (select from room where closed) as current,
                 (select count(*) from room where fits) = (select count(*) from need) as fits
        ), taken as (
          update quotas q set held = q.held + need.n::integer
            from need, verdict
           where q.organizer_id = $1 and q.quota_id = need.quota_id
             and verdict.current and verdict.fits
          returning q.quota_id
        ), booked as (
          insert into bookings (organizer_id, booking_id, event_id, user_id, booking_secret_hash, email, status,
                                currency, price_minor, fee_minor, tax_minor, total_minor, held_until,
                                payment_until, created_at, language)
          select $1, w.booking_id, $2, w.user_id, decode(w.secret_hash, 'hex'), w.email, 'held',
                 e.currency, w.price_minor, w.fee_minor, w.tax_minor,
                 w.price_minor + w.fee_minor + w.tax_minor, w.held_until, w.payment_until, $4, w.language
            from wanted w, verdict, events e
           where verdict.current and verdict.fits and e.organizer_id = $1 and e.event_id = $2
          returning booking_id
        ), lined as (
          insert into booking_lines (organizer_id, booking_id, line, ticket_type_id, quota_id, quantity,
                                     unit_price_minor, unit_fee_minor, unit_tax_minor, name, tax_rate_bp,
                                     list_price_minor, list_fee_minor)
          select $1, l.booking_id, l.line, l.ticket_type_id, l.quota_id, l.quantity,
                 l.unit_price_minor, l.unit_fee_minor, l.unit_tax_minor, l.name, l.tax_rate_bp,
                 l.list_price_minor, l.list_fee_minor
            from lines l, verdict where verdict.current and verdict.fits
          returning booking_id
        ), attempted as (
          insert into transactions (organizer_id, transaction_id, booking_id, event_id, user_id,
                                    booking_secret_hash, kind, status, amount_minor, currency, provider,
                                    account_id, provider_token, next_attempt_at, created_at)
          select $1, w.payment_id, w.booking_id, $2, w.user_id, decode(w.secret_hash, 'hex'), 'payment', 'pending',
                 w.price_minor + w.fee_minor + w.tax_minor, e.currency, w.provider, w.account_id, w.token, w.next_attempt_at,
                 $4
            from wanted w, verdict, events e
           where verdict.current and verdict.fits and w.payment_id is not null
             and e.organizer_id = $1 and e.event_id = $2
          returning transaction_id
        )
        select verdict.current as "current!", verdict.fits as "fits!",
               (select count(*) from taken) as "taken!", (select count(*) from need) as "needed!",
               (select count(*) from booked) as "booked!",
               (select jsonb_object_agg(quota_id, free) from room) as "free: Json<HashMap<Uuid, i64>>"
          from verdict
        "#,
        organizer_id,
        event_id,
        version,
        now,
        Json(holds) as _,
        Json(lines) as _,
    )
    .fetch_one(conn)
    .await?;
    if !row.current {
        return Ok(Held::Stale);
    }
    if !row.fits {
        return Ok(Held::Short(row.free.map(|f| f.0).unwrap_or_default()));
    }
    if row.taken != row.needed || usize::try_from(row.booked) != Ok(holds.len()) {
        return Err(sqlx::Error::Protocol(format!(
            "a guarded sale wrote {} of {} quotas and {} of {} bookings",
            row.taken,
            row.needed,
            row.booked,
            holds.len()
        )));
    }
    Ok(Held::All)
}

/// Notes users' bookings where users look for them. Guests have none.
pub async fn note_for_users(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    holds: &[NewHold],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (users, bookings): (Vec<Uuid>, Vec<Uuid>) =
        holds.iter().filter_map(|h| Some((h.user_id?, h.booking_id))).unzip();
    if users.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into user_bookings (user_id, organizer_id, booking_id, created_at)
         select u, $1, b, $4 from unnest($2::uuid[], $3::uuid[]) as t(u, b)
         on conflict do nothing",
        organizer_id,
        &users,
        &bookings,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives an expired booking its capacity again for a payment that arrived late, if there is room (and a use of its
/// promo code, if it has one, and a share of what one person may have). If it says no, roll back.
pub async fn reacquire(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    payment_until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    if !promo::take_again(conn, organizer_id, booking_id, now).await? {
        return Ok(false);
    }
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select booking_id from bookings
           where organizer_id = $1 and booking_id = $2 and status = 'expired'
             and exists (select from events e
                          where e.organizer_id = $1 and e.event_id = bookings.event_id and e.status <> 'canceled')
             for update
        ), need as (
          select quota_id, sum(quantity) as n from booking_lines
           where organizer_id = $1 and booking_id in (select booking_id from mine)
           group by quota_id
        ), room as materialized (
          select q.quota_id, not q.closed and quota_fits(q.held, q.sold, need.n, q.capacity) as fits
            from quotas q join need on need.quota_id = q.quota_id
           where q.organizer_id = $1
           order by q.quota_id
             for no key update of q
        ), verdict as materialized (
          select exists (select from mine)
             and (select count(*) from room where fits) = (select count(*) from need) as fits
        ), taken as (
          update quotas q set held = q.held + need.n::integer
            from need, verdict
           where q.organizer_id = $1 and q.quota_id = need.quota_id and verdict.fits
          returning q.quota_id
        ), reopened as (
          update bookings b set status = 'held', closed_at = null, payment_until = $3
            from verdict
           where b.organizer_id = $1 and b.booking_id = $2 and b.status = 'expired' and verdict.fits
          returning b.booking_id
        )
        select (select count(*) from taken) as "taken!", (select count(*) from need) as "needed!",
               (select count(*) from reopened) as "reopened!"
        "#,
        organizer_id,
        booking_id,
        payment_until,
    )
    .fetch_one(conn)
    .await?;
    match (row.reopened, row.taken == row.needed) {
        (1, true) => Ok(true),
        (0, _) if row.taken == 0 => Ok(false),
        _ => Err(sqlx::Error::Protocol("a guarded sale wrote a part of what it must".to_owned())),
    }
}
