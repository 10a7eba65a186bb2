//! Numbers of an event. Read in one snapshot, so that they fit each other.

use sqlx::PgConnection;
use uuid::Uuid;

use super::devices::number;

/// One ticket type.
#[derive(Debug, Clone)]
pub struct TypeCounts {
    pub ticket_type_id: Uuid,
    pub number: u32,
    pub name: String,
    pub valid: u64,
    pub blocked: u64,
    pub refunded: u64,
    pub canceled: u64,
    pub withdrawn: u64,
    /// In bookings that are not paid yet.
    pub held: u64,
}

pub async fn tickets(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<TypeCounts>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select y.ticket_type_id, y.number, y.name,
                  count(t.ticket_id) filter (where t.state = 'valid') as "valid!",
                  count(t.ticket_id) filter (where t.state = 'blocked') as "blocked!",
                  count(t.ticket_id) filter (where t.state = 'refunded') as "refunded!",
                  count(t.ticket_id) filter (where t.state = 'canceled') as "canceled!",
                  count(t.ticket_id) filter (where t.state = 'withdrawn') as "withdrawn!",
                  coalesce((select sum(l.quantity) from booking_lines l
                              join bookings b on b.organizer_id = $1 and b.booking_id = l.booking_id and b.status = 'held'
                             where l.organizer_id = $1 and l.ticket_type_id = y.ticket_type_id), 0)::bigint as "held!"
             from ticket_types y
             left join tickets t on t.organizer_id = $1 and t.event_id = $2 and t.ticket_type_id = y.ticket_type_id
                              and t.replaced_by is null
            where y.organizer_id = $1 and y.event_id = $2
            group by y.ticket_type_id, y.number, y.name
            order by y.number"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(TypeCounts {
                ticket_type_id: r.ticket_type_id,
                number: number(i64::from(r.number))?,
                name: r.name,
                valid: number(r.valid)?,
                blocked: number(r.blocked)?,
                refunded: number(r.refunded)?,
                canceled: number(r.canceled)?,
                withdrawn: number(r.withdrawn)?,
                held: number(r.held)?,
            })
        })
        .collect()
}

/// Places of an event, over all its quotas.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub capacity: u64,
    pub held: u64,
    pub sold: u64,
}

pub async fn places(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<Places, sqlx::Error> {
    let row = sqlx::query!(
        r#"select coalesce(sum(capacity), 0)::bigint as "capacity!", coalesce(sum(held), 0)::bigint as "held!",
                  coalesce(sum(sold), 0)::bigint as "sold!"
             from quotas where organizer_id = $1 and event_id = $2"#,
        organizer,
        event,
    )
    .fetch_one(conn)
    .await?;
    Ok(Places { capacity: number(row.capacity)?, held: number(row.held)?, sold: number(row.sold)? })
}

/// Money that moved, minor units of the event's currency.
#[derive(Debug, Clone)]
pub struct Revenue {
    pub currency: String,
    pub payments_minor: i64,
    pub refunds_minor: i64,
}

pub async fn revenue(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<Revenue>, sqlx::Error> {
    sqlx::query_as!(
        Revenue,
        r#"select e.currency,
                  coalesce((select sum(amount_minor) from transactions t
                             where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'payment'
                               and t.status in ('completed', 'refunded')), 0)::bigint as "payments_minor!",
                  coalesce((select sum(amount_minor) from transactions t
                             where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'refund'
                               and t.status = 'completed'), 0)::bigint as "refunds_minor!"
             from events e where e.organizer_id = $1 and e.event_id = $2"#,
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await
}

/// Scans of one gate as stored, rehearsals left out.
#[derive(Debug, Clone)]
pub struct GateCounts {
    pub gate_id: Option<Uuid>,
    pub name: Option<String>,
    pub entries: u64,
    pub exits: u64,
    pub overrides: u64,
    pub refusals: u64,
}

/// Attempts by gate, undone ones included: what was done there.
pub async fn scans_by_gate(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<GateCounts>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select s.gate_id, g.name as "name?", s.entries as "entries!", s.exits as "exits!", s.overrides as "overrides!",
                  s.refusals as "refusals!"
             from (
               select gate_id, count(*) filter (where kind = 0) as entries, count(*) filter (where kind = 1) as exits,
                      count(*) filter (where kind = 2) as refusals, count(*) filter (where kind = 3) as overrides
                 from device_logs l
                cross join lateral (
                  select gate_id, kind from scans
                   where organizer_id = $1 and device_id = l.device_id and log_no = l.log_no
                     and not rehearsal and kind <= 3
                  offset 0 -- log by log, by the key
                ) of_log
                where l.organizer_id = $1 and l.event_id = $2
                group by gate_id) s
             left join gates g on g.organizer_id = $1 and g.gate_id = s.gate_id
            order by g.name nulls last, s.gate_id"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(GateCounts {
                gate_id: r.gate_id,
                name: r.name,
                entries: number(r.entries)?,
                exits: number(r.exits)?,
                overrides: number(r.overrides)?,
                refusals: number(r.refusals)?,
            })
        })
        .collect()
}

// Over time ---------------------------------------------------------------------------------------

/// Sales are summed up by quarters of an hour since 1970: every time zone's days begin with one.
pub const QUARTER_SECS: i64 = 900;
/// A scan that arrives later than this was made without a connection.
pub const LATE_MS: i64 = 120_000;

/// The event's currency and time zone.
pub async fn currency_and_zone(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query!(
        "select currency, time_zone from events where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.currency, r.time_zone)))
}

/// Sales of one type in a quarter of an hour.
#[derive(Debug, Clone)]
pub struct SalesQuarter {
    pub quarter: i64,
    pub ticket_type_id: Uuid,
    /// Valid or blocked now.
    pub sold: u64,
    /// Refunds completed then.
    pub refunded: u64,
    pub booked_minor: i64,
}

pub async fn sales_by_quarter(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<SalesQuarter>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select floor(extract(epoch from s.at) / 900)::bigint as "quarter!", s.ticket_type_id as "ticket_type_id!",
                  sum(s.sold)::bigint as "sold!", sum(s.refunded)::bigint as "refunded!", sum(s.booked)::bigint as "booked!"
             from (
               select coalesce(b.paid_at, b.created_at) as at, t.ticket_type_id,
                      (t.state in ('valid', 'blocked'))::int as sold, 0 as refunded, 0::bigint as booked
                 from tickets t
                 join bookings b on b.organizer_id = $1 and b.booking_id = t.booking_id
                where t.organizer_id = $1 and t.event_id = $2
               union all
               select r.completed_at, t.ticket_type_id, 0, 1, 0
                 from transactions r
                 join refund_tickets rt on rt.organizer_id = $1 and rt.refund_id = r.transaction_id
                 join tickets t on t.organizer_id = $1 and t.ticket_id = rt.ticket_id
                where r.organizer_id = $1 and r.event_id = $2 and r.kind = 'refund' and r.status = 'completed'
               union all
               select b.paid_at, l.ticket_type_id, 0, 0,
                      l.quantity * (l.unit_price_minor + l.unit_fee_minor + l.unit_tax_minor)
                 from bookings b
                 join booking_lines l on l.organizer_id = $1 and l.booking_id = b.booking_id
                where b.organizer_id = $1 and b.event_id = $2 and b.paid_at is not null) s
            where s.at is not null
            group by 1, 2 order by 1, 2"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(SalesQuarter {
                quarter: r.quarter,
                ticket_type_id: r.ticket_type_id,
                sold: number(r.sold)?,
                refunded: number(r.refunded)?,
                booked_minor: r.booked,
            })
        })
        .collect()
}

/// Money that moved in a quarter of an hour.
#[derive(Debug, Clone)]
pub struct MoneyQuarter {
    pub quarter: i64,
    pub payments_minor: i64,
    pub refunds_minor: i64,
}

/// By the same conditions as [`revenue`].
pub async fn money_by_quarter(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<MoneyQuarter>, sqlx::Error> {
    sqlx::query_as!(
        MoneyQuarter,
        r#"select floor(extract(epoch from coalesce(completed_at, created_at)) / 900)::bigint as "quarter!",
                  coalesce(sum(amount_minor) filter (where kind = 'payment'), 0)::bigint as "payments_minor!",
                  coalesce(sum(amount_minor) filter (where kind = 'refund'), 0)::bigint as "refunds_minor!"
             from transactions
            where organizer_id = $1 and event_id = $2
              and (status = 'completed' or (kind = 'payment' and status = 'refunded'))
            group by 1 order by 1"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await
}

/// Scans as stored of one slot, list, gate and outcome.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Number of the slot since 1970, by the time at the door.
    pub slot: i64,
    pub list_id: Option<Uuid>,
    pub gate_id: Option<Uuid>,
    /// The outcome, of refusals alone.
    pub refused: Option<u8>,
    pub scans: u64,
    /// Arrived more than [`LATE_MS`] after they were made.
    pub late: u64,
}

/// Attempts as [`scans_by_gate`] counts them, by slots of so many milliseconds.
pub async fn attempts_by_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    slot_ms: i64,
) -> Result<Vec<Slot>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select floor(corrected_ms::numeric / $3::bigint)::bigint as "slot!", list_id, gate_id,
                  case when kind = 2 then outcome end as refused, count(*) as "scans!",
                  count(*) filter (where floor(extract(epoch from received_at) * 1000) - corrected_ms > $4::bigint) as "late!"
             from device_logs l
            cross join lateral (
              select corrected_ms, list_id, gate_id, kind, outcome, received_at from scans
               where organizer_id = $1 and device_id = l.device_id and log_no = l.log_no
                 and not rehearsal and kind <= 3
              offset 0 -- log by log, by the key
            ) of_log
            where l.organizer_id = $1 and l.event_id = $2
            group by 1, 2, 3, 4 order by 1, 2, 3, 4"#,
        organizer,
        event,
        slot_ms,
        LATE_MS,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Slot {
                slot: r.slot,
                list_id: r.list_id,
                gate_id: r.gate_id,
                refused: r.refused.map(|n| number(i64::from(n))).transpose()?,
                scans: number(r.scans)?,
                late: number(r.late)?,
            })
        })
        .collect()
}
