//! `GET /events/recommended`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::public;
use super::search::{FoundEvent, json as found_json};
use crate::app::AppState;
use crate::discovery::recommend::{self, Recommended};
use crate::domain::recommend::Reason;
use crate::http::auth::Caller;
use crate::http::error::{ApiError, FieldError, Problem};
use crate::http::extract::ApiQuery;
use crate::http::page::Page;
use crate::store::event;

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
    /// For people, in English.
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
#[utoipa::path(
    get, path = "/events/recommended", operation_id = "recommended_events", tag = "events", params(RecommendedQuery),
    security((), ("session" = []), ("bearer" = [])),
    responses(
        (status = 200, body = Page<RecommendedEvent>), (status = 304, description = "Not changed (If-None-Match); only without an account"),
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
    let items = chosen.into_iter().map(|of| json(of, &categories)).collect();
    let page: Page<RecommendedEvent> = Page { items, next_cursor: None };
    match user {
        None => public(&headers, &page),
        Some(_) => Ok(([(header::CACHE_CONTROL, "private, no-store")], Json(page)).into_response()),
    }
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

fn json(of: Recommended, categories: &[(String, String)]) -> RecommendedEvent {
    let Recommended { event, reasons } = of;
    let category = categories.iter().find(|(id, _)| *id == event.category_id);
    let category = category.map_or(event.category_id.as_str(), |(_, name)| name.as_str());
    let reasons = reasons
        .into_iter()
        .map(|reason| {
            let (code, text) = match reason {
                Reason::Organizer => {
                    (ReasonCode::Organizer, format!("From {}, whose events you know", event.organizer_name))
                }
                Reason::Similar { title, booked: true } => {
                    (ReasonCode::Similar, format!("Like \u{201c}{title}\u{201d}, which you booked"))
                }
                Reason::Similar { title, booked: false } => {
                    (ReasonCode::Similar, format!("Like \u{201c}{title}\u{201d}, which you looked at"))
                }
                Reason::Category => (ReasonCode::Category, format!("You like {category}")),
                Reason::Near => (ReasonCode::Near, "Near you".to_owned()),
                Reason::Time => (ReasonCode::Time, "At a time when you often go out".to_owned()),
                Reason::Popular => (ReasonCode::Popular, "Many people go there".to_owned()),
                Reason::Soon => (ReasonCode::Soon, "It takes place soon".to_owned()),
            };
            ReasonJson { code, text }
        })
        .collect();
    RecommendedEvent { event: found_json(event), reasons }
}
