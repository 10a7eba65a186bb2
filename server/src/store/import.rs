//! Tickets that others sold: taking a list in, and undoing that. Under the lock of the event's row.
//! [`super::change::record`] must be the last statement of the same transaction.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::ticket::ChangedTicket;

/// A list that was taken in.
#[derive(Debug, Clone)]
pub struct Import {
    pub import_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    pub tickets: i32,
    pub state: String,
    pub created_by: Uuid,
    pub created_at: OffsetDateTime,
    pub undone_at: Option<OffsetDateTime>,
}

/// A list to take in.
#[derive(Debug, Clone)]
pub struct NewImport<'a> {
    pub import_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    /// Of the booking, which nobody is told.
    pub secret_hash: &'a [u8; 32],
    pub created_by: Uuid,
    pub lines: &'a [NewImportLine],
    pub tickets: &'a [NewImported],
}

/// Tickets of one type in it.
#[derive(Debug, Clone, Serialize)]
pub struct NewImportLine {
    pub line: i16,
    pub ticket_type_id: Uuid,
    pub quota_id: Uuid,
    pub quantity: i32,
}

/// One ticket of it.
#[derive(Debug, Clone, Serialize)]
pub struct NewImported {
    pub ticket_id: Uuid,
    pub ticket_type_id: Uuid,
    pub type_no: i32,
    pub name: Option<String>,
    pub email: Option<String>,
    pub reference: Option<String>,
    /// Hex.
    pub barcode_sealed: String,
    #[serde(with = "time::serde::rfc3339::option")]
    pub not_before: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A ticket that was imported before.
#[derive(Debug, Clone)]
pub struct Before {
    pub ticket_id: Uuid,
    /// Its import was undone while it was valid, and nobody has stopped it since: it may be taken in again.
    pub undone: bool,
    pub state: String,
}

/// Those of these tickets that were imported before.
pub async fn before(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    tickets: &[Uuid],
) -> Result<Vec<Before>, sqlx::Error> {
    sqlx::query_as!(
        Before,
        "select i.ticket_id, i.undone, t.state from imported_tickets i
           join tickets t on t.organizer_id = i.organizer_id and t.ticket_id = i.ticket_id
          where i.organizer_id = $1 and i.ticket_id = any($2)",
        organizer_id,
        tickets,
    )
    .fetch_all(conn)
    .await
}

/// Takes capacity for all lines, as a sale does, and makes booking and tickets. False if there is not room for all of
/// them: nothing was written.
pub async fn take_in(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    new: &NewImport<'_>,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with lines as (
          select * from jsonb_to_recordset($7) as l(line smallint, ticket_type_id uuid, quota_id uuid, quantity integer)
        ), need as (
          select quota_id, sum(quantity) as n from lines group by quota_id
        ), room as materialized (
          select q.quota_id, quota_fits(q.held, q.sold, need.n, q.capacity) as fits
            from quotas q join need on need.quota_id = q.quota_id
           where q.organizer_id = $1
           order by q.quota_id
             for no key update of q
        ), verdict as materialized (
          select (select count(*) from room where fits) = (select count(*) from need) as fits
        ), taken as (
          update quotas q set sold = q.sold + need.n::integer
            from need, verdict
           where q.organizer_id = $1 and q.quota_id = need.quota_id and verdict.fits
          returning q.quota_id
        ), booked as (
          insert into bookings (organizer_id, booking_id, event_id, booking_secret_hash, status, currency, price_minor,
                                fee_minor, tax_minor, total_minor, held_until, created_at, paid_at)
          select $1, $3, $2, $4, 'paid', e.currency, 0, 0, 0, 0, $5, $5, $5
            from events e, verdict
           where verdict.fits and e.organizer_id = $1 and e.event_id = $2
          returning booking_id
        ), lined as (
          insert into booking_lines (organizer_id, booking_id, line, ticket_type_id, quota_id, quantity,
                                     unit_price_minor, unit_fee_minor, unit_tax_minor, name, tax_rate_bp,
                                     list_price_minor, list_fee_minor)
          select $1, $3, l.line, l.ticket_type_id, l.quota_id, l.quantity, 0, 0, 0, t.name, t.tax_rate_bp, 0, 0
            from lines l
            join ticket_types t on t.organizer_id = $1 and t.ticket_type_id = l.ticket_type_id
            cross join verdict
           where verdict.fits
          returning line
        ), imported as (
          insert into imports (organizer_id, import_id, event_id, booking_id, tickets, created_by, created_at)
          select $1, $6, $2, $3, (select sum(n) from need)::integer, $8, $5
            from verdict where verdict.fits
          returning import_id
        )
        select verdict.fits as "fits!", (select count(*) from taken) as "taken!", (select count(*) from need) as "need!",
               (select count(*) from booked) as "booked!"
          from verdict
        "#,
        organizer_id,
        new.event_id,
        new.booking_id,
        &new.secret_hash[..],
        now,
        new.import_id,
        Json(new.lines) as _,
        new.created_by,
    )
    .fetch_one(&mut *conn)
    .await?;
    if !row.fits {
        return Ok(false);
    }
    if row.taken != row.need || row.booked != 1 {
        return Err(sqlx::Error::Protocol("an import took a part of what it must".to_owned()));
    }
    let made = sqlx::query!(
        r#"
        with rows as (
          select * from jsonb_to_recordset($5) as r(
            ticket_id uuid, ticket_type_id uuid, type_no integer, name text, email text, reference text,
            barcode_sealed text, not_before timestamptz, expires_at timestamptz)
        ), made as (
          insert into tickets (organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no,
                               booking_secret_hash, attendee_name, kid, issued_at, not_before, expires_at)
          select $1, r.ticket_id, $2, $3, r.ticket_type_id, r.type_no, $4, r.name, decode('00000000', 'hex'),
                 date_trunc('second', db_clock()), r.not_before, r.expires_at
            from rows r
          on conflict (organizer_id, ticket_id) do update
             set state = 'valid', booking_id = excluded.booking_id, ticket_type_id = excluded.ticket_type_id,
                 type_no = excluded.type_no, booking_secret_hash = excluded.booking_secret_hash,
                 attendee_name = excluded.attendee_name, issued_at = excluded.issued_at,
                 not_before = excluded.not_before, expires_at = excluded.expires_at
           where tickets.state = 'canceled' and tickets.event_id = excluded.event_id
             and exists (select from imported_tickets i
                          where i.organizer_id = $1 and i.ticket_id = tickets.ticket_id and i.undone)
          returning ticket_id
        )
        select count(*) as "made!" from made
        "#,
        organizer_id,
        new.event_id,
        new.booking_id,
        &new.secret_hash[..],
        Json(new.tickets) as _,
    )
    .fetch_one(&mut *conn)
    .await?
    .made;
    if usize::try_from(made) != Ok(new.tickets.len()) {
        return Err(sqlx::Error::Protocol(format!("an import made {made} of {} tickets", new.tickets.len())));
    }
    sqlx::query!(
        "insert into imported_tickets (organizer_id, ticket_id, event_id, import_id, barcode_sealed, email, reference)
         select $1, r.ticket_id, $2, $3, decode(r.barcode_sealed, 'hex'), r.email, r.reference
           from jsonb_to_recordset($4) as r(ticket_id uuid, barcode_sealed text, email text, reference text)
         on conflict (organizer_id, ticket_id) do update
            set import_id = excluded.import_id, barcode_sealed = excluded.barcode_sealed, email = excluded.email,
                reference = excluded.reference, undone = false",
        organizer_id,
        new.event_id,
        new.import_id,
        Json(new.tickets) as _,
    )
    .execute(conn)
    .await?;
    Ok(true)
}

/// One import.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    import_id: Uuid,
) -> Result<Option<Import>, sqlx::Error> {
    sqlx::query_as!(
        Import,
        "select import_id, event_id, booking_id, tickets, state, created_by, created_at, undone_at from imports
          where organizer_id = $1 and event_id = $2 and import_id = $3",
        organizer_id,
        event_id,
        import_id,
    )
    .fetch_optional(conn)
    .await
}

/// An event's imports, newest first.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Import>, sqlx::Error> {
    let (at, id) = after.unzip();
    sqlx::query_as!(
        Import,
        "select import_id, event_id, booking_id, tickets, state, created_by, created_at, undone_at from imports
          where organizer_id = $1 and event_id = $2
            and ($3::timestamptz is null or (created_at, import_id) < ($3, $4))
          order by created_at desc, import_id desc
          limit $5",
        organizer_id,
        event_id,
        at,
        id,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Whether the log has an entry, an exit or an override of one of its tickets; under the lock of the scan cursor.
pub async fn was_scanned(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    import_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
             select from imported_tickets t
               join scans s on s.organizer_id = t.organizer_id and s.event_id = t.event_id and s.ticket_id = t.ticket_id
              where t.organizer_id = $1 and t.event_id = $2 and t.import_id = $3 and s.ticket_id is not null
                and s.kind <> 2 and not s.rehearsal) as "scanned!""#,
        organizer_id,
        event_id,
        import_id,
    )
    .fetch_one(conn)
    .await
}

/// Cancels an import's booking with all of its tickets and gives the places back. Tickets that were valid may be taken
/// in again; those that were stopped or withdrawn by hand, not. `None` if it was undone before.
pub async fn undo(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    import: &Import,
    by: Uuid,
    now: OffsetDateTime,
) -> Result<Option<Vec<ChangedTicket>>, sqlx::Error> {
    let done = sqlx::query!(
        "update imports set state = 'undone', undone_by = $3, undone_at = $4
          where organizer_id = $1 and import_id = $2 and state = 'done'",
        organizer_id,
        import.import_id,
        by,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(None);
    }
    let rows = sqlx::query!(
        r#"
        with room as materialized (
          select q.quota_id from quotas q
           where q.organizer_id = $1 and q.quota_id in (
             select quota_id from booking_lines where organizer_id = $1 and booking_id = $2)
           order by q.quota_id
             for no key update of q
        ), was as materialized (
          select ticket_id, state from tickets
           where organizer_id = $1 and booking_id = $2 and state in ('valid', 'blocked', 'withdrawn')
             for no key update
        ), closed as (
          update bookings set status = 'canceled', closed_at = $3
           where organizer_id = $1 and booking_id = $2 and status = 'paid'
          returning booking_id
        ), gone as (
          update tickets t set state = 'canceled', block_reason = null
            from was
           where t.organizer_id = $1 and t.ticket_id = was.ticket_id
          returning t.ticket_id, t.ticket_type_id, t.type_no, t.generation, t.state, was.state as was
        ), marked as (
          update imported_tickets i set undone = true
            from gone
           where i.organizer_id = $1 and i.ticket_id = gone.ticket_id and gone.was = 'valid'
        ), back as (
          select l.quota_id, count(*)::integer as n
            from gone join booking_lines l on l.organizer_id = $1 and l.booking_id = $2
                                          and l.ticket_type_id = gone.ticket_type_id
           where gone.was in ('valid', 'blocked')
           group by l.quota_id
        ), given as (
          update quotas q set sold = q.sold - back.n
            from back join room on room.quota_id = back.quota_id
           where q.organizer_id = $1 and q.quota_id = back.quota_id
          returning back.n
        )
        select gone.ticket_id as "ticket_id!", gone.type_no as "type_no!", gone.generation as "generation!",
               gone.state as "state!", gone.was in ('valid', 'blocked') as "took_place!",
               (select coalesce(sum(n), 0) from given) as "given!", (select count(*) from closed) as "closed!"
          from gone
        "#,
        organizer_id,
        import.booking_id,
        now,
    )
    .fetch_all(conn)
    .await?;
    let places = rows.iter().filter(|r| r.took_place).count();
    if rows.first().is_some_and(|r| usize::try_from(r.given) != Ok(places) || r.closed != 1) {
        return Err(sqlx::Error::Protocol("an undone import gave back other places than it had".to_owned()));
    }
    Ok(Some(
        rows.into_iter()
            .map(|r| ChangedTicket {
                ticket_id: r.ticket_id,
                type_no: r.type_no,
                generation: r.generation,
                state: r.state,
            })
            .collect(),
    ))
}

/// Keeps a ticket whose import was undone from being taken in again. False if it would not be.
pub async fn keep_out(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    ticket_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update imported_tickets set undone = false where organizer_id = $1 and ticket_id = $2 and undone",
        organizer_id,
        ticket_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// An imported ticket, to hand out as it came.
#[derive(Debug, Clone)]
pub struct Imported {
    pub ticket_id: Uuid,
    pub barcode_sealed: Vec<u8>,
    pub ticket_type_id: Uuid,
    pub ticket_type: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub reference: Option<String>,
}

/// The imported tickets of an event that let in, or are stopped for now.
pub async fn tickets(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<Imported>, sqlx::Error> {
    sqlx::query_as!(
        Imported,
        "select t.ticket_id, i.barcode_sealed, t.ticket_type_id, y.name as ticket_type, t.attendee_name as name, i.email,
                i.reference
           from imported_tickets i
           join tickets t on t.organizer_id = i.organizer_id and t.ticket_id = i.ticket_id
           join ticket_types y on y.organizer_id = t.organizer_id and y.ticket_type_id = t.ticket_type_id
          where i.organizer_id = $1 and i.event_id = $2 and t.state in ('valid', 'blocked')
          order by t.ticket_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// How many barcodes of others an event's manifest has. They never leave it.
pub async fn count(conn: &mut PgConnection, organizer_id: Uuid, event_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from imported_tickets where organizer_id = $1 and event_id = $2"#,
        organizer_id,
        event_id,
    )
    .fetch_one(conn)
    .await
}

/// Whether an event has any.
pub async fn is_any(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from imported_tickets where organizer_id = $1 and event_id = $2) as "any!""#,
        organizer_id,
        event_id,
    )
    .fetch_one(conn)
    .await
}
