//! SYNTHETIC events by the hundred thousand, the same ones from the same seed: made-up names, real cities and languages.
//! What stands in the tables is what organizers would have left: events, types, quotas, search rows, words.

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::domain::search::popularity;
use crate::store::Endpoint;
use crate::store::search_row::{self, Source};

const BATCH: usize = 2_000;
const ORGANIZERS: usize = 250;
const DAYS: i64 = 365;

/// Name, country, zone, currency, language, latitude, longitude.
type City = (&'static str, &'static str, &'static str, &'static str, &'static str, f64, f64);

pub const CITIES: [City; 24] = [
    ("Berlin", "DE", "Europe/Berlin", "EUR", "de", 52.52, 13.40),
    ("München", "DE", "Europe/Berlin", "EUR", "de", 48.14, 11.58),
    ("Köln", "DE", "Europe/Berlin", "EUR", "de", 50.94, 6.96),
    ("Hamburg", "DE", "Europe/Berlin", "EUR", "de", 53.55, 9.99),
    ("Leipzig", "DE", "Europe/Berlin", "EUR", "de", 51.34, 12.37),
    ("Wien", "AT", "Europe/Vienna", "EUR", "de", 48.21, 16.37),
    ("Graz", "AT", "Europe/Vienna", "EUR", "de", 47.07, 15.44),
    ("Zürich", "CH", "Europe/Zurich", "CHF", "de", 47.38, 8.54),
    ("Paris", "FR", "Europe/Paris", "EUR", "fr", 48.86, 2.35),
    ("Lyon", "FR", "Europe/Paris", "EUR", "fr", 45.76, 4.84),
    ("Marseille", "FR", "Europe/Paris", "EUR", "fr", 43.30, 5.37),
    ("Orléans", "FR", "Europe/Paris", "EUR", "fr", 47.90, 1.91),
    ("Genève", "CH", "Europe/Zurich", "CHF", "fr", 46.20, 6.14),
    ("Madrid", "ES", "Europe/Madrid", "EUR", "es", 40.42, -3.70),
    ("Barcelona", "ES", "Europe/Madrid", "EUR", "es", 41.39, 2.17),
    ("Málaga", "ES", "Europe/Madrid", "EUR", "es", 36.72, -4.42),
    ("Cádiz", "ES", "Europe/Madrid", "EUR", "es", 36.53, -6.29),
    ("London", "GB", "Europe/London", "GBP", "en", 51.51, -0.13),
    ("Manchester", "GB", "Europe/London", "GBP", "en", 53.48, -2.24),
    ("Glasgow", "GB", "Europe/London", "GBP", "en", 55.86, -4.25),
    ("Dublin", "IE", "Europe/Dublin", "EUR", "en", 53.35, -6.26),
    ("Cork", "IE", "Europe/Dublin", "EUR", "en", 51.90, -8.47),
    ("New York", "US", "America/New_York", "USD", "en", 40.71, -74.01),
    ("Boston", "US", "America/New_York", "USD", "en", 42.36, -71.06),
];

pub const CATEGORIES: [&str; 13] = [
    "music",
    "festival",
    "nightlife",
    "theatre",
    "comedy",
    "film",
    "art",
    "sports",
    "conference",
    "workshop",
    "food",
    "family",
    "community",
];

/// Words of titles, by language; the first ones are the most frequent.
const TITLES: [(&str, &[&str]); 4] = [
    (
        "en",
        &[
            "live",
            "festival",
            "night",
            "concert",
            "show",
            "summer",
            "jazz",
            "opening",
            "rock",
            "evening",
            "songs",
            "comedy",
            "quartet",
            "orchestra",
            "choir",
            "masterclass",
            "tasting",
            "marathon",
            "exhibition",
            "screening",
            "ballet",
            "fair",
            "reading",
            "poetry",
            "blues",
            "improvisation",
            "carnival",
            "fireworks",
            "brunch",
            "symposium",
        ],
    ),
    (
        "de",
        &[
            "konzert",
            "festival",
            "nacht",
            "sommer",
            "abend",
            "lesung",
            "frühling",
            "orchester",
            "jazz",
            "führung",
            "lieder",
            "chor",
            "weihnachtskonzert",
            "kabarett",
            "märchen",
            "ausstellung",
            "theater",
            "flohmarkt",
            "tänze",
            "stadtlauf",
            "weinprobe",
            "eröffnung",
            "kinder",
            "klänge",
            "geschichten",
            "feuerwerk",
            "straßenfest",
            "vortrag",
            "ball",
            "krimi",
        ],
    ),
    (
        "fr",
        &[
            "concert",
            "fête",
            "nuit",
            "soirée",
            "été",
            "festival",
            "théâtre",
            "chansons",
            "jazz",
            "exposition",
            "lumière",
            "orchestre",
            "chœur",
            "dégustation",
            "atelier",
            "poésie",
            "cinéma",
            "ballet",
            "marché",
            "découverte",
            "opéra",
            "guinguette",
            "conférence",
            "magie",
            "cirque",
            "bal",
            "lecture",
            "rencontre",
            "printemps",
            "sérénade",
        ],
    ),
    (
        "es",
        &[
            "concierto",
            "fiesta",
            "noche",
            "música",
            "verano",
            "festival",
            "teatro",
            "canciones",
            "flamenco",
            "exposición",
            "orquesta",
            "coro",
            "degustación",
            "taller",
            "poesía",
            "cine",
            "danza",
            "mercado",
            "guitarra",
            "ópera",
            "maratón",
            "comedia",
            "magia",
            "circo",
            "lectura",
            "primavera",
            "niños",
            "cuentos",
            "feria",
            "baile",
        ],
    ),
];

const SYLLABLES: [&str; 40] = [
    "ba", "bri", "ca", "cho", "da", "dor", "el", "fa", "fin", "ga", "gre", "ha", "hol", "is", "jo", "ka",
    "kel", "la", "lin", "lo", "ma", "mer", "mi", "na", "nor", "o", "pa", "pol", "ra", "ri", "ro", "sa",
    "sel", "ta", "tor", "u", "va", "vin", "wal", "zü",
];

/// Fills the database with `count` of them; what they are.
///
/// # Errors
/// If the tables refuse.
pub async fn fill(
    endpoint: &Endpoint,
    rng: &mut StdRng,
    count: usize,
    now: OffsetDateTime,
) -> Result<Vec<Source>> {
    let mut conn = PgConnection::connect_with(&endpoint.admin()).await?;
    let organizers: Vec<(Uuid, String)> = (0..ORGANIZERS).map(|_| (id(rng), name(rng, 2))).collect();
    for (organizer_id, name) in &organizers {
        sqlx::query(
            "with made as (
               insert into organizers (organizer_id, name, contact_email, status, created_at, updated_at)
               values ($1, $2, 'synthetic@bench.example', 'approved', $3, $3)
             )
             insert into directory (kind, key, organizer_id) values ('organizer', $1::text, $1)",
        )
        .bind(organizer_id)
        .bind(name)
        .bind(now)
        .execute(&mut conn)
        .await?;
    }
    let venues: Vec<(usize, String)> = (0..2_000)
        .map(|_| {
            (
                rng.random_range(0..CITIES.len()),
                format!(
                    "{} {}",
                    name(rng, 1),
                    pick(rng, &["Hall", "Arena", "Halle", "Théâtre", "Sala", "Club", "Park"])
                ),
            )
        })
        .collect();
    let artists: Vec<String> = (0..12_000)
        .map(|_| {
            let words = rng.random_range(1..=2);
            name(rng, words)
        })
        .collect();
    // Built at the end, as a restored backup would have them.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select indexname::text, indexdef from pg_indexes
          where tablename in ('event_search', 'event_words', 'event_words_sample', 'search_words')
            and indexdef like '%USING gin%'",
    )
    .fetch_all(&mut conn)
    .await?;
    for (name, _) in &indexes {
        sqlx::query(AssertSqlSafe(format!("drop index {name}"))).execute(&mut conn).await?;
    }
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let size = BATCH.min(count - all.len());
        let made: Vec<(Source, i32, i32)> =
            (0..size).map(|_| event(rng, &organizers, &venues, &artists, now)).collect();
        insert(&mut conn, &made, now).await?;
        let sources: Vec<Source> = made.into_iter().map(|(source, ..)| source).collect();
        search_row::write(&mut conn, &sources, now).await?;
        all.extend(sources);
    }
    for (_, definition) in indexes {
        sqlx::query(AssertSqlSafe(definition)).execute(&mut conn).await?;
    }
    let tables = [
        "events",
        "quotas",
        "ticket_types",
        "event_search",
        "event_words",
        "event_words_sample",
        "search_words",
    ];
    for table in tables {
        sqlx::query(AssertSqlSafe(format!("vacuum analyze {table}"))).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(all)
}

/// The event itself, its quota and its type, as the search row says of them.
async fn insert(conn: &mut PgConnection, made: &[(Source, i32, i32)], now: OffsetDateTime) -> Result<()> {
    let rows: Vec<_> = made
        .iter()
        .map(|(of, capacity, sold)| {
            serde_json::json!({
                "organizer_id": of.organizer_id, "event_id": of.event_id, "slug": of.slug, "title": of.title,
                "artists": of.artists, "description": of.description, "language": of.language,
                "category_id": of.category_id, "venue_name": of.venue_name, "city": of.city, "country": of.country,
                "latitude": of.latitude, "longitude": of.longitude, "time_zone": of.time_zone,
                "starts_secs": of.starts_at.unix_timestamp(), "ends_secs": of.ends_at.map(OffsetDateTime::unix_timestamp),
                "currency": of.currency, "price_minor": of.price_from_minor.unwrap_or(0), "capacity": capacity, "sold": sold,
            })
        })
        .collect();
    sqlx::query(
        "with r as (
           select * from jsonb_to_recordset($1) as r (
             organizer_id uuid, event_id uuid, slug text, title text, artists text[], description text, language text,
             category_id text, venue_name text, city text, country text, latitude float8, longitude float8, time_zone text,
             starts_secs float8, ends_secs float8, currency text, price_minor bigint, capacity integer, sold integer)
         ), e as (
           insert into events (organizer_id, event_id, slug, title, artists, description, language, category_id,
                               venue_name, city, country, latitude, longitude, time_zone, starts_at, ends_at, currency,
                               status, created_at, updated_at, published_at)
           select organizer_id, event_id, slug, title, artists, description, language, category_id, venue_name, city,
                  country, latitude, longitude, time_zone, to_timestamp(starts_secs), to_timestamp(ends_secs), currency,
                  'published', $2, $2, $2
             from r
         ), q as (
           insert into quotas (organizer_id, quota_id, event_id, name, capacity, sold, created_at)
           select organizer_id, event_id, event_id, 'All', capacity, sold, $2 from r
         )
         insert into ticket_types (organizer_id, ticket_type_id, event_id, number, quota_id, name, price_minor, created_at,
                                   updated_at)
         select organizer_id, event_id, event_id, 1, event_id, 'Standard', price_minor, $2, $2 from r",
    )
    .bind(Json(rows))
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

fn event(
    rng: &mut StdRng,
    organizers: &[(Uuid, String)],
    venues: &[(usize, String)],
    artists: &[String],
    now: OffsetDateTime,
) -> (Source, i32, i32) {
    let (organizer_id, organizer_name) = organizers[rng.random_range(0..organizers.len())].clone();
    let (city, venue_name) = &venues[few(rng, venues.len())];
    let (city, country, time_zone, currency, language, latitude, longitude) = CITIES[*city];
    let event_id = id(rng);
    let words = TITLES.iter().find(|(of, _)| *of == language).map_or(TITLES[0].1, |(_, words)| words);
    let artists: Vec<String> =
        (0..rng.random_range(0..=2)).map(|_| artists[few(rng, artists.len())].clone()).collect();
    let title = {
        let count = rng.random_range(1..=3);
        let of_words: Vec<String> = (0..count).map(|_| capital(words[few(rng, words.len())])).collect();
        format!("{} {}", of_words.join(" "), name(rng, 1))
    };
    let described: Vec<String> = (0..40)
        .map(|_| {
            if rng.random_range(0..3) == 0 {
                name(rng, 1).to_lowercase()
            } else {
                words[few(rng, words.len())].to_owned()
            }
        })
        .collect();
    let starts_at = now + Duration::minutes(rng.random_range(60..DAYS * 1_440));
    let starts_at = starts_at.replace_nanosecond(0).unwrap_or(starts_at);
    let price = if rng.random_range(0..12) == 0 { 0 } else { i64::from(rng.random_range(10..400_u32)) * 50 };
    let capacity = rng.random_range(50..5_000);
    let sold = match rng.random_range(0..10) {
        0 => capacity,
        _ => i32::try_from(few(rng, usize::try_from(capacity).unwrap_or(1))).unwrap_or(0),
    };
    let jitter = |rng: &mut StdRng| f64::from(rng.random_range(-200..200_i32)) / 1_000.0;
    let source = Source {
        organizer_id,
        event_id,
        series_id: None,
        slug: format!("synthetic-{}", event_id.simple()),
        title,
        artists,
        description: format!("SYNTHETIC. {}.", described.join(" ")),
        language: Some(language.to_owned()),
        category_id: CATEGORIES[few(rng, CATEGORIES.len())].to_owned(),
        organizer_name,
        venue_name: venue_name.clone(),
        city: city.to_owned(),
        country: Some(country.to_owned()),
        latitude: Some(latitude + jitter(rng)),
        longitude: Some(longitude + jitter(rng)),
        time_zone: time_zone.to_owned(),
        starts_at,
        ends_at: (rng.random_range(0..4) > 0).then(|| starts_at + Duration::hours(rng.random_range(1..9))),
        currency: currency.to_owned(),
        price_from_minor: Some(price),
        available: sold < capacity,
        popularity: popularity(sold.into(), 0),
    };
    (source, capacity, sold)
}

/// A number below `n`, small ones far more often (as words and venues are used).
fn few(rng: &mut StdRng, n: usize) -> usize {
    let unit = f64::from(rng.random_range(0..1_000_000_u32)) / 1_000_000.0;
    ((n as f64) * unit * unit * unit) as usize % n.max(1)
}

fn pick<'a>(rng: &mut StdRng, of: &[&'a str]) -> &'a str {
    of[rng.random_range(0..of.len())]
}

fn name(rng: &mut StdRng, words: usize) -> String {
    let word = |rng: &mut StdRng| {
        capital(&(0..rng.random_range(2..=4)).map(|_| pick(rng, &SYLLABLES)).collect::<String>())
    };
    (0..words).map(|_| word(rng)).collect::<Vec<_>>().join(" ")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn id(rng: &mut StdRng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
