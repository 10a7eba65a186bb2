//! What every route has in common, written into the document in one place: the refusals that extractors, layers and the
//! edge give, headers, and examples. A route's own annotation says what only it can answer.
//!
//! A refusal's codes stand in its description in backticks, before the first colon; from there they also become
//! `x-error-codes` and examples.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, KnownFormat, Object, ObjectBuilder, OpenApi, Ref, RefOr,
    Required, Response, ResponseBuilder, Schema, SchemaFormat,
};

use super::examples::Examples;
use crate::domain::access::{self, Action};
use crate::http::limits;

const PROBLEM: &str = "#/components/schemas/Problem";
const GOTRUE: &str = "#/components/schemas/GoTrueError";

/// Refusals that are the same everywhere, said once.
const SHARED: &[(u16, &str, &[&str])] = &[
    (413, "TooLarge", &["body_too_large"]),
    (415, "UnsupportedMediaType", &["unsupported_media_type"]),
    (429, "TooManyRequests", &["rate_limited"]),
    (500, "InternalError", &["internal_error"]),
    (503, "Unavailable", &["overloaded", "timeout", "database_unavailable"]),
];

fn shared_name(accounts: bool, name: &str) -> String {
    format!("{}{name}", if accounts { "Accounts" } else { "" })
}

/// Completes the document of all routes.
pub(super) fn complete(document: &mut OpenApi) {
    let schemas = document.components.as_ref().map_or(Value::Null, |c| json!(c.schemas));
    let examples = Examples::new(&schemas);
    let components = document.components.get_or_insert_default();
    for accounts in [false, true] {
        let route = Route { path: if accounts { "/auth/v1/" } else { "/" }, method: "", examples: &examples };
        for (status, name, codes) in SHARED {
            let mut response = Response::default();
            route.describe(&mut response, codes);
            route.response(*status, &mut response);
            components.responses.insert(shared_name(accounts, name), RefOr::T(response));
        }
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            Route { path, method, examples: &examples }.complete(operation);
        }
    }
}

/// The operations of a path with their methods.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", &mut item.get),
        ("PUT", &mut item.put),
        ("POST", &mut item.post),
        ("PATCH", &mut item.patch),
        ("DELETE", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|o| (method, o)))
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Json,
    Cbor,
    Form,
}

const FORM: &str = "application/x-www-form-urlencoded";

struct Route<'a> {
    path: &'a str,
    method: &'static str,
    examples: &'a Examples<'a>,
}

impl Route<'_> {
    fn complete(&self, operation: &mut Operation) {
        if let Some(text) = &mut operation.summary {
            // A first sentence over two lines is still one.
            *text = text.replace('\n', " ");
        }
        self.parameters(operation);
        let security = operation.security.get_or_insert_default();
        let signs_in = !security.is_empty();
        let body = self.request(operation);
        if self.cached() {
            let unchanged = ResponseBuilder::new().description("Not changed (If-None-Match)").build();
            operation.responses.responses.insert("304".to_owned(), RefOr::T(unchanged));
        }
        for (status, codes) in self.common(operation, signs_in, body) {
            self.add(operation, status, codes);
        }
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response {
                // What needs no words: there is no such thing, or it may not be done.
                match status.as_str() {
                    "403" if !response.description.contains('`') => self.describe(response, &["forbidden"]),
                    "404" if !response.description.contains('`') => self.describe(response, &["not_found"]),
                    _ => {}
                }
                self.response(status.parse().unwrap_or_default(), response);
            }
        }
    }

    /// The refusals that this route gives without a line of its own.
    fn common(
        &self,
        operation: &Operation,
        signs_in: bool,
        body: Option<BodyKind>,
    ) -> Vec<(u16, Vec<&'static str>)> {
        let mut common: Vec<(u16, Vec<&'static str>)> = Vec::new();
        let has = |place: ParameterIn| {
            operation.parameters.iter().flatten().any(|p| match p {
                RefOr::T(p) => p.parameter_in == place,
                RefOr::Ref(_) => false,
            })
        };
        let organizers = self.of_members();
        let action = access::action_of(self.method, self.path);
        // Where `http::auth` looks who calls.
        let identifies = signs_in
            && !self.of_accounts()
            && !self.of_devices()
            && !matches!(action, Some(Action::Operate | Action::Browse));
        let repeats = self.takes(operation, "Idempotency-Key");
        let mut bad = Vec::new();
        for (code, may) in [
            ("invalid_path", has(ParameterIn::Path)),
            ("invalid_query", has(ParameterIn::Query)),
            ("invalid_cursor", self.takes(operation, "cursor")),
            ("malformed_json", body == Some(BodyKind::Json)),
            ("body_unreadable", body.is_some()),
            ("invalid_header", signs_in),
            ("two_credentials", identifies),
            ("invalid_idempotency_key", repeats),
            ("organizer_id_required", organizers),
            ("invalid_organizer_id", organizers || self.takes(operation, "Organizer-Id")),
        ] {
            bad.extend(may.then_some(code));
        }
        if !bad.is_empty() {
            common.push((400, bad));
        }
        match (signs_in, self.of_devices()) {
            (true, true) => {
                common.push((401, vec!["not_signed", "bad_signature", "unknown_device", "clock_skew"]));
            }
            (true, false) => common.push((401, self.unauthorized(operation))),
            _ => {}
        }
        if organizers {
            common.push((403, vec!["forbidden", "not_a_member", "not_an_organizer"]));
        }
        if identifies {
            let mut may_not = vec!["scope_required"];
            may_not.extend((self.method != "GET").then_some("bad_origin"));
            may_not.extend(action.is_some_and(Action::is_staff_work).then_some("totp_required"));
            common.push((403, may_not));
        }
        if has(ParameterIn::Path) {
            common.push((404, vec!["not_found"]));
        }
        if self.method != "GET" {
            common.push((409, vec!["try_again"]));
        }
        if repeats {
            common.push((409, vec!["request_in_flight"]));
            common.push((422, vec!["idempotency_key_reused"]));
        }
        match body {
            Some(BodyKind::Json) => {
                common.extend([shared(413), shared(415)]);
                common.push((422, vec!["invalid_body", "invalid_fields"]));
            }
            Some(BodyKind::Cbor) => {
                common[0].1.push("malformed_cbor");
                common.push(shared(413));
            }
            Some(BodyKind::Form) => common.push(shared(413)),
            None => {}
        }
        if limits::limited(self.method, self.path) {
            common.push(shared(429));
        }
        common.extend([shared(500), shared(503)]);
        common
    }

    /// Why a caller is not believed, by the ways of signing in that the route takes.
    fn unauthorized(&self, operation: &Operation) -> Vec<&'static str> {
        if self.of_accounts() {
            return vec!["no_authorization", "bad_jwt", "session_not_found"];
        }
        let mut codes =
            vec!["not_signed_in", "invalid_token", "token_expired", "session_ended", "profile_required"];
        if json!(operation.security).to_string().contains("booking_secret") {
            codes.push("invalid_booking_secret");
        }
        codes
    }

    fn of_accounts(&self) -> bool {
        self.path.starts_with("/auth/v1/")
    }

    fn of_members(&self) -> bool {
        self.path.starts_with("/organizer/") || self.path == "/tickets/validate"
    }

    fn of_devices(&self) -> bool {
        self.path.starts_with("/gates/")
    }

    fn takes(&self, operation: &Operation, parameter: &str) -> bool {
        operation.parameters.iter().flatten().any(|p| matches!(p, RefOr::T(p) if p.name == parameter))
    }

    fn parameters(&self, operation: &mut Operation) {
        let all = operation.parameters.get_or_insert_default();
        if self.of_members() && !all.iter().any(|p| matches!(p, RefOr::T(p) if p.name == "Organizer-Id")) {
            all.push(RefOr::T(organizer_id()));
        }
        for parameter in all {
            let RefOr::T(parameter) = parameter else { continue };
            if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                // A parameter is there or not; it is never null.
                if let SchemaType::Array(types) = &mut schema.schema_type {
                    types.retain(|t| *t != Type::Null);
                    if let [only] = types.as_slice() {
                        schema.schema_type = SchemaType::Type(only.clone());
                    }
                }
            }
        }
    }

    /// Completes the request's body, and says what it is.
    fn request(&self, operation: &mut Operation) -> Option<BodyKind> {
        let Some(RefOr::T(body)) = &mut operation.request_body else { return None };
        let mut found = BodyKind::Cbor;
        for (kind, content) in &mut body.content {
            let RefOr::T(content) = content else { continue };
            match kind.as_str() {
                "application/json" => {
                    found = BodyKind::Json;
                    self.example(content);
                }
                FORM => found = BodyKind::Form,
                _ => content.schema = Some(RefOr::T(Schema::Object(binary()))),
            }
        }
        Some(found)
    }

    /// Adds what the route's annotation does not say of `status`.
    fn add(&self, operation: &mut Operation, status: u16, codes: Vec<&str>) {
        let entry = operation.responses.responses.entry(status.to_string());
        let response = entry.or_insert_with(|| match SHARED.iter().find(|(of, ..)| *of == status) {
            Some((_, name, _)) => {
                let name = shared_name(self.of_accounts(), name);
                RefOr::Ref(Ref::new(format!("#/components/responses/{name}")))
            }
            None => RefOr::T(Response::default()),
        });
        if let RefOr::T(response) = response {
            self.describe(response, &codes);
        }
    }

    /// Adds codes to what a refusal's description names.
    fn describe(&self, response: &mut Response, codes: &[&str]) {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        if is_refusal(response) || response.content.is_empty() {
            let (named, told) = match response.description.split_once(": ") {
                Some((named, told)) => (named.to_owned(), format!(": {told}")),
                None => (response.description.clone(), String::new()),
            };
            // Words without a code are told, not named.
            let (named, told) = if named.contains('`') || named.is_empty() {
                (named, told)
            } else {
                (String::new(), format!(": {named}{told}"))
            };
            let more = codes.iter().filter(|code| !named.contains(code.as_str())).map(String::as_str);
            let all: Vec<&str> =
                Some(named.as_str()).filter(|n| !n.is_empty()).into_iter().chain(more).collect();
            response.description = format!("{}{told}", all.join(", "));
            if response.content.is_empty() {
                let schema = if self.of_accounts() { GOTRUE } else { PROBLEM };
                let content = ContentBuilder::new().schema(Some(Ref::new(schema))).build();
                response.content.insert("application/json".to_owned(), RefOr::T(content));
            }
        }
    }

    fn response(&self, number: u16, response: &mut Response) {
        if is_refusal(response) {
            self.refusal(number, response);
        } else {
            for (kind, content) in &mut response.content {
                let RefOr::T(content) = content else { continue };
                match kind.as_str() {
                    "application/json" => self.example(content),
                    "text/plain" | "image/svg+xml" | "text/csv" | "text/html" | "text/event-stream"
                    | "text/calendar" => {}
                    _ => content.schema = Some(RefOr::T(Schema::Object(binary()))),
                }
            }
        }
        if response.description.is_empty() {
            let words = StatusCode::from_u16(number).ok().and_then(|s| s.canonical_reason());
            words.unwrap_or("Answer").clone_into(&mut response.description);
        }
        let mut header = |name: &str, text: &str, kind: Type| {
            let schema = RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(kind).build()));
            let header = HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build();
            response.headers.entry(name.to_owned()).or_insert(RefOr::T(header));
        };
        if matches!(number, 429 | 503) {
            header("Retry-After", "Seconds after which it makes sense to repeat the request", Type::Integer);
        }
        if number == 429 || (number < 300 && limits::limited(self.method, self.path)) {
            header(
                "RateLimit-Policy",
                "The limits of this route: `name`;q=how many;w=in seconds",
                Type::String,
            );
            header("RateLimit", "What is left: `name`;r=how many;t=seconds until all are back", Type::String);
        }
        if number == 304 || (number == 200 && self.cached()) {
            header("ETag", "Send it back as If-None-Match", Type::String);
            header("Cache-Control", "How long the answer may be kept", Type::String);
        }
    }

    fn cached(&self) -> bool {
        self.method == "GET" && (self.path.starts_with("/events/") || self.path == "/categories")
    }

    /// Codes, media type and examples of a refusal.
    fn refusal(&self, status: u16, response: &mut Response) {
        let named = response.description.split(": ").next().unwrap_or_default();
        let quoted: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        let quoted_first = quoted.first().copied();
        let codes: BTreeSet<String> = quoted
            .into_iter()
            .filter(|c| {
                !c.is_empty() && c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            })
            .map(
                |code| if self.of_accounts() { super::gotrue_code(code).to_owned() } else { code.to_owned() },
            )
            .collect();
        let (schema, kind) = if self.of_accounts() {
            (GOTRUE, "application/json")
        } else {
            (PROBLEM, "application/problem+json")
        };
        let mut content = ContentBuilder::new().schema(Some(Ref::new(schema)));
        let shown = quoted_first.map(|code| match self.of_accounts() {
            true => gotrue_example(status, super::gotrue_code(code)),
            false => problem_example(status, code),
        });
        content = content.example(shown);
        response.content.clear();
        response.content.insert(kind.to_owned(), RefOr::T(content.build()));
        let codes: Vec<Value> = codes.into_iter().map(Value::from).collect();
        response.extensions = Some(Extensions::from_iter([("x-error-codes", Value::Array(codes))]));
    }

    fn example(&self, content: &mut Content) {
        if content.example.is_none() && content.examples.is_empty() {
            content.example = content.schema.as_ref().map(|schema| self.examples.of(&json!(schema)));
        }
    }
}

fn shared(status: u16) -> (u16, Vec<&'static str>) {
    let codes = SHARED.iter().find(|(of, ..)| *of == status).map(|(.., codes)| codes.to_vec());
    (status, codes.unwrap_or_default())
}

fn is_refusal(response: &Response) -> bool {
    response.content.values().any(|content| {
        let RefOr::T(Content { schema: Some(RefOr::Ref(of)), .. }) = content else { return false };
        of.ref_location == PROBLEM || of.ref_location == GOTRUE
    })
}

fn problem_example(status: u16, code: &str) -> Value {
    let words = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    json!({
        "type": format!("urn:hvflvspot:problem:{code}"), "title": words, "status": status,
        "detail": code.replace('_', " "), "code": code, "request_id": "0192f0c1-0000-7000-8000-0000000000ff",
    })
}

fn gotrue_example(status: u16, code: &str) -> Value {
    json!({
        "code": status, "error_code": code, "msg": code.replace('_', " "),
        "request_id": "0192f0c1-0000-7000-8000-0000000000ff",
    })
}

fn organizer_id() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
        .build();
    ParameterBuilder::new()
        .name("Organizer-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("Required of members of several organizers"))
        .schema(Some(Schema::Object(schema)))
        .build()
}

fn binary() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .build()
}
