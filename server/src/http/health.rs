//! Is the server well? `/health/live`: the process answers. `/health/ready`: it can do its work.
//! `/health`: each dependency, with details for local peers and holders of the health token.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edge::Client;
use super::error::ApiError;
use crate::app::AppState;

/// A database that takes longer is as good as down for whoever waits.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(live)).routes(routes!(ready))
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    status: Status,
    version: &'static str,
    /// Only for local peers and holders of the health token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    /// It serves, and something behind it is not well.
    Degraded,
    Down,
}

/// One dependency.
#[derive(Debug, Serialize, ToSchema)]
struct Check {
    name: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    /// Since when the status is what it is, or a job's last sign of life.
    #[serde(with = "time::serde::rfc3339")]
    since: OffsetDateTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// The server's health: 200 if it serves, 503 if it cannot.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "health", responses((status = 200, body = Health), (status = 503, body = Health)))]
async fn health(
    State(app): State<AppState>,
    client: Client,
    headers: HeaderMap,
) -> (StatusCode, Json<Health>) {
    let checks = checks(&app).await;
    let status = overall(&checks);
    let checks = if client.local || has_token(&app, &headers) { checks } else { Vec::new() };
    let code = if status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Health { status, version: env!("CARGO_PKG_VERSION"), checks }))
}

/// The process answers.
#[utoipa::path(get, path = "/health/live", operation_id = "health_live", tag = "health", responses((status = 204)))]
async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The server can do its work: a load balancer may send it requests.
#[utoipa::path(get, path = "/health/ready", operation_id = "health_ready", tag = "health", responses((status = 204), (status = 503, description = "`not_ready`", body = super::Problem)))]
async fn ready(State(app): State<AppState>) -> Result<StatusCode, ApiError> {
    let unready = |detail| Err(ApiError::unavailable("not_ready", detail, Duration::from_secs(2)));
    if app.stopping.is_cancelled() {
        return unready("the server is stopping");
    }
    match overall(&checks(&app).await) {
        Status::Down => unready("the database does not answer"),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

async fn checks(app: &AppState) -> Vec<Check> {
    let now = app.clock.now();
    let mut checks = vec![database(app).await, mail(app, now)];
    checks.extend(app.heartbeats.pulses().into_iter().map(|pulse| Check {
        name: format!("job:{}", pulse.job),
        status: if pulse.ok { Status::Ok } else { Status::Degraded },
        latency_ms: None,
        since: now - pulse.since_beat,
        detail: None,
    }));
    checks
}

async fn database(app: &AppState) -> Check {
    let started = app.clock.monotonic();
    let outcome = tokio::time::timeout(DATABASE_TIMEOUT, app.db.ping()).await;
    let latency = app.clock.monotonic().saturating_sub(started);
    let ok = matches!(outcome, Ok(Ok(())));
    let since = app.database_status.since(ok, app.clock.now());
    let (open, idle) = app.db.connections();
    Check {
        name: "database".to_owned(),
        status: if ok { Status::Ok } else { Status::Down },
        latency_ms: Some(latency.as_secs_f64() * 1_000.0),
        since,
        detail: Some(match outcome {
            Ok(Ok(())) => format!("{open} connections, {idle} idle"),
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer in time".to_owned(),
        }),
    }
}

/// Whether mail has a way out. Whether it arrives says the job.
fn mail(app: &AppState, now: OffsetDateTime) -> Check {
    let mailer = app.mail.mailer();
    Check {
        name: "mail".to_owned(),
        status: if mailer.is_some() { Status::Ok } else { Status::Degraded },
        latency_ms: None,
        since: app.mail_status.since(mailer.is_some(), now),
        detail: Some(
            mailer.map_or("unconfigured: mails wait in the outbox", |mailer| mailer.name()).to_owned(),
        ),
    }
}

fn overall(checks: &[Check]) -> Status {
    match checks {
        _ if checks.iter().any(|c| c.status == Status::Down) => Status::Down,
        _ if checks.iter().any(|c| c.status == Status::Degraded) => Status::Degraded,
        _ => Status::Ok,
    }
}

pub(super) fn has_token(app: &AppState, headers: &HeaderMap) -> bool {
    let sent = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "));
    match (&app.config.health_token, sent) {
        (Some(token), Some(sent)) => token.reveal().as_bytes().ct_eq(sent.as_bytes()).into(),
        _ => false,
    }
}
