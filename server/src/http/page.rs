//! Shapes that many replies share.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::ApiError;

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many at most, 1 to 200; 50 without it.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The limit within its bounds.
    pub fn limit(&self) -> i64 {
        i64::from(self.limit.unwrap_or(50).clamp(1, 200))
    }
}

impl<T> Page<T> {
    /// The page of `items`, of which one more than `query` asked for was read; cursors are ids.
    pub fn by_id(mut items: Vec<T>, query: &PageQuery, id: impl Fn(&T) -> Uuid) -> Self {
        let size = usize::try_from(query.limit()).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next_cursor = more.then(|| items.last().map(|item| id(item).to_string())).flatten();
        Self { items, next_cursor }
    }
}

/// The id after which a page begins, for lists whose cursors are ids.
pub fn after_id(query: &PageQuery) -> Result<Option<Uuid>, ApiError> {
    query
        .cursor
        .as_deref()
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| ApiError::bad_request("invalid_cursor", "this is no cursor of this list"))
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneyJson {
    /// In the currency's smallest unit: cents for EUR.
    pub amount_minor: i64,
    /// ISO 4217, as `EUR`.
    pub currency: String,
}
