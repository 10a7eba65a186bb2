//! Fields of request bodies: instants, money, and fields that may be absent, null or a value.

use serde::{Deserialize, Deserializer, Serialize};
use shared::money::Currency;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::error::FieldError;
use super::page::MoneyJson;

/// A point in time, RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = DateTime, example = "2026-12-24T19:00:00Z")]
pub struct Instant(#[serde(with = "time::serde::rfc3339")] pub OffsetDateTime);

/// Tells a field that is absent (`None`) from one that is null (`Some(None)`): with
/// `#[serde(default, deserialize_with = "given")]`.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(d).map(Some)
}

/// An amount.
pub fn money(amount_minor: i64, currency: &str) -> MoneyJson {
    MoneyJson { amount_minor, currency: currency.to_owned() }
}

/// Gathers what is wrong with a body's fields.
#[derive(Debug, Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    /// Notes one.
    pub fn note(&mut self, field: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError::new(field, code, message));
    }

    /// Notes `field` unless it has `min` to `max` characters after trimming; returns it trimmed.
    pub fn length(&mut self, field: &str, text: &str, min: usize, max: usize) -> String {
        let text = text.trim();
        let n = text.chars().count();
        if n < min {
            self.note(field, "too_short", format!("at least {min} characters"));
        } else if n > max {
            self.note(field, "too_long", format!("at most {max} characters"));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.note(field, "invalid", "no control characters");
        }
        text.to_owned()
    }

    /// The same for a name or title, which stands in one line: of a list, a mail's subject, a gate's screen.
    pub fn line(&mut self, field: &str, text: &str, min: usize, max: usize) -> String {
        let text = self.length(field, text, min, max);
        if text.contains(['\n', '\r', '\t']) {
            self.note(field, "invalid", "one line only");
        }
        text
    }

    /// Notes `field` unless it is within bounds.
    pub fn within<T: PartialOrd + std::fmt::Display>(&mut self, field: &str, value: T, min: T, max: T) {
        if value < min || value > max {
            self.note(field, "out_of_range", format!("{min} to {max}"));
        }
    }

    /// The minor units of an amount of `currency`.
    pub fn amount(&mut self, field: &str, money: &MoneyJson, currency: &str) -> i64 {
        if money.currency != currency {
            self.note(
                format!("{field}.currency"),
                "other_currency",
                format!("the event's currency is {currency}"),
            );
        }
        self.within(&format!("{field}.amount_minor"), money.amount_minor, 0, 1_000_000_000);
        money.amount_minor
    }

    /// Notes `field` unless it is a currency.
    pub fn currency(&mut self, field: &str, text: &str) {
        if text.parse::<Currency>().is_err() {
            self.note(field, "invalid", "three upper-case letters, as EUR (ISO 4217)");
        }
    }

    /// All at once, if there is any.
    pub fn check(self) -> Result<(), super::ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(super::ApiError::invalid(self.0)) }
    }
}
