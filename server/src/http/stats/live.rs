//! `GET /organizer/events/{id}/stats/live`: the figures as they change and the scans as they arrive, as server-sent events.
//!
//! Every message names its place in the log. A client that comes back with the last one (`Last-Event-ID`, which browsers
//! send by themselves) gets every scan after it exactly as if it had never been away, or is told `reset`.
//!
//! Nobody listens to the database here: [`News`](crate::news::News) wakes all streams of the server, and one reading of the
//! figures serves all who watch the same event. A stream waits for its client before it reads on, so that a slow one costs
//! the memory of a few messages, and sees fewer figures, never fewer scans.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts as _, State};
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use shared::admission::Outcome;
use shared::bytes::{Hash32, sha256};
use shared::time::UnixMillis;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::figures;
use crate::app::AppState;
use crate::http::streamed::Streamed;
use crate::http::{ApiError, ApiPath, Problem, Staff};
use crate::store::export::KINDS;
use crate::store::scans::{self, Arrived};

/// Streams at a time. They cost a task and a few messages each.
static PLACES: Semaphore = Semaphore::const_new(512);
/// Messages that wait for a client.
const BUFFER: usize = 4;
/// Who takes no message for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// So that proxies keep a quiet stream open, and clients notice a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// News can be lost between servers; no figures are older than this.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Figures are read no more often.
const PAUSE: Duration = Duration::from_secs(1);
/// Entries of a message, about: runs are not cut.
const PAGE: i64 = 500;
/// Who missed more is told to load everything anew.
const MOST_MISSED: u64 = 20_000;
/// What a client waits before it comes back.
const RETRY_MS: u32 = 2_000;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(live))
}

/// A place in the order in which scans arrived, as `17.89abcdef`: the cursor, and a mark of what stands there, by which
/// another life of the database is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub cursor: u64,
    pub mark: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.cursor, self.mark)
    }
}

/// What we never gave out.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPosition;

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (cursor, mark) = text.split_once('.').ok_or(NoPosition)?;
        let cursor = cursor.parse().ok().filter(|n| i64::try_from(*n).is_ok()).ok_or(NoPosition)?;
        let position = Self { cursor, mark: u32::from_str_radix(mark, 16).map_err(|_| NoPosition)? };
        // One text for each place: no sign, no zeros, no capitals.
        if position.to_string() == text { Ok(position) } else { Err(NoPosition) }
    }
}

/// Figures that are told to everybody who watches the event.
#[derive(Debug)]
struct Told {
    position: Position,
    json: Bytes,
    /// Of the figures without their time: the same figures are told once.
    tag: Hash32,
}

#[derive(Debug)]
struct Reading {
    /// The news that had come when it was read.
    news: u64,
    at: Instant,
    told: Arc<Told>,
}

/// An event that somebody watches.
#[derive(Debug)]
struct Watched {
    /// Keeps the event's count of news going.
    news: watch::Receiver<u64>,
    /// Held while it is read: the others wait and take the same.
    reading: tokio::sync::Mutex<Option<Reading>>,
}

/// Events that are watched at this server.
#[derive(Debug, Default)]
pub struct Live(Mutex<HashMap<Uuid, Weak<Watched>>>);

impl Live {
    fn watch(&self, app: &AppState, event: Uuid) -> Arc<Watched> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = events.get(&event).and_then(Weak::upgrade) {
            return watched;
        }
        events.retain(|_, watched| watched.strong_count() > 0);
        let watched =
            Arc::new(Watched { news: app.news.subscribe(event), reading: tokio::sync::Mutex::default() });
        events.insert(event, Arc::downgrade(&watched));
        watched
    }
}

impl Watched {
    /// The figures, with all news up to now in them.
    async fn figures(&self, app: &AppState, organizer: Uuid, event: Uuid) -> Result<Arc<Told>, ApiError> {
        let asked = *self.news.borrow();
        let mut reading = self.reading.lock().await;
        if let Some(known) = reading.as_ref() {
            // Counted on and round, so "not before" is "not behind by less than half".
            let fresh = known.news.wrapping_sub(asked) < u64::MAX / 2;
            if fresh && known.at.elapsed() < LOOK_EVERY {
                return Ok(Arc::clone(&known.told));
            }
            tokio::time::sleep_until(known.at + PAUSE).await;
        }
        let (news, at) = (*self.news.borrow(), Instant::now());
        let read = figures::read(app, organizer, event).await?;
        let mut value = serde_json::to_value(&read.stats).map_err(ApiError::internal)?;
        let json = Bytes::from(value.to_string());
        if let Some(members) = value.as_object_mut() {
            members.remove("at");
        }
        let tag = sha256(b"hvflvspot/figures/v1\0", &[value.to_string().as_bytes()]);
        let told = Arc::new(Told { position: read.position, json, tag });
        *reading = Some(Reading { news, at, told: Arc::clone(&told) });
        Ok(told)
    }
}

/// A scan as it arrived.
#[derive(Debug, Serialize)]
struct Scan {
    device_id: Uuid,
    log_no: i64,
    seq: i64,
    entry_hash: String,
    kind: &'static str,
    outcome: &'static str,
    list_id: Option<Uuid>,
    gate_id: Option<Uuid>,
    ticket_id: Option<Uuid>,
    type_number: Option<i32>,
    direction: &'static str,
    rehearsal: bool,
    #[serde(with = "time::serde::rfc3339::option")]
    scanned_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    late: bool,
}

impl From<Arrived> for Scan {
    fn from(a: Arrived) -> Self {
        let at = |n: i16| usize::try_from(n).ok();
        Self {
            device_id: a.device_id,
            log_no: a.log_no,
            seq: a.seq,
            entry_hash: hex::encode(&a.entry_hash),
            kind: at(a.kind).and_then(|n| KINDS.get(n).copied()).unwrap_or_default(),
            outcome: at(a.outcome).and_then(|n| Outcome::ALL.get(n)).map_or("", |o| o.as_str()),
            list_id: a.list_id,
            gate_id: a.gate_id,
            ticket_id: a.ticket_id,
            type_number: a.type_no,
            direction: if a.outward { "out" } else { "in" },
            rehearsal: a.rehearsal,
            scanned_at: UnixMillis(a.corrected_ms).to_datetime(),
            received_at: a.received_at,
            late: a.late,
        }
    }
}

/// The figures as they change, and every scan as it arrives, as server-sent events.
///
/// `stats` is the whole answer of `/stats`: at the beginning, and whenever a figure changed (at most once a second).
/// `scans` has `{"scans": […]}`: what arrived since the message before, in the order of arrival, with the times at the door
/// and here; `late` if more than two minutes lie between. Every message has an id. Come back with the last one in
/// `Last-Event-ID` and nothing is missed; `reset` (`{"reason": "unknown_id" | "too_far_behind"}`) says that this is not
/// possible: begin anew with the `stats` that follow. A comment every 15 seconds keeps the stream open. It ends when the
/// server stops and when the caller may not see it any more.
#[utoipa::path(
    get, path = "/organizer/events/{event_id}/stats/live", operation_id = "watch_event_stats", tag = "statistics",
    params(("event_id" = Uuid, Path), ("Last-Event-ID" = Option<String>, Header, description = "Id of the last message that arrived")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "Messages until one side goes", content_type = "text/event-stream", body = String),
        (status = 404, body = Problem), (status = 503, description = "`overloaded`: too many watch", body = Problem),
    ),
)]
async fn live(
    State(app): State<AppState>,
    staff: Staff,
    ApiPath(event_id): ApiPath<Uuid>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let place = PLACES.try_acquire().map_err(|_| ApiError::overloaded())?;
    let organizer = staff.organizer_id;
    // Subscribed before looking: what happens in between wakes us.
    let news = app.news.subscribe(event_id);
    let watched = app.live.watch(&app, event_id);
    // Before anything is promised: 404 for what is not theirs.
    let first = watched.figures(&app, organizer, event_id).await?;
    let (sender, messages) = mpsc::channel(BUFFER);
    let last = parts.headers.get(LAST_EVENT_ID).map(|v| v.to_str().ok().and_then(|text| text.parse().ok()));
    let stream =
        Stream { app: app.clone(), parts, organizer, event: event_id, news, watched, sender, _place: place };
    app.background.spawn(stream.run(first, last));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "private, no-store"),
        (ACCEL_BUFFERING, "no"),
    ];
    Ok((headers, Body::new(Streamed(messages))).into_response())
}

/// Why a stream ended.
enum Ended {
    /// The client goes on elsewhere, or later.
    Over,
    Failed(ApiError),
}

impl From<sqlx::Error> for Ended {
    fn from(e: sqlx::Error) -> Self {
        Self::Failed(e.into())
    }
}

/// One client's.
struct Stream {
    app: AppState,
    /// The request, to ask again whether the caller may.
    parts: Parts,
    organizer: Uuid,
    event: Uuid,
    news: watch::Receiver<u64>,
    watched: Arc<Watched>,
    sender: mpsc::Sender<Result<Bytes, Infallible>>,
    _place: SemaphorePermit<'static>,
}

impl Stream {
    async fn run(mut self, first: Arc<Told>, last: Option<Option<Position>>) {
        let stopping = self.app.stopping.clone();
        let sender = self.sender.clone();
        let ended = tokio::select! {
            ended = self.talk(first, last) => ended,
            () = stopping.cancelled() => Ended::Over,
            () = sender.closed() => Ended::Over,
        };
        if let Ended::Failed(e) = ended {
            tracing::warn!("a live stream ended early: {e:?}");
        }
    }

    /// Until it cannot go on.
    async fn talk(&mut self, first: Arc<Told>, last: Option<Option<Position>>) -> Ended {
        match self.follow(first, last).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn follow(
        &mut self,
        first: Arc<Told>,
        last: Option<Option<Position>>,
    ) -> Result<Infallible, Ended> {
        self.send(format!("retry: {RETRY_MS}\n\n")).await?;
        let mut told = first;
        let mut at = match last {
            None => told.position,
            Some(last) => self.resume(last, told.position).await?,
        };
        let mut sent = None;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let (here, there) = (at, told.position);
            if there.cursor < here.cursor || (there.cursor == here.cursor && there.mark != here.mark) {
                // The database was put back while we looked at it.
                at = self.reset("unknown_id", there).await?;
            }
            while at != told.position {
                at = self.scans(at, told.position).await?;
            }
            if sent != Some(told.tag) {
                self.message("stats", told.position, &told.json).await?;
                sent = Some(told.tag);
            }
            let mut look = std::pin::pin!(tokio::time::sleep(LOOK_EVERY));
            loop {
                tokio::select! {
                    _ = self.news.changed() => break,
                    () = look.as_mut() => break,
                    _ = heartbeat.tick() => self.send(": still here\n\n".to_owned()).await?,
                }
            }
            self.news.mark_unchanged();
            self.may_still().await?;
            let figures = self.watched.figures(&self.app, self.organizer, self.event).await;
            told = figures.map_err(Ended::Failed)?;
        }
    }

    /// Sessions end, members leave, scopes are taken away: the same check as at the beginning.
    async fn may_still(&mut self) -> Result<(), Ended> {
        match Staff::from_request_parts(&mut self.parts, &self.app).await {
            Ok(staff) if staff.organizer_id == self.organizer => Ok(()),
            _ => Err(Ended::Over),
        }
    }

    /// Where to go on after that message.
    async fn resume(&self, last: Option<Position>, now: Position) -> Result<Position, Ended> {
        let Some(last) = last.filter(|last| last.cursor <= now.cursor) else {
            return self.reset("unknown_id", now).await;
        };
        let mut tx = self.app.db.tenant(self.organizer).await?;
        let mark = scans::mark(&mut tx, self.organizer, self.event, last.cursor).await?;
        let missed = scans::arrived_since(&mut tx, self.organizer, self.event, last.cursor).await?;
        tx.commit().await?;
        if mark != last.mark {
            return self.reset("unknown_id", now).await;
        }
        if missed > MOST_MISSED {
            return self.reset("too_far_behind", now).await;
        }
        Ok(last)
    }

    async fn reset(&self, reason: &str, to: Position) -> Result<Position, Ended> {
        let json = serde_json::json!({ "reason": reason }).to_string();
        self.message("reset", to, json.as_bytes()).await?;
        Ok(to)
    }

    /// The next page of scans; returns where it ends.
    async fn scans(&self, after: Position, to: Position) -> Result<Position, Ended> {
        let mut tx = self.app.db.tenant(self.organizer).await?;
        let page = scans::arrived(&mut tx, self.organizer, self.event, after.cursor, to.cursor, PAGE).await?;
        tx.commit().await?;
        // Nothing between: what was told of is gone with another life of the database, which `to` is of.
        let Some(last) = page.last() else { return Ok(to) };
        let mark = last.last_hash.first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first));
        let end = Position { cursor: last.scan_seq, mark };
        let scans: Vec<Scan> = page.into_iter().map(Scan::from).collect();
        let json = serde_json::json!({ "scans": scans }).to_string();
        self.message("scans", end, json.as_bytes()).await?;
        Ok(end)
    }

    async fn message(&self, event: &str, id: Position, json: &[u8]) -> Result<(), Ended> {
        // JSON as written by us has no line breaks.
        let mut text = format!("id: {id}\nevent: {event}\ndata: ").into_bytes();
        text.extend_from_slice(json);
        text.extend_from_slice(b"\n\n");
        self.send(text).await
    }

    async fn send(&self, bytes: impl Into<Bytes>) -> Result<(), Ended> {
        let sent = tokio::time::timeout(PATIENCE, self.sender.send(Ok(bytes.into()))).await;
        sent.map_err(|_| Ended::Over)?.map_err(|_| Ended::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_text() {
        let place = Position { cursor: 17, mark: 0x89ab_cdef };
        assert_eq!(place.to_string(), "17.89abcdef");
        assert_eq!("17.89abcdef".parse(), Ok(place));
        assert_eq!("0.00000000".parse(), Ok(Position { cursor: 0, mark: 0 }));
        for text in [
            "",
            "17",
            "17.",
            ".89abcdef",
            "17.89ABCDEF",
            "+17.89abcdef",
            "017.89abcdef",
            "17.+9abcdef",
            "17.089abcdef",
            "-1.00000000",
            "9223372036854775808.00000000",
            "17.89abcdef ",
        ] {
            assert_eq!(text.parse::<Position>(), Err(NoPosition), "{text:?}");
        }
    }
}
