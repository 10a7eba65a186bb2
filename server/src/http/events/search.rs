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
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::fields::{Instant, money};
use crate::http::page::{self, MoneyJson, Page, PageQuery};
use crate::store::event;
use crate::store::search::{self, Filter, Found};

const LIST: &str = "events";

/// What the list is narrowed to.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchQuery {
    /// Words of title, venue, city, organizer or description; "quoted phrases", or, -not.
    q: Option<String>,
    /// A category's id, see GET /categories.
    category: Option<String>,
    /// The city, in whatever case.
    city: Option<String>,
    /// Events that are not over before then; now without it.
    #[param(value_type = Option<String>)]
    from: Option<Instant>,
    /// Events that start before then.
    #[param(value_type = Option<String>)]
    to: Option<Instant>,
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "page::limit")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// An event as search shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundEvent {
    event_id: Uuid,
    slug: String,
    title: String,
    /// The beginning of its description.
    summary: String,
    category_id: String,
    organizer_name: String,
    venue_name: String,
    city: String,
    country: Option<String>,
    time_zone: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    ends_at: Option<OffsetDateTime>,
    /// What the cheapest ticket costs in all; null if nothing is on sale.
    price_from: Option<MoneyJson>,
}

/// Published events by date.
#[utoipa::path(
    get, path = "/events/search", operation_id = "search_events", tag = "events", params(SearchQuery),
    responses((status = 200, body = Page<FoundEvent>), (status = 304, description = "Not changed (If-None-Match)"), (status = 400, body = Problem)),
)]
pub(super) async fn search(
    State(app): State<AppState>,
    ApiQuery(query): ApiQuery<SearchQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = |text: &Option<String>| {
        text.as_deref().map(str::trim).is_some_and(|t| t.contains('\0') || t.len() > 200)
    };
    if text(&query.q) || text(&query.category) || text(&query.city) {
        return Err(ApiError::bad_request("invalid_query", "search texts have at most 200 characters"));
    }
    let page = PageQuery { limit: query.limit, cursor: query.cursor };
    let (after, limit) = (page.after(LIST)?, page.limit());
    // To the minute: caches may then know the answer.
    let now = app.clock.now().replace_second(0).and_then(|t| t.replace_nanosecond(0));
    let present =
        |text: &'_ Option<String>| text.clone().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let (words, category, city) = (present(&query.q), present(&query.category), present(&query.city));
    let filter = Filter {
        words: words.as_deref(),
        category_id: category.as_deref(),
        city: city.as_deref(),
        from: Some(query.from.map_or(now.unwrap_or(app.clock.now()), |t| t.0)),
        to: query.to.map(|t| t.0),
        after,
    };
    let mut tx = app.db.platform().await?;
    let found = search::find(&mut tx, &filter, limit + 1).await?;
    tx.commit().await?;
    public(&headers, &Page::of(LIST, limit, found, |e| (e.starts_at, e.event_id), json))
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

fn json(of: Found) -> FoundEvent {
    FoundEvent {
        price_from: of.price_from_minor.map(|minor| money(minor, &of.currency)),
        event_id: of.event_id,
        slug: of.slug,
        title: of.title,
        summary: of.summary,
        category_id: of.category_id,
        organizer_name: of.organizer_name,
        venue_name: of.venue_name,
        city: of.city,
        country: of.country,
        time_zone: of.time_zone,
        starts_at: of.starts_at,
        ends_at: of.ends_at,
    }
}
