//! Counts of what a search finds, by category and by city.

use std::collections::BTreeMap;

/// Cities that are named.
const CITIES: usize = 20;

/// Events that facets do not tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind {
    pub category_id: String,
    /// Folded; empty without one.
    pub city_key: String,
    /// As it is written.
    pub city: String,
}

/// How many of a kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    pub events: i64,
    /// With a ticket that costs nothing.
    pub free: i64,
    /// Of which something can be bought.
    pub available: i64,
}

impl Kinds {
    /// Of a sample, what all would be; `by`: how many times as many they are.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "an estimate of what can be counted"
    )]
    pub fn extrapolated(self, by: f64) -> Self {
        let times = |n: i64| (n as f64 * by).round() as i64;
        Self { events: times(self.events), free: times(self.free), available: times(self.available) }
    }
}

/// Counts of all matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Made from a sample.
    pub estimated: bool,
    pub total: i64,
    pub free: i64,
    pub available: i64,
    /// Category and events, the most first.
    pub categories: Vec<(String, i64)>,
    /// City and events, the most first, the first 20.
    pub cities: Vec<(String, i64)>,
}

impl Facets {
    /// Sums up kinds that match in all but category and city. Counts by category leave the filter of the category out, and
    /// those by city the one of the city, so that they show what else there would be.
    pub fn of<'a>(
        kinds: impl IntoIterator<Item = (&'a Kind, Kinds)>,
        category_id: Option<&str>,
        city_key: Option<&str>,
    ) -> Self {
        let mut facets = Self::default();
        let mut categories: BTreeMap<&str, i64> = BTreeMap::new();
        let mut cities: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
        for (kind, n) in kinds {
            if n.events == 0 {
                continue;
            }
            let of_category = category_id.is_none_or(|id| id == kind.category_id);
            let of_city = city_key.is_none_or(|key| key == kind.city_key);
            if of_category && of_city {
                facets.total += n.events;
                facets.free += n.free;
                facets.available += n.available;
            }
            if of_city {
                *categories.entry(&kind.category_id).or_default() += n.events;
            }
            if of_category && !kind.city_key.is_empty() {
                let city = cities.entry(&kind.city_key).or_insert((&kind.city, 0));
                city.0 = city.0.min(&kind.city);
                city.1 += n.events;
            }
        }
        let named = |(name, events): (&str, i64)| (name.to_owned(), events);
        facets.categories = categories.into_iter().map(named).collect();
        facets.cities = cities.into_values().map(named).collect();
        for list in [&mut facets.categories, &mut facets.cities] {
            list.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        }
        facets.cities.truncate(CITIES);
        facets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(category_id: &str, city: &str) -> Kind {
        Kind { category_id: category_id.to_owned(), city_key: city.to_lowercase(), city: city.to_owned() }
    }

    const fn three(free: i64) -> Kinds {
        Kinds { events: 3, free, available: 2 }
    }

    #[test]
    fn a_filter_is_left_out_of_its_own_counts() {
        let kinds = [kind("music", "Wien"), kind("music", "Graz"), kind("film", "WIEN"), kind("film", "")];
        let all = || kinds.iter().map(|k| (k, three(1)));
        let facets = Facets::of(all(), None, None);
        assert_eq!((facets.total, facets.free, facets.available), (12, 4, 8));
        assert_eq!(
            facets.categories,
            [("film".to_owned(), 6), ("music".to_owned(), 6)],
            "equal ones by name"
        );
        assert_eq!(
            facets.cities,
            [("WIEN".to_owned(), 6), ("Graz".to_owned(), 3)],
            "spelled twice, counted once"
        );
        let facets = Facets::of(all(), Some("music"), Some("wien"));
        assert_eq!(facets.total, 3);
        assert_eq!(facets.categories, [("film".to_owned(), 3), ("music".to_owned(), 3)]);
        assert_eq!(facets.cities, [("Graz".to_owned(), 3), ("Wien".to_owned(), 3)]);
    }

    #[test]
    fn the_twenty_cities_with_the_most() {
        let kinds: Vec<Kind> = (10..40).map(|n| kind("music", &format!("c{n}"))).collect();
        let n = |k: &Kind| Kinds { events: k.city[1..].parse().unwrap(), ..Kinds::default() };
        let facets = Facets::of(kinds.iter().map(|k| (k, n(k))), None, None);
        assert_eq!(facets.cities.len(), CITIES);
        assert_eq!((facets.cities[0].1, facets.cities[19].1), (39, 20));
        assert_eq!(facets.total, (10..40).sum::<i64>(), "the others count all the same");
        assert_eq!(Facets::of([], None, None), Facets::default());
        assert_eq!(
            Facets::of([(&kinds[0], Kinds::default())], None, None).cities,
            [],
            "nothing is not named"
        );
    }
}
