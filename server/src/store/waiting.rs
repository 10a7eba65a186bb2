//! The waiting list. Who waits for a quota stands in one line, in the order of coming; while somebody waits, the
//! quota is `queued`, which closes its public sale. Callers lock the event's row first, so that line, flag and sale
//! version change together.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An entry as stored.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Also the id of the booking that its offer is.
    pub entry_id: Uuid,
    pub event_id: Uuid,
    /// The order of coming within the event.
    pub line_no: i64,
    pub ticket_type_id: Uuid,
    pub quota_id: Uuid,
    pub quantity: i32,
    pub user_id: Option<Uuid>,
    pub booking_secret_hash: Option<Vec<u8>>,
    pub email: String,
    /// In which they are written to.
    pub language: String,
    pub person: Vec<u8>,
    /// `waiting`, `offered`, `taken`, `lapsed`, `left` or `closed`.
    pub status: String,
    pub created_at: OffsetDateTime,
    pub offered_at: Option<OffsetDateTime>,
    pub offer_until: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
}

/// What a quota says to somebody who would wait for it. Locks it: nobody buys or gives back meanwhile.
pub async fn lock_quota(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    quota_id: Uuid,
) -> Result<Option<(i32, bool)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select capacity - held - sold as "free!", queued from quotas
            where organizer_id = $1 and quota_id = $2 for no key update"#,
        organizer_id,
        quota_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.free, row.queued)))
}

/// Opens or closes the public sale of a quota. True if that changes something: raise the sale version then.
pub async fn set_queued(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    quota_id: Uuid,
    queued: bool,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update quotas set queued = $3 where organizer_id = $1 and quota_id = $2 and queued <> $3",
        organizer_id,
        quota_id,
        queued,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Puts somebody at the end of the line; the number there. Who waits already is a unique violation
/// `waiting_list_once`.
pub async fn join(conn: &mut PgConnection, organizer_id: Uuid, of: &Entry) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into waiting_list (organizer_id, entry_id, event_id, line_no, ticket_type_id, quota_id, quantity,
                                   user_id, booking_secret_hash, email, person, created_at, language)
         select $1, $2, $3, coalesce(max(w.line_no), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12
           from waiting_list w where w.organizer_id = $1 and w.event_id = $3
         returning line_no",
        organizer_id,
        of.entry_id,
        of.event_id,
        of.ticket_type_id,
        of.quota_id,
        of.quantity,
        of.user_id,
        of.booking_secret_hash,
        of.email,
        of.person,
        of.created_at,
        of.language,
    )
    .fetch_one(conn)
    .await
}

/// One entry, if the context may see it.
pub async fn find(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    entry_id: Uuid,
) -> Result<Option<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "select entry_id, event_id, line_no, ticket_type_id, quota_id, quantity, user_id, booking_secret_hash, email, language, person,
                status, created_at, offered_at, offer_until, ended_at
           from waiting_list where organizer_id = $1 and entry_id = $2",
        organizer_id,
        entry_id,
    )
    .fetch_optional(conn)
    .await
}

/// How many stand in line up to this entry, itself included.
pub async fn place(conn: &mut PgConnection, organizer_id: Uuid, of: &Entry) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "place!" from waiting_list
            where organizer_id = $1 and quota_id = $2 and status = 'waiting' and line_no <= $3"#,
        organizer_id,
        of.quota_id,
        of.line_no,
    )
    .fetch_one(conn)
    .await
}

/// The entries of an event, the first to come first.
pub async fn list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "select entry_id, event_id, line_no, ticket_type_id, quota_id, quantity, user_id, booking_secret_hash, email, language, person,
                status, created_at, offered_at, offer_until, ended_at
           from waiting_list
          where organizer_id = $1 and event_id = $2 and line_no > $3
          order by line_no
          limit $4",
        organizer_id,
        event_id,
        after,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Notes a user's entry where users look for their bookings, which it may become.
pub async fn note_for_user(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
    entry_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into user_bookings (user_id, organizer_id, booking_id, created_at) values ($1, $2, $3, $4)
         on conflict do nothing",
        user_id,
        organizer_id,
        entry_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a user's address off the entries; who still waits leaves the line.
pub async fn forget_user(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update waiting_list
            set email = '', status = case when status = 'waiting' then 'left' else status end,
                ended_at = coalesce(ended_at, case when status = 'waiting' then $3::timestamptz end)
          where organizer_id = $1 and user_id = $2",
        organizer_id,
        user_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Lines of an organizer in which somebody waits, or that are still closed to the public: (event, quota).
pub async fn lines(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select event_id as "event_id!", quota_id as "quota_id!" from waiting_list
            where organizer_id = $1 and status = 'waiting'
           union
           select event_id, quota_id from quotas where organizer_id = $1 and queued"#,
        organizer_id,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.quota_id)).collect())
}

/// Who is next, locked.
pub async fn head(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    quota_id: Uuid,
) -> Result<Option<Entry>, sqlx::Error> {
    sqlx::query_as!(
        Entry,
        "select entry_id, event_id, line_no, ticket_type_id, quota_id, quantity, user_id, booking_secret_hash, email, language, person,
                status, created_at, offered_at, offer_until, ended_at
           from waiting_list
          where organizer_id = $1 and quota_id = $2 and status = 'waiting'
          order by line_no
          limit 1
            for update",
        organizer_id,
        quota_id,
    )
    .fetch_optional(conn)
    .await
}

/// The entry's booking is held until then.
pub async fn offered(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    entry_id: Uuid,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update waiting_list set status = 'offered', offered_at = $3, offer_until = $4
          where organizer_id = $1 and entry_id = $2 and status = 'waiting'",
        organizer_id,
        entry_id,
        now,
        until,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes a waiting entry out of the line: it `left`, or was `closed`. False if it waits no more.
pub async fn end(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    entry_id: Uuid,
    status: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "update waiting_list set status = $3, ended_at = $4
          where organizer_id = $1 and entry_id = $2 and status = 'waiting'",
        organizer_id,
        entry_id,
        status,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes what became of offers: `taken` or `lapsed`. How many.
pub async fn settle(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update waiting_list w
            set status = case when b.paid_at is not null then 'taken' else 'lapsed' end, ended_at = $2
           from bookings b
          where w.organizer_id = $1 and w.status = 'offered' and b.organizer_id = $1 and b.booking_id = w.entry_id
            and (b.paid_at is not null or b.status in ('expired', 'canceled'))",
        organizer_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Offers that cost nothing and are not issued yet.
pub async fn free_offers(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select w.entry_id
           from waiting_list w
           join bookings b on b.organizer_id = w.organizer_id and b.booking_id = w.entry_id
          where w.organizer_id = $1 and w.status = 'offered' and b.status = 'held' and b.total_minor = 0",
        organizer_id,
    )
    .fetch_all(conn)
    .await
}
