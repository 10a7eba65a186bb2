//! `GET /events/search` and `GET /categories`

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::public;
use crate::app::AppState;
use crate::discovery::search::{self, Asked, Freedom, Place, Sort, Stage};
use crate::domain::search::{self as domain, Near, Query, fold};
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::fields::{Instant, Wrong, money};
use crate::http::page::{self, Key, MoneyJson, Page, PageQuery};
use crate::store::event;
use crate::store::search::{Found, Narrow};

/// Longer texts are no search.
const LONGEST: usize = 200;
const RADIUS_KM: f64 = 50.0;

/// What is searched, and in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// Words of title, artists, venue, city, organizer or description, in whatever case and without regard to accents;
    /// "quoted phrases", or, -not. The last word may be unfinished; mistyped ones are put right; what nothing
    /// has is left out (see `most_words`).
    q: Option<String>,
    /// A category's id, see GET /categories.
    category: Option<String>,
    /// The city's whole name.
    city: Option<String>,
    /// What a word of the venue or the city begins with.
    place: Option<String>,
    /// With `longitude`: events around this point.
    #[param(minimum = -90, maximum = 90)]
    latitude: Option<f64>,
    /// With `latitude`.
    #[param(minimum = -180, maximum = 180)]
    longitude: Option<f64>,
    /// How far around it; 50 without it.
    #[param(minimum = 0.1, maximum = 500)]
    radius_km: Option<f64>,
    /// Only events sold in this currency (ISO 4217); needed with `price_min`, `price_max` and `sort=price`.
    #[param(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// What the cheapest ticket costs in all, in the currency's smallest unit: at least.
    #[param(minimum = 0)]
    price_min: Option<i64>,
    /// At most.
    #[param(minimum = 0)]
    price_max: Option<i64>,
    /// Only events with a ticket that costs nothing, or only those without.
    free: Option<bool>,
    /// Only events of which something can be bought, or only those of which nothing can. Known within half a minute.
    available: Option<bool>,
    /// Events that are not over before then; now without it. What is over already is never found.
    #[param(value_type = Option<String>)]
    from: Option<Instant>,
    /// Events that start before then.
    #[param(value_type = Option<String>)]
    to: Option<Instant>,
    /// By relevance if there is a `q`, else by date.
    #[param(inline)]
    sort: Option<SortBy>,
    /// True: counts of all that is found by category, city, price and availability; of very many events they may be a
    /// minute old.
    facets: Option<bool>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before; everything else stays as it was.
    cursor: Option<String>,
}

/// The order. Events of the same rank come by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SortBy {
    /// Title and artists first, then venue, city, organizer and description, then what was perhaps meant.
    Relevance,
    Date,
    /// The cheapest first; without events that have nothing on sale. Takes `currency`.
    Price,
    /// The nearest first. Takes `latitude` and `longitude`.
    Distance,
    /// What sells best.
    Popularity,
}

/// A page of what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchPage {
    items: Vec<FoundEvent>,
    /// Give it back as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// True if nothing has all the words of `q`: what is found lacks one of them.
    most_words: bool,
    /// Null unless asked for.
    facets: Option<Facets>,
}

/// How many events are found, on all pages together.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Facets {
    /// True if these are estimates from every eighth event, within a few per cent: for the first who asks where very many
    /// events have the words. A moment later they are exact.
    estimated: bool,
    total: i64,
    /// With a ticket that costs nothing.
    free: i64,
    /// Of which something can be bought.
    available: i64,
    /// By category, as if the search named none; the most first.
    categories: Vec<CategoryCount>,
    /// By city, as if the search named none; the 20 with the most.
    cities: Vec<CityCount>,
}

#[derive(Debug, Serialize, ToSchema)]
struct CategoryCount {
    category_id: String,
    events: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct CityCount {
    city: String,
    events: i64,
}

/// An event as search shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundEvent {
    event_id: Uuid,
    /// Of which series it is a date.
    series_id: Option<Uuid>,
    slug: String,
    title: String,
    /// Who plays, speaks or is shown.
    artists: Vec<String>,
    /// The beginning of its description.
    summary: String,
    /// Of title and description, ISO 639-1.
    language: Option<String>,
    category_id: String,
    organizer_id: Uuid,
    organizer_name: String,
    venue_name: String,
    city: String,
    country: Option<String>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    /// From the point that the search names.
    distance_km: Option<f64>,
    time_zone: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    /// What the cheapest ticket costs in all; null if nothing is on sale.
    price_from: Option<MoneyJson>,
    /// True if something can be bought. Known within half a minute.
    available: bool,
}

/// Published events that are not over.
#[utoipa::path(
    get, path = "/events/search", operation_id = "search_events", tag = "events", params(SearchQuery),
    responses((status = 200, body = SearchPage), (status = 304, description = "Not changed (If-None-Match)"), (status = 400, description = "`invalid_query`, `invalid_cursor`", body = Problem)),
)]
pub(super) async fn search(
    State(app): State<AppState>,
    ApiQuery(query): ApiQuery<SearchQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    query.check()?;
    let list = query.list();
    let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() };
    // To the minute: caches may then know the answer.
    let now = app.clock.now().replace_second(0).and_then(|t| t.replace_nanosecond(0));
    let now = now.map_err(ApiError::internal)?;
    let words = query.q.as_deref().map(str::trim_start).filter(|q| !q.is_empty()).map(Query::parse);
    if words.as_ref().is_some_and(Query::is_empty) {
        // Marks and no word: nothing has such.
        let facets = query.facets.filter(|f| *f).map(|_| Facets::default());
        return public(
            &headers,
            &SearchPage { items: Vec::new(), next_cursor: None, most_words: false, facets },
        );
    }
    let asked = Asked {
        sort: query.sort(words.is_some()),
        query: words,
        narrow: query.narrow(now),
        facets: query.facets.unwrap_or(false),
        after: page.after(&list)?,
        limit: usize::try_from(page.limit()).unwrap_or(1),
    };
    let answer = search::search(&app, asked).await?;
    let empty = answer.found.is_empty();
    let body = SearchPage {
        items: answer.found.into_iter().map(json).collect(),
        next_cursor: answer.next.map(|place| page::cursor(&list, &place)),
        most_words: answer.freedom == Freedom::Most && !empty,
        facets: answer.facets.map(facets),
    };
    public(&headers, &body)
}

impl SearchQuery {
    /// 400 naming every field that makes no sense.
    fn check(&self) -> Result<(), ApiError> {
        let mut wrong: Vec<FieldError> = Vec::new();
        let mut note = |field: &str, code: &'static str, message: &str| {
            wrong.push(FieldError::new(field, code, message))
        };
        for (field, text) in
            [("q", &self.q), ("category", &self.category), ("city", &self.city), ("place", &self.place)]
        {
            if text.as_deref().is_some_and(|t| t.contains('\0') || t.chars().count() > LONGEST) {
                note(field, "invalid", "at most 200 characters, and no NUL");
            }
        }
        let within = |value: Option<f64>, min: f64, max: f64| value.is_none_or(|v| (min..=max).contains(&v));
        for (field, value, min, max) in [
            ("latitude", self.latitude, -90.0, 90.0),
            ("longitude", self.longitude, -180.0, 180.0),
            ("radius_km", self.radius_km, 0.1, 500.0),
        ] {
            if !within(value, min, max) {
                note(field, "out_of_range", &format!("{min} to {max}"));
            }
        }
        if self.latitude.is_some() != self.longitude.is_some() {
            note("latitude", "incomplete", "latitude and longitude come together");
        }
        let somewhere = self.latitude.is_some();
        if self.radius_km.is_some() && !somewhere {
            note("radius_km", "incomplete", "around what? Add latitude and longitude");
        }
        if self.sort == Some(SortBy::Distance) && !somewhere {
            note("sort", "incomplete", "a distance needs latitude and longitude");
        }
        let mut currency = Wrong::default();
        if let Some(text) = &self.currency {
            currency.currency("currency", text);
        }
        if currency.check().is_err() {
            note("currency", "invalid", "three upper-case letters, as EUR (ISO 4217)");
        }
        let priced = self.price_min.is_some() || self.price_max.is_some() || self.sort == Some(SortBy::Price);
        if priced && self.currency.is_none() {
            note("currency", "required", "prices compare within one currency only");
        }
        for (field, price) in [("price_min", self.price_min), ("price_max", self.price_max)] {
            if price.is_some_and(|p| p < 0) {
                note(field, "out_of_range", "not below 0");
            }
        }
        if self.price_min.zip(self.price_max).is_some_and(|(min, max)| min > max) {
            note("price_max", "out_of_order", "below price_min");
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from.0 >= to.0) {
            note("to", "out_of_order", "not after from");
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(ApiError::bad_request("invalid_query", "the query string is not valid").with_errors(wrong))
    }

    /// The name of the list for its cursors: they are of this very search.
    fn list(&self) -> String {
        let price = (&self.currency, self.price_min, self.price_max, self.free, self.available);
        let place = (&self.city, &self.place, self.latitude, self.longitude, self.radius_km);
        format!("events {:?}", (&self.q, &self.category, place, price, self.from, self.to, self.sort))
    }

    fn sort(&self, words: bool) -> Sort {
        match self.sort {
            Some(SortBy::Relevance) | None if words => Sort::Relevance,
            None | Some(SortBy::Relevance | SortBy::Date) => Sort::Start,
            Some(SortBy::Price) => Sort::Price,
            Some(SortBy::Distance) => Sort::Distance,
            Some(SortBy::Popularity) => Sort::Popularity,
        }
    }

    fn narrow(&self, now: OffsetDateTime) -> Narrow {
        let folded = |text: &Option<String>| text.as_deref().map(fold).filter(|t| !t.is_empty());
        let category = self.category.as_deref().map(str::trim).filter(|c| !c.is_empty());
        let point = self.latitude.zip(self.longitude);
        let radius_km = self.radius_km.unwrap_or(RADIUS_KM);
        Narrow {
            category_id: category.map(str::to_owned),
            city_key: folded(&self.city),
            place: folded(&self.place),
            currency: self.currency.clone(),
            price_min: self.price_min,
            price_max: self.price_max,
            free: self.free,
            available: self.available,
            from: self.from.map_or(now, |from| from.0.max(now)),
            to: self.to.map(|to| to.0),
            starts_from: None,
            near: point.map(|(latitude, longitude)| Near { latitude, longitude, radius_km }),
        }
    }
}

impl Key for Place {
    fn to_bytes(&self) -> Vec<u8> {
        let stage = match self.stage {
            Stage::Named => 0,
            Stage::Rest => 1,
            Stage::Typo => 2,
            Stage::All => 3,
        };
        let freedom: u8 = match self.freedom {
            Freedom::Typed => 0,
            Freedom::Guessed => 1,
            Freedom::Most => 2,
        };
        let flags: u8 = stage | freedom << 4 | u8::from(self.listed) << 6;
        let mut bytes = vec![flags];
        bytes.extend(self.newest_word.to_be_bytes());
        bytes.extend(self.key.to_bits().to_be_bytes());
        bytes.extend((self.starts_at, self.event_id).to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (newest_word, rest) = rest.split_first_chunk::<8>()?;
        let (key, rest) = rest.split_first_chunk::<8>()?;
        let (starts_at, event_id) = Key::from_bytes(rest)?;
        Some(Self {
            newest_word: i64::from_be_bytes(*newest_word),
            stage: match flags & 0x0f {
                0 => Stage::Named,
                1 => Stage::Rest,
                2 => Stage::Typo,
                3 => Stage::All,
                _ => return None,
            },
            freedom: match flags >> 4 & 0x03 {
                0 => Freedom::Typed,
                1 => Freedom::Guessed,
                2 => Freedom::Most,
                _ => return None,
            },
            listed: flags & 0x40 != 0,
            key: f64::from_bits(u64::from_be_bytes(*key)),
            starts_at,
            event_id,
        })
    }
}

fn facets(of: domain::Facets) -> Facets {
    let category = |(category_id, events)| CategoryCount { category_id, events };
    let city = |(city, events)| CityCount { city, events };
    Facets {
        estimated: of.estimated,
        total: of.total,
        free: of.free,
        available: of.available,
        categories: of.categories.into_iter().map(category).collect(),
        cities: of.cities.into_iter().map(city).collect(),
    }
}

pub(super) fn json(of: Found) -> FoundEvent {
    FoundEvent {
        price_from: of.price_from_minor.map(|minor| money(minor, &of.currency)),
        event_id: of.event_id,
        series_id: of.series_id,
        slug: of.slug,
        title: of.title,
        artists: of.artists,
        summary: of.summary,
        language: of.language,
        category_id: of.category_id,
        organizer_id: of.organizer_id,
        organizer_name: of.organizer_name,
        venue_name: of.venue_name,
        city: of.city,
        country: of.country,
        latitude: of.latitude,
        longitude: of.longitude,
        distance_km: of.distance_km.map(|km| (km * 1_000.0).round() / 1_000.0),
        time_zone: of.time_zone,
        starts_at: of.starts_at,
        ends_at: of.ends_at,
        available: of.available,
    }
}

/// A kind of event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Category {
    #[schema(example = "music")]
    category_id: String,
    name: String,
}

/// All categories.
#[utoipa::path(get, path = "/categories", operation_id = "list_categories", tag = "events", responses((status = 200, body = Page<Category>)))]
pub(super) async fn categories(
    State(app): State<AppState>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut tx = app.db.platform().await?;
    let all = event::categories(&mut tx).await?;
    tx.commit().await?;
    let items = all.into_iter().map(|(category_id, name)| Category { category_id, name }).collect();
    // A handful, chosen by the operator: always one page.
    public(&headers, &Page::<Category> { items, next_cursor: None })
}
