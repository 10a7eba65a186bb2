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

/// Gives a booking the next number of `year`, the one that the receipt's date says. Fails with a unique violation of `receipts_` if another request was
/// quicker; its number is given back with the transaction.
pub async fn number(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
    issuer: &Issuer,
    (year, now): (i32, OffsetDateTime),
) -> Result<Numbered, sqlx::Error> {
    sqlx::query_as!(
        Numbered,
        r#"
        with counter as (
          insert into receipt_counters as c (organizer_id, year, last_number)
          values ($1, $5, 1)
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
        year,
    )
    .fetch_one(conn)
    .await
}

/// A line of a booking, in the words and at the tax rate of its sale.
#[derive(Debug, Clone)]
pub struct Line {
    pub name: String,
    pub quantity: i32,
    pub unit_price_minor: i64,
    pub unit_fee_minor: i64,
    pub unit_tax_minor: i64,
    pub tax_rate_bp: i32,
    /// Net, of one without its promo code.
    pub list_price_minor: i64,
    pub list_fee_minor: i64,
}

/// The lines of a booking.
pub async fn lines(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Vec<Line>, sqlx::Error> {
    sqlx::query_as!(
        Line,
        "select name, quantity, unit_price_minor, unit_fee_minor, unit_tax_minor, tax_rate_bp, list_price_minor,
                list_fee_minor
           from booking_lines where organizer_id = $1 and booking_id = $2 order by line",
        organizer_id,
        booking_id,
    )
    .fetch_all(conn)
    .await
}

/// The promo code that a booking was bought with, as it is spelt.
pub async fn promo_code(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    booking_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select p.code from booking_claims c
           join promo_codes p on p.organizer_id = c.organizer_id and p.promo_code_id = c.promo_code_id
          where c.organizer_id = $1 and c.booking_id = $2",
        organizer_id,
        booking_id,
    )
    .fetch_optional(conn)
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
    /// Of a row of tax: the rates in its booking as they were at the sale, in hundredths of a percent.
    pub tax_rates_bp: Option<String>,
}

/// The ledger of an event, as it was written.
pub async fn ledger(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<LedgerRow>, sqlx::Error> {
    sqlx::query_as!(
        LedgerRow,
        "select l.booked_at, l.entry_id, l.line, l.kind, l.booking_id, l.account, l.amount_minor, l.currency,
                (select string_agg(distinct y.tax_rate_bp::text, '+') from booking_lines y
                  where l.account = 'tax' and y.organizer_id = $1 and y.booking_id = l.booking_id
                    and y.unit_tax_minor <> 0) as tax_rates_bp
           from ledger l
          where l.organizer_id = $1 and l.event_id = $2
          order by l.booked_at, l.entry_id, l.line",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}
