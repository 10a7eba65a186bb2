//! Sums of the books of an event. All of one snapshot: they fit each other.

use sqlx::PgConnection;
use uuid::Uuid;

/// What stands on an account.
#[derive(Debug, Clone)]
pub struct AccountSum {
    /// `provider:NAME`, `sales`, `fees` or `tax`.
    pub account: String,
    /// `payment` or `refund`.
    pub kind: String,
    pub amount_minor: i64,
    pub entries: i64,
}

/// The event's accounts, by kind of movement.
pub async fn by_account(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<AccountSum>, sqlx::Error> {
    sqlx::query_as!(
        AccountSum,
        r#"select account, kind, sum(amount_minor)::bigint as "amount_minor!", count(*) as "entries!"
             from ledger where organizer_id = $1 and event_id = $2
            group by account, kind order by account, kind"#,
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// The same money as bookings and movements tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookingSums {
    /// Bookings that were ever paid.
    pub bookings: i64,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax_minor: i64,
    /// What codes saved their buyers.
    pub discount_minor: i64,
    /// Money that arrived, late payments too.
    pub captured_minor: i64,
    /// Money that went back.
    pub refunded_minor: i64,
}

/// Sums over the event's bookings and movements.
pub async fn of_bookings(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<BookingSums, sqlx::Error> {
    sqlx::query_as!(
        BookingSums,
        r#"select count(*) as "bookings!", coalesce(sum(b.price_minor), 0)::bigint as "price_minor!",
                  coalesce(sum(b.fee_minor), 0)::bigint as "fee_minor!",
                  coalesce(sum(b.tax_minor), 0)::bigint as "tax_minor!",
                  coalesce(sum(c.discount_minor), 0)::bigint as "discount_minor!",
                  (select coalesce(sum(t.amount_minor), 0) from transactions t
                    where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'payment'
                      and t.status in ('completed', 'refunded'))::bigint as "captured_minor!",
                  (select coalesce(sum(t.amount_minor), 0) from transactions t
                    where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'refund'
                      and t.status = 'completed')::bigint as "refunded_minor!"
             from bookings b
             left join booking_claims c on c.organizer_id = b.organizer_id and c.booking_id = b.booking_id
            where b.organizer_id = $1 and b.event_id = $2 and b.paid_at is not null"#,
        organizer_id,
        event_id,
    )
    .fetch_one(conn)
    .await
}
