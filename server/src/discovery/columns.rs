//! What very many events are counted by, kept in memory for some seconds: counting 100,000 rows takes the database a
//! tenth of a second, and a look at as many small numbers side by side takes half a thousandth.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;
use uuid::Uuid;

use crate::app::App;
use crate::domain::search::{Facets, Kind, Kinds};
use crate::store::Db;
use crate::store::search::{self, Counted, Narrow};

/// Fewer events are counted by the database, as they are at that moment.
pub const MANY: usize = 1_000;
/// Sampled events that say how many there are in all: in two of three cases within 3 %.
const ENOUGH: usize = 1_000;
/// Who asks after so long has the rows read again, and is answered by the old ones.
const RENEWED: Duration = Duration::from_secs(8);
/// Availability is known within half a minute; the job that writes it takes the other half.
const KEPT: Duration = Duration::from_secs(15);
/// A reading that takes longer is given up.
const LONGEST: Duration = Duration::from_secs(30);
/// Rows that are read at a time.
const PART: i64 = 5_000;

/// An event's numbers; times in microseconds since 1970.
#[derive(Debug)]
struct Row {
    event_id: Uuid,
    kind: u32,
    available: bool,
    price_minor: Option<i64>,
    starts_at: i64,
    over_at: i64,
    point: Option<(f64, f64)>,
    place_key: Box<str>,
}

/// All events as they were at one moment.
#[derive(Debug, Default)]
pub struct Columns {
    /// In order of their identifiers.
    rows: Vec<Row>,
    /// With their currencies.
    kinds: Vec<(Kind, String)>,
    /// How many of them are in the sample.
    sampled: usize,
}

impl Columns {
    /// Reads all rows.
    ///
    /// # Errors
    /// Of the database.
    async fn read(db: &Db) -> Result<Self, sqlx::Error> {
        let (mut columns, mut numbers) = (Self::default(), HashMap::new());
        let mut after = None;
        loop {
            let mut tx = db.platform().await?;
            let part = search::counted_after(&mut tx, after, PART).await?;
            tx.commit().await?;
            after = part.last().map(|of| (of.organizer_id, of.event_id));
            columns.add(part, &mut numbers);
            if after.is_none() {
                columns.rows.sort_unstable_by_key(|row| row.event_id);
                return Ok(columns);
            }
        }
    }

    fn add(&mut self, events: Vec<Counted>, numbers: &mut HashMap<(Kind, String), u32>) {
        for of in events {
            let kind = Kind { category_id: of.category_id, city_key: of.city_key, city: of.city };
            let next = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
            let kind = *numbers.entry((kind, of.currency)).or_insert_with_key(|kind| {
                self.kinds.push(kind.clone());
                next
            });
            self.sampled += usize::from(of.sampled);
            self.rows.push(Row {
                event_id: of.event_id,
                kind,
                available: of.available,
                price_minor: of.price_from_minor,
                starts_at: micros(of.starts_at),
                over_at: micros(of.over_at),
                point: of.latitude.zip(of.longitude),
                place_key: of.place_key.into(),
            });
        }
    }

    /// How many events there are, over or not.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.rows.len()
    }

    /// Counts what matches, by the rules of [`search::kinds`]; `with_words`: of these events alone, which
    /// come in order of their identifiers.
    #[must_use]
    pub fn count(&self, narrow: &Narrow, with_words: Option<&[Uuid]>) -> Facets {
        let counts = self.counts(narrow, with_words);
        let kinds = self.kinds.iter().map(|(kind, _)| kind).zip(counts);
        Facets::of(kinds, narrow.category_id.as_deref(), narrow.city_key.as_deref())
    }

    /// Whether there are events enough for a sample that says anything.
    #[must_use]
    pub const fn can_estimate(&self) -> bool {
        self.sampled >= ENOUGH
    }

    /// About how many match, by the sampled events with the words; nothing where too few of those match to say.
    #[must_use]
    pub fn estimate(&self, narrow: &Narrow, sample_with_words: &[Uuid]) -> Option<Facets> {
        if sample_with_words.len() < ENOUGH {
            return None;
        }
        let counts = self.counts(narrow, Some(sample_with_words));
        let kinds = || self.kinds.iter().map(|(kind, _)| kind);
        let (category_id, city_key) = (narrow.category_id.as_deref(), narrow.city_key.as_deref());
        let enough = i64::try_from(ENOUGH).unwrap_or(i64::MAX);
        if Facets::of(kinds().zip(counts.iter().copied()), category_id, city_key).total < enough {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let by = self.rows.len() as f64 / self.sampled as f64;
        let counts = counts.into_iter().map(|n| n.extrapolated(by));
        Some(Facets { estimated: true, ..Facets::of(kinds().zip(counts), category_id, city_key) })
    }

    /// How many of each kind match.
    fn counts(&self, narrow: &Narrow, with_words: Option<&[Uuid]>) -> Vec<Kinds> {
        let (from, to) = (micros(narrow.from), narrow.to.map(micros));
        let place = narrow.place.as_ref().map(|place| format!(" {place}"));
        let in_currency =
            |(_, currency): &(Kind, String)| narrow.currency.as_ref().is_none_or(|c| c == currency);
        let wanted: Vec<bool> = self.kinds.iter().map(in_currency).collect();
        let mut counts = vec![Kinds::default(); self.kinds.len()];
        let mut look = |row: &Row| {
            let kind = row.kind as usize;
            let (price, free) = (row.price_minor, row.price_minor == Some(0));
            if row.over_at >= from
                && to.is_none_or(|to| row.starts_at < to)
                && wanted[kind]
                && narrow.price_min.is_none_or(|min| price.is_some_and(|price| price >= min))
                && narrow.price_max.is_none_or(|max| price.is_some_and(|price| price <= max))
                && narrow.free.is_none_or(|wanted| wanted == free)
                && narrow.available.is_none_or(|wanted| wanted == row.available)
                && narrow.near.is_none_or(|near| row.point.is_some_and(|point| near.holds(point)))
                && place.as_ref().is_none_or(|place| row.place_key.contains(place.as_str()))
            {
                let n = &mut counts[kind];
                n.events += 1;
                n.free += i64::from(free);
                n.available += i64::from(row.available);
            }
        };
        match with_words {
            None => self.rows.iter().for_each(&mut look),
            Some(ids) => {
                let mut rows = self.rows.iter().peekable();
                for id in ids {
                    while rows.next_if(|row| row.event_id < *id).is_some() {}
                    // One that was published since is counted the next time.
                    if let Some(row) = rows.next_if(|row| row.event_id == *id) {
                        look(row);
                    }
                }
            }
        }
        counts
    }
}

fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// The newest columns.
#[derive(Debug)]
pub struct Newest {
    /// When they had been read, on the monotonic clock. Sent with every end of a reading, also of one that failed.
    columns: watch::Sender<Option<(Duration, Arc<Columns>)>>,
    reading: AtomicBool,
}

impl Default for Newest {
    fn default() -> Self {
        Self { columns: watch::Sender::new(None), reading: AtomicBool::new(false) }
    }
}

impl Newest {
    /// Those of the last seconds. After a silence all who ask wait for one reading; nothing if it failed.
    pub async fn recent(self: &Arc<Self>, app: &App) -> Option<Arc<Columns>> {
        let now = app.clock.monotonic();
        let mut columns = self.columns.subscribe();
        let kept = columns.borrow_and_update().clone();
        let age = kept.as_ref().map(|(at, _)| now.saturating_sub(*at));
        if age.is_none_or(|age| age >= RENEWED) && !self.reading.swap(true, Ordering::AcqRel) {
            self.read(app);
        }
        if age.is_some_and(|age| age < KEPT) {
            return kept.map(|(_, columns)| columns);
        }
        columns.changed().await.ok()?;
        let read = columns.borrow().clone()?;
        // Of a reading that failed the old ones are left.
        (read.0 >= now).then_some(read.1)
    }

    fn read(self: &Arc<Self>, app: &App) {
        let ended = Reading(Arc::clone(self));
        let (db, clock, stopping) = (app.db.clone(), Arc::clone(&app.clock), app.stopping.clone());
        app.background.spawn(async move {
            let reading = tokio::time::timeout(LONGEST, Columns::read(&db));
            match stopping.run_until_cancelled(reading).await {
                Some(Ok(Ok(columns))) => {
                    let read = (clock.monotonic(), Arc::new(columns));
                    ended.0.columns.send_modify(|kept| *kept = Some(read));
                }
                Some(Ok(Err(error))) => tracing::warn!(%error, "events cannot be read to be counted"),
                Some(Err(_)) => tracing::warn!("events cannot be read to be counted: it takes too long"),
                None => {}
            }
        });
    }
}

/// A reading that is going on. When it ends, however it does, who waits is told.
struct Reading(Arc<Newest>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.reading.store(false, Ordering::Release);
        self.0.columns.send_modify(|_| {});
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::domain::search::Near;

    fn event(n: u128, city: &str, price: Option<i64>) -> Counted {
        Counted {
            organizer_id: Uuid::from_u128(1),
            event_id: Uuid::from_u128(n),
            category_id: if n.is_multiple_of(2) { "music" } else { "film" }.to_owned(),
            city_key: city.to_lowercase(),
            city: city.to_owned(),
            place_key: format!(" old mill {} ", city.to_lowercase()),
            currency: if n == 9 { "CHF" } else { "EUR" }.to_owned(),
            price_from_minor: price,
            available: n.is_multiple_of(3),
            starts_at: datetime!(2026-12-01 20:00 UTC) + time::Duration::days(i64::try_from(n).unwrap()),
            over_at: datetime!(2026-12-01 23:00 UTC) + time::Duration::days(i64::try_from(n).unwrap()),
            latitude: (n != 8).then_some(48.0 + f64::from(u32::try_from(n).unwrap())),
            longitude: (n != 8).then_some(16.0),
            sampled: n.is_multiple_of(8),
        }
    }

    fn any() -> Narrow {
        Narrow::not_over(datetime!(2026-11-23 0:00 UTC))
    }

    #[test]
    fn every_filter_narrows() {
        let mut columns = Columns::default();
        let prices = [Some(0), Some(500), None, Some(2_000)];
        let events = |from: u128, to: u128| -> Vec<Counted> {
            (from..to)
                .map(|n| event(n, if n < 5 { "Wien" } else { "Graz" }, prices[n as usize % 4]))
                .collect()
        };
        let mut numbers = HashMap::new();
        columns.add(events(0, 4), &mut numbers);
        columns.add(events(4, 10), &mut numbers);
        let total = |narrow: &Narrow| columns.count(narrow, None).total;
        assert_eq!(total(&any()), 10);
        let near = Near { latitude: 48.0, longitude: 16.0, radius_km: 115.0 };
        for (what, narrow, expected) in [
            ("not over before", Narrow { from: datetime!(2026-12-05 23:00 UTC), ..any() }, 6),
            ("just over", Narrow { from: datetime!(2026-12-05 23:00:00.001 UTC), ..any() }, 5),
            ("before", Narrow { to: Some(datetime!(2026-12-05 20:00 UTC)), ..any() }, 4),
            ("currency", Narrow { currency: Some("CHF".to_owned()), ..any() }, 1),
            ("price from", Narrow { price_min: Some(500), ..any() }, 5),
            ("price to", Narrow { price_max: Some(500), ..any() }, 6),
            ("free", Narrow { free: Some(true), ..any() }, 3),
            ("not free", Narrow { free: Some(false), ..any() }, 7),
            ("available", Narrow { available: Some(true), ..any() }, 4),
            ("sold out", Narrow { available: Some(false), ..any() }, 6),
            ("near", Narrow { near: Some(near), ..any() }, 2),
            ("place", Narrow { place: Some("mill w".to_owned()), ..any() }, 5),
            ("within a word", Narrow { place: Some("ill".to_owned()), ..any() }, 0),
            ("category", Narrow { category_id: Some("film".to_owned()), ..any() }, 5),
            ("city", Narrow { city_key: Some("graz".to_owned()), ..any() }, 5),
        ] {
            assert_eq!(total(&narrow), expected, "{what}");
        }
        let facets = columns.count(&Narrow { category_id: Some("film".to_owned()), ..any() }, None);
        assert_eq!(facets.categories, [("film".to_owned(), 5), ("music".to_owned(), 5)]);
        assert_eq!((facets.free, facets.available), (0, 2));
    }

    #[test]
    fn of_those_with_the_words_alone() {
        let mut columns = Columns::default();
        columns.add([0, 1, 3, 4].map(|n| event(n, "Wien", None)).into(), &mut HashMap::new());
        let ids = [1, 2, 3, 77].map(Uuid::from_u128);
        let facets = columns.count(&any(), Some(&ids));
        assert_eq!(facets.total, 2, "one that it does not know yet is left out");
        assert_eq!(facets.cities, [("Wien".to_owned(), 2)]);
    }
}
