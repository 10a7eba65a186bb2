//! Recommendations: an account's tastes are gathered, the events that come into question are read from a few wells, and
//! `domain/recommend` chooses among them.

use std::collections::{BTreeMap, BTreeSet};

use shared::admission::zone::{EventZone, Zone as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::App;
use crate::domain::recommend::{Pick, Reason, Slot, Taste, Thing, Visitor, pick};
use crate::domain::search::{Near, fold};
use crate::store::search::{self, Found, Reading};
use crate::store::taste::{self, Known, Trait, Wells};

/// Around the visitor, or around where they went last.
const NEAR_KM: f64 = 80.0;
/// Bookings that are looked at for tastes; older ones say less and less anyway.
const BOOKINGS: usize = 40;
/// A taste is worth half after so many days.
const HALF_LIFE_DAYS: f64 = 180.0;
/// What a look says, beside a booking.
const LOOK: f64 = 0.25;
/// Shorter words are articles.
const SHORTEST: usize = 3;

/// A recommended event, and why.
#[derive(Debug, Clone)]
pub struct Recommended {
    pub event: Found,
    pub reasons: Vec<Reason>,
}

/// Recommends up to `count` events: to the account, or to somebody unknown.
///
/// # Errors
/// Of the database.
pub async fn recommend(
    app: &App,
    user: Option<Uuid>,
    place: Option<(f64, f64)>,
    count: usize,
) -> Result<Vec<Recommended>, sqlx::Error> {
    let now = app.clock.now();
    let (tastes, booked) = match user {
        Some(user_id) => known(app, user_id, now).await?,
        None => (Vec::new(), Vec::new()),
    };
    let visitor = Visitor { tastes, place };
    let mut tx = app.db.platform().await?;
    search::prepare(&mut tx, Reading::Indexes).await?;
    let found = taste::candidates(&mut tx, &wells(&visitor), &booked, now).await?;
    tx.commit().await?;
    let things: Vec<Thing> = found.iter().map(thing_of_found).collect();
    let picks = pick(&visitor, &things, count, now);
    let mut by_id: BTreeMap<Uuid, Found> = found.into_iter().map(|event| (event.event_id, event)).collect();
    let of =
        |Pick { event_id, reasons, .. }: Pick| Some(Recommended { event: by_id.remove(&event_id)?, reasons });
    Ok(picks.into_iter().filter_map(of).collect())
}

/// What the account likes, and the events that it goes to already. Nothing of the first if it does not want that.
async fn known(
    app: &App,
    user_id: Uuid,
    now: OffsetDateTime,
) -> Result<(Vec<Taste>, Vec<Uuid>), sqlx::Error> {
    let mut tx = app.db.user(user_id).await?;
    let wanted = taste::wanted(&mut tx, user_id).await?;
    let bookings = taste::booked(&mut tx, user_id).await?;
    let booked: Vec<Uuid> = bookings.iter().map(|of| of.event_id).collect();
    if !wanted {
        taste::forget(&mut tx, user_id).await?;
        tx.commit().await?;
        return Ok((Vec::new(), booked));
    }
    let seen = taste::seen(&mut tx, user_id).await?;
    tx.commit().await?;
    let mut of_organizers: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for of in bookings.iter().take(BOOKINGS) {
        of_organizers.entry(of.organizer_id).or_default().push(of.event_id);
    }
    let mut traits = Vec::new();
    for (organizer_id, events) in of_organizers {
        let mut tx = app.db.tenant(organizer_id).await?;
        traits.extend(taste::traits(&mut tx, organizer_id, &events).await?);
        tx.commit().await?;
    }
    let looked: Vec<Uuid> = seen.iter().map(|of| of.event_id).filter(|id| !booked.contains(id)).collect();
    let mut tx = app.db.platform().await?;
    traits.extend(taste::public_traits(&mut tx, &looked).await?);
    tx.commit().await?;
    let fresh =
        |at: OffsetDateTime| 0.5_f64.powf((now - at).as_seconds_f64().max(0.0) / 86_400.0 / HALF_LIFE_DAYS);
    let weight_of = |id: Uuid, known: &[Known]| {
        known.iter().find(|of| of.event_id == id).map(|of| (fresh(of.at), of.views))
    };
    let tastes = traits.into_iter().filter_map(|of| {
        let (weight, is_booked) = match weight_of(of.event_id, &bookings) {
            Some((fresh, _)) => (fresh, true),
            None => {
                let (fresh, views) = weight_of(of.event_id, &seen)?;
                (LOOK * fresh * (1.0 + f64::from(views)).log2(), false)
            }
        };
        Some(Taste { title: of.title.clone(), booked: is_booked, weight, thing: thing_of_trait(&of) })
    });
    Ok((tastes.collect(), booked))
}

fn wells(visitor: &Visitor) -> Wells {
    let heaviest = |of: &dyn Fn(&Taste) -> Option<String>, most: usize| {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for taste in &visitor.tastes {
            if let Some(key) = of(taste) {
                *sums.entry(key).or_default() += taste.weight;
            }
        }
        let mut sums: Vec<(String, f64)> = sums.into_iter().collect();
        sums.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        sums.into_iter().take(most).map(|(key, _)| key).collect::<Vec<_>>()
    };
    let organizers = heaviest(&|t| Some(t.thing.organizer_id.to_string()), 10);
    let mut tastes: Vec<&Taste> = visitor.tastes.iter().collect();
    tastes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let place = visitor.place.or_else(|| tastes.iter().find_map(|t| t.thing.place));
    // Folded words hold letters and digits alone: nothing in a tsquery is to be escaped.
    let mut words: Vec<&String> = tastes.iter().take(10).flat_map(|t| &t.thing.words).collect();
    words.sort_unstable();
    words.dedup();
    let words: Vec<String> = words.into_iter().take(60).map(|w| format!("'{w}'")).collect();
    Wells {
        organizers: organizers.iter().filter_map(|id| id.parse().ok()).collect(),
        categories: heaviest(&|t| Some(t.thing.category_id.clone()), 5),
        near: place.map(|(latitude, longitude)| Near { latitude, longitude, radius_km: NEAR_KM }),
        words: (!words.is_empty()).then(|| words.join(" | ")),
    }
}

fn words_of(title: &str, artists: &[String]) -> BTreeSet<String> {
    let text = format!("{title} {}", artists.join(" "));
    fold(&text).split(' ').filter(|w| w.chars().count() >= SHORTEST).map(str::to_owned).collect()
}

fn slot_of(zone: &str, at: OffsetDateTime) -> Slot {
    let local = EventZone::named(zone).and_then(|zone| zone.local(at.into()));
    let (day, hour) = local.map_or((at.weekday(), at.hour()), |local| (local.weekday(), local.hour()));
    Slot::of(day, hour)
}

fn thing_of_found(of: &Found) -> Thing {
    Thing {
        event_id: of.event_id,
        organizer_id: of.organizer_id,
        category_id: of.category_id.clone(),
        words: words_of(&of.title, &of.artists),
        place: of.latitude.zip(of.longitude),
        starts_at: of.starts_at,
        slot: slot_of(&of.time_zone, of.starts_at),
        popularity: of.key as i32,
    }
}

fn thing_of_trait(of: &Trait) -> Thing {
    Thing {
        event_id: of.event_id,
        organizer_id: of.organizer_id,
        category_id: of.category_id.clone(),
        words: words_of(&of.title, &of.artists),
        place: of.latitude.zip(of.longitude),
        starts_at: of.starts_at,
        slot: slot_of(&of.time_zone, of.starts_at),
        popularity: 0,
    }
}
