//! What `serve --dev` finds when it opens: an organizer with an event on sale and an attendee, both with
//! passwords that everybody knows. Set up through the server's own routes, as anybody would do it.

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tower::ServiceExt as _;

use crate::app::AppState;
use crate::auth::access_token::Subject;
use crate::domain::account::{Email, Password, PlatformRole};
use crate::store::users::{self, NewUser, PasswordHash, User};

/// Address and password of the organizer.
pub const ORGANIZER: (&str, &str) = ("organizer@demo.example", "demo-organizer-2026");
/// Address and password of the attendee.
pub const ATTENDEE: (&str, &str) = ("attendee@demo.example", "demo-attendee-2026");
/// Of the event's supervisor.
pub const PIN: &str = "246810";
const TITLE: &str = "Demo Festival";
/// An event that ends sooner makes room for a new one.
const LEFT: Duration = Duration::days(1);
const RUNS: Duration = Duration::days(60);
const LARGEST_REPLY: usize = 1 << 20;

/// Makes what is missing of it. May be interrupted and repeated at any point.
pub async fn seed(app: &AppState, router: &Router) -> anyhow::Result<()> {
    let organizer = account(app, ORGANIZER).await?;
    account(app, ATTENDEE).await?;
    let token = app.tokens.issue(&Subject {
        method: "password",
        user_id: organizer.id,
        email: &organizer.email,
        role: organizer.role.as_str(),
        session_id: app.rng.uuid(&*app.clock),
        signed_in_at: app.clock.now(),
        aal: crate::domain::access::Aal::Aal1,
        user_metadata: json!({}),
    })?;
    let me = Caller { router, token };
    let profile = me.ask(Method::GET, "/organizer/profile", None).await?;
    if profile.0 == 403 {
        let name = json!({
            "name": "Demo Organizer", "contact_email": ORGANIZER.0, "country": "DE",
            "description": "Made by --dev, to try everything out.",
        });
        me.must(Method::PUT, "/organizer/profile", &name).await?;
    }
    if !has_event(&me, app.clock.now()).await? {
        put_on_sale(&me, app.clock.now()).await?;
    }
    Ok(())
}

async fn account(app: &AppState, (email, password): (&str, &str)) -> anyhow::Result<User> {
    let email = Email::parse(email)?;
    let mut tx = app.db.platform().await?;
    let found = users::by_email(&mut tx, email.as_str()).await?;
    tx.commit().await?;
    if let Some(user) = found {
        return Ok(user);
    }
    let new = NewUser {
        id: app.rng.uuid(&*app.clock),
        email: email.as_str(),
        password_hash: PasswordHash(Some(app.passwords.hash(&Password::new(password)).await?)),
        confirmed: true,
        role: PlatformRole::User,
        user_metadata: &json!({}),
        language: crate::domain::language::Language::En,
    };
    let mut tx = app.db.platform().await?;
    let made = users::insert(&mut tx, &new, app.clock.now()).await?;
    // Another server may have been quicker.
    let user = match made {
        Some(user) => Some(user),
        None => users::by_email(&mut tx, email.as_str()).await?,
    };
    tx.commit().await?;
    user.with_context(|| format!("the account {} neither exists nor can be made", email.as_str()))
}

/// True if the organizer's event is on sale for a while yet. A draft that an interruption left does not count.
async fn has_event(me: &Caller<'_>, now: OffsetDateTime) -> anyhow::Result<bool> {
    let (status, page) = me.ask(Method::GET, "/organizer/events?limit=200", None).await?;
    if status != 200 {
        bail!("the demo organizer's events cannot be listed: {status} {page}");
    }
    let events = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(events.iter().any(|event| {
        let ends = event["ends_at"].as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        event["title"] == TITLE && event["status"] == "published" && ends.is_some_and(|at| at > now + LEFT)
    }))
}

/// Doors are open from the start, so that gates can be tried at once.
async fn put_on_sale(me: &Caller<'_>, now: OffsetDateTime) -> anyhow::Result<()> {
    let starts = (now + Duration::hours(2)).replace_nanosecond(0)?.replace_second(0)?.replace_minute(0)?;
    let event = json!({
        "title": TITLE, "category_id": "festival", "time_zone": "Europe/Berlin", "currency": "EUR",
        "description": "Two stages, one field, sixty days. Buy a ticket with the card that always succeeds.",
        "venue_name": "The Field", "venue_address": "Am Feld 1", "city": "Berlin", "country": "DE",
        "latitude": 52.52, "longitude": 13.405,
        "admission_at": now.format(&Rfc3339)?, "starts_at": starts.format(&Rfc3339)?,
        "ends_at": (starts + RUNS).format(&Rfc3339)?, "refundable_until": starts.format(&Rfc3339)?,
    });
    let event = me.must(Method::POST, "/organizer/events/create", &event).await?;
    let base = format!("/organizer/events/{}", event["event_id"].as_str().context("an event has an id")?);
    let money = |amount_minor: i64| json!({ "amount_minor": amount_minor, "currency": "EUR" });
    let tax = json!({ "rate_bp": 700, "inclusive": true });
    let parts = [
        (
            "ticket-types",
            json!({
                "name": "Standing", "price": money(2_500), "fee": money(150), "tax": tax, "capacity": 2_000,
            }),
        ),
        (
            "ticket-types",
            json!({
                "name": "Backstage", "description": "With a seat and a drink.", "price": money(7_900),
                "fee": money(150), "tax": tax, "capacity": 100, "attention": "Hand out a blue wristband.",
            }),
        ),
        (
            "lists",
            json!({
                "name": "Entrance", "attendance": true, "multiple_entry": false, "reentry_after_exit": true,
            }),
        ),
        ("gates", json!({ "name": "Main entrance" })),
        ("gates", json!({ "name": "Side entrance" })),
        ("stewards", json!({ "label": "Supervisor", "supervisor": true, "pin": PIN })),
        ("publish", json!({})),
    ];
    for (part, body) in &parts {
        me.must(Method::POST, &format!("{base}/{part}"), body).await?;
    }
    Ok(())
}

/// The organizer, calling the server's routes without a network between.
struct Caller<'r> {
    router: &'r Router,
    token: String,
}

impl Caller<'_> {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))?;
        let response = self.router.clone().oneshot(request).await?;
        let status = response.status().as_u16();
        let bytes = http_body_util::Limited::new(response.into_body(), LARGEST_REPLY)
            .collect()
            .await
            .map_err(|e| anyhow::anyhow!("{path}: the reply broke off: {e}"))?
            .to_bytes();
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    async fn must(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        match self.ask(method, path, Some(body)).await? {
            (200..300, reply) => Ok(reply),
            (status, reply) => bail!("{path}: {status} {reply}"),
        }
    }
}
