//! The public's view: published events, found by words, category and date.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// An event as search shows it.
#[derive(Debug, Clone)]
pub struct Found {
    pub event_id: Uuid,
    pub slug: String,
    pub title: String,
    pub summary: String,
    pub category_id: String,
    pub organizer_name: String,
    pub venue_name: String,
    pub city: String,
    pub country: Option<String>,
    pub time_zone: String,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub currency: String,
    pub price_from_minor: Option<i64>,
}

/// Writes the event's row anew from its tables if it is published, else removes it. In the transaction of
/// every change that the public sees; `price_from_minor` is what the cheapest public type costs in all.
pub async fn refresh(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    price_from_minor: Option<i64>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "with published as (
           select e.*, o.name as organizer_name from events e
             join organizers o on o.organizer_id = e.organizer_id
            where e.organizer_id = $1 and e.event_id = $2 and e.status = 'published'
         ), gone as (
           delete from event_search where organizer_id = $1 and event_id = $2 and not exists (select from published)
         )
         insert into event_search (organizer_id, event_id, slug, title, summary, category_id, organizer_name, venue_name,
                                   city, country, latitude, longitude, time_zone, starts_at, ends_at, currency,
                                   price_from_minor, document, updated_at)
         select organizer_id, event_id, slug, title, left(description, 300), category_id, organizer_name, venue_name, city,
                country, latitude, longitude, time_zone, starts_at, ends_at, currency, $3,
                setweight(to_tsvector('simple', unaccent(title)), 'A')
                  || setweight(to_tsvector('simple', unaccent(venue_name || ' ' || city || ' ' || organizer_name)), 'B')
                  || setweight(to_tsvector('simple', unaccent(description)), 'D'),
                $4
           from published
         on conflict (organizer_id, event_id) do update set
           title = excluded.title, summary = excluded.summary, category_id = excluded.category_id,
           organizer_name = excluded.organizer_name, venue_name = excluded.venue_name, city = excluded.city,
           country = excluded.country, latitude = excluded.latitude, longitude = excluded.longitude,
           time_zone = excluded.time_zone, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
           price_from_minor = excluded.price_from_minor, document = excluded.document, updated_at = excluded.updated_at",
        organizer_id,
        event_id,
        price_from_minor,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the organizer's name anew into all of its rows.
pub async fn refresh_organizer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update event_search s
            set organizer_name = o.name, updated_at = $2,
                document = setweight(to_tsvector('simple', unaccent(e.title)), 'A')
                  || setweight(to_tsvector('simple', unaccent(e.venue_name || ' ' || e.city || ' ' || o.name)), 'B')
                  || setweight(to_tsvector('simple', unaccent(e.description)), 'D')
           from organizers o, events e
          where s.organizer_id = $1 and o.organizer_id = $1 and o.name <> s.organizer_name
            and e.organizer_id = $1 and e.event_id = s.event_id",
        organizer_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a search is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    pub words: Option<&'a str>,
    pub category_id: Option<&'a str>,
    pub city: Option<&'a str>,
    /// Events that are not over before.
    pub from: Option<OffsetDateTime>,
    /// Events that start before.
    pub to: Option<OffsetDateTime>,
    pub after: Option<(OffsetDateTime, Uuid)>,
}

/// Published events by start; in nobody's context.
pub async fn find(
    conn: &mut PgConnection,
    filter: &Filter<'_>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let (after_at, after_id) = filter.after.unzip();
    sqlx::query_as!(
        Found,
        "select event_id, slug, title, summary, category_id, organizer_name, venue_name, city, country, time_zone,
                starts_at, ends_at, currency, price_from_minor
           from event_search
          where ($1::text is null or document @@ websearch_to_tsquery('simple', unaccent($1)))
            and ($2::text is null or category_id = $2)
            and ($3::text is null or lower(city) = lower($3))
            and ($4::timestamptz is null or coalesce(ends_at, starts_at) >= $4)
            and ($5::timestamptz is null or starts_at < $5)
            and ($6::timestamptz is null or (starts_at, event_id) > ($6, $7))
          order by starts_at, event_id
          limit $8",
        filter.words,
        filter.category_id,
        filter.city,
        filter.from,
        filter.to,
        after_at,
        after_id,
        limit,
    )
    .fetch_all(conn)
    .await
}
