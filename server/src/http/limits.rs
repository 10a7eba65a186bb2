//! How often a route may be called, for each client address and each account: counted in memory, so that no hot path
//! writes to the database for it. Several servers count each by itself.
//!
//! Rare and dear things (signing in, signing up, mails) are counted in the database instead (`auth/limit.rs`), over all
//! servers; here their policy is only told. Why the numbers are what they are: docs/decisions/0014-limits-in-memory.md.
//!
//! Answers of limited routes carry `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers); refusals
//! also `Retry-After`. This very machine (see [`Client::local`]) is not limited.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::auth::Caller;
use super::edge::Client;
use super::error::ApiError;
use crate::app::{App, AppState};
use crate::config::Rate;
use crate::network::Network;

pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const WINDOW: Duration = Duration::from_secs(60);
/// Callers remembered at most; beyond it those are forgotten who have nothing to wait for, or all.
const REMEMBERED: usize = 200_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Login,
    Signup,
    Recover,
    Purchase,
    Validate,
    Enrol,
    Search,
}

/// All limited routes.
const ROUTES: &[(&str, &str, Kind)] = &[
    ("POST", "/auth/v1/token", Kind::Login),
    ("PUT", "/auth/v1/user", Kind::Login),
    ("POST", "/auth/session", Kind::Login),
    ("POST", "/auth/system/login", Kind::Login),
    ("POST", "/auth/v1/signup", Kind::Signup),
    ("POST", "/auth/v1/recover", Kind::Recover),
    ("POST", "/auth/v1/otp", Kind::Recover),
    ("POST", "/auth/v1/magiclink", Kind::Recover),
    ("POST", "/auth/v1/resend", Kind::Recover),
    ("POST", "/bookings/recover", Kind::Recover),
    ("POST", "/tickets/purchase", Kind::Purchase),
    ("POST", "/tickets/quote", Kind::Purchase),
    ("POST", "/events/{event_id}/unlock", Kind::Purchase),
    ("POST", "/events/{event_id}/queue", Kind::Purchase),
    ("POST", "/events/{event_id}/waiting-list", Kind::Purchase),
    ("POST", "/tickets/validate", Kind::Validate),
    ("POST", "/gates/enroll", Kind::Enrol),
    ("GET", "/events/search", Kind::Search),
];

impl Kind {
    fn of(method: &str, path: &str) -> Option<Self> {
        // The router answers a HEAD as the GET that it is.
        let method = if method == "HEAD" { "GET" } else { method };
        ROUTES.iter().find(|(m, p, _)| (*m, *p) == (method, path)).map(|(.., kind)| *kind)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Signup => "signup",
            Self::Recover => "recover",
            Self::Purchase => "purchase",
            Self::Validate => "validate",
            Self::Enrol => "enrol",
            Self::Search => "search",
        }
    }

    /// The limit, and whether it is counted here.
    fn rate(self, app: &App) -> (Rate, bool) {
        let (auth, limits) = (&app.config.auth, &app.config.limits);
        match self {
            Self::Login => (Rate { client: auth.logins_per_minute, account: auth.logins_per_minute }, false),
            Self::Signup => (Rate { client: auth.signups_per_minute, account: 0 }, false),
            Self::Recover => (limits.recover, true),
            Self::Purchase => (limits.purchase, true),
            Self::Validate => (limits.validate, true),
            Self::Enrol => (limits.enrol, true),
            Self::Search => (limits.search, true),
        }
    }
}

/// True if the route can answer 429.
pub(super) fn limited(method: &str, path: &str) -> bool {
    Kind::of(method, path).is_some()
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whom {
    Client(Network),
    Account(Uuid),
}

/// One line of a policy: whom it counts, and how many in a minute.
#[derive(Debug, Clone, Copy)]
struct Line {
    kind: Kind,
    whom: Whom,
    max: u32,
}

impl Line {
    fn name(&self) -> String {
        match self.whom {
            Whom::Client(_) => format!("\"{}\"", self.kind.name()),
            Whom::Account(_) => format!("\"{}-account\"", self.kind.name()),
        }
    }
}

/// How a caller stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    left: u32,
    /// Until all are back.
    full_in: Duration,
    /// Until the next one, if there is none left.
    wait: Duration,
}

/// What was counted lately: for each caller the time at which it has everything back (GCRA).
#[derive(Debug, Default)]
pub struct Limits(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    until: HashMap<(Kind, Whom), Duration>,
    swept_at: Duration,
}

impl Limits {
    /// Counts one call on every line if all of them have room, else on none. `now` is monotonic.
    fn take(&self, lines: &[Line], now: Duration) -> Result<Vec<Standing>, Vec<Standing>> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.make_room(now);
        let mut standings = Vec::with_capacity(lines.len());
        let mut room = true;
        for line in lines {
            let step = WINDOW / line.max;
            let busy =
                counts.until.get(&(line.kind, line.whom)).map_or(Duration::ZERO, |u| u.saturating_sub(now));
            let wait = (busy + step).saturating_sub(WINDOW);
            room &= wait.is_zero();
            let after = if wait.is_zero() { busy + step } else { busy };
            let left = WINDOW.saturating_sub(after).as_nanos() / step.as_nanos();
            standings.push(Standing { left: u32::try_from(left).unwrap_or(u32::MAX), full_in: after, wait });
        }
        if !room {
            return Err(standings);
        }
        for (line, standing) in lines.iter().zip(&standings) {
            counts.until.insert((line.kind, line.whom), now + standing.full_in);
        }
        Ok(standings)
    }
}

impl Counts {
    fn make_room(&mut self, now: Duration) {
        if self.until.len() < REMEMBERED {
            return;
        }
        // Not at every call of a crowd of strangers.
        if now.saturating_sub(self.swept_at) >= Duration::from_secs(1) {
            self.swept_at = now;
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= REMEMBERED {
            self.until.clear();
        }
    }
}

/// The layer.
pub(super) async fn limit(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let kind = path.and_then(|path| Kind::of(request.method().as_str(), &path));
    let client = request.extensions().get::<Client>().copied();
    let (Some(kind), Some(client)) = (kind, client) else { return next.run(request).await };
    let (rate, counted) = kind.rate(&app);
    let (request, lines) = lines(&app, request, kind, rate, client).await;
    if lines.is_empty() {
        return next.run(request).await;
    }
    if !counted {
        return told(&lines, next.run(request).await);
    }
    if client.local {
        return next.run(request).await;
    }
    match app.limits.take(&lines, app.clock.monotonic()) {
        Ok(standings) => dress(next.run(request).await, &lines, Some(&standings)),
        Err(standings) => {
            let wait = standings.iter().map(|s| s.wait).max().unwrap_or(WINDOW);
            dress(ApiError::too_many(wait).into_response(), &lines, Some(&standings))
        }
    }
}

/// The lines that count for this request.
async fn lines(
    app: &AppState,
    request: Request,
    kind: Kind,
    rate: Rate,
    client: Client,
) -> (Request, Vec<Line>) {
    let mut lines = Vec::with_capacity(2);
    if rate.client > 0 {
        lines.push(Line { kind, whom: Whom::Client(client.addr.into()), max: rate.client });
    }
    let claims =
        [header::AUTHORIZATION, header::COOKIE].iter().any(|name| request.headers().contains_key(name));
    if rate.account == 0 || !claims {
        return (request, lines);
    }
    let (mut parts, body) = request.into_parts();
    // Whoever claims what is not true is refused by the handler, and counts by address alone: nobody uses up the
    // limit of another's account.
    if let Ok(caller) = Caller::from_request_parts(&mut parts, app).await {
        if let Some(account) = caller.account_id() {
            lines.push(Line { kind, whom: Whom::Account(account), max: rate.account });
        }
        // The handler need not verify the token once more.
        parts.extensions.insert(caller);
    }
    (Request::from_parts(parts, body), lines)
}

/// The headers of a route that is counted elsewhere: what is left is known only when nothing is.
fn told(lines: &[Line], response: Response) -> Response {
    let lines = &lines[..1];
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let standing = match (response.status(), wait) {
        (StatusCode::TOO_MANY_REQUESTS, Some(secs)) => {
            let wait = Duration::from_secs(secs);
            Some(vec![Standing { left: 0, full_in: wait, wait }])
        }
        _ => None,
    };
    dress(response, lines, standing.as_deref())
}

fn dress(mut response: Response, lines: &[Line], standings: Option<&[Standing]>) -> Response {
    let policy: Vec<String> =
        lines.iter().map(|l| format!("{};q={};w={}", l.name(), l.max, WINDOW.as_secs())).collect();
    let mut put = |name: HeaderName, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    };
    put(RATE_LIMIT_POLICY, policy.join(", "));
    if let Some(standings) = standings {
        let state = |(l, s): (&Line, &Standing)| format!("{};r={};t={}", l.name(), s.left, secs(s.full_in));
        put(RATE_LIMIT, lines.iter().zip(standings).map(state).collect::<Vec<_>>().join(", "));
    }
    response
}

fn secs(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn line(n: u32, max: u32) -> Line {
        let client = Network::from(IpAddr::V4(n.into()));
        Line { kind: Kind::Purchase, whom: Whom::Client(client), max }
    }

    #[test]
    fn so_many_in_a_minute_and_then_one_by_one() {
        let limits = Limits::default();
        let at = Duration::from_secs;
        for left in (0..6).rev() {
            assert_eq!(limits.take(&[line(1, 6)], at(100)).unwrap()[0].left, left);
        }
        let refused = limits.take(&[line(1, 6)], at(100)).unwrap_err()[0];
        assert_eq!((refused.left, refused.wait, refused.full_in), (0, at(10), at(60)));
        assert!(limits.take(&[line(2, 6)], at(100)).is_ok(), "others have their own");
        assert!(limits.take(&[line(1, 6)], at(109)).is_err());
        assert!(limits.take(&[line(1, 6)], at(110)).is_ok(), "a refused call costs nothing");
        assert!(limits.take(&[line(1, 6)], at(110)).is_err());
        assert_eq!(limits.take(&[line(1, 6)], at(400)).unwrap()[0].left, 5);
    }

    #[test]
    fn a_call_counts_on_all_lines_or_on_none() {
        let limits = Limits::default();
        let now = Duration::from_secs(1);
        let account = Line { kind: Kind::Purchase, whom: Whom::Account(Uuid::from_u128(1)), max: 1 };
        assert!(limits.take(&[line(1, 10), account], now).is_ok());
        let refused = limits.take(&[line(1, 10), account], now).unwrap_err();
        assert!(refused[1].wait > Duration::ZERO && refused[0].wait.is_zero());
        assert_eq!(limits.take(&[line(1, 10)], now).unwrap()[0].left, 8, "the refused one was not counted");
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let limits = Limits::default();
        for n in 0..(REMEMBERED as u32 + 10) {
            limits.take(&[line(n, 5)], Duration::from_secs(1)).unwrap();
        }
        assert!(limits.0.lock().unwrap().until.len() <= REMEMBERED);
    }
}
