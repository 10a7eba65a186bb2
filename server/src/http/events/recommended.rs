//! `GET /events/recommended`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::public;
use super::search::{FoundEvent, json as found_json};
use crate::app::AppState;
use crate::discovery::recommend::{self, Recommended};
use crate::domain::language::Language;
use crate::domain::recommend::{Reason, category_name};
use crate::http::auth::Caller;
use crate::http::edge;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::page::Page;
use crate::store::{event, users};

const FEW: u32 = 10;
const MOST: u32 = 50;

/// For whom.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RecommendedQuery {
    /// With `longitude`: where the visitor is.
    #[param(minimum = -90, maximum = 90)]
    latitude: Option<f64>,
    /// With `latitude`.
    #[param(minimum = -180, maximum = 180)]
    longitude: Option<f64>,
    /// How many at most; 10 without it.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u32>,
}

/// A recommended event.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendedEvent {
    #[serde(flatten)]
    event: FoundEvent,
    /// Why, the strongest first; one or two.
    reasons: Vec<ReasonJson>,
}

/// Why it is recommended.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonJson {
    code: ReasonCode,
    /// For people, in the language of `Content-Language`.
    text: String,
}

/// `organizer`: you have been to its organizer's events. `similar`: like one that you booked or looked at.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReasonCode {
    Organizer,
    Similar,
    Category,
    Near,
    Time,
    Popular,
    Soon,
}

/// Events that the caller may like: always one page.
///
/// Made from the account's bookings and from what it looked at, as long as it does not say otherwise
/// (`{"recommendations": false}` in its metadata forgets the looks and uses neither); for everybody else from what is
/// popular, near and soon. What the account goes to already and what is sold out is left out, and no organizer or
/// category fills the list.
///
/// The reasons are written in the account's language; for everybody else in English, German, Spanish or French, as
/// `Accept-Language` asks.
#[utoipa::path(
    get, path = "/events/recommended", operation_id = "recommended_events", tag = "events", params(RecommendedQuery),
    security((), ("session" = []), ("bearer" = [])),
    responses(
        (
            status = 200, body = Page<RecommendedEvent>,
            headers(("Content-Language" = String, description = "Of the reasons: `en`, `de`, `es` or `fr`")),
        ),
        (status = 304, description = "Not changed (If-None-Match); only without an account"),
        (status = 400, description = "`invalid_query`, `two_credentials`", body = Problem), (status = 401, body = Problem),
        (status = 403, description = "`scope_required`: not for system accounts", body = Problem),
    ),
)]
pub(super) async fn recommended(
    State(app): State<AppState>,
    caller: Caller,
    ApiQuery(query): ApiQuery<RecommendedQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    query.check()?;
    let user = match &caller {
        Caller::User(user) => Some(user.user_id),
        Caller::Anonymous | Caller::Guest(_) | Caller::System(_) => None,
    };
    let count = usize::try_from(query.limit.unwrap_or(FEW)).unwrap_or(1);
    let place = query.latitude.zip(query.longitude);
    let chosen = recommend::recommend(&app, user, place, count).await?;
    let mut tx = app.db.platform().await?;
    let categories = event::categories(&mut tx).await?;
    tx.commit().await?;
    let language = match user {
        Some(user_id) => {
            let mut tx = app.db.user(user_id).await?;
            let language = users::language(&mut tx, user_id).await?;
            tx.commit().await?;
            language
        }
        None => edge::language(),
    };
    let items = chosen.into_iter().map(|of| json(of, &categories, language)).collect();
    let page: Page<RecommendedEvent> = Page { items, next_cursor: None };
    let mut response = match user {
        None => public(&headers, &page)?,
        Some(_) => ([(header::CACHE_CONTROL, "private, no-store")], Json(page)).into_response(),
    };
    // A cache keeps one for each language, and none of them answers somebody with an account.
    let answers = response.headers_mut();
    answers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.as_str()));
    answers.append(header::VARY, HeaderValue::from_static("Accept-Language, Authorization, Cookie"));
    Ok(response)
}

impl RecommendedQuery {
    fn check(&self) -> Result<(), ApiError> {
        let mut wrong = Vec::new();
        for (field, value, most) in [("latitude", self.latitude, 90.0), ("longitude", self.longitude, 180.0)]
        {
            if value.is_some_and(|v| !(-most..=most).contains(&v)) {
                wrong.push(FieldError::new(field, "out_of_range", format!("-{most} to {most}")));
            }
        }
        if self.latitude.is_some() != self.longitude.is_some() {
            wrong.push(FieldError::new("latitude", "incomplete", "latitude and longitude come together"));
        }
        if self.limit.is_some_and(|n| !(1..=MOST).contains(&n)) {
            wrong.push(FieldError::new("limit", "out_of_range", format!("1 to {MOST}")));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(ApiError::bad_request("invalid_query", "the query string is not valid").with_errors(wrong))
    }
}

fn json(of: Recommended, categories: &[(String, String)], language: Language) -> RecommendedEvent {
    let Recommended { event, reasons } = of;
    let as_stored =
        || categories.iter().find(|(id, _)| *id == event.category_id).map(|(_, name)| name.as_str());
    let category =
        category_name(&event.category_id, language).or_else(as_stored).unwrap_or(&event.category_id);
    let reasons = reasons
        .into_iter()
        .map(|reason| ReasonJson {
            text: reason.words(language, &event.organizer_name, category),
            code: ReasonCode::from(&reason),
        })
        .collect();
    RecommendedEvent { event: found_json(event), reasons }
}

impl From<&Reason> for ReasonCode {
    fn from(reason: &Reason) -> Self {
        match reason {
            Reason::Organizer => Self::Organizer,
            Reason::Similar { .. } => Self::Similar,
            Reason::Category => Self::Category,
            Reason::Near => Self::Near,
            Reason::Time => Self::Time,
            Reason::Popular => Self::Popular,
            Reason::Soon => Self::Soon,
        }
    }
}
