//! Receipts: their numbers, and what stands on them.

use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::documents::receipt::Issuer;

/// A receipt's number and who issued it.
#[derive(Debug, Clone)]
pub struct Numbered {
    pub year: i32,
    pub number: i32,
    pub issued_at: OffsetDateTime,
    pub issuer: Json<Issuer>,
}

/// The receipt of a booking, if it has one.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Option<Numbered>, sqlx::Error> {
    sqlx::query_as!(
        Numbered,
        r#"select year, number, issued_at, issuer as "issuer: Json<Issuer>" from receipts
            where organizer_id = $1 and booking_id = $2"#,
        organizer_id,
        booking_id,
    )
    .fetch_optional(conn)
    .await
}

/// Gives a booking the next number of the year. Fails with a unique violation of `receipts_` if another request was
/// quicker; its number is given back with the transaction.
pub async fn number(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    issuer: &Issuer,
    now: OffsetDateTime,
) -> Result<Numbered, sqlx::Error> {
    sqlx::query_as!(
        Numbered,
        r#"
        with counter as (
          insert into receipt_counters as c (organizer_id, year, last_number)
          values ($1, extract(year from $4::timestamptz at time zone 'UTC')::integer, 1)
          on conflict (organizer_id, year) do update set last_number = c.last_number + 1
          returning year, last_number
        )
        insert into receipts (organizer_id, booking_id, year, number, issued_at, issuer)
        select $1, $2, counter.year, counter.last_number, $4, $3 from counter
        returning year, number, issued_at, issuer as "issuer: Json<Issuer>"
        "#,
        organizer_id,
        booking_id,
        Json(issuer) as _,
        now,
    )
    .fetch_one(conn)
    .await
}

/// A line of a booking with the tax rate of its type.
#[derive(Debug, Clone)]
pub struct Line {
    pub name: String,
    pub quantity: i32,
    pub unit_price_minor: i64,
    pub unit_fee_minor: i64,
    pub unit_tax_minor: i64,
    pub tax_rate_bp: i32,
}

/// The lines of a booking.
pub async fn lines(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<Line>, sqlx::Error> {
    sqlx::query_as!(
        Line,
        "select t.name, l.quantity, l.unit_price_minor, l.unit_fee_minor, l.unit_tax_minor, t.tax_rate_bp
           from booking_lines l
           join ticket_types t on t.organizer_id = l.organizer_id and t.ticket_type_id = l.ticket_type_id
          where l.organizer_id = $1 and l.booking_id = $2
          order by l.line",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// A row of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerRow {
    pub booked_at: OffsetDateTime,
    pub entry_id: Uuid,
    pub line: i16,
    pub kind: String,
    pub booking_id: Uuid,
    pub account: String,
    pub amount_minor: i64,
    pub currency: String,
}

/// The ledger of an event, as it was written.
pub async fn ledger(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<LedgerRow>, sqlx::Error> {
    sqlx::query_as!(
        LedgerRow,
        "select booked_at, entry_id, line, kind, booking_id, account, amount_minor, currency from ledger
          where organizer_id = $1 and event_id = $2
          order by booked_at, entry_id, line",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}
