//! Bookings: reading them, and the ways out of a hold that are not a payment.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ticket::ChangedTicket;
use crate::domain::booking::{BookingStatus, Hold};

/// A booking as stored.
#[derive(Debug, Clone)]
pub struct Booking {
    pub organizer_id: Uuid,
    pub booking_id: Uuid,
    pub event_id: Uuid,
    pub user_id: Option<Uuid>,
    pub email: Option<String>,
    pub language: String,
    pub status: BookingStatus,
    pub currency: String,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax_minor: i64,
    pub total_minor: i64,
    pub refunded_minor: i64,
    pub held_until: OffsetDateTime,
    pub extended_at: Option<OffsetDateTime>,
    pub payment_until: Option<OffsetDateTime>,
    pub created_at: OffsetDateTime,
    pub paid_at: Option<OffsetDateTime>,
}

impl Booking {
    /// Its clock side.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold {
            status: self.status,
            held_until: self.held_until,
            extended_at: self.extended_at,
            payment_until: self.payment_until,
        }
    }
}

/// One booking, if the context may see it: the organizer's, the user's own, or the guest's.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Option<Booking>, sqlx::Error> {
    sqlx::query_as!(
        Booking,
        r#"select organizer_id, booking_id, event_id, user_id, email, language,
                  status as "status: StatusColumn", currency, price_minor, fee_minor, tax_minor, total_minor,
                  refunded_minor, held_until, extended_at, payment_until, created_at, paid_at
             from bookings where organizer_id = $1 and booking_id = $2"#,
        organizer_id,
        booking_id,
    )
    .fetch_optional(conn)
    .await
}

/// One line of a booking with what its tickets need.
#[derive(Debug, Clone)]
pub struct Line {
    pub ticket_type_id: Uuid,
    pub type_no: i32,
    pub name: String,
    pub quantity: i32,
    pub unit_price_minor: i64,
    pub unit_fee_minor: i64,
    pub unit_tax_minor: i64,
    pub valid_from: Option<OffsetDateTime>,
    pub valid_until: Option<OffsetDateTime>,
    pub grace_secs: i32,
    pub event_starts_at: OffsetDateTime,
    pub event_ends_at: Option<OffsetDateTime>,
}

/// The lines of a booking; under the organizer's context, after it was found under the asker's.
pub async fn lines(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<Line>, sqlx::Error> {
    sqlx::query_as!(
        Line,
        "select l.ticket_type_id, t.number as type_no, t.name, l.quantity, l.unit_price_minor, l.unit_fee_minor,
                l.unit_tax_minor, t.valid_from, t.valid_until, t.grace_secs,
                e.starts_at as event_starts_at, e.ends_at as event_ends_at
           from booking_lines l
           join ticket_types t on t.organizer_id = l.organizer_id and t.ticket_type_id = l.ticket_type_id
           join events e on e.organizer_id = t.organizer_id and e.event_id = t.event_id
          where l.organizer_id = $1 and l.booking_id = $2
          order by l.line",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// Where a user has bookings.
pub async fn organizers_of_user(conn: &mut PgConnection, user_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select distinct organizer_id from user_bookings where user_id = $1", user_id)
        .fetch_all(conn)
        .await
}

/// The organizer of a user's booking.
pub async fn organizer_of(
    conn: &mut PgConnection,
    user_id: Uuid,
    booking_id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select organizer_id from user_bookings where user_id = $1 and booking_id = $2",
        user_id,
        booking_id,
    )
    .fetch_optional(conn)
    .await
}

/// Extends an open hold, once. False if it is not open (any more).
pub async fn extend(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    held_until: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update bookings set held_until = $3, extended_at = $4
          where organizer_id = $1 and booking_id = $2 and status = 'held' and extended_at is null
            and held_until > $4 and (payment_until is null or payment_until <= $4)",
        organizer_id,
        booking_id,
        held_until,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives up an open hold and its capacity. False if it is not open (any more).
pub async fn cancel(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with gone as (
          update bookings set status = 'canceled', closed_at = $3, payment_until = null
           where organizer_id = $1 and booking_id = $2 and status = 'held'
             and held_until > $3 and (payment_until is null or payment_until <= $3)
          returning booking_id
        ), back as (
          select l.quota_id, sum(l.quantity)::integer as n
            from booking_lines l join gone on gone.booking_id = l.booking_id
           where l.organizer_id = $1 group by l.quota_id
        ), room as materialized (
          select q.quota_id, back.n from quotas q join back on back.quota_id = q.quota_id
           where q.organizer_id = $1 order by q.quota_id for no key update of q
        ), given as (
          update quotas q set held = q.held - room.n from room
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning q.quota_id
        )
        select (select count(*) from gone) as "gone!", (select count(*) from given) as "given!"
        "#,
        organizer_id,
        booking_id,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.gone == 1)
}

/// Lets at most `limit` holds of the organizer expire that ran out and wait for no payment; gives their
/// capacity back. Bookings that somebody works on are passed over until the next round.
pub async fn expire(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    limit: i64,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with due as materialized (
          select booking_id from bookings
           where organizer_id = $1 and status = 'held' and held_until <= $3
             and (payment_until is null or payment_until <= $3)
           order by held_until
           limit $2
             for update skip locked
        ), gone as (
          update bookings b set status = 'expired', closed_at = $3, payment_until = null
            from due
           where b.organizer_id = $1 and b.booking_id = due.booking_id and b.status = 'held'
          returning b.booking_id
        ), back as (
          select l.quota_id, sum(l.quantity)::integer as n
            from booking_lines l join gone on gone.booking_id = l.booking_id
           where l.organizer_id = $1 group by l.quota_id
        ), room as materialized (
          select q.quota_id, back.n from quotas q join back on back.quota_id = q.quota_id
           where q.organizer_id = $1 order by q.quota_id for no key update of q
        ), given as (
          update quotas q set held = q.held - room.n from room
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning q.quota_id
        )
        select array(select booking_id from gone) as "gone!", (select count(*) from given) as "given!"
        "#,
        organizer_id,
        limit,
        now,
    )
    .fetch_one(conn)
    .await?;
    Ok(row.gone)
}

/// The column as the domain's word.
#[derive(Debug, Clone, Copy)]
pub struct StatusColumn(BookingStatus);

impl From<StatusColumn> for BookingStatus {
    fn from(column: StatusColumn) -> Self {
        column.0
    }
}

impl sqlx::Type<sqlx::Postgres> for StatusColumn {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
        <String as sqlx::Type<sqlx::Postgres>>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, sqlx::Postgres> for StatusColumn {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        Ok(Self(BookingStatus::from_column(<&str as sqlx::Decode<sqlx::Postgres>>::decode(value)?)))
    }
}

/// The booking that a guest's secret opens; under the guest's context.
pub async fn id_of_secret(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    secret_hash: &[u8; 32],
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select booking_id from bookings where organizer_id = $1 and booking_secret_hash = $2 limit 1",
        organizer_id,
        &secret_hash[..],
    )
    .fetch_optional(conn)
    .await
}

/// Takes the address off a user's bookings and the name off the tickets: how many bookings there are, and the tickets by
/// event, whose guest records changed. [`super::change::record`] must say so of each event, last in the transaction. Numbers
/// stay, and so does the user's id, which names nobody once the account is gone.
pub async fn forget_buyer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
) -> Result<(u64, BTreeMap<Uuid, Vec<ChangedTicket>>), sqlx::Error> {
    let done = sqlx::query!(
        "update bookings set email = null where organizer_id = $1 and user_id = $2",
        organizer_id,
        user_id,
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        "update tickets set attendee_name = null, holder_email = null, answers = '{}'
          where organizer_id = $1 and user_id = $2
            and (attendee_name is not null or holder_email is not null or answers <> '{}')
         returning event_id, ticket_id, type_no, generation, state",
        organizer_id,
        user_id,
    )
    .fetch_all(conn)
    .await?;
    let mut changed: BTreeMap<Uuid, Vec<ChangedTicket>> = BTreeMap::new();
    for r in rows {
        changed.entry(r.event_id).or_default().push(ChangedTicket {
            ticket_id: r.ticket_id,
            type_no: r.type_no,
            generation: r.generation,
            state: r.state,
        });
    }
    Ok((done.rows_affected(), changed))
}
