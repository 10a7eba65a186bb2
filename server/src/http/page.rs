//! Lists come in pages, all of them in the same way: `limit` 1 to 200 (50 without it), and the `next_cursor` of one
//! page as `cursor` of the next.
//!
//! A cursor names a place in one list: base64url(check, 4 bytes ‖ what the last item is ordered by). The check binds it
//! to its list, so that the cursor of another list, or half of one, is refused as `invalid_cursor`. It is no secret and
//! opens nothing: what a list shows is decided by who asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::ApiError;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;
/// A key is short; what is longer is no cursor of ours.
const MAX_CURSOR: usize = 200;

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Give it back as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Which page of a list. Lists with filters repeat these two fields (query strings cannot be flattened).
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many at most; 50 without it.
    #[serde(default, deserialize_with = "limit")]
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What a list is ordered by.
pub trait Key: Sized {
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Refuses a limit out of bounds: `#[serde(default, deserialize_with = "page::limit")]`.
pub fn limit<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u32>, D::Error> {
    let limit = Option::<u32>::deserialize(d)?;
    match limit {
        Some(n) if !(1..=MAX_LIMIT).contains(&n) => {
            Err(de::Error::custom(format_args!("limit: {n} is not within 1 and {MAX_LIMIT}")))
        }
        _ => Ok(limit),
    }
}

impl PageQuery {
    /// The limit within its bounds.
    pub fn limit(&self) -> i64 {
        i64::from(self.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT))
    }

    /// After which key the page begins; 400 `invalid_cursor` for a text that `list` never gave out.
    pub fn after<K: Key>(&self, list: &str) -> Result<Option<K>, ApiError> {
        self.cursor.as_deref().map(|text| parse_cursor(list, text).ok_or_else(invalid_cursor)).transpose()
    }
}

impl<T> Page<T> {
    /// The page of `rows`, of which one more than `limit` was asked for.
    pub fn of<R, K: Key>(
        list: &str,
        limit: i64,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> K,
        json: impl FnMut(R) -> T,
    ) -> Self {
        let size = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next_cursor = rows.last().filter(|_| more).map(|last| cursor(list, &key(last)));
        Self { items: rows.into_iter().map(json).collect(), next_cursor }
    }

    /// A page of a short list that was read whole, in its order. If the item that a cursor names is gone the page
    /// begins where it stood.
    pub fn of_few(
        list: &str,
        query: &PageQuery,
        all: Vec<T>,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Self, ApiError> {
        let start = match query.after::<(u32, Uuid)>(list)? {
            None => 0,
            Some((at, last)) => {
                let stood = usize::try_from(at).unwrap_or(usize::MAX);
                all.iter().position(|item| id(item) == last).map_or(stood, |found| found + 1)
            }
        };
        let size = usize::try_from(query.limit()).unwrap_or(usize::MAX);
        let end = start.saturating_add(size).min(all.len());
        let last = (start < end && end < all.len())
            .then(|| (u32::try_from(end - 1).unwrap_or(u32::MAX), id(&all[end - 1])));
        let next_cursor = last.map(|last| cursor(list, &last));
        Ok(Self { items: all.into_iter().skip(start).take(size).collect(), next_cursor })
    }
}

/// The text of a place in a list.
pub fn cursor<K: Key>(list: &str, key: &K) -> String {
    let bytes = key.to_bytes();
    let mut text = check(list, &bytes).to_vec();
    text.extend(bytes);
    URL_SAFE_NO_PAD.encode(text)
}

fn parse_cursor<K: Key>(list: &str, text: &str) -> Option<K> {
    if text.len() > MAX_CURSOR {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (given, key) = bytes.split_first_chunk::<4>()?;
    if *given != check(list, key) {
        return None;
    }
    K::from_bytes(key)
}

fn check(list: &str, key: &[u8]) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(b"hvflvspot/cursor/v1\0");
    hash.update(list.as_bytes());
    hash.update(b"\0");
    hash.update(key);
    let hash: [u8; 32] = hash.finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn invalid_cursor() -> ApiError {
    ApiError::bad_request("invalid_cursor", "this is no cursor of this list; leave it out to begin anew")
}

impl Key for Uuid {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl Key for (OffsetDateTime, Uuid) {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.unix_timestamp_nanos().to_be_bytes().to_vec();
        bytes.extend(self.1.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = bytes.split_first_chunk::<16>()?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from_be_bytes(*at)).ok()?;
        Some((at, Uuid::from_slice(id).ok()?))
    }
}

impl Key for (u32, Uuid) {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.to_be_bytes().to_vec();
        bytes.extend(self.1.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = bytes.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*at), Uuid::from_slice(id).ok()?))
    }
}

impl Key for (u32, u64) {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.to_be_bytes().to_vec();
        bytes.extend(self.1.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_first_chunk::<4>()?;
        Some((u32::from_be_bytes(*first), u64::from_be_bytes(second.try_into().ok()?)))
    }
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoneyJson {
    /// In the currency's smallest unit: cents for EUR.
    pub amount_minor: i64,
    /// ISO 4217, as `EUR`.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(limit: u32, cursor: Option<String>) -> PageQuery {
        PageQuery { limit: Some(limit), cursor }
    }

    #[test]
    fn a_cursor_is_of_one_list_and_whole() {
        let key = (OffsetDateTime::UNIX_EPOCH, Uuid::from_u128(7));
        let text = cursor("events", &key);
        let read = |list: &str, text: &str| parse_cursor::<(OffsetDateTime, Uuid)>(list, text);
        assert_eq!(read("events", &text), Some(key));
        assert_eq!(read("incidents", &text), None);
        assert_eq!(read("events", &text[1..]), None);
        assert_eq!(read("events", &cursor("events", &Uuid::from_u128(7))), None, "of another shape");
        for bad in ["", "AAAA", "2026-01-01T00:00:00Z_0", "ü", &"A".repeat(10_000)] {
            assert_eq!(read("events", bad), None, "{bad:.20}");
        }
    }

    #[test]
    fn a_short_list_is_paged_whole_even_when_an_item_goes_in_between() {
        let ids = |n: u128| (0..n).map(Uuid::from_u128).collect::<Vec<_>>();
        let mut seen = Vec::new();
        let mut next = None;
        loop {
            let page = Page::of_few("t", &query(2, next), ids(5), |id| *id).unwrap();
            seen.extend(page.items);
            next = page.next_cursor;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, ids(5));
        let first = Page::of_few("t", &query(2, None), ids(5), |id| *id).unwrap();
        let mut left = ids(5);
        left.remove(1);
        let second = Page::of_few("t", &query(2, first.next_cursor), left, |id| *id).unwrap();
        assert_eq!(second.items, [Uuid::from_u128(2), Uuid::from_u128(3)], "nothing is left out");
        assert!(
            Page::of_few("t", &query(2, None), Vec::<Uuid>::new(), |id| *id).unwrap().next_cursor.is_none()
        );
    }
}
