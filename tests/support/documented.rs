//! Every answer that a test gets from a route of the product must stand in the OpenAPI document: its status, and of a
//! refusal its code. An answer that does not is replaced by a 500 that says so, which no test expects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

type Answers = BTreeMap<u16, BTreeSet<String>>;

pub(crate) async fn check(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let route = (request.method().as_str().to_lowercase(), path.unwrap_or_default());
    let response = next.run(request).await;
    let Some(answers) = document().get(&route) else { return response };
    let status = response.status();
    let Some(codes) = answers.get(&status.as_u16()) else {
        return undocumented(&route, status, "");
    };
    if !status.is_client_error() && !status.is_server_error() || codes.is_empty() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    // GoTrue's form has the status as `code`, or no `error_code`.
    let code = told["error_code"].as_str().or_else(|| told["code"].as_str()).unwrap_or_default();
    if codes.contains(code) {
        Response::from_parts(parts, Body::from(bytes))
    } else {
        undocumented(&route, status, code)
    }
}

fn undocumented(route: &(String, String), status: StatusCode, code: &str) -> Response {
    let text = format!(
        "the OpenAPI document does not know this answer of {} {}: {status} `{code}`",
        route.0.to_uppercase(),
        route.1
    );
    eprintln!("{text}");
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

fn document() -> &'static BTreeMap<(String, String), Answers> {
    static DOCUMENT: OnceLock<BTreeMap<(String, String), Answers>> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let document = hvflvspot::http::openapi::document().to_json().expect("the document is plain data");
        let document: Value = serde_json::from_str(&document).expect("it is JSON");
        let mut all = BTreeMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let answers = operation["responses"].as_object().into_iter().flatten();
                let answers = answers.filter_map(|(status, answer)| {
                    let shared = answer["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
                    let answer = shared.and_then(|r| document.pointer(r)).unwrap_or(answer);
                    let codes = answer["x-error-codes"].as_array().into_iter().flatten();
                    Some((
                        status.parse().ok()?,
                        codes.filter_map(|c| c.as_str().map(str::to_owned)).collect(),
                    ))
                });
                all.insert((method.clone(), path.clone()), answers.collect());
            }
        }
        all
    })
}
