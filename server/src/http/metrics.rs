//! Numbers for a Prometheus, in its text format. Routes are templates, so that no id and no name
//! becomes a label.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edge::Client;
use super::error::ApiError;
use super::health;
use crate::app::AppState;

/// Upper bounds of the buckets of request times, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// What was answered so far.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<(String, String, u16), Series>>);

#[derive(Debug, Clone, Copy, Default)]
struct Series {
    count: u64,
    sum: f64,
    buckets: [u64; BOUNDS.len()],
}

impl Metrics {
    /// Counts one answer.
    pub(super) fn record(&self, method: &Method, route: &str, status: u16, took: Duration) {
        // A made-up method must not make a new series, nor an unknown route.
        let known =
            matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS");
        let method = if route == "-" || !known { "any" } else { method.as_str() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.entry((route.to_owned(), method.to_owned(), status)).or_default();
        let secs = took.as_secs_f64();
        series.count += 1;
        series.sum += secs;
        for (bucket, bound) in series.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(secs <= bound);
        }
    }

    fn render(&self, out: &mut String) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        out.push_str("# TYPE hvflvspot_request_seconds histogram\n");
        for ((route, method, status), series) in &all {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            for (bucket, bound) in series.buckets.iter().zip(BOUNDS) {
                line(out, "hvflvspot_request_seconds_bucket", &format!("{labels},le=\"{bound}\""), *bucket);
            }
            line(out, "hvflvspot_request_seconds_bucket", &format!("{labels},le=\"+Inf\""), series.count);
            line(out, "hvflvspot_request_seconds_sum", &labels, series.sum);
            line(out, "hvflvspot_request_seconds_count", &labels, series.count);
        }
    }
}

/// Numbers for a Prometheus: for local peers and holders of the health token.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain"), (status = 401, description = "`health_token_required`", body = super::Problem)))]
async fn metrics(
    State(app): State<AppState>,
    client: Client,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if !client.local && !health::has_token(&app, &headers) {
        return Err(ApiError::unauthorized("health_token_required", "send the health token"));
    }
    let mut out = String::new();
    app.metrics.render(&mut out);
    let (open, idle) = app.db.connections();
    let busy = app.config.http.max_in_flight - app.in_flight.available_permits();
    for (name, value) in [
        ("hvflvspot_requests_in_flight", busy as u64),
        ("hvflvspot_database_connections", u64::from(open)),
        ("hvflvspot_database_connections_idle", idle as u64),
    ] {
        let _ = writeln!(out, "# TYPE {name} gauge\n{name} {value}");
    }
    out.push_str("# TYPE hvflvspot_job_ok gauge\n");
    for pulse in app.heartbeats.pulses() {
        line(&mut out, "hvflvspot_job_ok", &format!("job=\"{}\"", pulse.job), u8::from(pulse.ok));
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response())
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{name}{{{labels}}} {value}");
}
