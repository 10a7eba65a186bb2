//! Two organizers with one of everything, and callers of every kind.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use hvflvspot::clock::TestClock;
use hvflvspot::config::Secret;
use hvflvspot::domain::access::Scope;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use support::server::{Reply, TestServer, send};
use time::macros::datetime;
use uuid::Uuid;

use crate::text;

pub const PASSWORD: &str = "a-long-enough-password";

/// One organizer and what belongs to it.
#[derive(Debug, Default)]
pub struct Side {
    pub organizer: String,
    pub owner: String,
    pub ids: BTreeMap<&'static str, String>,
    pub code: String,
}

/// A booking and how one gets at it.
#[derive(Debug, Clone, Default)]
pub struct Bought {
    pub booking: String,
    pub ticket: String,
    pub secret: String,
}

pub struct World {
    pub server: TestServer,
    pub clock: TestClock,
    pub db: PgConnection,
    pub ours: Side,
    pub theirs: Side,
    /// Access tokens.
    pub user: String,
    pub door: String,
    pub manager: String,
    pub admin: String,
    pub system: String,
    /// May read events alone, and read statistics alone.
    pub bare: [String; 2],
    /// Browsers' cookies, by caller.
    pub cookies: BTreeMap<String, String>,
    /// (the guest's, the user's, of others) that nobody changes.
    pub lasting: [Bought; 3],
    pub undocumented: BTreeSet<String>,
    /// Promo codes made so far.
    pub codes: u32,
}

pub async fn sign_in(server: &TestServer, email: &str) -> Result<String> {
    let body = json!({ "email": email, "password": PASSWORD });
    let session = server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    text(&session, "access_token")
}

/// (access token, user id)
async fn sign_up(server: &TestServer, name: &str) -> Result<(String, String)> {
    let body = json!({ "email": format!("{name}@matrix.example"), "password": PASSWORD });
    let session = server.post("/auth/v1/signup", &body).await?.expect(200)?;
    Ok((text(&session, "access_token")?, text(&session["user"], "id")?))
}

pub async fn buy(server: &TestServer, at: &Side, buyer: Option<&str>, paid: bool) -> Result<Bought> {
    let mut order = json!({
        "event_id": at.ids["event_id"], "email": "guest@matrix.example",
        "items": [{ "ticket_type_id": at.ids["ticket_type_id"], "quantity": 1 }],
    });
    if paid {
        order["payment"] = json!({ "method": "simulated", "token": "tok_always_succeeds" });
    }
    let request = server.request(Method::POST, "/tickets/purchase").json(&order);
    let request = match buyer {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let booking = send(request).await?.expect(201)?;
    let or_empty = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Bought {
        booking: text(&booking, "booking_id")?,
        ticket: or_empty(&booking["tickets"][0]["ticket_id"]),
        secret: or_empty(&booking["booking_secret"]),
    })
}

/// An organizer with an event on sale and one of everything.
pub async fn found(server: &TestServer, db: &mut PgConnection, name: &str) -> Result<Side> {
    let (owner, owner_id) = sign_up(server, name).await?;
    let profile = json!({ "name": name, "contact_email": "office@matrix.example" });
    let request = server.request(Method::PUT, "/organizer/profile").bearer_auth(&owner).json(&profile);
    let organizer = text(&send(request).await?.expect(201)?, "organizer_id")?;
    let post = async |path: &str, body: Value| -> Result<Value> {
        let reply: Reply = server.post_as(&owner, path, &body).await?;
        anyhow::ensure!(reply.status.is_success(), "{path}: {}", reply.text);
        Ok(reply.body)
    };
    let event = post(
        "/organizer/events/create",
        json!({
            "title": "Night of Owls", "category_id": "music", "venue_name": "Main hall", "city": "Wien",
            "time_zone": "Europe/Vienna", "currency": "EUR", "max_per_booking": 10,
            "starts_at": "2090-06-01T18:00:00Z", "ends_at": "2090-06-01T23:00:00Z",
            "refundable_until": "2090-05-01T00:00:00Z",
        }),
    )
    .await?;
    let event = text(&event, "event_id")?;
    let path = format!("/organizer/events/{event}");
    let kind = json!({
        "name": "Standing", "price": { "amount_minor": 2_000, "currency": "EUR" },
        "tax": { "rate_bp": 1_000, "inclusive": true }, "capacity": 10_000,
    });
    let kind = post(&format!("{path}/ticket-types"), kind).await?;
    let sold_out = json!({
        "name": "Box", "price": { "amount_minor": 2_000, "currency": "EUR" }, "capacity": 0,
    });
    let sold_out = post(&format!("{path}/ticket-types"), sold_out).await?;
    let list = post(&format!("{path}/lists"), json!({ "name": "Entrance" })).await?;
    let gate = post(&format!("{path}/gates"), json!({ "name": "North" })).await?;
    let steward = post(&format!("{path}/stewards"), json!({ "label": "Ann", "pin": "492817" })).await?;
    let slot = post(&format!("{path}/devices/slots"), json!({ "label": "Phone" })).await?;
    post(&format!("{path}/publish"), json!({})).await?;
    let device = Uuid::from_u128(Uuid::parse_str(&event)?.as_u128() ^ 3);
    sqlx::query(
        "insert into devices (organizer_id, device_id, event_id, number, label, box_office, public_key, certificate,
                              not_after, confirmed_at, confirmed_by)
         values ($1::uuid, $2, $3::uuid, 900, 'Phone', false, sha256($3::text::bytea), 'x', now(), now(), $4::uuid)",
    )
    .bind(&organizer)
    .bind(device)
    .bind(&event)
    .bind(&owner_id)
    .execute(&mut *db)
    .await?;
    let hook = post("/organizer/webhooks", json!({ "url": "https://hooks.example.org/in" })).await?;
    let hook = text(&hook, "endpoint_id")?;
    let delivery = Uuid::from_u128(Uuid::parse_str(&event)?.as_u128() ^ 4);
    sqlx::query(
        "insert into outbox (id, channel, kind, type, recipient, organizer_id, language, facts, next_attempt_at, created_at)
         values ($1, 'webhook', 'endpoint.ping', 'webhook', $2, $3::uuid, 'en', '{}', now(), now())",
    )
    .bind(delivery)
    .bind(&hook)
    .bind(&organizer)
    .execute(db)
    .await?;
    let mut side = Side { organizer, owner, ..Side::default() };
    side.ids = BTreeMap::from([
        ("organizer_id", side.organizer.clone()),
        ("event_id", event),
        ("ticket_type_id", text(&kind, "ticket_type_id")?),
        ("quota_id", text(&kind, "quota_id")?),
        ("sold_out_id", text(&sold_out, "ticket_type_id")?),
        ("list_id", text(&list, "list_id")?),
        ("gate_id", text(&gate, "gate_id")?),
        ("steward_id", text(&steward, "steward_id")?),
        ("slot_id", text(&slot, "slot_id")?),
        ("device_id", device.to_string()),
        ("endpoint_id", hook),
        ("delivery_id", delivery.to_string()),
        ("user_id", owner_id),
    ]);
    Ok(side)
}

/// A new system account's token.
pub async fn system(server: &TestServer, owner: &str, scopes: &[Scope]) -> Result<String> {
    let body = json!({ "label": "Integration", "scopes": scopes });
    let made = server.post_as(owner, "/organizer/system-accounts", &body).await?.expect(201)?;
    let credentials = json!({ "client_id": made["client_id"], "client_secret": made["client_secret"] });
    text(&server.post("/auth/system/login", &credentials).await?.expect(200)?, "access_token")
}

pub async fn member(world: (&TestServer, &str), name: &str) -> Result<String> {
    let (server, owner) = world;
    let (token, _) = sign_up(server, name).await?;
    let body = json!({ "email": format!("{name}@matrix.example"), "role": name });
    let invitation = server.post_as(owner, "/organizer/invitations", &body).await?.expect(201)?;
    let accept = json!({ "token": invitation["token"] });
    server.post_as(&token, "/auth/invitations/accept", &accept).await?.expect(200)?;
    Ok(token)
}

pub async fn world() -> Result<World> {
    let clock = TestClock::at(datetime!(2026-11-20 12:00 UTC));
    let server = TestServer::builder()
        .clock(&clock)
        .config(|config| {
            config.auth.logins_per_minute = 1_000;
            // An endpoint for its webhooks, and play money all the same.
            config.stripe.secret_key = Some(Secret::new("sk_test_matrix"));
            config.gateway.enabled = Some(true);
            // Somebody who may tell how text messages fare; nothing is sent.
            config.sms.auth_token = Some(Secret::new("matrix"));
        })
        .start()
        .await?;
    let mut db = server.db.owner().await?;
    let mut ours = found(&server, &mut db, "owner").await?;
    let mut theirs = found(&server, &mut db, "rival").await?;
    let (user, _) = sign_up(&server, "user").await?;
    sign_up(&server, "admin").await?;
    sqlx::query("update users set role = 'admin' where email = 'admin@matrix.example'")
        .execute(&mut db)
        .await?;
    let lasting = [
        buy(&server, &ours, None, true).await?,
        buy(&server, &ours, Some(&user), true).await?,
        buy(&server, &theirs, None, true).await?,
    ];
    for (side, bought) in [(&mut ours, &lasting[0]), (&mut theirs, &lasting[2])] {
        let path = format!("/tickets/{}", bought.ticket);
        let ticket =
            send(server.request(Method::GET, &path).header("booking-secret", &bought.secret)).await?;
        side.code = text(&ticket.expect(200)?, "code")?;
    }
    Ok(World {
        door: member((&server, &ours.owner), "door").await?,
        manager: member((&server, &ours.owner), "manager").await?,
        admin: sign_in(&server, "admin@matrix.example").await?,
        system: system(&server, &ours.owner, &Scope::ALL).await?,
        bare: [
            system(&server, &ours.owner, &[Scope::EventsRead]).await?,
            system(&server, &ours.owner, &[Scope::StatsRead]).await?,
        ],
        server,
        clock,
        db,
        ours,
        theirs,
        user,
        lasting,
        cookies: BTreeMap::new(),
        undocumented: BTreeSet::new(),
        codes: 0,
    })
}
