//! Turning paid (or free) holds into tickets: one statement for many bookings of one event.
//! [`super::change::record`] must be the last statement of the same transaction.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// A booking whose money is there.
#[derive(Debug, Clone, Serialize)]
pub struct NewIssue {
    pub booking_id: Uuid,
    /// The pending payment that is complete; none if the booking is free.
    pub transaction_id: Option<Uuid>,
    pub provider_ref: Option<String>,
    pub audit_id: Uuid,
    pub actor_kind: &'static str,
    pub actor_id: Option<Uuid>,
    pub request_id: Option<String>,
    #[serde(skip)]
    pub tickets: Vec<NewTicket>,
    #[serde(skip)]
    pub ledger: Vec<NewLedgerLine>,
}

/// A ticket of it.
#[derive(Debug, Clone, Serialize)]
pub struct NewTicket {
    pub ticket_id: Uuid,
    pub booking_id: Uuid,
    pub ticket_type_id: Uuid,
    pub type_no: i32,
    /// The n-th of its type in the booking.
    pub place: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A line of its ledger entry.
#[derive(Debug, Clone, Serialize)]
pub struct NewLedgerLine {
    pub entry_id: Uuid,
    pub line: i16,
    pub booking_id: Uuid,
    pub account: String,
    pub amount_minor: i64,
}

/// What was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Those of the asked bookings that were held and had their payment pending.
    pub bookings: Vec<Uuid>,
    /// Database clock, whole seconds: what their codes say.
    pub issued_at: OffsetDateTime,
    /// Quotas of which this sold the last.
    pub sold_out: Vec<Uuid>,
    /// Somebody is told of it (`webhooks::facts`).
    pub has_listeners: bool,
}

/// Issues those of `issues` that are held and whose payment is pending; leaves the others alone.
/// `kid` names the event's ticket key.
pub async fn issue(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    kid: &[u8; 4],
    issues: &[NewIssue],
    now: OffsetDateTime,
) -> Result<Issued, sqlx::Error> {
    let tickets: Vec<&NewTicket> = issues.iter().flat_map(|i| &i.tickets).collect();
    let ledger: Vec<&NewLedgerLine> = issues.iter().flat_map(|i| &i.ledger).collect();
    let row = sqlx::query!(
        r#"
        with stamp as materialized (
          select date_trunc('second', db_clock()) as issued_at
        ), wanted as (
          select * from jsonb_to_recordset($5) as w(
            booking_id uuid, transaction_id uuid, provider_ref text, audit_id uuid, actor_kind text,
            actor_id uuid, request_id text)
        ), mine as materialized (
          select b.booking_id, b.user_id, b.booking_secret_hash, b.currency, b.total_minor
            from bookings b join wanted w on w.booking_id = b.booking_id
           where b.organizer_id = $1 and b.event_id = $2 and b.status = 'held'
             and case when w.transaction_id is null then b.total_minor = 0
                      else exists (select from transactions t
                                    where t.organizer_id = $1 and t.transaction_id = w.transaction_id
                                      and t.booking_id = b.booking_id and t.kind = 'payment'
                                      and t.status = 'pending' and t.amount_minor = b.total_minor) end
           order by b.booking_id
             for update of b
        ), need as (
          select l.quota_id, sum(l.quantity)::integer as n
            from booking_lines l join mine on mine.booking_id = l.booking_id
           where l.organizer_id = $1
           group by l.quota_id
        ), room as materialized (
          select q.quota_id, need.n
            from quotas q join need on need.quota_id = q.quota_id
           where q.organizer_id = $1
           order by q.quota_id
             for no key update of q
        ), moved as (
          update quotas q set held = q.held - room.n, sold = q.sold + room.n
            from room
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning room.n, q.quota_id, q.sold = q.capacity as is_last
        ), paid as (
          update bookings b set status = 'paid', paid_at = $4, payment_until = null
            from mine
           where b.organizer_id = $1 and b.booking_id = mine.booking_id and b.status = 'held'
          returning b.booking_id
        ), settled as (
          update transactions t set status = 'completed', completed_at = $4, provider_ref = w.provider_ref,
                                    next_attempt_at = null, action_sealed = null
            from wanted w join mine on mine.booking_id = w.booking_id
           where t.organizer_id = $1 and t.transaction_id = w.transaction_id and t.status = 'pending'
          returning t.transaction_id
        ), made as (
          insert into tickets (organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, user_id,
                               booking_secret_hash, attendee_name, answers, kid, issued_at, not_before, expires_at)
          select $1, n.ticket_id, $2, n.booking_id, n.ticket_type_id, n.type_no, mine.user_id,
                 mine.booking_secret_hash, a.name, coalesce(a.answers, '{}'), $3, stamp.issued_at, n.not_before, n.expires_at
            from jsonb_to_recordset($6) as n(ticket_id uuid, booking_id uuid, ticket_type_id uuid, type_no integer, place integer,
                                             not_before timestamptz, expires_at timestamptz)
            join mine on mine.booking_id = n.booking_id
            left join booking_attendees a on a.organizer_id = $1 and a.booking_id = n.booking_id
                                         and a.ticket_type_id = n.ticket_type_id and a.place = n.place
            cross join stamp
          returning ticket_id
        ), said as (
          delete from booking_attendees a using mine
           where a.organizer_id = $1 and a.booking_id = mine.booking_id
          returning a.place
        ), entries as materialized (
          select e.*, sum(e.amount_minor) over (partition by e.entry_id) as balance
            from jsonb_to_recordset($7) as e(entry_id uuid, line smallint, booking_id uuid, account text,
                                             amount_minor bigint)
        ), entered as (
          insert into ledger (organizer_id, entry_id, line, booking_id, event_id, kind, account, amount_minor,
                              currency, booked_at)
          select $1, e.entry_id, e.line, e.booking_id, $2, 'payment', e.account, e.amount_minor, mine.currency, $4
            from entries e join mine on mine.booking_id = e.booking_id
           where e.balance = 0
          returning entry_id
        ), audited as (
          insert into audit (organizer_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id,
                             request_id)
          select $1, w.audit_id, $4, w.actor_kind, w.actor_id, 'booking.paid', 'booking', w.booking_id, w.request_id
            from wanted w join mine on mine.booking_id = w.booking_id
          returning audit_id
        )
        select stamp.issued_at as "issued_at!",
               array(select booking_id from paid) as "bookings!",
               array(select quota_id from moved where is_last) as "sold_out!",
               exists (select from webhook_endpoints where organizer_id = $1) as "has_listeners!",
               (select coalesce(sum(n), 0) from moved) as "moved!", (select count(*) from made) as "made!",
               (select count(*) from entered) as "entered!", (select count(*) from settled) as "settled!",
               (select count(*) from wanted w join mine on mine.booking_id = w.booking_id
                 where w.transaction_id is not null) as "payments!",
               (select count(*) from entries e join mine on mine.booking_id = e.booking_id) as "entries!"
          from stamp
        "#,
        organizer_id,
        event_id,
        kid.as_slice(),
        now,
        Json(issues) as _,
        Json(tickets) as _,
        Json(ledger) as _,
    )
    .fetch_one(conn)
    .await?;
    // A payment that ended while its booking's row was waited for was still pending as this statement began.
    if row.moved != row.made || row.entered != row.entries || row.settled != row.payments {
        return Err(sqlx::Error::Protocol(format!(
            "issuing moved {} places for {} tickets, booked {} of {} ledger lines and settled {} of {} payments",
            row.moved, row.made, row.entered, row.entries, row.settled, row.payments
        )));
    }
    Ok(Issued {
        bookings: row.bookings,
        issued_at: row.issued_at,
        sold_out: row.sold_out,
        has_listeners: row.has_listeners,
    })
}
