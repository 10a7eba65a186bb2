//! What recommendations are made from: an account's bookings and looks, and the events that may be recommended.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::search::Near;
use crate::store::search::Found;

/// Looks of an account that are kept.
const KEPT: i64 = 200;

/// Notes that the account looked at an event, once an hour at most and never against its wish; under the account's
/// context.
pub async fn see(
    conn: &mut PgConnection,
    user_id: Uuid,
    organizer_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let done = sqlx::query!(
        r#"insert into event_views as v (user_id, event_id, organizer_id, last_at)
           select id, $2, $3, $4 from users
            where id = $1 and not user_metadata @> '{"recommendations": false}'
           on conflict (user_id, event_id) do update set views = v.views + 1, last_at = excluded.last_at
            where v.last_at < $4 - interval '1 hour'"#,
        user_id,
        event_id,
        organizer_id,
        now,
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        sqlx::query!(
            "delete from event_views
              where user_id = $1 and event_id in (
                select event_id from event_views where user_id = $1 order by last_at desc, event_id offset $2)",
            user_id,
            KEPT,
        )
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// True unless the account turned recommendations off (`{"recommendations": false}` in its metadata).
pub async fn wanted(conn: &mut PgConnection, user_id: Uuid) -> Result<bool, sqlx::Error> {
    let wanted = sqlx::query_scalar!(
        r#"select not user_metadata @> '{"recommendations": false}' as "wanted!" from users where id = $1"#,
        user_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(wanted.unwrap_or(false))
}

/// Forgets what the account has looked at.
pub async fn forget(conn: &mut PgConnection, user_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from event_views where user_id = $1", user_id).execute(conn).await?;
    Ok(())
}

/// Removes up to 10,000 looks before `then`; as the worker.
pub async fn forget_old(conn: &mut PgConnection, then: OffsetDateTime) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "delete from event_views where (user_id, event_id) in (
           select user_id, event_id from event_views where last_at < $1 order by last_at limit 10000)",
        then,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// An event that the account has to do with.
#[derive(Debug, Clone)]
pub struct Known {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub at: OffsetDateTime,
    pub views: i32,
}

/// What the account has booked and not given back, the latest first; under its context.
pub async fn booked(conn: &mut PgConnection, user_id: Uuid) -> Result<Vec<Known>, sqlx::Error> {
    sqlx::query_as!(
        Known,
        r#"select organizer_id, event_id, max(created_at) as "at!", 0 as "views!" from bookings
            where user_id = $1 and status in ('held', 'paid', 'partially_refunded')
            group by organizer_id, event_id order by 3 desc, 2 limit 500"#,
        user_id,
    )
    .fetch_all(conn)
    .await
}

/// What it has looked at, the latest first; under its context.
pub async fn seen(conn: &mut PgConnection, user_id: Uuid) -> Result<Vec<Known>, sqlx::Error> {
    sqlx::query_as!(
        Known,
        "select organizer_id, event_id, last_at as at, views from event_views
          where user_id = $1 order by last_at desc, event_id limit 40",
        user_id,
    )
    .fetch_all(conn)
    .await
}

/// An event's own side of a taste.
#[derive(Debug, Clone)]
pub struct Trait {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub title: String,
    pub artists: Vec<String>,
    pub category_id: String,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub time_zone: String,
    pub starts_at: OffsetDateTime,
}

/// Events of an organizer, also those that are over; under its context.
pub async fn traits(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    events: &[Uuid],
) -> Result<Vec<Trait>, sqlx::Error> {
    sqlx::query_as!(
        Trait,
        "select organizer_id, event_id, title, artists, category_id, latitude, longitude, time_zone, starts_at
           from events where organizer_id = $1 and event_id = any($2) and status <> 'draft'",
        organizer_id,
        events,
    )
    .fetch_all(conn)
    .await
}

/// Published events that are to come, of any organizer.
pub async fn public_traits(conn: &mut PgConnection, events: &[Uuid]) -> Result<Vec<Trait>, sqlx::Error> {
    sqlx::query_as!(
        Trait,
        "select organizer_id, event_id, title, artists, category_id, latitude, longitude, time_zone, starts_at
           from event_search where event_id = any($1)",
        events,
    )
    .fetch_all(conn)
    .await
}

/// Where to look for what may be recommended.
#[derive(Debug, Clone, Default)]
pub struct Wells {
    pub organizers: Vec<Uuid>,
    pub categories: Vec<String>,
    pub near: Option<Near>,
    /// A tsquery of words that events like those have.
    pub words: Option<String>,
}

/// Events of each well that one can still book and that begin after `now`, without those in `not`; and of all events the
/// most popular and the next. `key` is their popularity. Prepare as for a search.
pub async fn candidates(
    conn: &mut PgConnection,
    wells: &Wells,
    not: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Found>, sqlx::Error> {
    let latitudes = wells.near.map(|near| near.latitudes()).unzip();
    let longitudes = wells.near.and_then(|near| near.longitudes()).unzip();
    sqlx::query_as!(
        Found,
        r#"with of_organizer as (
             select s.organizer_id, s.event_id from unnest($1::uuid[]) as o (id)
              cross join lateral (select * from event_search where organizer_id = o.id and available and starts_at >= $3
                                   order by starts_at, event_id limit 30) s
         ), of_category as (
             select s.organizer_id, s.event_id from unnest($4::text[]) as c (id)
              cross join lateral (select * from event_search where category_id = c.id and available and starts_at >= $3
                                   order by starts_at, event_id limit 60) s
         ), of_place as materialized (
             select organizer_id, event_id from event_search
              where $5::float8 is not null and latitude between $5 and $6
                and ($7::float8 is null or longitude between $7 and $8) and available and starts_at >= $3
              order by distance_km(latitude, longitude, $9, $10) limit 100
         ), of_words as materialized (
             select organizer_id, event_id from event_search
              where $11::text is not null and named @@ $11::text::tsquery and available and starts_at >= $3
              limit 200
         ), popular as (
             select organizer_id, event_id from event_search where available and starts_at >= $3
              order by -popularity, starts_at, event_id limit 150
         ), soon as (
             select organizer_id, event_id from event_search where available and starts_at >= $3
              order by starts_at, event_id limit 50
         ), pool as (
             select * from of_organizer union select * from of_category union select * from of_place
             union select * from of_words union select * from popular union select * from soon
         )
         select s.event_id, s.series_id, s.slug, s.title, s.artists, s.summary, s.language, s.category_id, s.organizer_id,
                s.organizer_name, s.venue_name, s.city, s.country, s.latitude, s.longitude,
                distance_km(s.latitude, s.longitude, $9, $10) as distance_km, s.time_zone, s.starts_at, s.ends_at,
                s.currency, s.price_from_minor, s.available, s.popularity::float8 as "key!", 0::bigint as "hits!"
           from pool p join event_search s on s.organizer_id = p.organizer_id and s.event_id = p.event_id
          where s.event_id <> all ($2)
          order by s.event_id"#,
        &wells.organizers,
        not,
        now,
        &wells.categories,
        latitudes.0,
        latitudes.1,
        longitudes.0,
        longitudes.1,
        wells.near.map(|near| near.latitude),
        wells.near.map(|near| near.longitude),
        wells.words,
    )
    .fetch_all(conn)
    .await
}
