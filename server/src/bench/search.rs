//! Search over 100,000 SYNTHETIC events: every kind of query by HTTP, one after the other, beside the same query through
//! the service with all indexes off.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use time::{Duration, OffsetDateTime};

use super::events::{self, CATEGORIES, CITIES};
use super::report::{Report, Times};
use super::site::Server;
use crate::clock::{Clock as _, SharedRng, SystemClock};
use crate::discovery::search::{Asked, Sort, search_reading};
use crate::domain::search::{Near, Query, fold};
use crate::store::search::{Narrow, Reading};
use crate::store::search_row::Source;
use crate::tour::api::Api;

const EVENTS: usize = 100_000;
const WARM_UP: usize = 30;
const TIMED: usize = 300;
const FLOOR: usize = 5;
const PAGE: usize = 20;
const DEEP: usize = 60;
/// Queries of a kind that are logged, and asked a second time: was it the query or the machine?
const SLOWEST: usize = 4;

/// One query, as a request and as what the service is asked.
#[derive(Debug, Clone, Default)]
struct Probe {
    q: Option<String>,
    category: Option<&'static str>,
    city: Option<&'static str>,
    near: Option<Near>,
    currency: Option<&'static str>,
    from_day: i64,
    sort: Option<(&'static str, Sort)>,
    facets: bool,
}

/// Runs the bench.
///
/// # Errors
/// If a search fails or finds nothing where it must.
pub async fn run(report: Report) -> Result<()> {
    let server = Server::open().await?;
    let mut rng = SharedRng::seeded(20_261_122).fork();
    let now = SystemClock.now();
    let started = SystemClock.monotonic();
    let all = events::fill(server.endpoint(), &mut rng, EVENTS, now).await?;
    let filled = SystemClock.monotonic().saturating_sub(started);
    report.plain("100,000 synthetic events", "filled in", filled.as_secs_f64(), "s");
    type Make = fn(&mut StdRng, &Source) -> Probe;
    let kinds: [(&str, Make); 16] = [
        ("one word", |rng, of| words(vec![word(rng, of)])),
        ("several words", |rng, of| words(vec![word(rng, of), last_word(of), of.city.clone()])),
        ("two frequent words", |rng, of| words(vec![word(rng, of), word(rng, of)])),
        ("prefix", |rng, of| words(vec![start_of(&word(rng, of), 3)])),
        ("word and prefix", |rng, of| words(vec![word(rng, of), start_of(&last_word(of), 4)])),
        ("typo", |rng, of| words(vec![mistyped(rng, &last_word(of))])),
        ("typo in one of two words", |rng, of| words(vec![word(rng, of), mistyped(rng, &last_word(of))])),
        ("accents typed and left out", |rng, of| match rng.random_range(0..2) {
            0 => words(vec![of.title.clone()]),
            _ => words(vec![fold(&of.title)]),
        }),
        ("radius, by distance", |_, of| Probe { sort: Some(("distance", Sort::Distance)), ..around(of) }),
        ("word and radius", |rng, of| Probe { q: Some(word(rng, of)), ..around(of) }),
        ("date and category", |rng, _| Probe {
            category: Some(CATEGORIES[rng.random_range(0..CATEGORIES.len())]),
            from_day: rng.random_range(0..300),
            ..Probe::default()
        }),
        ("by price", |rng, _| {
            // Prices compare within a currency, and a city has one.
            let (city, .., currency, _, _, _) = CITIES[rng.random_range(0..CITIES.len())];
            Probe {
                currency: Some(currency),
                city: Some(city),
                sort: Some(("price", Sort::Price)),
                ..Probe::default()
            }
        }),
        ("word, by popularity", |rng, of| Probe {
            q: Some(word(rng, of)),
            sort: Some(("popularity", Sort::Popularity)),
            ..Probe::default()
        }),
        ("facets of a word", |rng, of| Probe { facets: true, ..words(vec![word(rng, of)]) }),
        ("facets from a day on", |rng, _| Probe {
            facets: true,
            from_day: rng.random_range(0..300),
            ..Probe::default()
        }),
        ("facets of everything", |_, _| Probe { facets: true, ..Probe::default() }),
    ];
    let mut every = Times::default();
    for (case, make) in kinds {
        let one = |_| {
            let of = rng.random_range(0..all.len());
            make(&mut rng, &all[of])
        };
        let probes: Vec<Probe> = (0..WARM_UP + TIMED).map(one).collect();
        let mut times = Times::default();
        let mut slowest = Vec::with_capacity(TIMED);
        let mut nothing = 0;
        for (n, probe) in probes.iter().enumerate() {
            let path = probe.path(now)?;
            let (time, page) = timed(&server.api, &path).await?;
            nothing += usize::from(page["items"].as_array().is_none_or(Vec::is_empty));
            if n >= WARM_UP {
                times.push(time);
                slowest.push((time, path));
            }
        }
        slowest.sort_unstable_by_key(|(time, _)| std::cmp::Reverse(*time));
        for (time, path) in slowest.iter().take(SLOWEST) {
            let (again, _) = timed(&server.api, path).await?;
            tracing::info!(?time, ?again, "{case}: {path}");
        }
        ensure!(nothing * 10 < probes.len(), "{case}: {nothing} of {} found nothing", probes.len());
        let mut floor = Times::default();
        for probe in probes.iter().take(FLOOR) {
            let started = SystemClock.monotonic();
            search_reading(&server.app, probe.asked(now), Reading::WholeTable).await?;
            floor.push(SystemClock.monotonic().saturating_sub(started));
        }
        report.against(case, "p50", times.quantile_ms(0.5), "ms", floor.quantile_ms(0.5));
        report.against(case, "p99", times.quantile_ms(0.99), "ms", floor.quantile_ms(1.0));
        every.extend(times);
    }
    for (case, probe) in [
        ("deep pages of everything", Probe::default()),
        ("deep pages of a frequent word", words(vec!["festival".to_owned()])),
    ] {
        let mut times = deep(&server.api, &probe.path(now)?).await?;
        report.plain(case, "p50", times.quantile_ms(0.5), "ms");
        report.plain(case, "p99", times.quantile_ms(0.99), "ms");
        every.extend(times);
    }
    report.plain("all of these", "p50", every.quantile_ms(0.5), "ms");
    report.plain("all of these", "p99", every.quantile_ms(0.99), "ms");
    server.close().await
}

/// Requests as people type them: words, beginnings, typos.
///
/// # Errors
/// If no path can be written.
pub(super) fn everyday(rng: &mut StdRng, all: &[Source], count: usize) -> Result<Vec<String>> {
    let now = SystemClock.now();
    let one = |n| {
        let of = &all[rng.random_range(0..all.len())];
        let typed = match n % 4 {
            0 => vec![word(rng, of)],
            1 => vec![word(rng, of), last_word(of), of.city.clone()],
            2 => vec![start_of(&last_word(of), 4)],
            _ => vec![mistyped(rng, &last_word(of))],
        };
        words(typed).path(now)
    };
    (0..count).map(one).collect()
}

/// Pages 21 to 60 of a list.
async fn deep(api: &Api, path: &str) -> Result<Times> {
    let (mut times, mut next) = (Times::default(), String::new());
    for n in 0..DEEP {
        let (time, page) = timed(api, &format!("{path}{next}")).await?;
        if n >= 20 {
            times.push(time);
        }
        let cursor = page["next_cursor"].as_str().context("the list ended too early")?;
        next = format!("&cursor={cursor}");
    }
    Ok(times)
}

async fn timed(api: &Api, path: &str) -> Result<(std::time::Duration, serde_json::Value)> {
    let started = SystemClock.monotonic();
    let page = api.get(path).await?;
    Ok((SystemClock.monotonic().saturating_sub(started), page))
}

impl Probe {
    fn from(&self, now: OffsetDateTime) -> OffsetDateTime {
        let from = now + Duration::days(self.from_day);
        from.replace_nanosecond(0).unwrap_or(from)
    }

    fn path(&self, now: OffsetDateTime) -> Result<String> {
        let mut path = format!("/events/search?limit={PAGE}");
        for (name, value) in [
            ("q", self.q.as_deref()),
            ("category", self.category),
            ("city", self.city),
            ("currency", self.currency),
            ("sort", self.sort.map(|(name, _)| name)),
            ("facets", self.facets.then_some("true")),
        ] {
            if let Some(value) = value {
                let encoded: String = value.bytes().map(|b| format!("%{b:02x}")).collect();
                write!(path, "&{name}={encoded}")?;
            }
        }
        if let Some(near) = self.near {
            write!(
                path,
                "&latitude={}&longitude={}&radius_km={}",
                near.latitude, near.longitude, near.radius_km
            )?;
        }
        if self.from_day > 0 {
            let from = self.from(now).format(&time::format_description::well_known::Rfc3339)?;
            write!(path, "&from={from}")?;
        }
        Ok(path)
    }

    fn asked(&self, now: OffsetDateTime) -> Asked {
        let by = if self.q.is_some() { Sort::Relevance } else { Sort::Start };
        Asked {
            query: self.q.as_deref().map(Query::parse),
            sort: self.sort.map_or(by, |(_, sort)| sort),
            narrow: Narrow {
                category_id: self.category.map(str::to_owned),
                city_key: self.city.map(fold),
                currency: self.currency.map(str::to_owned),
                near: self.near,
                ..Narrow::not_over(self.from(now))
            },
            facets: self.facets,
            after: None,
            limit: PAGE,
        }
    }
}

fn words(words: Vec<String>) -> Probe {
    Probe { q: Some(words.join(" ")), ..Probe::default() }
}

fn around(of: &Source) -> Probe {
    let near = of.latitude.zip(of.longitude).map(|(latitude, longitude)| Near {
        latitude,
        longitude,
        radius_km: 25.0,
    });
    Probe { near, ..Probe::default() }
}

/// A word of the title, frequent ones as often as they stand there.
fn word(rng: &mut StdRng, of: &Source) -> String {
    let words: Vec<&str> = of.title.split(' ').collect();
    words[rng.random_range(0..words.len())].to_owned()
}

/// The made-up name that every title ends with.
fn last_word(of: &Source) -> String {
    of.title.split(' ').next_back().unwrap_or_default().to_owned()
}

fn start_of(word: &str, letters: usize) -> String {
    word.chars().take(letters).collect()
}

/// One letter left out, doubled, or swapped with the next.
fn mistyped(rng: &mut StdRng, word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    if letters.len() < 4 {
        return word.to_owned();
    }
    let at = rng.random_range(1..letters.len() - 1);
    match rng.random_range(0..3) {
        0 => drop(letters.remove(at)),
        1 => letters.insert(at, letters[at]),
        _ => letters.swap(at, at + 1),
    }
    letters.into_iter().collect()
}
