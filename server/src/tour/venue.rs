//! Setting up through the public interface: an organizer, an event on sale, a purchase, an enrolment. The tour, the
//! benches and the end-to-end tests all begin here.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::api::{Api, text};
use super::gate::Gate;
use crate::clock::SharedRng;

/// Pays always, whatever the simulated gateway's success rate.
pub const ALWAYS: &str = "tok_always_succeeds";
/// Of the supervisor of every [`Show`].
pub const PIN: &str = "246810";
const PASSWORD: &str = "a-password-for-the-tour";

/// An event on sale, with one ticket type, one list and some gates.
#[derive(Debug, Clone)]
pub struct Show {
    pub event: String,
    pub ticket_type: String,
    pub list: String,
    pub gates: Vec<String>,
    pub supervisor: String,
}

/// What kind of event.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'p> {
    pub title: &'p str,
    pub capacity: u32,
    pub gates: &'p [&'p str],
    pub reentry: bool,
}

/// A bought booking.
#[derive(Debug, Clone)]
pub struct Bought {
    pub booking: String,
    pub secret: String,
    pub tickets: Vec<BoughtTicket>,
}

/// One ticket of it.
#[derive(Debug, Clone)]
pub struct BoughtTicket {
    pub id: String,
    pub code: String,
}

/// Signs an account in.
///
/// # Errors
/// If the server refuses.
pub async fn sign_in(api: &Api, email: &str, password: &str) -> Result<Api> {
    let body = json!({ "email": email, "password": password });
    let session = api.post("/auth/v1/token?grant_type=password", body).await?;
    Ok(api.with_bearer(text(&session, "/access_token")?))
}

/// Signs up a new account and makes it an organizer. With `--dev` it is approved at once.
///
/// # Errors
/// If the server refuses.
pub async fn new_organizer(api: &Api, rng: &SharedRng) -> Result<Api> {
    let email = format!("tour-{}@demo.example", hex::encode(rng.bytes::<6>()));
    let session = api.post("/auth/v1/signup", json!({ "email": email, "password": PASSWORD })).await?;
    let me = api.with_bearer(text(&session, "/access_token")?);
    me.put("/organizer/profile", json!({ "name": "Tour", "contact_email": email })).await?;
    // The token knows the role it was issued with; a fresh one knows the new role.
    let token = text(&session, "/refresh_token")?;
    let session =
        api.post("/auth/v1/token?grant_type=refresh_token", json!({ "refresh_token": token })).await?;
    Ok(api.with_bearer(text(&session, "/access_token")?))
}

/// Creates an event that starts an hour after `now` and publishes it.
///
/// # Errors
/// If the server refuses.
pub async fn put_on_sale(organizer: &Api, now: OffsetDateTime, plan: Plan<'_>) -> Result<Show> {
    let starts = now + Duration::from_secs(3_600);
    let event = organizer
        .post(
            "/organizer/events/create",
            json!({
                "title": plan.title, "category_id": "music", "venue_name": "Main hall", "city": "Berlin",
                "time_zone": "Europe/Berlin", "currency": "EUR",
                "starts_at": starts.format(&Rfc3339)?,
                "ends_at": (starts + Duration::from_secs(4 * 3_600)).format(&Rfc3339)?,
            }),
        )
        .await?;
    let event = text(&event, "/event_id")?.to_owned();
    let base = format!("/organizer/events/{event}");
    let ticket_type = add_type(organizer, &event, "Standing", plan.capacity).await?;
    let list = organizer
        .post(
            &format!("{base}/lists"),
            json!({
                "name": "Entrance", "attendance": true, "multiple_entry": false,
                "reentry_after_exit": plan.reentry,
            }),
        )
        .await?;
    let mut gates = Vec::new();
    for name in plan.gates {
        let gate = organizer.post(&format!("{base}/gates"), json!({ "name": name })).await?;
        gates.push(text(&gate, "/gate_id")?.to_owned());
    }
    let supervisor = organizer
        .post(&format!("{base}/stewards"), json!({ "label": "Supervisor", "supervisor": true, "pin": PIN }))
        .await?;
    organizer.post(&format!("{base}/publish"), json!({})).await?;
    Ok(Show {
        ticket_type,
        list: text(&list, "/list_id")?.to_owned(),
        supervisor: text(&supervisor, "/steward_id")?.to_owned(),
        gates,
        event,
    })
}

/// Adds a ticket type with a capacity of its own. Returns its id.
///
/// # Errors
/// If the server refuses.
pub async fn add_type(organizer: &Api, event: &str, name: &str, capacity: u32) -> Result<String> {
    let made = organizer
        .post(
            &format!("/organizer/events/{event}/ticket-types"),
            json!({
                "name": name, "price": { "amount_minor": 2_500, "currency": "EUR" },
                "fee": { "amount_minor": 150, "currency": "EUR" },
                "tax": { "rate_bp": 700, "inclusive": true }, "capacity": capacity,
            }),
        )
        .await?;
    Ok(text(&made, "/ticket_type_id")?.to_owned())
}

/// Buys as a guest and pays in the same call. `key` is the Idempotency-Key.
///
/// # Errors
/// If the server refuses.
pub async fn buy(api: &Api, show: &Show, quantity: u32, key: &str) -> Result<Bought> {
    let booking = api
        .post_once(
            "/tickets/purchase",
            key,
            json!({
                "event_id": show.event, "email": "guest@demo.example",
                "items": [{ "ticket_type_id": show.ticket_type, "quantity": quantity }],
                "payment": { "method": "simulated", "token": ALWAYS },
            }),
        )
        .await
        .context("buying a ticket")?;
    let tickets = booking["tickets"].as_array().context("a paid booking has tickets")?;
    let ticket = |t: &Value| {
        Ok(BoughtTicket { id: text(t, "/ticket_id")?.to_owned(), code: text(t, "/code")?.to_owned() })
    };
    Ok(Bought {
        booking: text(&booking, "/booking_id")?.to_owned(),
        secret: text(&booking, "/booking_secret")?.to_owned(),
        tickets: tickets.iter().map(ticket).collect::<Result<_>>()?,
    })
}

/// Enrols a gate by link and confirms it after comparing the digits. Returns `(device's digits, server's digits)`.
///
/// # Errors
/// If either side refuses.
pub async fn enroll(organizer: &Api, show: &Show, gate: &Gate) -> Result<(String, String)> {
    let devices = format!("/organizer/events/{}/devices", show.event);
    let slot = organizer.post(&format!("{devices}/slots"), json!({ "label": gate.name })).await?;
    let enrolling = gate.enroll(&[text(&slot, "/link")?]).await?;
    let device = format!("{devices}/slots/{}", text(&slot, "/slot_id")?);
    let seen = organizer.get(&device).await?;
    let digits = text(&seen, "/digits")?.to_owned();
    organizer.post(&format!("{device}/confirm"), json!({ "digits": enrolling.digits })).await?;
    let shown = enrolling.digits.clone();
    enrolling.finish().await?;
    Ok((shown, digits))
}
