//! The public's view: published events that are not over, found by words, place, time and price. In nobody's context.
//!
//! What matches is found by the indexes of words first; then there are two ways on. Few matches are ranked one by one
//! ([`ranked`]). Many are not: they are read in the order of an index, and the first ones that match are the answer
//! (`listed_…`), for where many match a reader soon has a page full.

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::search::{Kind, Kinds, Near};

/// An event as search shows it.
#[derive(Debug, Clone)]
pub struct Found {
    pub event_id: Uuid,
    pub series_id: Option<Uuid>,
    pub slug: String,
    pub title: String,
    pub artists: Vec<String>,
    pub summary: String,
    pub language: Option<String>,
    pub category_id: String,
    pub organizer_id: Uuid,
    pub organizer_name: String,
    pub venue_name: String,
    pub city: String,
    pub country: Option<String>,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    pub distance_km: Option<f64>,
    pub time_zone: String,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub currency: String,
    pub price_from_minor: Option<i64>,
    pub available: bool,
    /// What the list is ordered by, before start and id; less comes first.
    pub key: f64,
    /// How many were looked at to rank it.
    pub hits: i64,
}

/// What is left of all events.
#[derive(Debug, Clone)]
pub struct Narrow {
    pub category_id: Option<String>,
    /// Folded, whole.
    pub city_key: Option<String>,
    /// Folded: a word of venue or city begins with it.
    pub place: Option<String>,
    pub currency: Option<String>,
    pub price_min: Option<i64>,
    pub price_max: Option<i64>,
    pub free: Option<bool>,
    pub available: Option<bool>,
    /// Events that are not over before.
    pub from: OffsetDateTime,
    /// Events that start before.
    pub to: Option<OffsetDateTime>,
    /// No event that starts earlier can be of any use: what the index begins with.
    pub starts_from: Option<OffsetDateTime>,
    pub near: Option<Near>,
}

impl Narrow {
    /// All events that are not over before `from`.
    #[must_use]
    pub const fn not_over(from: OffsetDateTime) -> Self {
        Self {
            category_id: None,
            city_key: None,
            place: None,
            currency: None,
            price_min: None,
            price_max: None,
            free: None,
            available: None,
            from,
            to: None,
            starts_from: None,
            near: None,
        }
    }
}

/// What must be in the words (tsqueries), and what not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    pub named: Option<&'a str>,
    pub document: Option<&'a str>,
    pub not_named: Option<&'a str>,
    pub not_document: Option<&'a str>,
}

/// By what single matches are ranked.
#[derive(Debug, Clone, Copy)]
pub struct Ranking<'a> {
    pub by: RankBy,
    /// The query in folded words.
    pub folded: &'a str,
    /// The query as it was typed, as a tsquery.
    pub exact: &'a str,
    /// So many matches are looked at.
    pub most: i64,
    /// Of more than so many typos the letters are not compared, which costs ten times as much as ranking words: they
    /// come in the order of their start.
    pub most_judged: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankBy {
    /// How well title and artists fit.
    Named,
    /// How well the rest fits.
    Rest,
    /// How near to what was typed it is.
    Typo,
    Start,
    Price,
    Distance,
    Popularity,
}

impl RankBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Rest => "rest",
            Self::Typo => "typo",
            Self::Start => "start",
            Self::Price => "price",
            Self::Distance => "distance",
            Self::Popularity => "popularity",
        }
    }
}

/// After which event a page begins.
#[derive(Debug, Clone, Copy)]
pub struct After {
    pub key: f64,
    pub starts_at: OffsetDateTime,
    pub event_id: Uuid,
}

/// How the planner is to read: by indexes, or (as a bench wants to know) the whole table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Indexes,
    WholeTable,
}

/// Prepares the transaction: which plan is good depends on what is asked (never a generic one), compiling costs more
/// than it saves, and a whole scan is never right where the planner misjudges words.
pub async fn prepare(conn: &mut PgConnection, reading: Reading) -> Result<(), sqlx::Error> {
    let (table, indexes) = if reading == Reading::Indexes { ("off", "on") } else { ("on", "off") };
    sqlx::query_scalar!(
        "select set_config('plan_cache_mode', 'force_custom_plan', true) || set_config('jit', 'off', true)
                || set_config('pg_trgm.similarity_threshold', '0.35', true) || set_config('enable_seqscan', $1, true)
                || set_config('enable_indexscan', $2, true) || set_config('enable_bitmapscan', $2, true)
                || set_config('enable_indexonlyscan', $2, true)",
        table,
        indexes,
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// From here on lists are read in an index's order, or again as [`prepare`] said. Told that a list is long, the planner
/// would rather look all of its matches up and sort them.
pub async fn read_in_order(conn: &mut PgConnection, in_order: bool) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select set_config('enable_sort', $1, true) || set_config('enable_bitmapscan', $1, true)",
        if in_order { "off" } else { "on" },
    )
    .fetch_one(conn)
    .await?;
    Ok(())
}

/// Slugs of events that are not over, the next ones first, and when each was changed.
pub async fn pages(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<(String, OffsetDateTime)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select slug, updated_at from event_search where over_at > $1 order by starts_at, event_id limit $2",
        now,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.slug, row.updated_at)).collect())
}

/// How long the longest event goes.
pub async fn longest(conn: &mut PgConnection) -> Result<Duration, sqlx::Error> {
    let secs = sqlx::query_scalar!(
        r#"select extract(epoch from max(over_at - starts_at))::bigint as "secs" from event_search"#
    )
    .fetch_one(conn)
    .await?;
    Ok(Duration::seconds(secs.unwrap_or(0)))
}

/// One statement around what all of them have in common; its arguments from $23 on are its own.
macro_rules! find {
    // In an index's order, by `key`.
    ($conn:expr, $words:expr, $narrow:expr, by $key:tt, $tail:tt, $($argument:expr),* $(,)?) => {
        find!($conn, $words, $narrow, [
            "select event_id, series_id, slug, title, artists, summary, language, category_id, organizer_id, organizer_name, venue_name,
                city, country, latitude, longitude, distance_km(latitude, longitude, $20, $21) as distance_km, time_zone,
                starts_at, ends_at, currency, price_from_minor, available, " + $key + "::float8 as \"key!\", 0::bigint as \"hits!\"
           from event_search"], [$tail], $($argument),*)
    };
    // The same, among the first ones of that order alone: `begin` says behind which event and what else the index can tell.
    // `order` is of plain columns: an expression would be sorted by once more, after all the first ones were read.
    ($conn:expr, $words:expr, $narrow:expr, by $key:tt, first $first:tt, begin $begin:tt, order $order:tt, limit $limit:tt,
     $($argument:expr),* $(,)?) => {
        find!($conn, $words, $narrow, [
            "select event_id, series_id, slug, title, artists, summary, language, category_id, organizer_id, organizer_name, venue_name,
                city, country, latitude, longitude, distance_km(latitude, longitude, $20, $21) as distance_km, time_zone,
                starts_at, ends_at, currency, price_from_minor, available, " + $key + "::float8 as \"key!\", 0::bigint as \"hits!\"
           from (
             select *, -popularity as unpopularity from event_search
              where ($5::text is null or category_id = $5) and ($6::text is null or city_key = $6)
                and ($8::text is null or currency = $8) and ($15::timestamptz is null or starts_at >= $15)
                and over_at >= $13 and (" + $begin + ")
              order by " + $order + " limit " + $first + ") event_search"],
            [" order by " + $order + " limit " + $limit], $($argument),*)
    };
    ($conn:expr, $words:expr, $narrow:expr, [$($head:tt)*], [$($tail:tt)*], $($argument:expr),* $(,)?) => {{
        let (words, narrow): (&Words<'_>, &Narrow) = ($words, $narrow);
        let latitudes = narrow.near.map(|near| near.latitudes()).unzip();
        let longitudes = narrow.near.and_then(|near| near.longitudes()).unzip();
        sqlx::query_as!(
            Found,
            $($head)* + "
          where ($1::text is null or named @@ $1::text::tsquery)
            and ($2::text is null or document @@ $2::text::tsquery)
            and ($3::text is null or not named @@ $3::text::tsquery)
            and ($4::text is null or not document @@ $4::text::tsquery)
            and ($5::text is null or category_id = $5)
            and ($6::text is null or city_key = $6)
            and ($7::text is null or place_key like '% ' || $7 || '%')
            and ($8::text is null or currency = $8)
            and ($9::bigint is null or price_from_minor >= $9)
            and ($10::bigint is null or price_from_minor <= $10)
            and ($11::boolean is null or coalesce(price_from_minor = 0, false) = $11)
            and ($12::boolean is null or available = $12)
            and over_at >= $13
            and ($14::timestamptz is null or starts_at < $14)
            and ($15::timestamptz is null or starts_at >= $15)
            and ($16::float8 is null or latitude between $16 and $17)
            and ($18::float8 is null or longitude between $18 and $19)
            and ($20::float8 is null or distance_km(latitude, longitude, $20, $21) <= $22)" + $($tail)*,
            words.named,
            words.document,
            words.not_named,
            words.not_document,
            narrow.category_id,
            narrow.city_key,
            narrow.place,
            narrow.currency,
            narrow.price_min,
            narrow.price_max,
            narrow.free,
            narrow.available,
            narrow.from,
            narrow.to,
            narrow.starts_from,
            latitudes.0,
            latitudes.1,
            longitudes.0,
            longitudes.1,
            narrow.near.map(|near| near.latitude),
            narrow.near.map(|near| near.longitude),
            narrow.near.map(|near| near.radius_km),
            $($argument),*
        )
        .fetch_all($conn)
        .await
    }};
}

/// The best matches, of all or (if there are more) of `most` and one more arbitrary ones; `hits` says how many. Only what
/// ranks is carried along for each of them: copying whole rows costs more than ranking does.
pub async fn ranked(
    conn: &mut PgConnection,
    words: &Words<'_>,
    narrow: &Narrow,
    ranking: &Ranking<'_>,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    find!(
        conn,
        words,
        narrow,
        ["with hit as materialized (
           select organizer_id, event_id, starts_at, case when $23 = 'typo' then name_key end as name_key,
                  (case $23
                     when 'named' then -(case when name_key = ' ' || $25::text || ' ' then 2.0
                                              when name_key like '% ' || $25 || ' %' then 1.0 else 0.0 end
                                         + (named @@ $26::text::tsquery)::int + ts_rank(named, $1::text::tsquery, 1))
                     when 'rest' then -ts_rank(document, $2::text::tsquery, 1)
                     when 'typo' then -ts_rank(document, $2::text::tsquery, 1)
                     when 'price' then price_from_minor
                     when 'distance' then distance_km(latitude, longitude, $20, $21)
                     when 'popularity' then -popularity
                     else 0
                   end)::float8 as key
             from event_search"],
        ["
            and ($23 <> 'price' or price_from_minor is not null)
          limit $24
         ), judged as (
           select organizer_id, event_id, starts_at, hits,
                  case when $23 <> 'typo' then key
                       when hits <= $31::bigint then key - word_similarity($25, name_key) else 0 end as key
             from hit
            cross join (select count(*) as hits from hit) as counted
         ), page as (
           select organizer_id, event_id, key, hits
             from judged
            where ($27::float8 is null or (key, starts_at, event_id) > ($27, $28::timestamptz, $29::uuid))
            order by key, starts_at, event_id
            limit $30
         )
         select event_id, series_id, slug, title, artists, summary, language, category_id, organizer_id, organizer_name, venue_name,
                city, country, latitude, longitude, distance_km(latitude, longitude, $20, $21) as distance_km,
                time_zone, starts_at, ends_at, currency, price_from_minor, available, key as \"key!\", hits as \"hits!\"
           from page
           join event_search using (organizer_id, event_id)
          order by key, starts_at, event_id"],
        ranking.by.as_str(),
        ranking.most.saturating_add(1),
        ranking.folded,
        ranking.exact,
        after.map(|a| a.key),
        after.map(|a| a.starts_at),
        after.map(|a| a.event_id),
        limit,
        ranking.most_judged,
    )
}

/// Where a list in an index's order looks for its matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    All,
    /// The first so many that the index can tell to be possible: soon done where many match, and sure to be.
    First(i64),
}

/// Matches by their start.
pub async fn listed_by_start(
    conn: &mut PgConnection,
    words: &Words<'_>,
    narrow: &Narrow,
    among: Among,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let (at, id) = after.map(|a| (a.starts_at, a.event_id)).unzip();
    match among {
        Among::First(first) => find!(
            conn,
            words,
            narrow,
            by "0",
            first "$26",
            begin "$23::timestamptz is null or (starts_at, event_id) > ($23, $24::uuid)",
            order "starts_at, event_id",
            limit "$25",
            at,
            id,
            limit,
            first,
        ),
        Among::All => find!(
            conn,
            words,
            narrow,
            by "0",
            "
            and ($23::timestamptz is null or (starts_at, event_id) > ($23, $24::uuid))
          order by starts_at, event_id
          limit $25",
            at,
            id,
            limit,
        ),
    }
}

/// Matches by price, in one currency; without those that have none.
pub async fn listed_by_price(
    conn: &mut PgConnection,
    words: &Words<'_>,
    narrow: &Narrow,
    among: Among,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let (key, at, id) = (after.map(|a| a.key), after.map(|a| a.starts_at), after.map(|a| a.event_id));
    match among {
        Among::First(first) => find!(
            conn,
            words,
            narrow,
            by "price_from_minor",
            first "$27",
            begin "price_from_minor is not null
                and ($23::float8 is null or (price_from_minor, starts_at, event_id) > ($23::bigint, $24::timestamptz, $25::uuid))",
            order "price_from_minor, starts_at, event_id",
            limit "$26",
            key,
            at,
            id,
            limit,
            first,
        ),
        Among::All => find!(
            conn,
            words,
            narrow,
            by "price_from_minor",
            "
            and price_from_minor is not null
            and ($23::float8 is null or (price_from_minor, starts_at, event_id) > ($23::bigint, $24::timestamptz, $25::uuid))
          order by price_from_minor, starts_at, event_id
          limit $26",
            key,
            at,
            id,
            limit,
        ),
    }
}

/// Matches by popularity.
pub async fn listed_by_popularity(
    conn: &mut PgConnection,
    words: &Words<'_>,
    narrow: &Narrow,
    among: Among,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let (key, at, id) = (after.map(|a| a.key), after.map(|a| a.starts_at), after.map(|a| a.event_id));
    match among {
        Among::First(first) => find!(
            conn,
            words,
            narrow,
            by "-popularity",
            first "$27",
            begin "$23::float8 is null or (-popularity, starts_at, event_id) > ($23::integer, $24::timestamptz, $25::uuid)",
            order "unpopularity, starts_at, event_id",
            limit "$26",
            key,
            at,
            id,
            limit,
            first,
        ),
        Among::All => find!(
            conn,
            words,
            narrow,
            by "-popularity",
            "
            and ($23::float8 is null or (-popularity, starts_at, event_id) > ($23::integer, $24::timestamptz, $25::uuid))
          order by -popularity, starts_at, event_id
          limit $26",
            key,
            at,
            id,
            limit,
        ),
    }
}

/// How many match, by what facets tell apart: in all but category and city, and in one of these.
pub async fn kinds(
    conn: &mut PgConnection,
    document: Option<&str>,
    narrow: &Narrow,
) -> Result<Vec<(Kind, Kinds)>, sqlx::Error> {
    let latitudes = narrow.near.map(|near| near.latitudes()).unzip();
    let longitudes = narrow.near.and_then(|near| near.longitudes()).unzip();
    let rows = sqlx::query!(
        r#"select category_id, city_key, city, count(*) as "events!",
                  count(*) filter (where price_from_minor = 0) as "free!", count(*) filter (where available) as "available!"
             from event_search
            where ($1::text is null or document @@ $1::text::tsquery)
              and ($4::text is null or place_key like '% ' || $4 || '%')
              and ($5::text is null or currency = $5)
              and ($6::bigint is null or price_from_minor >= $6)
              and ($7::bigint is null or price_from_minor <= $7)
              and ($8::boolean is null or coalesce(price_from_minor = 0, false) = $8)
              and ($9::boolean is null or available = $9)
              and over_at >= $10
              and ($11::timestamptz is null or starts_at < $11)
              and ($12::timestamptz is null or starts_at >= $12)
              and ($13::float8 is null or latitude between $13 and $14)
              and ($15::float8 is null or longitude between $15 and $16)
              and ($17::float8 is null or distance_km(latitude, longitude, $17, $18) <= $19)
              and (($2::text is null or category_id = $2) or ($3::text is null or city_key = $3))
            group by category_id, city_key, city"#,
        document,
        narrow.category_id,
        narrow.city_key,
        narrow.place,
        narrow.currency,
        narrow.price_min,
        narrow.price_max,
        narrow.free,
        narrow.available,
        narrow.from,
        narrow.to,
        narrow.starts_from,
        latitudes.0,
        latitudes.1,
        longitudes.0,
        longitudes.1,
        narrow.near.map(|near| near.latitude),
        narrow.near.map(|near| near.longitude),
        narrow.near.map(|near| near.radius_km),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let n = Kinds { events: r.events, free: r.free, available: r.available };
            (Kind { category_id: r.category_id, city_key: r.city_key, city: r.city }, n)
        })
        .collect())
}

/// Which events have the words, over or not, in no order.
pub async fn with_words(conn: &mut PgConnection, document: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    // As one value: a row for each takes longer than looking them up. Phrases ask where the words stand.
    if document.contains("<->") {
        sqlx::query_scalar!(
            r#"select coalesce(array_agg(event_id), '{}') as "events!" from event_search where document @@ $1::text::tsquery"#,
            document,
        )
        .fetch_one(conn)
        .await
    } else {
        sqlx::query_scalar!(
            r#"select coalesce(array_agg(event_id), '{}') as "events!" from event_words where words @@ $1::text::tsquery"#,
            document,
        )
        .fetch_one(conn)
        .await
    }
}

/// The same among every eighth event, those that are [`Counted::sampled`]. Nothing for phrases: the sample does not know where words stand.
pub async fn sample_with_words(conn: &mut PgConnection, document: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    if document.contains("<->") {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"select coalesce(array_agg(event_id), '{}') as "events!" from event_words_sample
            where words @@ $1::text::tsquery"#,
        document,
    )
    .fetch_one(conn)
    .await
}

/// Whether at least `enough` of the sampled events have the words. Nobody knows of phrases.
pub async fn sample_has(conn: &mut PgConnection, document: &str, enough: i64) -> Result<bool, sqlx::Error> {
    if document.contains("<->") {
        return Ok(false);
    }
    let found = sqlx::query_scalar!(
        r#"select count(*) as "found!"
             from (select from event_words_sample where words @@ $1::text::tsquery limit $2) as sampled"#,
        document,
        enough,
    )
    .fetch_one(conn)
    .await?;
    Ok(found >= enough)
}

/// What an event is counted by.
#[derive(Debug, Clone)]
pub struct Counted {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub category_id: String,
    pub city_key: String,
    pub city: String,
    pub place_key: String,
    pub currency: String,
    pub price_from_minor: Option<i64>,
    pub available: bool,
    pub starts_at: OffsetDateTime,
    pub over_at: OffsetDateTime,
    pub latitude: Option<f64>,
    pub longitude: Option<f64>,
    /// Whether it is in the sample: every eighth is, of a series too, whose dates follow each other.
    pub sampled: bool,
}

/// A part of all events, in order of organizer and event.
pub async fn counted_after(
    conn: &mut PgConnection,
    after: Option<(Uuid, Uuid)>,
    limit: i64,
) -> Result<Vec<Counted>, sqlx::Error> {
    let (organizer_id, event_id) = after.unzip();
    sqlx::query_as!(
        Counted,
        r#"select organizer_id, event_id, category_id, city_key, city, place_key, currency, price_from_minor, available,
                  starts_at, over_at as "over_at!", latitude, longitude, event_sampled(event_id) as "sampled!"
             from event_search
            where $1::uuid is null or (organizer_id, event_id) > ($1, $2::uuid)
            order by organizer_id, event_id
            limit $3"#,
        organizer_id,
        event_id,
        limit,
    )
    .fetch_all(conn)
    .await
}
