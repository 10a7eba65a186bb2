//! What resolves to an organizer. Platform table: read by whoever holds the key.

use sqlx::PgConnection;
use uuid::Uuid;

/// Where a key leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub organizer_id: Uuid,
    pub event_id: Option<Uuid>,
}

/// Looks a key up. Kinds: `organizer`, `event`, `slug`, `slot`, `device`,
/// `payment`, `payment_account`, `kid` (hex of the kid, a dot, hex of the key).
pub async fn find(conn: &mut PgConnection, kind: &str, key: &str) -> Result<Option<Place>, sqlx::Error> {
    sqlx::query_as!(
        Place,
        "select organizer_id, event_id from directory where kind = $1 and key = $2",
        kind,
        key,
    )
    .fetch_optional(conn)
    .await
}

/// Adds a key; under the context of its organizer. A key that exists is a unique violation `directory_pkey`.
pub async fn add(conn: &mut PgConnection, kind: &str, key: &str, place: Place) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into directory (kind, key, organizer_id, event_id) values ($1, $2, $3, $4)",
        kind,
        key,
        place.organizer_id,
        place.event_id,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a key as [`add`] does, if nobody holds it. False if somebody does.
pub async fn claim(
    conn: &mut PgConnection,
    kind: &str,
    key: &str,
    place: Place,
) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into directory (kind, key, organizer_id, event_id) values ($1, $2, $3, $4)
         on conflict (kind, key) do nothing",
        kind,
        key,
        place.organizer_id,
        place.event_id,
    )
    .execute(conn)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// All organizers, for jobs: listed without locks, visited one by one.
pub async fn organizers(conn: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select organizer_id from directory where kind = 'organizer' order by key")
        .fetch_all(conn)
        .await
}
