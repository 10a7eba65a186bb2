//! `/organizer/events/{id}/series`: further dates of an event.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use shared::admission::rule::expr::Weekday;
use shared::admission::zone::{EventZone, Utc, Zone};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use super::clones::{caller, fits, write};
use super::{finish, look, open, still_on};
use crate::app::{App, AppState};
use crate::domain::series::{Ends, Frequency, MAX_DATES, MAX_INTERVAL, Repeat, instant, local};
use crate::http::auth::Staff;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::{ApiBytes, ApiPath, parse_json, require_json};
use crate::http::fields::Wrong;
use crate::http::once::{Answer, Scope, Turn, once};
use crate::series::{Changes, Whole};
use crate::store::event::Event;
use crate::store::{Tx, series};

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const DAY_AND_TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]");

/// Which dates: `dates` or `rule`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "rule": { "frequency": "weekly", "weekdays": ["thursday", "friday"], "count": 8 } }))]
pub(super) struct SeriesRequest {
    /// Days, as `2026-12-25`, at the event's own time of day; or with another, as `2026-12-25T15:00`. By the clocks at the
    /// venue. 60 at most.
    #[schema(max_items = 60)]
    dates: Option<Vec<String>>,
    rule: Option<RepeatJson>,
    /// Whether the dates get the promo codes too, each unused. False without it.
    #[serde(default)]
    promo_codes: bool,
    /// True: only tells which dates these are.
    #[serde(default)]
    dry_run: bool,
}

/// A rule as in RFC 5545, section 3.3.10. The event is its first occurrence. `count` or `until` ends it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RepeatJson {
    frequency: Frequency,
    /// Every so many days, weeks or months; 1 without it.
    #[schema(minimum = 1, maximum = 100)]
    interval: Option<u32>,
    /// Of a weekly rule: the event's own day without it. Weeks begin on Monday.
    #[schema(value_type = Option<Vec<String>>)]
    weekdays: Option<Vec<Weekday>>,
    /// Occurrences in all, the event too.
    #[schema(minimum = 2, maximum = 61)]
    count: Option<u32>,
    /// The last day, as `2027-03-31`.
    #[schema(format = Date)]
    until: Option<String>,
}

/// The dates that were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SeriesJson {
    /// Null where the event is a date of no series yet and this is a preview.
    series_id: Option<Uuid>,
    /// In their order.
    dates: Vec<SeriesDateJson>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesDateJson {
    /// By the clocks at the venue, as `2026-12-25T20:00:00`.
    local: String,
    #[serde(with = "time::serde::rfc3339")]
    starts_at: OffsetDateTime,
    /// True if the series had it before: it is not made again.
    there: bool,
    /// Null in a preview, unless it is there.
    event_id: Option<Uuid>,
}

/// Copies an event to many dates, which are a series with it.
///
/// All are made or none; each is a draft as POST /organizer/events/{event_id}/clone makes it, and is changed, published
/// and canceled by itself. Clocks at the venue show the same time on every date, also after they are set. What the series
/// has already is left out. With `dry_run` it answers 200 and changes nothing. Send an `Idempotency-Key`.
#[utoipa::path(
    post, path = "/organizer/events/{event_id}/series", operation_id = "add_series_dates", tag = "organizer",
    params(
        ("event_id" = Uuid, Path), ("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repeating harmless; a UUID"),
    ),
    request_body = SeriesRequest, security(("bearer" = [])),
    responses(
        (status = 200, description = "A preview", body = SeriesJson), (status = 201, body = SeriesJson),
        (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, description = "`event_canceled`, `request_in_flight`", body = Problem),
        (status = 422, description = "`invalid_fields`, `idempotency_key_reused`", body = Problem),
    ),
)]
pub(super) async fn add(
    State(app): State<AppState>,
    member: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    headers: HeaderMap,
    ApiBytes(body): ApiBytes,
) -> Result<Response, ApiError> {
    require_json(&headers)?;
    let request: SeriesRequest = parse_json(&body)?;
    let (mut tx, event) = look(&app, &member, event_id).await?;
    still_on(&event)?;
    if request.dry_run {
        let plan = Plan::of(&mut tx, &event, &request).await?;
        let source = Whole::read(&mut tx, event, request.promo_codes).await?;
        tx.commit().await?;
        plan.copies(&app, &source, None, |_| app.rng.uuid(&*app.clock))?;
        return Ok((StatusCode::OK, Json(plan.json(source.event.series_id))).into_response());
    }
    tx.commit().await?;
    let (organizer_id, caller) = (member.organizer_id, caller(&member));
    let state = app.clone();
    let run = move |turn: Turn| async move {
        let made = make(&state, &member, event_id, &request, turn).await?;
        Answer::json(StatusCode::CREATED, &made)
    };
    let route = format!("POST /organizer/events/{event_id}/series");
    let scope = Scope { organizer_id, line: event_id, route: &route };
    once(&app, &caller, &headers, scope, &body, run).await
}

/// Makes the dates. Of two who add dates to one series the second waits, and finds those of the first.
async fn make(
    app: &AppState,
    member: &Staff,
    event_id: Uuid,
    request: &SeriesRequest,
    turn: Turn,
) -> Result<SeriesJson, ApiError> {
    let organizer_id = member.organizer_id;
    let (mut tx, mut event) = open(app, member, event_id).await?;
    still_on(&event)?;
    let series_id = match event.series_id {
        Some(series_id) => {
            series::lock(&mut tx, organizer_id, series_id).await?;
            series_id
        }
        None => app.rng.uuid(&*app.clock),
    };
    let mut plan = Plan::of(&mut tx, &event, request).await?;
    // From the id under which the key was claimed: who takes over after a crash finds what is there.
    let id = |n: usize| Uuid::from_u128(turn.resource_id.as_u128().wrapping_add(n as u128));
    if turn.again {
        let ids: Vec<Uuid> = (0..MAX_DATES).map(id).collect();
        let made = series::made(&mut tx, organizer_id, &ids).await?;
        if !made.is_empty() {
            plan.forget(&made);
            return Ok(plan.json(Some(series_id)));
        }
    }
    if event.series_id.is_none() {
        series::create(&mut tx, organizer_id, series_id, app.clock.now()).await?;
        if !series::join(&mut tx, organizer_id, event_id, series_id).await? {
            // The event is locked, so that this is our fault: a series without the event that it began with.
            return Err(ApiError::internal(anyhow::anyhow!("event {event_id} joined no series")));
        }
        event.series_id = Some(series_id);
    }
    let source = Whole::read(&mut tx, event, request.promo_codes).await?;
    let copies = plan.copies(app, &source, Some(series_id), id)?;
    for copy in &copies {
        write(app, &mut tx, member, copy, event_id).await?;
    }
    finish(app, tx, member, event_id, "event.series_added", ("event", event_id)).await?;
    plan.fill(&copies);
    Ok(plan.json(Some(series_id)))
}

/// The dates that are asked for, with those that the series has.
#[derive(Debug)]
struct Plan {
    /// Which field of the request names them.
    field: &'static str,
    dates: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    local: PrimitiveDateTime,
    starts_at: OffsetDateTime,
    there: bool,
    event_id: Option<Uuid>,
}

impl Plan {
    async fn of(tx: &mut Tx, event: &Event, request: &SeriesRequest) -> Result<Self, ApiError> {
        let known = match event.series_id {
            Some(series_id) => series::starts(tx, event.organizer_id, series_id).await?,
            None => vec![(event.starts_at, event.event_id)],
        };
        Self::beside(&known, event, request)
    }

    /// `known`: what the series has.
    fn beside(
        known: &[(OffsetDateTime, Uuid)],
        event: &Event,
        request: &SeriesRequest,
    ) -> Result<Self, ApiError> {
        let zone = EventZone::named(&event.time_zone);
        let zone: &dyn Zone = zone.as_ref().map_or(&Utc, |z| z);
        let too_far = |field: &str| ApiError::invalid_field(field, "out_of_range", "outside the calendar");
        let first = local(zone, event.starts_at).ok_or_else(|| too_far("dates"))?;
        let (field, wanted) = match (&request.dates, &request.rule) {
            (Some(dates), None) => ("dates", listed(dates, first)?),
            (None, Some(rule)) => ("rule", rule.dates(first)?),
            (given, _) => {
                let code = if given.is_some() { "conflict" } else { "required" };
                return Err(ApiError::invalid_field("dates", code, "either dates or a rule"));
            }
        };
        let mut dates = Vec::with_capacity(wanted.len());
        for (n, local) in wanted.into_iter().enumerate() {
            let starts_at = instant(zone, local).ok_or_else(|| too_far(field))?;
            // Two may be one where the clocks leave out an hour.
            if dates.iter().any(|of: &Planned| of.starts_at == starts_at) {
                let place = format!("{field}[{n}]");
                return Err(ApiError::invalid_field(&place, "repeated", "this date stands here twice"));
            }
            let event_id = known.iter().find(|(at, _)| *at == starts_at).map(|(_, id)| *id);
            dates.push(Planned { local, starts_at, there: event_id.is_some(), event_id });
        }
        dates.sort_by_key(|of| of.starts_at);
        Ok(Self { field, dates })
    }

    /// The event on each date that is new; `id` of the n-th of these.
    fn copies(
        &self,
        app: &App,
        source: &Whole,
        series_id: Option<Uuid>,
        id: impl Fn(usize) -> Uuid,
    ) -> Result<Vec<Whole>, ApiError> {
        let new = self.dates.iter().filter(|of| !of.there);
        let count = new.clone().count();
        if count == 0 {
            let message = "there is nothing new in it: the series has all of these dates";
            return Err(ApiError::invalid_field(self.field, "nothing_new", message));
        }
        fits(source, count, self.field)?;
        let now = app.clock.now();
        let copy = |(n, of): (usize, &Planned)| {
            let changes = Changes { event_id: id(n), starts_at: of.starts_at, title: None, series_id };
            source.copy(app, changes, now).map_err(|e| {
                ApiError::invalid_field(self.field, "conflict", format!("{}: {e}", of.local.date()))
            })
        };
        new.enumerate().map(copy).collect()
    }

    /// Notes which events the dates have become.
    fn fill(&mut self, copies: &[Whole]) {
        let new = self.dates.iter_mut().filter(|of| !of.there);
        for (of, copy) in new.zip(copies) {
            of.event_id = Some(copy.event.event_id);
        }
    }

    /// Takes these for new, which this very request made before.
    fn forget(&mut self, made: &[(OffsetDateTime, Uuid)]) {
        for of in &mut self.dates {
            of.there &= !made.iter().any(|(_, id)| Some(*id) == of.event_id);
        }
    }

    fn json(self, series_id: Option<Uuid>) -> SeriesJson {
        let date = |of: Planned| {
            let (day, at) = (of.local.date(), of.local.time());
            SeriesDateJson {
                local: format!("{day}T{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second()),
                starts_at: of.starts_at,
                there: of.there,
                event_id: of.event_id,
            }
        };
        SeriesJson { series_id, dates: self.dates.into_iter().map(date).collect() }
    }
}

/// Dates as written, without their own time at that of `first`.
fn listed(dates: &[String], first: PrimitiveDateTime) -> Result<Vec<PrimitiveDateTime>, ApiError> {
    let mut wrong = Wrong::default();
    wrong.within("dates", dates.len(), 1, MAX_DATES);
    wrong.check()?;
    let mut wrong = Wrong::default();
    let mut all = Vec::with_capacity(dates.len());
    for (n, text) in dates.iter().enumerate() {
        let day = || Some(PrimitiveDateTime::new(Date::parse(text, DAY).ok()?, first.time()));
        match PrimitiveDateTime::parse(text, DAY_AND_TIME).ok().or_else(day) {
            Some(date) if all.contains(&date) => {
                wrong.note(format!("dates[{n}]"), "repeated", "this date stands here twice");
            }
            Some(date) => all.push(date),
            None => wrong.note(format!("dates[{n}]"), "invalid", "as 2026-12-25 or 2026-12-25T15:00"),
        }
    }
    wrong.check()?;
    Ok(all)
}

impl RepeatJson {
    /// The rule's dates after `first`.
    fn dates(&self, first: PrimitiveDateTime) -> Result<Vec<PrimitiveDateTime>, ApiError> {
        let mut wrong = Wrong::default();
        let interval = self.interval.unwrap_or(1);
        wrong.within("rule.interval", interval, 1, MAX_INTERVAL);
        let weekdays = self.weekdays.clone().unwrap_or_default();
        if self.weekdays.is_some() && self.frequency != Frequency::Weekly {
            wrong.note("rule.weekdays", "conflict", "weekdays are of weekly rules");
        } else if self.weekdays.is_some() {
            wrong.within("rule.weekdays", weekdays.len(), 1, 7);
        }
        let ends = match (self.count, self.until.as_deref().map(|text| Date::parse(text, DAY))) {
            (Some(count), None) => {
                wrong.within("rule.count", usize::try_from(count).unwrap_or(usize::MAX), 2, MAX_DATES + 1);
                Ends::After(count)
            }
            (None, Some(Ok(last))) => Ends::On(last),
            (None, Some(Err(_))) => {
                wrong.note("rule.until", "invalid", "a day, as 2027-03-31");
                Ends::After(1)
            }
            (given, _) => {
                let code = if given.is_some() { "conflict" } else { "required" };
                wrong.note("rule.count", code, "either count or until");
                Ends::After(1)
            }
        };
        wrong.check()?;
        let rule = Repeat { frequency: self.frequency, interval, weekdays, ends };
        let dates = rule
            .dates_after(first.date())
            .map_err(|e| ApiError::invalid_field("rule", "out_of_range", e.to_string()))?;
        Ok(dates.into_iter().map(|date| PrimitiveDateTime::new(date, first.time())).collect())
    }
}
