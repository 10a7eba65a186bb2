//! Recommendations on a SIMULATED history: people with hidden likings book synthetic events; of each the last booking is
//! left out and must be found again among all events that they did not book. The ranking itself is measured
//! (`domain/recommend`), beside popularity and chance. Such figures compare rules; they promise nothing of real people,
//! whose likings nobody knows.

use std::collections::BTreeSet;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngExt as _};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::report::{Report, Times};
use crate::clock::{Clock as _, SharedRng, SystemClock};
use crate::domain::recommend::{Slot, Taste, Thing, Visitor, pick};

const EVENTS: usize = 2_000;
const ORGANIZERS: usize = 60;
const CATEGORIES: usize = 12;
const CITIES: usize = 12;
const PEOPLE: usize = 400;
const BOOKINGS: usize = 8;
const LIST: usize = 10;

/// Runs the bench.
///
/// # Errors
/// Never.
pub fn run(report: Report) -> Result<()> {
    let mut rng = SharedRng::seeded(20_261_122).fork();
    let now = SystemClock.now();
    let mut events: Vec<Thing> = (0..EVENTS).map(|_| event(&mut rng, now)).collect();
    // Some events draw everybody: else popularity would be no rival.
    let draw: Vec<f64> = (0..EVENTS).map(|_| -1.5 * unit(&mut rng).ln()).collect();
    let histories: Vec<Vec<usize>> = (0..PEOPLE).map(|_| history(&mut rng, &events, &draw)).collect();
    // What the others booked is what is popular; the one left out is not counted.
    for history in &histories {
        for &n in &history[..history.len() - 1] {
            events[n].popularity += 1;
        }
    }
    let (mut ours, mut popular, mut chance) = (Score::default(), Score::default(), Score::default());
    let mut times = Times::default();
    for history in &histories {
        let Some((&missing, before)) = history.split_last() else { continue };
        let known: BTreeSet<usize> = before.iter().copied().collect();
        let candidates: Vec<Thing> =
            events.iter().enumerate().filter(|(n, _)| !known.contains(n)).map(|(_, e)| e.clone()).collect();
        let taste =
            |&n: &usize| Taste { thing: events[n].clone(), title: String::new(), booked: true, weight: 1.0 };
        let visitor = Visitor { tastes: before.iter().map(taste).collect(), place: None };
        let wanted = events[missing].event_id;
        let started = SystemClock.monotonic();
        let picks = pick(&visitor, &candidates, LIST, now);
        times.push(SystemClock.monotonic().saturating_sub(started));
        ours.add(picks.iter().position(|p| p.event_id == wanted));
        let mut by_popularity: Vec<&Thing> = candidates.iter().collect();
        by_popularity.sort_by_key(|c| (-c.popularity, c.event_id));
        popular.add(by_popularity.iter().take(LIST).position(|c| c.event_id == wanted));
        let mut shuffled: Vec<Uuid> = candidates.iter().map(|c| c.event_id).collect();
        shuffled.shuffle(&mut rng);
        chance.add(shuffled.iter().take(LIST).position(|id| *id == wanted));
    }
    let case = "synthetic history, 400 people";
    for (metric, of) in [("recall@10", Score::recall as fn(&Score) -> f64), ("NDCG@10", Score::ndcg)] {
        report.against(case, metric, of(&ours), "of 1", of(&popular));
        report.plain("popularity alone", metric, of(&popular), "of 1");
        report.plain("chance", metric, of(&chance), "of 1");
    }
    report.plain("choosing 10 of 2,000", "p50", times.quantile_ms(0.5), "ms");
    report.plain("choosing 10 of 2,000", "p99", times.quantile_ms(0.99), "ms");
    Ok(())
}

/// How often the one that was left out was found, and how near to the top.
#[derive(Debug, Default)]
struct Score {
    tries: f64,
    hits: f64,
    gain: f64,
}

impl Score {
    fn add(&mut self, rank: Option<usize>) {
        self.tries += 1.0;
        if let Some(rank) = rank {
            self.hits += 1.0;
            self.gain += 1.0 / (rank as f64 + 2.0).log2();
        }
    }

    fn recall(&self) -> f64 {
        self.hits / self.tries.max(1.0)
    }

    fn ndcg(&self) -> f64 {
        self.gain / self.tries.max(1.0)
    }
}

fn event(rng: &mut StdRng, now: OffsetDateTime) -> Thing {
    let organizer = rng.random_range(0..ORGANIZERS);
    // An organizer has a field, and seldom leaves it.
    let category =
        if rng.random_range(0..4) == 0 { rng.random_range(0..CATEGORIES) } else { organizer % CATEGORIES };
    let city = if rng.random_range(0..3) == 0 { rng.random_range(0..CITIES) } else { organizer / 5 % CITIES };
    let mut word = |n: u8| match n {
        // Artists of a field, and words that everybody uses.
        0 | 1 => format!("artist{category}x{}", rng.random_range(0..40)),
        _ => format!("word{}", rng.random_range(0..200)),
    };
    let words = [word(0), word(1), word(2), word(3)];
    let days =
        [time::Weekday::Friday, time::Weekday::Saturday, time::Weekday::Wednesday, time::Weekday::Sunday];
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Thing {
        event_id: uuid::Builder::from_random_bytes(bytes).into_uuid(),
        organizer_id: Uuid::from_u128(organizer as u128 + 1),
        category_id: format!("category{category}"),
        words: BTreeSet::from(words),
        place: Some((45.0 + city as f64, 8.0 + f64::from(rng.random_range(0..100_u32)) / 500.0)),
        starts_at: now + Duration::days(rng.random_range(1..200)),
        slot: Slot::of(
            days[rng.random_range(0..days.len())],
            if rng.random_range(0..4) == 0 { 11 } else { 20 },
        ),
        popularity: 0,
    }
}

/// Between 0 and 1, neither of them.
fn unit(rng: &mut StdRng) -> f64 {
    (f64::from(rng.random_range(0..1_000_000_u32)) + 0.5) / 1_000_000.0
}

/// A person: a home, two fields, some artists, an hour; and events drawn by how much they fit, with a good deal of chance.
fn history(rng: &mut StdRng, events: &[Thing], draw: &[f64]) -> Vec<usize> {
    let like = &events[rng.random_range(0..events.len())];
    let other = &events[rng.random_range(0..events.len())];
    let fits = |e: &Thing| {
        let fan = e.words.intersection(&like.words).filter(|w| w.starts_with("artist")).count() as f64;
        let field = f64::from(u8::from(e.category_id == like.category_id))
            + 0.5 * f64::from(u8::from(e.category_id == other.category_id));
        let home = f64::from(u8::from(e.place.map(|p| p.0) == like.place.map(|p| p.0)));
        let host = f64::from(u8::from(e.organizer_id == like.organizer_id));
        1.6 * field + 1.4 * home + 2.0 * fan + 0.8 * host + 0.4 * f64::from(u8::from(e.slot == like.slot))
    };
    // Gumbel noise: the largest of fit and chance are a sample in proportion to exp(fit).
    let mut drawn: Vec<(f64, usize)> = events
        .iter()
        .enumerate()
        .map(|(n, e)| (2.0 * fits(e) + draw[n] - (-unit(rng).ln()).ln(), n))
        .collect();
    drawn.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut chosen: Vec<usize> = drawn.into_iter().take(BOOKINGS).map(|(_, n)| n).collect();
    // Any of them may be the last.
    chosen.shuffle(rng);
    chosen
}
