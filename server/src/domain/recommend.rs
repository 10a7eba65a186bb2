//! Which events to recommend: what somebody booked and looked at, where they are, and what others like.
//!
//! Each candidate gets a sum of parts between 0 and 1, each with its weight. The list is then filled one by one with
//! what scores high and resembles what is already in it least (maximal marginal relevance, Carbonell and Goldstein 1998),
//! with a bound per organizer and per category. The largest parts of an event's score are its reasons.

mod words;

pub use words::category_name;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use time::{OffsetDateTime, Weekday};
use uuid::Uuid;

use crate::domain::search::distance_km;

/// What is known of an event.
#[derive(Debug, Clone)]
pub struct Thing {
    pub event_id: Uuid,
    pub organizer_id: Uuid,
    pub category_id: String,
    /// Folded words of title and artists.
    pub words: BTreeSet<String>,
    /// Latitude and longitude.
    pub place: Option<(f64, f64)>,
    pub starts_at: OffsetDateTime,
    pub slot: Slot,
    pub popularity: i32,
}

/// A time of the week, in the event's own zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub weekend: bool,
    /// Night, morning, afternoon, evening.
    pub part: u8,
}

impl Slot {
    /// Of a civil weekday and hour. Friday's evening belongs to the weekend, Sunday's does not.
    #[must_use]
    pub const fn of(day: Weekday, hour: u8) -> Self {
        let evening = hour >= 17;
        let weekend = match day {
            Weekday::Friday => evening,
            Weekday::Saturday => true,
            Weekday::Sunday => !evening,
            _ => false,
        };
        Self { weekend, part: hour / 6 }
    }
}

/// An event that somebody had to do with.
#[derive(Debug, Clone)]
pub struct Taste {
    pub thing: Thing,
    pub title: String,
    pub booked: bool,
    /// More is more telling.
    pub weight: f64,
}

/// Who is asking.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    pub tastes: Vec<Taste>,
    /// Where they are.
    pub place: Option<(f64, f64)>,
}

/// Why an event is recommended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The visitor has been to its organizer's events.
    Organizer,
    /// It is like this one.
    Similar {
        title: String,
        booked: bool,
    },
    Category,
    Near,
    /// It is when the visitor goes out.
    Time,
    Popular,
    Soon,
}

/// A recommended event.
#[derive(Debug, Clone)]
pub struct Pick {
    pub event_id: Uuid,
    pub score: f64,
    pub reasons: Vec<Reason>,
}

const ORGANIZER: f64 = 1.2;
const SIMILAR: f64 = 1.5;
const CATEGORY: f64 = 1.0;
const NEAR: f64 = 0.9;
const TIME: f64 = 0.35;
const POPULAR: f64 = 0.4;
const SOON: f64 = 0.15;
/// A part that adds less is no reason.
const TELLING: f64 = 0.12;
/// Reasons of one event at most.
const REASONS: usize = 2;
/// How much resemblance to what is in the list costs.
const SAMENESS: f64 = 0.8;
/// A distance after which nearness is a third.
const STROLL_KM: f64 = 30.0;
const MONTHS_SECS: f64 = 60.0 * 86_400.0;

/// The best `count` of `candidates`, all of them different.
#[must_use]
pub fn pick(visitor: &Visitor, candidates: &[Thing], count: usize, now: OffsetDateTime) -> Vec<Pick> {
    let rare = Rarity::of(candidates, &visitor.tastes);
    let most_popular = candidates.iter().map(|c| c.popularity).max().unwrap_or(0).max(1);
    let mut left: Vec<(&Thing, Pick)> = candidates
        .iter()
        .map(|c| {
            let parts = parts(visitor, c, &rare, f64::from(c.popularity) / f64::from(most_popular), now);
            (c, judged(c, parts))
        })
        .collect();
    left.sort_by(|(a, x), (b, y)| y.score.total_cmp(&x.score).then(a.event_id.cmp(&b.event_id)));
    // So many are enough to be different.
    left.truncate(count.saturating_mul(20).max(200));
    let mut organizers: HashMap<Uuid, usize> = HashMap::new();
    let mut categories: HashMap<String, usize> = HashMap::new();
    let bounds = ((count * 3 / 10).max(1), (count / 2).max(2));
    let mut chosen: Vec<(&Thing, Pick)> = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        let within = |c: &Thing| {
            organizers.get(&c.organizer_id).copied().unwrap_or(0) < bounds.0
                && categories.get(&c.category_id).copied().unwrap_or(0) < bounds.1
        };
        // When all that is left is over a bound, something of the same is better than nothing.
        let bounded = left.iter().any(|(c, _)| within(c));
        let worth = |(c, pick): &(&Thing, Pick)| {
            let sameness = chosen.iter().map(|(other, _)| alike(c, other, &rare)).fold(0.0, f64::max);
            pick.score - SAMENESS * sameness
        };
        let best = left
            .iter()
            .enumerate()
            .filter(|(_, (c, _))| !bounded || within(c))
            .map(|(n, of)| (n, worth(of)))
            .max_by(|(n, a), (m, b)| a.total_cmp(b).then(m.cmp(n)));
        let Some((n, _)) = best else { break };
        let (thing, pick) = left.remove(n);
        *organizers.entry(thing.organizer_id).or_insert(0) += 1;
        *categories.entry(thing.category_id.clone()).or_insert(0) += 1;
        chosen.push((thing, pick));
    }
    chosen.into_iter().map(|(_, pick)| pick).collect()
}

/// The parts of a candidate's score, with their reasons.
fn parts(
    visitor: &Visitor,
    candidate: &Thing,
    rare: &Rarity,
    popularity: f64,
    now: OffsetDateTime,
) -> Vec<(f64, Reason)> {
    let all: f64 = visitor.tastes.iter().map(|t| t.weight).sum::<f64>().max(f64::MIN_POSITIVE);
    let share = |same: &dyn Fn(&Thing) -> bool| {
        visitor.tastes.iter().filter(|t| same(&t.thing)).map(|t| t.weight).sum::<f64>() / all
    };
    // A first visit says most; the tenth of ten no more than ten times as much.
    let organizer = share(&|t| t.organizer_id == candidate.organizer_id).sqrt();
    let category = share(&|t| t.category_id == candidate.category_id);
    let time = share(&|t| t.slot == candidate.slot);
    let heaviest = visitor.tastes.iter().map(|t| t.weight).fold(f64::MIN_POSITIVE, f64::max);
    let similar = visitor
        .tastes
        .iter()
        .map(|t| (rare.cosine(&t.thing.words, &candidate.words) * (t.weight / heaviest).sqrt(), t))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let nearness = |(from, to): ((f64, f64), (f64, f64))| (-distance_km(from, to) / STROLL_KM).exp();
    let near = match (visitor.place, candidate.place) {
        (Some(from), Some(to)) => nearness((from, to)),
        // Where one goes to, one goes again.
        (None, Some(to)) => {
            let towards = |t: &Taste| t.thing.place.map_or(0.0, |from| t.weight * nearness((from, to)));
            visitor.tastes.iter().map(towards).sum::<f64>() / all
        }
        (_, None) => 0.0,
    };
    let ahead = (candidate.starts_at - now).as_seconds_f64().max(0.0);
    let mut parts = vec![
        (ORGANIZER * organizer, Reason::Organizer),
        (CATEGORY * category, Reason::Category),
        (NEAR * near, Reason::Near),
        (TIME * time, Reason::Time),
        (POPULAR * popularity, Reason::Popular),
        (SOON * (-ahead / MONTHS_SECS).exp(), Reason::Soon),
    ];
    if let Some((cosine, taste)) = similar {
        parts.push((SIMILAR * cosine, Reason::Similar { title: taste.title.clone(), booked: taste.booked }));
    }
    parts
}

fn judged(candidate: &Thing, mut parts: Vec<(f64, Reason)>) -> Pick {
    let score = parts.iter().map(|(part, _)| part).sum();
    parts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    // There is always one: the largest, however small.
    let telling = parts.iter().filter(|(part, _)| *part >= TELLING).count().clamp(1, REASONS);
    let reasons = parts.into_iter().take(telling).map(|(_, reason)| reason).collect();
    Pick { event_id: candidate.event_id, score, reasons }
}

/// How much of the same two events are.
fn alike(a: &Thing, b: &Thing, rare: &Rarity) -> f64 {
    let same = |same: bool| f64::from(u8::from(same));
    0.4 * same(a.organizer_id == b.organizer_id)
        + 0.25 * same(a.category_id == b.category_id)
        + 0.35 * rare.cosine(&a.words, &b.words)
}

/// How rare words are: rare ones say more.
#[derive(Debug)]
struct Rarity {
    events: f64,
    with: BTreeMap<String, f64>,
}

impl Rarity {
    fn of(candidates: &[Thing], tastes: &[Taste]) -> Self {
        let mut with = BTreeMap::new();
        for thing in candidates.iter().chain(tastes.iter().map(|t| &t.thing)) {
            for word in &thing.words {
                *with.entry(word.clone()).or_insert(0.0) += 1.0;
            }
        }
        Self { events: (candidates.len() + tastes.len()) as f64, with }
    }

    fn weight(&self, word: &str) -> f64 {
        let with = self.with.get(word).copied().unwrap_or(0.0);
        ((1.0 + self.events) / (1.0 + with)).ln().powi(2)
    }

    /// The angle between two sets of words.
    fn cosine(&self, a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
        let common: f64 = a.intersection(b).map(|w| self.weight(w)).sum();
        if common == 0.0 {
            return 0.0;
        }
        let length = |of: &BTreeSet<String>| of.iter().map(|w| self.weight(w)).sum::<f64>().sqrt();
        common / (length(a) * length(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        time::macros::datetime!(2026-11-22 12:00 UTC)
    }

    fn thing(id: u128, organizer: u128, category: &str, words: &str) -> Thing {
        Thing {
            event_id: Uuid::from_u128(id),
            organizer_id: Uuid::from_u128(organizer),
            category_id: category.to_owned(),
            words: words.split(' ').map(str::to_owned).collect(),
            place: None,
            starts_at: now() + time::Duration::days(10),
            slot: Slot::of(Weekday::Wednesday, 20),
            popularity: 0,
        }
    }

    fn taste(thing: Thing) -> Taste {
        Taste { title: "Before".to_owned(), booked: true, weight: 1.0, thing }
    }

    fn ids(picks: &[Pick]) -> Vec<u128> {
        picks.iter().map(|p| p.event_id.as_u128()).collect()
    }

    #[test]
    fn the_unknown_visitor_gets_what_is_popular() {
        let mut candidates: Vec<Thing> =
            (0..5).map(|n| thing(n, n, &format!("c{n}"), &format!("w{n}"))).collect();
        for (n, c) in candidates.iter_mut().enumerate() {
            c.popularity = 10 * i32::try_from(n).unwrap();
        }
        let picks = pick(&Visitor::default(), &candidates, 3, now());
        assert_eq!(ids(&picks), [4, 3, 2]);
        assert!(picks.iter().all(|p| p.reasons[0] == Reason::Popular));
    }

    #[test]
    fn each_affinity_lifts_an_event_and_is_its_reason() {
        let visitor = |thing| Visitor { tastes: vec![taste(thing)], place: None };
        let before = |organizer, category, words| visitor(thing(99, organizer, category, words));
        let far = |id| thing(id, 50 + id, &format!("c{id}"), &format!("w{id}"));
        for (who, best, reason) in [
            (before(7, "x", "x"), Thing { organizer_id: Uuid::from_u128(7), ..far(2) }, Reason::Organizer),
            (before(8, "c2", "x"), far(2), Reason::Category),
            (before(8, "x", "w2"), far(2), Reason::Similar { title: "Before".to_owned(), booked: true }),
            (
                Visitor { tastes: Vec::new(), place: Some((48.2, 16.4)) },
                Thing { place: Some((48.21, 16.41)), ..far(2) },
                Reason::Near,
            ),
            (
                visitor(Thing {
                    place: Some((48.2, 16.4)),
                    slot: Slot::of(Weekday::Monday, 8),
                    ..thing(99, 8, "x", "x")
                }),
                Thing { place: Some((48.21, 16.41)), slot: Slot::of(Weekday::Monday, 20), ..far(2) },
                Reason::Near,
            ),
            (
                visitor(Thing { slot: Slot::of(Weekday::Sunday, 10), ..thing(99, 8, "x", "x") }),
                Thing { slot: Slot::of(Weekday::Saturday, 9), ..far(2) },
                Reason::Time,
            ),
        ] {
            let candidates = [far(1), best, far(3), far(4)];
            let picks = pick(&who, &candidates, 2, now());
            assert_eq!(picks[0].event_id.as_u128(), 2, "{reason:?}");
            assert_eq!(picks[0].reasons[0], reason);
            assert!(!picks[1].reasons.contains(&reason));
        }
    }

    #[test]
    fn no_organizer_and_no_category_fills_the_list_unless_there_is_nothing_else() {
        let mine = taste(thing(999, 1, "music", "owl"));
        let visitor = Visitor { tastes: vec![mine], place: None };
        let mut candidates: Vec<Thing> = (0..20).map(|n| thing(n, 1, "music", "owl")).collect();
        candidates.extend((20..40).map(|n| thing(n, n, ["film", "art"][(n % 2) as usize], "x")));
        let picks = pick(&visitor, &candidates, 10, now());
        assert_eq!(picks.len(), 10);
        assert_eq!(ids(&picks).iter().filter(|id| **id < 20).count(), 3, "of one organizer");
        assert!(ids(&picks)[0] < 20, "what is liked most comes first all the same");
        let picks = pick(&visitor, &candidates[..20], 10, now());
        assert_eq!(picks.len(), 10, "better of one than none");
        assert_eq!(ids(&picks).iter().collect::<BTreeSet<_>>().len(), 10);
    }

    #[test]
    fn slots_know_the_weekend() {
        assert_eq!(Slot::of(Weekday::Friday, 20), Slot::of(Weekday::Saturday, 21));
        assert_ne!(Slot::of(Weekday::Friday, 20), Slot::of(Weekday::Thursday, 20));
        assert_ne!(Slot::of(Weekday::Sunday, 20), Slot::of(Weekday::Saturday, 20));
    }
}
