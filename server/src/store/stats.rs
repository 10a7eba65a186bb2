//! Numbers of an event. Read in one snapshot, so that they fit each other.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::devices::number;
use crate::domain::ledger::Amounts;

/// One ticket type.
#[derive(Debug, Clone)]
pub struct Type {
    pub ticket_type_id: Uuid,
    pub number: u32,
    pub name: String,
    /// In bookings that are not paid yet.
    pub held: u64,
}

pub async fn types(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<Vec<Type>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select y.ticket_type_id, y.number, y.name,
                  coalesce((select sum(l.quantity) from booking_lines l
                              join bookings b on b.organizer_id = $1 and b.booking_id = l.booking_id and b.status = 'held'
                             where l.organizer_id = $1 and l.ticket_type_id = y.ticket_type_id), 0)::bigint as "held!"
             from ticket_types y
            where y.organizer_id = $1 and y.event_id = $2
            order by y.number"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Type {
                ticket_type_id: r.ticket_type_id,
                number: number(i64::from(r.number))?,
                name: r.name,
                held: number(r.held)?,
            })
        })
        .collect()
}

/// Tickets by their state, those left out that stand for another now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct States {
    pub valid: u64,
    pub blocked: u64,
    pub refunded: u64,
    pub canceled: u64,
    pub withdrawn: u64,
}

impl States {
    /// What is somebody's, whether it opens a door or not.
    #[must_use]
    pub const fn sold(self) -> u64 {
        self.valid + self.blocked
    }
}

/// The tickets of each type that has any.
pub async fn states(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<HashMap<Uuid, States>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select ticket_type_id, state, count(*) as "tickets!"
             from tickets
            where organizer_id = $1 and event_id = $2 and replaced_by is null
            group by ticket_type_id, state"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    let mut states: HashMap<Uuid, States> = HashMap::new();
    for row in rows {
        let of = states.entry(row.ticket_type_id).or_default();
        let state = match row.state.as_str() {
            "valid" => &mut of.valid,
            "blocked" => &mut of.blocked,
            "refunded" => &mut of.refunded,
            "canceled" => &mut of.canceled,
            "withdrawn" => &mut of.withdrawn,
            other => return Err(sqlx::Error::Decode(format!("a ticket is {other:?}").into())),
        };
        *state = number(row.tickets)?;
    }
    Ok(states)
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

/// Of these tickets, those of the event that are sold, by type.
pub async fn sold_of(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    tickets: &[Uuid],
) -> Result<Vec<(Uuid, u64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select t.ticket_type_id, count(*) as "n!"
             from unnest($3::uuid[]) as a (ticket_id)
             join tickets t on t.organizer_id = $1 and t.ticket_id = a.ticket_id
            where t.event_id = $2 and t.state in ('valid', 'blocked') and t.replaced_by is null
            group by t.ticket_type_id"#,
        organizer,
        event,
        tickets,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|r| Ok((r.ticket_type_id, number(r.n)?))).collect()
}

/// Money that moved, minor units of the event's currency.
#[derive(Debug, Clone, Copy)]
pub struct Revenue {
    pub payments_minor: i64,
    pub refunds_minor: i64,
}

/// What counts as money that moved is said here: payments that were captured, whatever became of them, and refunds that
/// were made.
pub async fn revenue(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<Revenue, sqlx::Error> {
    sqlx::query_as!(
        Revenue,
        r#"select coalesce(sum(amount_minor) filter (where kind = 'payment'), 0)::bigint as "payments_minor!",
                  coalesce(sum(amount_minor) filter (where kind = 'refund'), 0)::bigint as "refunds_minor!"
             from transactions
            where organizer_id = $1 and event_id = $2
              and (status = 'completed' or (kind = 'payment' and status = 'refunded'))"#,
        organizer,
        event,
    )
    .fetch_one(conn)
    .await
}

/// What one type was paid for, with its fees and taxes.
pub async fn payments_by_type(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<(Uuid, Amounts)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.ticket_type_id, sum(l.quantity * l.unit_price_minor)::bigint as "price!",
                  sum(l.quantity * l.unit_fee_minor)::bigint as "fee!", sum(l.quantity * l.unit_tax_minor)::bigint as "tax!"
             from transactions t
             join booking_lines l on l.organizer_id = $1 and l.booking_id = t.booking_id
            where t.organizer_id = $1 and t.event_id = $2 and t.kind = 'payment' and t.status in ('completed', 'refunded')
            group by l.ticket_type_id"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    let amounts = |price_minor, fee_minor, tax_minor| Amounts { price_minor, fee_minor, tax_minor };
    Ok(rows.into_iter().map(|r| (r.ticket_type_id, amounts(r.price, r.fee, r.tax))).collect())
}

/// What one type has to do with refunds: with one of several types (a row for each), or with all of its own.
#[derive(Debug, Clone)]
pub struct RefundShare {
    /// None: refunds of this type alone, summed up.
    pub refund_id: Option<Uuid>,
    pub ticket_type_id: Uuid,
    /// What went back with the refund, for all of its types.
    pub back: Amounts,
    /// What the refund's tickets of the type had cost.
    pub cost: Amounts,
}

/// A refund is of the types of its tickets; one of an amount and no ticket, of all types of its booking. By refund.
pub async fn refund_shares(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<RefundShare>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with shares as (
             select r.transaction_id, l.ticket_type_id, r.price_minor, r.fee_minor, r.tax_minor,
                    l.price * n.tickets / l.quantity as price, l.fee * n.tickets / l.quantity as fee,
                    l.tax * n.tickets / l.quantity as tax, count(*) over (partition by r.transaction_id) as types
               from transactions r
              cross join lateral (
                select ticket_type_id, sum(quantity)::bigint as quantity, sum(quantity * unit_price_minor)::bigint as price,
                       sum(quantity * unit_fee_minor)::bigint as fee, sum(quantity * unit_tax_minor)::bigint as tax
                  from booking_lines where organizer_id = $1 and booking_id = r.booking_id
                 group by ticket_type_id) l
              cross join lateral (
                select case count(*) when 0 then l.quantity
                            else count(*) filter (where t.ticket_type_id = l.ticket_type_id) end as tickets
                  from refund_tickets f
                  join tickets t on t.organizer_id = $1 and t.ticket_id = f.ticket_id
                 where f.organizer_id = $1 and f.refund_id = r.transaction_id) n
              where r.organizer_id = $1 and r.event_id = $2 and r.kind = 'refund' and r.status = 'completed'
                and n.tickets > 0)
           select case when types > 1 then transaction_id end as refund_id, ticket_type_id as "ticket_type_id!",
                  sum(price_minor)::bigint as "back_price!", sum(fee_minor)::bigint as "back_fee!",
                  sum(tax_minor)::bigint as "back_tax!", sum(price)::bigint as "price!", sum(fee)::bigint as "fee!",
                  sum(tax)::bigint as "tax!"
             from shares group by 1, 2 order by 1, 2"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    let amounts = |price_minor, fee_minor, tax_minor| Amounts { price_minor, fee_minor, tax_minor };
    Ok(rows
        .into_iter()
        .map(|r| RefundShare {
            refund_id: r.refund_id,
            ticket_type_id: r.ticket_type_id,
            back: amounts(r.back_price, r.back_fee, r.back_tax),
            cost: amounts(r.price, r.fee, r.tax),
        })
        .collect())
}

/// Attempts as stored, rehearsals left out and undone ones counted: what was done at the door.
#[derive(Debug, Clone)]
pub struct Attempts {
    pub device_id: Uuid,
    pub gate_id: Option<Uuid>,
    pub list_id: Option<Uuid>,
    pub type_no: Option<i32>,
    /// The outcome, of refusals alone.
    pub refused: Option<u8>,
    pub scans: u64,
    /// Arrived more than [`LATE_MS`] after they were made.
    pub late: u64,
    /// Corrected scan time of the newest, Unix milliseconds.
    pub newest_ms: i64,
}

/// All attempts of an event, by device, gate, list, type and reason of refusal.
pub async fn attempts(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<Attempts>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.device_id as "device_id!", gate_id, list_id, type_no, case when kind = 2 then outcome end as refused,
                  count(*) as "scans!", max(corrected_ms) as "newest_ms!",
                  count(*) filter (where floor(extract(epoch from received_at) * 1000) - corrected_ms > $3::bigint) as "late!"
             from device_logs l
            cross join lateral (
              select gate_id, list_id, type_no, kind, outcome, corrected_ms, received_at from scans
               where organizer_id = $1 and device_id = l.device_id and log_no = l.log_no
                 and not rehearsal and kind <= 3
              offset 0 -- log by log, by the key
            ) of_log
            where l.organizer_id = $1 and l.event_id = $2
            group by 1, 2, 3, 4, 5"#,
        organizer,
        event,
        LATE_MS,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Attempts {
                device_id: r.device_id,
                gate_id: r.gate_id,
                list_id: r.list_id,
                type_no: r.type_no,
                refused: r.refused.map(|n| number(i64::from(n))).transpose()?,
                scans: number(r.scans)?,
                late: number(r.late)?,
                newest_ms: r.newest_ms,
            })
        })
        .collect()
}

/// Names of an event's gates, archived ones too.
pub async fn gate_names(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select gate_id, name from gates where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.gate_id, r.name)).collect())
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

/// Scans as stored of one slot, list, gate, type and outcome.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Number of the slot since 1970, by the time at the door.
    pub slot: i64,
    pub list_id: Option<Uuid>,
    pub gate_id: Option<Uuid>,
    pub type_no: Option<i32>,
    /// The outcome, of refusals alone.
    pub refused: Option<u8>,
    pub scans: u64,
    /// Arrived more than [`LATE_MS`] after they were made.
    pub late: u64,
}

/// Attempts as [`attempts`] counts them, by slots of so many milliseconds.
pub async fn attempts_by_slot(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    slot_ms: i64,
) -> Result<Vec<Slot>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select floor(corrected_ms::numeric / $3::bigint)::bigint as "slot!", list_id, gate_id, type_no,
                  case when kind = 2 then outcome end as refused, count(*) as "scans!",
                  count(*) filter (where floor(extract(epoch from received_at) * 1000) - corrected_ms > $4::bigint) as "late!"
             from device_logs l
            cross join lateral (
              select corrected_ms, list_id, gate_id, type_no, kind, outcome, received_at from scans
               where organizer_id = $1 and device_id = l.device_id and log_no = l.log_no
                 and not rehearsal and kind <= 3
              offset 0 -- log by log, by the key
            ) of_log
            where l.organizer_id = $1 and l.event_id = $2
            group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5"#,
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
                type_no: r.type_no,
                refused: r.refused.map(|n| number(i64::from(n))).transpose()?,
                scans: number(r.scans)?,
                late: number(r.late)?,
            })
        })
        .collect()
}
