//! Writing the search's rows, in the transaction of every change that the public sees.

use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{event, organizer, ticket_type};
use crate::domain::search::{DESCRIPTION, FORM, configuration, fold, spelled_out};

/// What a row is made of.
#[derive(Debug, Clone)]
pub struct Source {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub series_id: Option<Uuid>,
    pub slug: String,
    pub title: String,
    pub artists: Vec<String>,
    pub description: String,
    pub language: Option<String>,
    pub category_id: String,
    pub organizer_name: String,
    pub venue_name: String,
    pub city: String,
    pub country: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub time_zone: String,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub currency: String,
    /// What the cheapest public type costs in all.
    pub price_from_minor: Option<i64>,
    pub available: bool,
    pub popularity: i32,
}

/// A row on its way, its texts folded.
#[derive(Debug, Serialize)]
struct Row {
    organizer_id: Uuid,
    event_id: Uuid,
    series_id: Option<Uuid>,
    slug: String,
    title: String,
    artists: Vec<String>,
    summary: String,
    language: Option<String>,
    category_id: String,
    organizer_name: String,
    venue_name: String,
    city: String,
    country: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    currency: String,
    price_from_minor: Option<i64>,
    available: bool,
    popularity: i32,
    name_key: String,
    place_key: String,
    city_key: String,
    /// Words of title and artists, with their other spellings.
    names: String,
    /// Of venue, city and organizer.
    places: String,
    texts: String,
    configuration: &'static str,
}

impl Row {
    fn of(of: &Source) -> Self {
        let both = |text: &str| format!("{} {}", fold(text), spelled_out(text)).trim().to_owned();
        let name =
            std::iter::once(&of.title).chain(&of.artists).map(String::as_str).collect::<Vec<_>>().join(" ");
        let place = format!("{} {}", of.venue_name, of.city);
        let described: String = of.description.chars().take(DESCRIPTION).collect();
        Self {
            organizer_id: of.organizer_id,
            event_id: of.event_id,
            series_id: of.series_id,
            slug: of.slug.clone(),
            title: of.title.clone(),
            artists: of.artists.clone(),
            summary: of.description.chars().take(300).collect(),
            language: of.language.clone(),
            category_id: of.category_id.clone(),
            organizer_name: of.organizer_name.clone(),
            venue_name: of.venue_name.clone(),
            city: of.city.clone(),
            country: of.country.clone(),
            latitude: of.latitude,
            longitude: of.longitude,
            time_zone: of.time_zone.clone(),
            starts_at: of.starts_at,
            ends_at: of.ends_at,
            currency: of.currency.clone(),
            price_from_minor: of.price_from_minor,
            available: of.available,
            popularity: of.popularity,
            name_key: format!(" {} ", fold(&name)),
            place_key: format!(" {} ", both(&place)),
            city_key: fold(&of.city),
            names: both(&name),
            places: both(&format!("{place} {}", of.organizer_name)),
            texts: fold(&described),
            configuration: configuration(of.language.as_deref()),
        }
    }
}

/// Writes rows, each event's anew, and makes their words known. Names and places are found as written and by their
/// stems, descriptions by their stems; between them stands a mark that is no word, so that no phrase reaches over it.
pub async fn write(
    conn: &mut PgConnection,
    sources: &[Source],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let rows: Vec<Row> = sources.iter().map(Row::of).collect();
    sqlx::query!(
        "with written as (
         insert into event_search (organizer_id, event_id, slug, title, artists, summary, language, category_id,
                                   organizer_name, venue_name, city, country, latitude, longitude, time_zone, starts_at,
                                   ends_at, currency, price_from_minor, available, popularity, name_key, place_key,
                                   city_key, named, document, series_id, form, updated_at)
         select organizer_id, event_id, slug, title, artists, summary, language, category_id, organizer_name, venue_name,
                city, country, latitude, longitude, time_zone, starts_at, ends_at, currency, price_from_minor, available,
                popularity, name_key, place_key, city_key, named,
                named || '|:3' || setweight(to_tsvector('simple', places) || '|:3' || to_tsvector(configuration, places), 'B')
                      || '|:3' || setweight(to_tsvector(configuration, texts), 'D'),
                series_id, $2, $3
           from jsonb_to_recordset($1) as r (
                  organizer_id uuid, event_id uuid, slug text, title text, artists text[], summary text, language text,
                  category_id text, organizer_name text, venue_name text, city text, country text,
                  latitude double precision, longitude double precision, time_zone text, starts_at timestamptz,
                  ends_at timestamptz, currency text, price_from_minor bigint, available boolean, popularity integer,
                  name_key text, place_key text, city_key text, names text, places text, texts text,
                  configuration regconfig, series_id uuid)
          cross join lateral (
                  select setweight(to_tsvector('simple', names) || '|:3' || to_tsvector(configuration, names), 'A') as named) n
         on conflict (organizer_id, event_id) do update set
           title = excluded.title, artists = excluded.artists, summary = excluded.summary, language = excluded.language,
           category_id = excluded.category_id, organizer_name = excluded.organizer_name,
           venue_name = excluded.venue_name, city = excluded.city, country = excluded.country,
           latitude = excluded.latitude, longitude = excluded.longitude, time_zone = excluded.time_zone,
           starts_at = excluded.starts_at, ends_at = excluded.ends_at, price_from_minor = excluded.price_from_minor,
           available = excluded.available, popularity = excluded.popularity, name_key = excluded.name_key,
           place_key = excluded.place_key, city_key = excluded.city_key, named = excluded.named,
           document = excluded.document, series_id = excluded.series_id, form = excluded.form, updated_at = excluded.updated_at
         returning organizer_id, event_id, strip(document) as words),
         sampled as (
         insert into event_words_sample (organizer_id, event_id, words)
         select organizer_id, event_id, words from written where event_sampled(event_id)
         on conflict (organizer_id, event_id) do update set words = excluded.words)
         insert into event_words (organizer_id, event_id, words)
         select organizer_id, event_id, words from written
         on conflict (organizer_id, event_id) do update set words = excluded.words",
        Json(&rows) as _,
        FORM,
        now,
    )
    .execute(&mut *conn)
    .await?;
    let mut words: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.names.split(' ').chain(row.places.split(' ')))
        .filter(|w| !w.is_empty())
        .collect();
    // In one order for all, so that two who add the same words wait for each other one way only.
    words.sort_unstable();
    words.dedup();
    sqlx::query!(
        "insert into search_words (word)
         select word from unnest($1::text[]) as w (word)
          where length(word) <= 60 and not exists (select from search_words s where s.word = w.word)
          order by word collate \"C\"
         on conflict do nothing",
        &words as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the event's row anew from its tables if it is published, else removes it.
pub async fn refresh(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let event = event::find(&mut *conn, organizer_id, event_id).await?.filter(|e| e.status == "published");
    let organizer = organizer::find(&mut *conn, organizer_id).await?;
    let (Some(event), Some(organizer)) = (event, organizer) else {
        return remove(conn, organizer_id, event_id).await;
    };
    let types = ticket_type::of_event(&mut *conn, organizer_id, event_id).await?;
    let public: Vec<_> = types.iter().filter(|t| !t.hidden && t.archived_at.is_none()).collect();
    let price = |t: &&ticket_type::TicketType| t.stated(event.fee()).unit()?.total_minor();
    let price_from_minor = public.iter().filter_map(price).min();
    // What the job `search` found; it looks again.
    let popularity = sqlx::query_scalar!(
        "select popularity from event_search where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let source = Source {
        organizer_id,
        event_id,
        available: public.iter().any(|t| {
            t.sales_until.is_none_or(|until| until > now) && !t.queued && t.held + t.sold < t.capacity
        }),
        price_from_minor,
        popularity: popularity.unwrap_or(0),
        series_id: event.series_id,
        slug: event.slug,
        title: event.title,
        artists: event.artists,
        description: event.description,
        language: event.language,
        category_id: event.category_id,
        organizer_name: organizer.name,
        venue_name: event.venue_name,
        city: event.city,
        country: event.country,
        latitude: event.latitude,
        longitude: event.longitude,
        time_zone: event.time_zone,
        starts_at: event.starts_at,
        ends_at: event.ends_at,
        currency: event.currency,
    };
    write(conn, &[source], now).await
}

async fn remove(conn: &mut PgConnection, organizer_id: Uuid, event_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from event_search where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes all of an organizer's rows anew if they bear another name than its own.
pub async fn refresh_organizer(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let events = sqlx::query_scalar!(
        "select s.event_id from event_search s join organizers o on o.organizer_id = s.organizer_id
          where s.organizer_id = $1 and o.name <> s.organizer_name
          order by s.event_id",
        organizer_id,
    )
    .fetch_all(&mut *conn)
    .await?;
    for event_id in events {
        refresh(&mut *conn, organizer_id, event_id, now).await?;
    }
    Ok(())
}

/// Rows that were folded by other rules than ours, at most 200.
pub async fn of_other_form(conn: &mut PgConnection, organizer_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select event_id from event_search where organizer_id = $1 and form <> $2 order by event_id limit 200",
        organizer_id,
        FORM,
    )
    .fetch_all(conn)
    .await
}

/// Removes the organizer's events that were over before `then`.
pub async fn remove_over(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    then: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let done =
        sqlx::query!("delete from event_search where organizer_id = $1 and over_at < $2", organizer_id, then)
            .execute(conn)
            .await?;
    Ok(done.rows_affected())
}

/// What the organizer's rows say of sales.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub event_id: Uuid,
    pub available: bool,
    pub popularity: i32,
    /// As the sales stand.
    pub available_now: bool,
    pub sold: i64,
}

/// The figures of an organizer's rows, beside what they should be at `now`.
pub async fn figures(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<Figures>, sqlx::Error> {
    sqlx::query_as!(
        Figures,
        r#"select s.event_id, s.available, s.popularity,
                  exists (select from ticket_types t
                           join quotas q on q.organizer_id = t.organizer_id and q.quota_id = t.quota_id
                          where t.organizer_id = s.organizer_id and t.event_id = s.event_id and not t.hidden
                            and t.archived_at is null and (t.sales_until is null or t.sales_until > $2)
                            and not q.queued and q.held + q.sold < q.capacity) as "available_now!",
                  coalesce((select sum(q.sold) from quotas q
                             where q.organizer_id = s.organizer_id and q.event_id = s.event_id), 0)::bigint as "sold!"
             from event_search s
            where s.organizer_id = $1"#,
        organizer_id,
        now,
    )
    .fetch_all(conn)
    .await
}

/// Writes what sales have changed.
pub async fn set_figures(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    available: bool,
    popularity: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update event_search set available = $3, popularity = $4 where organizer_id = $1 and event_id = $2",
        organizer_id,
        event_id,
        available,
        popularity,
    )
    .execute(conn)
    .await?;
    Ok(())
}
