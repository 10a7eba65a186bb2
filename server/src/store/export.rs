//! Rows of an event for spreadsheets, in pages: each begins after the last key of the page before.
//!
//! What counts as sold, held or earned is said by the same conditions as in [`super::stats`], in columns of their own: a
//! spreadsheet that sums them up arrives at the statistics.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Words for `scans.kind`.
pub const KINDS: [&str; 6] = ["entry", "exit", "refuse", "override", "undo", "fork"];

/// A booking.
#[derive(Debug, Clone)]
pub struct BookingRow {
    pub booking_id: Uuid,
    pub created_at: OffsetDateTime,
    pub paid_at: Option<OffsetDateTime>,
    pub closed_at: Option<OffsetDateTime>,
    pub status: String,
    pub email: Option<String>,
    pub places: i64,
    /// Places that are held.
    pub held: i64,
    pub price_minor: i64,
    pub fee_minor: i64,
    pub tax_minor: i64,
    pub total_minor: i64,
    pub refunded_minor: i64,
    pub currency: String,
}

/// Oldest first.
pub async fn bookings(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<BookingRow>, sqlx::Error> {
    sqlx::query_as!(
        BookingRow,
        r#"select b.booking_id, b.created_at, b.paid_at, b.closed_at, b.status, b.email, l.places as "places!",
                  case when b.status = 'held' then l.places else 0 end as "held!",
                  b.price_minor, b.fee_minor, b.tax_minor, b.total_minor, b.refunded_minor, b.currency
             from bookings b
            cross join lateral (
              select coalesce(sum(quantity), 0)::bigint as places from booking_lines
               where organizer_id = $1 and booking_id = b.booking_id) l
            where b.organizer_id = $1 and b.event_id = $2
              and ($3::timestamptz is null or (b.created_at, b.booking_id) > ($3, $4::uuid))
            order by b.created_at, b.booking_id
            limit $5"#,
        organizer,
        event,
        after.map(|(at, _)| at),
        after.map(|(_, id)| id),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A ticket.
#[derive(Debug, Clone)]
pub struct TicketRow {
    pub ticket_id: Uuid,
    pub booking_id: Uuid,
    pub type_no: i32,
    pub ticket_type: String,
    pub state: String,
    /// Valid or blocked.
    pub sold: bool,
    pub attendee_name: Option<String>,
    pub email: Option<String>,
    pub issued_at: OffsetDateTime,
}

/// By id.
pub async fn tickets(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<TicketRow>, sqlx::Error> {
    sqlx::query_as!(
        TicketRow,
        r#"select t.ticket_id, t.booking_id, t.type_no, y.name as ticket_type, t.state,
                  t.state in ('valid', 'blocked') as "sold!", t.attendee_name,
                  coalesce(t.holder_email, b.email) as email, t.issued_at
             from tickets t
             join ticket_types y on y.organizer_id = t.organizer_id and y.ticket_type_id = t.ticket_type_id
             join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
            where t.organizer_id = $1 and t.event_id = $2 and ($3::uuid is null or t.ticket_id > $3)
            order by t.ticket_id
            limit $4"#,
        organizer,
        event,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A movement of money.
#[derive(Debug, Clone)]
pub struct TransactionRow {
    pub transaction_id: Uuid,
    pub booking_id: Uuid,
    pub created_at: OffsetDateTime,
    pub completed_at: Option<OffsetDateTime>,
    pub kind: String,
    pub status: String,
    pub provider: String,
    pub provider_ref: Option<String>,
    pub amount_minor: i64,
    /// What it adds to the net revenue: a payment that was captured, or a refund that was made, which is negative.
    pub net_minor: i64,
    pub currency: String,
    pub reason: Option<String>,
    pub failure_code: Option<String>,
}

/// Oldest first.
pub async fn transactions(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    sqlx::query_as!(
        TransactionRow,
        r#"select transaction_id, booking_id, created_at, completed_at, kind, status, provider, provider_ref, amount_minor,
                  case when kind = 'payment' and status in ('completed', 'refunded') then amount_minor
                       when kind = 'refund' and status = 'completed' then -amount_minor
                       else 0 end as "net_minor!",
                  currency, reason, failure_code
             from transactions
            where organizer_id = $1 and event_id = $2
              and ($3::timestamptz is null or (created_at, transaction_id) > ($3, $4::uuid))
            order by created_at, transaction_id
            limit $5"#,
        organizer,
        event,
        after.map(|(at, _)| at),
        after.map(|(_, id)| id),
        limit,
    )
    .fetch_all(conn)
    .await
}

/// A device that may have scanned.
#[derive(Debug, Clone)]
pub struct Scanner {
    pub device_id: Uuid,
    pub number: i64,
    pub label: String,
}

/// By number; the server's own is 0.
pub async fn devices(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<Scanner>, sqlx::Error> {
    sqlx::query_as!(
        Scanner,
        "select device_id, number, label from devices where organizer_id = $1 and event_id = $2 order by number",
        organizer,
        event,
    )
    .fetch_all(conn)
    .await
}

/// An entry of a device's log, without what only machines read.
#[derive(Debug, Clone)]
pub struct ScanRow {
    pub log_no: i64,
    pub seq: i64,
    pub entry_hash: Vec<u8>,
    pub kind: i16,
    pub outcome: i16,
    pub list_id: Option<Uuid>,
    pub list: Option<String>,
    pub gate_id: Option<Uuid>,
    pub gate: Option<String>,
    pub ticket_id: Option<Uuid>,
    pub ticket_type: Option<String>,
    pub steward: Option<String>,
    pub outward: bool,
    pub rehearsal: bool,
    pub corrected_ms: i64,
    pub error_ms: i64,
    pub received_at: OffsetDateTime,
    /// From the scan to its arrival here. A device may claim any time: nothing overflows.
    pub delay_ms: i64,
}

/// One device's entries, in the order of its log.
pub async fn scans(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    device: Uuid,
    after: Option<(i64, i64, Vec<u8>)>,
    limit: i64,
) -> Result<Vec<ScanRow>, sqlx::Error> {
    let (log_no, seq, hash) = after.unwrap_or((-1, 0, Vec::new()));
    sqlx::query_as!(
        ScanRow,
        r#"select s.log_no, s.seq, s.entry_hash, s.kind, s.outcome, s.list_id, l.name as "list?", s.gate_id, g.name as "gate?",
                  s.ticket_id, y.name as "ticket_type?", w.label as "steward?", s.outward, s.rehearsal, s.corrected_ms,
                  s.error_ms, s.received_at,
                  least(greatest(floor(extract(epoch from s.received_at) * 1000) - s.corrected_ms, -9e18), 9e18)::bigint
                    as "delay_ms!"
             from scans s
             left join checkin_lists l on l.organizer_id = $1 and l.list_id = s.list_id
             left join gates g on g.organizer_id = $1 and g.gate_id = s.gate_id
             left join ticket_types y on y.organizer_id = $1 and y.event_id = $2 and y.number = s.type_no
             left join stewards w on w.organizer_id = $1 and w.steward_id = s.staff_id
            where s.organizer_id = $1 and s.event_id = $2 and s.device_id = $3
              and (s.log_no, s.seq, s.entry_hash) > ($4, $5, $6::bytea)
            order by s.log_no, s.seq, s.entry_hash
            limit $7"#,
        organizer,
        event,
        device,
        log_no,
        seq,
        &hash[..],
        limit,
    )
    .fetch_all(conn)
    .await
}
