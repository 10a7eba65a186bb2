//! What search makes of words: how texts are folded, how a query is read, which words a mistyped one may mean.
//! Documents and queries are folded by the same function, so that the database needs no rules of its own.

mod facets;
mod fold;
mod near;
mod query;
mod typo;

pub use facets::{Facets, Kind, Kinds};
pub use fold::{fold, spelled_out};
pub use near::{Near, distance_km};
pub use query::{Meaning, Query, Readings};
pub use typo::{corrections, edits};

/// Raise it with every change of what is folded how: rows of another form are written anew.
pub const FORM: i16 = 2;
/// So much of a description is searched.
pub const DESCRIPTION: usize = 2_000;

/// PostgreSQL's configuration for a language (ISO 639-1); `simple` where it knows no stems.
#[must_use]
pub fn configuration(language: Option<&str>) -> &'static str {
    match language.unwrap_or_default() {
        "da" => "danish",
        "de" => "german",
        "en" => "english",
        "es" => "spanish",
        "fi" => "finnish",
        "fr" => "french",
        "hu" => "hungarian",
        "it" => "italian",
        "nl" => "dutch",
        "no" | "nb" | "nn" => "norwegian",
        "pt" => "portuguese",
        "ro" => "romanian",
        "ru" => "russian",
        "sv" => "swedish",
        "tr" => "turkish",
        _ => "simple",
    }
}

/// Popularity as rows keep it: how many tickets are sold and people have looked, in steps of some 20 %.
#[must_use]
pub fn popularity(sold: i64, viewers: i64) -> i32 {
    let weight = sold.max(0).saturating_add(viewers.max(0)) as f64;
    (4.0 * (1.0 + weight).log2()).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_rises_in_steps() {
        assert_eq!(popularity(0, 0), 0);
        assert_eq!(popularity(-5, -5), 0);
        assert!(popularity(10, 0) < popularity(20, 0));
        assert_eq!(popularity(10_000, 0), popularity(10_010, 0), "a few more are no step");
        assert!(popularity(i64::MAX, i64::MAX) < 300);
    }
}
