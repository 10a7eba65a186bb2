//! One search: the query is read with the words that are known, then answered stage by stage: what title and artists
//! say, what the rest says, what was perhaps mistyped. Where nothing has all the words, they are taken more and more
//! freely ([`Freedom`]).
//!
//! A page ends at a [`Place`], which says all that the next page must know to go on in the same list: the stage, how the
//! stage is read, the last event's rank, and up to which word the words were known. Events that are added meanwhile move
//! nothing.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime, Time};
use uuid::Uuid;

use crate::app::App;
use crate::discovery::columns::{Columns, MANY};
use crate::domain::search::{Facets, Query, Readings};
use crate::store::search::{self, After, Among, Found, Narrow, RankBy, Ranking, Reading, Words};
use crate::store::search_words;

/// More matches are not ranked one by one but read in order of an index.
const RANKED: i64 = 1_000;
/// More typos are not compared letter by letter with what was typed.
const JUDGED_TYPOS: i64 = 300;
/// So many of an order are looked at before the matches are looked up instead.
const WALKED: i64 = 3_000;
/// Sampled events with the words (of every eighth) that promise more matches than are ranked.
const SAMPLED: i64 = 250;
/// Whoever began to rank goes on ranking, however many have come since.
const RANKED_STILL: i64 = 1_000_000;
/// Circles around a point grow until a page is full.
const FIRST_CIRCLE_KM: f64 = 4.0;
const GROWTH: f64 = 3.0;

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Relevance,
    Start,
    Price,
    Distance,
    Popularity,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub query: Option<Query>,
    pub sort: Sort,
    pub narrow: Narrow,
    pub facets: bool,
    pub after: Option<Place>,
    pub limit: usize,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Up to which number words were known.
    pub newest_word: i64,
    pub stage: Stage,
    pub freedom: Freedom,
    /// The stage is read in an index's order, and not ranked.
    pub listed: bool,
    pub key: f64,
    pub starts_at: OffsetDateTime,
    pub event_id: Uuid,
}

/// How freely the words are taken; the next one only if nothing at all was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freedom {
    /// Those that nobody knows may be mistyped.
    Typed,
    /// All of them may be.
    Guessed,
    /// Any one of them may be missing, besides.
    Most,
}

/// A part of the answer; those of a search by relevance come one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Title and artists have all words.
    Named,
    /// The words are there, somewhere.
    Rest,
    /// Words like them are.
    Typo,
    /// All matches in one order.
    All,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub found: Vec<Found>,
    pub next: Option<Place>,
    pub freedom: Freedom,
    pub facets: Option<Facets>,
}

/// A stage's page, and whether it was read in an index's order.
struct Part {
    found: Vec<Found>,
    listed: bool,
}

/// By whom and how it is read.
#[derive(Clone, Copy)]
struct How<'a> {
    app: &'a App,
    reading: Reading,
}

/// Searches.
///
/// # Errors
/// Of the database.
pub async fn search(app: &App, asked: Asked) -> Result<Answer, sqlx::Error> {
    search_reading(app, asked, Reading::Indexes).await
}

/// The same, reading as told.
///
/// # Errors
/// Of the database.
pub async fn search_reading(app: &App, mut asked: Asked, reading: Reading) -> Result<Answer, sqlx::Error> {
    let how = How { app, reading };
    // Before the transaction: who waits for the columns must hold no connection that reading them needs.
    let columns = match reading {
        Reading::Indexes if asked.facets => app.columns.recent(app).await,
        _ => None,
    };
    let mut tx = app.db.platform().await?;
    search::prepare(&mut tx, reading).await?;
    if asked.narrow.from > app.clock.now() + Duration::DAY {
        let longest = search::longest(&mut tx).await?;
        asked.narrow.starts_from = asked.narrow.from.checked_sub(longest);
    }
    let newest_word = match asked.after {
        Some(place) => place.newest_word,
        None => search_words::newest(&mut tx).await?,
    };
    let freedom = asked.after.map_or(Freedom::Typed, |place| place.freedom);
    let mut readings = read(&mut tx, asked.query.as_ref(), newest_word, freedom).await?;
    let mut answer = stages(&mut tx, how, &asked, readings.as_ref(), newest_word, freedom).await?;
    let searched = asked.query.as_ref().is_some_and(|q| !q.only_excludes());
    for freer in [Freedom::Guessed, Freedom::Most] {
        if !answer.found.is_empty() || asked.after.is_some() || !searched {
            break;
        }
        let freely = read(&mut tx, asked.query.as_ref(), newest_word, freer).await?;
        if freely.as_ref().is_some_and(|r| r.wide.is_some()) {
            answer = stages(&mut tx, how, &asked, freely.as_ref(), newest_word, freer).await?;
            readings = freely;
        }
    }
    if asked.facets {
        let document = readings.as_ref().map(|r| r.wide.as_ref().unwrap_or(&r.near).as_str());
        answer.facets = Some(facets(&mut tx, app, columns.as_deref(), document, &asked.narrow).await?);
    }
    tx.commit().await?;
    Ok(answer)
}

/// Counts of all matches; by `columns` where there are many events and many of them have the words.
async fn facets(
    conn: &mut PgConnection,
    app: &App,
    columns: Option<&Columns>,
    document: Option<&str>,
    narrow: &Narrow,
) -> Result<Facets, sqlx::Error> {
    if let Some(columns) = columns.filter(|columns| columns.events() >= MANY) {
        match document {
            None => return Ok(columns.count(narrow, None)),
            Some(document) => {
                let by = |sample: &[Uuid]| columns.estimate(narrow, sample);
                if columns.can_estimate()
                    && let Some(facets) = app.worded.estimate(app, &mut *conn, document, by).await?
                {
                    return Ok(facets);
                }
                let events = app.worded.events(app, &mut *conn, document).await?;
                if events.len() >= MANY {
                    return Ok(columns.count(narrow, Some(&events)));
                }
            }
        }
    }
    let kinds = search::kinds(conn, document, narrow).await?;
    let (category, city) = (narrow.category_id.as_deref(), narrow.city_key.as_deref());
    Ok(Facets::of(kinds.iter().map(|(kind, n)| (kind, *n)), category, city))
}

/// The query as tsqueries, `wide` as freely as told; `None` without a query.
async fn read(
    conn: &mut PgConnection,
    query: Option<&Query>,
    newest_word: i64,
    freedom: Freedom,
) -> Result<Option<Readings>, sqlx::Error> {
    let Some(query) = query else { return Ok(None) };
    let mut meanings: BTreeMap<_, _> =
        search_words::meanings(&mut *conn, &query.words(), query.open_word(), newest_word).await?;
    let doubtful = query.doubtful(&meanings, freedom >= Freedom::Guessed);
    if !doubtful.is_empty() {
        search_words::guess(conn, &mut meanings, &doubtful, newest_word).await?;
    }
    let mut readings = query.readings(&meanings);
    if freedom == Freedom::Most {
        readings.wide = readings.most.take();
    }
    Ok(Some(readings))
}

/// Stage after stage until the page is full.
async fn stages(
    conn: &mut PgConnection,
    how: How<'_>,
    asked: &Asked,
    readings: Option<&Readings>,
    newest_word: i64,
    freedom: Freedom,
) -> Result<Answer, sqlx::Error> {
    let ranked = asked.sort == Sort::Relevance && asked.query.as_ref().is_some_and(|q| !q.only_excludes());
    let wide = readings.is_some_and(|r| r.wide.is_some());
    let stages: &[Stage] = match (ranked, wide) {
        (true, true) => &[Stage::Named, Stage::Rest, Stage::Typo],
        (true, false) => &[Stage::Named, Stage::Rest],
        (false, _) => &[Stage::All],
    };
    let mut found: Vec<(Found, Stage, bool)> = Vec::new();
    for stage in stages.iter().copied().filter(|s| asked.after.is_none_or(|place| *s >= place.stage)) {
        let after = asked.after.filter(|place| place.stage == stage);
        let missing = (asked.limit + 1).saturating_sub(found.len());
        let part = of_stage(&mut *conn, how, asked, readings, stage, after, missing).await?;
        found.extend(part.found.into_iter().map(|event| (event, stage, part.listed)));
        if found.len() > asked.limit {
            break;
        }
    }
    let more = found.len() > asked.limit;
    found.truncate(asked.limit);
    let place = |(event, stage, listed): &(Found, Stage, bool)| Place {
        newest_word,
        stage: *stage,
        freedom,
        listed: *listed,
        key: event.key,
        starts_at: event.starts_at,
        event_id: event.event_id,
    };
    let next = found.last().filter(|_| more).map(place);
    Ok(Answer { found: found.into_iter().map(|(event, ..)| event).collect(), next, freedom, facets: None })
}

async fn of_stage(
    conn: &mut PgConnection,
    how: How<'_>,
    asked: &Asked,
    readings: Option<&Readings>,
    stage: Stage,
    place: Option<Place>,
    limit: usize,
) -> Result<Part, sqlx::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let narrow = &asked.narrow;
    let excludes = asked.query.as_ref().is_some_and(Query::excludes);
    let words = readings.map_or_else(Words::default, |r| {
        let (near, part) = (Some(r.near.as_str()), Some(r.near_part.as_str()));
        match stage {
            Stage::Named => Words { named: part, document: near.filter(|_| excludes), ..Words::default() },
            Stage::Rest => Words { document: near, not_named: part, ..Words::default() },
            Stage::Typo => Words { document: r.wide.as_deref(), not_document: near, ..Words::default() },
            Stage::All => Words { document: r.wide.as_deref().or(near), ..Words::default() },
        }
    });
    let by = match (stage, asked.sort) {
        (Stage::Named, _) => RankBy::Named,
        (Stage::Rest, _) => RankBy::Rest,
        (Stage::Typo, _) => RankBy::Typo,
        (Stage::All, Sort::Relevance | Sort::Start) => RankBy::Start,
        (Stage::All, Sort::Price) => RankBy::Price,
        (Stage::All, Sort::Distance) => RankBy::Distance,
        (Stage::All, Sort::Popularity) => RankBy::Popularity,
    };
    let after =
        place.map(|place| After { key: place.key, starts_at: place.starts_at, event_id: place.event_id });
    let ranking = Ranking {
        by,
        folded: asked.query.as_ref().map_or("", |q| q.folded.as_str()),
        exact: readings.map_or("", |r| r.exact.as_str()),
        most: match by {
            _ if place.is_some() => RANKED_STILL,
            RankBy::Distance => RANKED_STILL,
            _ => RANKED,
        },
        most_judged: if place.is_some() { RANKED_STILL } else { JUDGED_TYPOS },
    };
    if by == RankBy::Distance {
        let found = by_distance(conn, &words, narrow, &ranking, after, limit).await?;
        return Ok(Part { found, listed: false });
    }
    let searched = asked.query.as_ref().is_some_and(|q| !q.only_excludes());
    // All in one order is the same list however it is read.
    let in_order = Walk { by, words: &words, narrow, after, limit };
    let mut walked = false;
    if let (Stage::All, Reading::Indexes, None, Some(document)) = (stage, how.reading, place, words.document)
        && searched
        && in_order.is_short()
        && search::sample_has(&mut *conn, document, SAMPLED).await?
    {
        if let Some(part) = in_order.walk(&mut *conn).await? {
            return Ok(part);
        }
        walked = true;
    }
    // Nothing to look up by: then reading in order is all there is.
    let unbound = narrow.near.is_none() && narrow.place.is_none() && narrow.city_key.is_none();
    if !place.map_or(unbound && !searched, |place| place.listed) {
        // Of the same day the same is frequent.
        let kind = (&words, Narrow { from: narrow.from.replace_time(Time::MIDNIGHT), ..narrow.clone() });
        let asked = format!("{by:?} {kind:?}");
        let now = how.app.clock.monotonic();
        if place.is_some() || !how.app.frequent.knows(&asked, now) {
            let found = search::ranked(&mut *conn, &words, narrow, &ranking, after, limit).await?;
            let hits = found.first().map_or(0, |event| event.hits);
            if hits <= ranking.most {
                // Too many to be judged stand in the order that a list has.
                return Ok(Part { found, listed: by == RankBy::Typo && hits > ranking.most_judged });
            }
            how.app.frequent.note(asked, now);
        }
    }
    // Where more match than are ranked, a page is full after some of the order; if not, they come late in it.
    if how.reading == Reading::Indexes
        && !walked
        && let Some(part) = in_order.walk(&mut *conn).await?
    {
        return Ok(part);
    }
    Ok(Part { found: in_order.read(conn, Among::All).await?, listed: true })
}

/// A list in the order of an index.
struct Walk<'a> {
    by: RankBy,
    words: &'a Words<'a>,
    narrow: &'a Narrow,
    after: Option<After>,
    limit: i64,
}

impl Walk<'_> {
    /// Whether the first of the order are found without reading over many others, and likely match: nothing but the words
    /// narrows it much.
    fn is_short(&self) -> bool {
        let narrow = self.narrow;
        let anywhere = narrow.near.is_none() && narrow.place.is_none() && narrow.city_key.is_none();
        let currency = narrow.currency.is_none() || self.by == RankBy::Price;
        let priced = narrow.price_min.is_some() || narrow.price_max.is_some();
        anywhere
            && currency
            && !priced
            && [narrow.starts_from, narrow.to] == [None; 2]
            && narrow.category_id.is_none()
    }

    /// A page among the first of the order, if they fill it.
    async fn walk(&self, conn: &mut PgConnection) -> Result<Option<Part>, sqlx::Error> {
        search::read_in_order(&mut *conn, true).await?;
        let found = self.read(&mut *conn, Among::First(WALKED)).await?;
        search::read_in_order(conn, false).await?;
        let full = i64::try_from(found.len()).is_ok_and(|found| found >= self.limit);
        Ok(full.then_some(Part { found, listed: true }))
    }

    async fn read(&self, conn: &mut PgConnection, among: Among) -> Result<Vec<Found>, sqlx::Error> {
        let &Self { by, words, narrow, after, limit } = self;
        match by {
            RankBy::Price => search::listed_by_price(conn, words, narrow, among, after, limit).await,
            RankBy::Popularity => {
                search::listed_by_popularity(conn, words, narrow, among, after, limit).await
            }
            _ => search::listed_by_start(conn, words, narrow, among, after, limit).await,
        }
    }
}

/// In circles that grow until the page is full.
async fn by_distance(
    conn: &mut PgConnection,
    words: &Words<'_>,
    narrow: &Narrow,
    ranking: &Ranking<'_>,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let Some(whole) = narrow.near else { return Ok(Vec::new()) };
    let mut radius = after.map_or(0.0, |a| a.key * 1.2).max(FIRST_CIRCLE_KM);
    loop {
        let last = radius >= whole.radius_km;
        let near = Some(whole.within(radius.min(whole.radius_km)));
        let circle = Narrow { near, ..narrow.clone() };
        let found = search::ranked(&mut *conn, words, &circle, ranking, after, limit).await?;
        if last || i64::try_from(found.len()).unwrap_or(i64::MAX) >= limit {
            return Ok(found);
        }
        radius *= GROWTH;
    }
}
