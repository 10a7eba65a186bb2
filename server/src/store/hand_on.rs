//! Changes of a ticket that gates must learn: a new generation, a new holder, a block, the end.
//! [`super::change::record`] must be the last statement of the same transaction.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ticket::ChangedTicket;
use crate::domain::ticket::Window;
use shared::ticket::MAX_GENERATION;

/// Whose a ticket is from now on.
#[derive(Debug, Clone)]
pub struct NewHolder<'a> {
    pub user_id: Option<Uuid>,
    /// SHA-256 of the secret in the mail.
    pub secret_hash: &'a [u8; 32],
    pub email: &'a str,
    pub name: Option<&'a str>,
}

/// A ticket with its new code's time.
#[derive(Debug, Clone)]
pub struct Reissued {
    pub ticket_id: Uuid,
    pub type_no: i32,
    pub generation: i16,
    pub state: String,
    /// Database clock, whole seconds.
    pub issued_at: OffsetDateTime,
}

impl Reissued {
    /// As gates must learn it.
    #[must_use]
    pub fn changed(&self) -> ChangedTicket {
        ChangedTicket {
            ticket_id: self.ticket_id,
            type_no: self.type_no,
            generation: self.generation,
            state: self.state.clone(),
        }
    }
}

/// What a new code will say beside its time.
#[derive(Debug, Clone, Copy)]
pub struct NewCode<'a> {
    pub kid: &'a [u8; 4],
    /// Of the type and event as they are now.
    pub window: Window,
}

/// Raises the generation of a valid ticket that still has `generation`. `None`: it changed meanwhile.
pub async fn reissue(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
    generation: i16,
    code: &NewCode<'_>,
) -> Result<Option<Reissued>, sqlx::Error> {
    sqlx::query_as!(
        Reissued,
        "update tickets set generation = generation + 1, kid = $4, issued_at = date_trunc('second', db_clock()),
                not_before = $5, expires_at = $6
          where organizer_id = $1 and ticket_id = $2 and generation = $3 and generation < 15 and state = 'valid'
         returning ticket_id, type_no, generation, state, issued_at",
        organizer_id,
        ticket_id,
        generation,
        &code.kid[..],
        code.window.not_before,
        code.window.expires_at,
    )
    .fetch_optional(conn)
    .await
}

/// The same, and it is somebody else's.
pub async fn transfer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
    generation: i16,
    code: &NewCode<'_>,
    to: &NewHolder<'_>,
    now: OffsetDateTime,
) -> Result<Option<Reissued>, sqlx::Error> {
    let done = sqlx::query_as!(
        Reissued,
        "update tickets set generation = generation + 1, kid = $4, issued_at = date_trunc('second', db_clock()),
                user_id = $5, booking_secret_hash = $6, holder_email = $7, attendee_name = $8, answers = '{}', transferred_at = $9,
                not_before = $10, expires_at = $11
          where organizer_id = $1 and ticket_id = $2 and generation = $3 and generation < 15 and state = 'valid'
         returning ticket_id, type_no, generation, state, issued_at",
        organizer_id,
        ticket_id,
        generation,
        &code.kid[..],
        to.user_id,
        &to.secret_hash[..],
        to.email,
        to.name,
        now,
        code.window.not_before,
        code.window.expires_at,
    )
    .fetch_optional(&mut *conn)
    .await?;
    if done.is_some() {
        note_for_user(conn, organizer_id, ticket_id, to.user_id, now).await?;
    }
    Ok(done)
}

async fn note_for_user(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
    user_id: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if let Some(user_id) = user_id {
        // So that the account finds the organizer; the booking itself stays closed to it.
        sqlx::query!(
            "insert into user_bookings (user_id, organizer_id, booking_id, created_at)
             select $3, $1, booking_id, $4 from tickets where organizer_id = $1 and ticket_id = $2
             on conflict do nothing",
            organizer_id,
            ticket_id,
            user_id,
            now,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Goes on under a new id: the ticket, valid and of the last generation there is, is withdrawn, and `new_id` is what it
/// was, with its first code; of `to` if that is somebody. The place that it takes is the same. `None`: it changed
/// meanwhile. The withdrawn one follows [`Reissued::changed`] into the manifest: [`withdrawn`].
pub async fn replace(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    (ticket_id, new_id): (Uuid, Uuid),
    code: &NewCode<'_>,
    to: Option<&NewHolder<'_>>,
    now: OffsetDateTime,
) -> Result<Option<Reissued>, sqlx::Error> {
    let done = sqlx::query_as!(
        Reissued,
        "with gone as (
           update tickets
              set state = 'withdrawn', block_reason = null, replaced_by = $3,
                  user_id = case when $7 then $8 else user_id end,
                  booking_secret_hash = case when $7 then $9 else booking_secret_hash end,
                  holder_email = case when $7 then $10 else holder_email end,
                  attendee_name = case when $7 then $11 else attendee_name end,
                  answers = case when $7 then '{}' else answers end,
                  transferred_at = case when $7 then $12 else transferred_at end
            where organizer_id = $1 and ticket_id = $2 and generation = 15 and state = 'valid'
           returning *
         )
         insert into tickets (organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no, user_id,
                              booking_secret_hash, attendee_name, answers, holder_email, transferred_at, kid, issued_at,
                              not_before, expires_at)
         select organizer_id, $3, event_id, booking_id, ticket_type_id, type_no, user_id, booking_secret_hash, attendee_name,
                answers, holder_email, transferred_at, $4, date_trunc('second', db_clock()), $5, $6
           from gone
         returning ticket_id, type_no, generation, state, issued_at",
        organizer_id,
        ticket_id,
        new_id,
        &code.kid[..],
        code.window.not_before,
        code.window.expires_at,
        to.is_some(),
        to.and_then(|to| to.user_id),
        to.map(|to| &to.secret_hash[..]),
        to.map(|to| to.email),
        to.and_then(|to| to.name),
        to.map(|_| now),
    )
    .fetch_optional(&mut *conn)
    .await?;
    if done.is_some() {
        note_for_user(conn, organizer_id, new_id, to.and_then(|to| to.user_id), now).await?;
    }
    Ok(done)
}

/// A ticket that another took the place of, as gates must learn it.
#[must_use]
pub fn withdrawn(ticket_id: Uuid, type_no: i32) -> ChangedTicket {
    let generation = i16::from(MAX_GENERATION);
    ChangedTicket { ticket_id, type_no, generation, state: "withdrawn".to_owned() }
}

/// Stops a valid ticket. `None`: it is not valid (any more).
pub async fn block(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<Option<ChangedTicket>, sqlx::Error> {
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'blocked', block_reason = 'organizer'
          where organizer_id = $1 and ticket_id = $2 and state = 'valid'
         returning ticket_id, type_no, generation, state",
        organizer_id,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// Lets a ticket in again that the organizer stopped. `None`: there is none such, or a refund of it is on its way.
/// Locks the booking first, as refunds do.
pub async fn unblock(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<Option<ChangedTicket>, sqlx::Error> {
    // A statement of its own: what another refund has written is seen by the next one.
    sqlx::query!(
        "select b.booking_id
           from tickets t join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
          where t.organizer_id = $1 and t.ticket_id = $2
            for no key update of b",
        organizer_id,
        ticket_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    sqlx::query_as!(
        ChangedTicket,
        "update tickets set state = 'valid', block_reason = null
          where organizer_id = $1 and ticket_id = $2 and state = 'blocked' and block_reason = 'organizer'
            and not exists (
              select from refund_tickets r
                join transactions f on f.organizer_id = r.organizer_id and f.transaction_id = r.refund_id
               where r.organizer_id = $1 and r.ticket_id = $2 and f.kind = 'refund' and f.status = 'pending')
         returning ticket_id, type_no, generation, state",
        organizer_id,
        ticket_id,
    )
    .fetch_optional(conn)
    .await
}

/// Revokes a ticket for good and gives its place back. `None`: it was not valid, nor stopped by the organizer.
/// Locks as refunds do: the booking, then the quota, then the ticket.
pub async fn withdraw(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<Option<ChangedTicket>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with mine as materialized (
          select b.booking_id, t.ticket_type_id
            from tickets t join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
           where t.organizer_id = $1 and t.ticket_id = $2
             for update of b
        ), room as materialized (
          select q.quota_id from quotas q
           where q.organizer_id = $1 and q.quota_id in (
             select l.quota_id from booking_lines l join mine
                 on mine.booking_id = l.booking_id and mine.ticket_type_id = l.ticket_type_id
              where l.organizer_id = $1)
             for no key update of q
        ), gone as (
          update tickets t set state = 'withdrawn', block_reason = null
            from mine
           where t.organizer_id = $1 and t.ticket_id = $2
             and (t.state = 'valid' or (t.state = 'blocked' and t.block_reason = 'organizer'))
          returning t.ticket_id, t.type_no, t.generation, t.state
        ), given as (
          update quotas q set sold = q.sold - 1
            from room, gone
           where q.organizer_id = $1 and q.quota_id = room.quota_id
          returning q.quota_id
        )
        select gone.ticket_id, gone.type_no, gone.generation, gone.state,
               (select count(*) from given) as "given!"
          from gone
        "#,
        organizer_id,
        ticket_id,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.given != 1 {
        return Err(sqlx::Error::Protocol(format!("a withdrawn ticket gave {} places back", row.given)));
    }
    Ok(Some(ChangedTicket {
        ticket_id: row.ticket_id,
        type_no: row.type_no,
        generation: row.generation,
        state: row.state,
    }))
}

/// Whom mails about a ticket reach.
pub async fn address(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        "select coalesce(t.holder_email, case when t.transferred_at is null then b.email end)
           from tickets t join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
          where t.organizer_id = $1 and t.ticket_id = $2",
        organizer_id,
        ticket_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.flatten())
}

/// Whom mails of a guest's secret reach: of the booking, or of a ticket that was handed on; under the organizer's
/// context.
pub async fn address_of_secret(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    secret_hash: &[u8; 32],
) -> Result<Option<String>, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"select coalesce(
             (select email from bookings where organizer_id = $1 and booking_secret_hash = $2 limit 1),
             (select holder_email from tickets
               where organizer_id = $1 and booking_secret_hash = $2 and transferred_at is not null limit 1)) as email"#,
        organizer_id,
        &secret_hash[..],
    )
    .fetch_one(conn)
    .await?;
    Ok(found)
}
