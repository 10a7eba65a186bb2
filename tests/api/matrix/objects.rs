//! What a request is about: bodies, and the objects that paths name.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};
use support::server::send;
use uuid::Uuid;

use crate::operations::Operation;
use crate::text;
use crate::world::{PASSWORD, World, buy};

/// Bodies that pass as far as the object they are about; `$…` stands for an id.
pub fn body_of(operation: &Operation) -> Value {
    let pay = json!({ "method": "simulated", "token": "tok_always_succeeds" });
    match operation.name().as_str() {
        "POST /tickets/purchase" | "POST /tickets/quote" => json!({
            "event_id": "$event_id", "email": "guest@matrix.example",
            "items": [{ "ticket_type_id": "$ticket_type_id", "quantity": 1 }],
        }),
        "POST /tickets/validate" => json!({ "code": "$code", "event_id": "$event_id" }),
        "POST /auth/session" => json!({ "email": "user@matrix.example", "password": PASSWORD }),
        "POST /payment/process" => json!({ "booking_id": "$booking_id", "payment": pay }),
        "POST /payment/refund" => json!({ "booking_id": "$booking_id" }),
        "POST /organizer/events/{event_id}/ticket-types" => json!({
            "name": "Seats", "price": { "amount_minor": 2_000, "currency": "EUR" },
            "tax": { "rate_bp": 1_000, "inclusive": true }, "capacity": 10,
        }),
        "POST /organizer/events/{event_id}/lists/{list_id}/try" => {
            json!({ "ticket_type_id": "$ticket_type_id" })
        }
        "POST /organizer/events/{event_id}/complimentary" | "POST /events/{event_id}/waiting-list" => json!({
            "ticket_type_id": "$ticket_type_id", "quantity": 1, "email": "somebody@matrix.example",
        }),
        "POST /organizer/events/{event_id}/quotas" => json!({ "name": "Rows", "capacity": 10 }),
        "POST /events/{event_id}/unlock" => json!({ "promo_code": "NONE" }),
        "POST /organizer/events/{event_id}/lists" => json!({ "name": "Backstage" }),
        "POST /organizer/events/{event_id}/gates" => json!({ "name": "West" }),
        "POST /organizer/events/{event_id}/stewards" => json!({ "label": "Eve", "pin": "492817" }),
        "POST /organizer/events/{event_id}/devices/slots" => json!({ "label": "Phone" }),
        "POST /organizer/events/{event_id}/devices/slots/{slot_id}/confirm" => json!({ "digits": "123456" }),
        "POST /organizer/events/{event_id}/devices/{device_id}/quarantine" => {
            json!({ "decision": "accept", "log_no": 1, "seq": 1 })
        }
        "POST /notifications/send" => json!({
            "type": "messages", "audience": { "event_id": "$event_id" }, "subject": "Doors", "body": "At seven.",
        }),
        "POST /organizer/webhooks/{endpoint_id}/replay" => json!({ "from": "2026-01-01T00:00:00Z" }),
        // No keys: the organizer goes on with the simulated gateway.
        "PUT /organizer/payment/stripe" => json!({}),
        "PUT /auth/v1/user" => json!({ "data": {} }),
        "PUT /organizer/members/{user_id}" => json!({ "role": "door" }),
        "PUT /organizer/events/{event_id}/update" => json!({ "venue_name": "Hall 2" }),
        _ => operation.example.clone().unwrap_or_else(|| json!({})),
    }
}

/// Objects that a call may use up: a fresh one before each.
async fn fresh(world: &mut World, name: &str, side: usize, who: &str) -> Result<Option<(String, String)>> {
    let at = if side == 0 { &world.ours } else { &world.theirs };
    let event = format!("/organizer/events/{}", at.ids["event_id"]);
    let owner = at.owner.clone();
    let made = |path: String, body: Value, id: &'static str| (path, body, id);
    let (path, body, id) = match name {
        "gate_id" => made(format!("{event}/gates"), json!({ "name": "North" }), "gate_id"),
        "list_id" => made(format!("{event}/lists"), json!({ "name": "Backstage" }), "list_id"),
        "steward_id" => {
            made(format!("{event}/stewards"), json!({ "label": "Ann", "pin": "492817" }), "steward_id")
        }
        "promo_code_id" => {
            let code = format!("CODE-{}", world.codes);
            world.codes += 1;
            made(format!("{event}/promo-codes"), json!({ "code": code }), "promo_code_id")
        }
        // Somebody on the line of a sold-out type of the account's, or of a guest's.
        "entry_id" => return waiting(world, side, who).await.map(Some),
        "slot_id" => made(format!("{event}/devices/slots"), json!({ "label": "Phone" }), "slot_id"),
        "ticket_type_id" => {
            let body = json!({
                "name": "Seats", "price": { "amount_minor": 2_000, "currency": "EUR" },
                "tax": { "rate_bp": 1_000, "inclusive": true }, "quota_id": at.ids["quota_id"],
            });
            made(format!("{event}/ticket-types"), body, "ticket_type_id")
        }
        "invitation_id" => {
            let body = json!({ "email": "somebody@matrix.example", "role": "door" });
            made("/organizer/invitations".to_owned(), body, "invitation_id")
        }
        "user_id" => {
            let id = Uuid::from_u128(Uuid::parse_str(&at.organizer)?.as_u128() ^ 1);
            sqlx::query(
                "insert into members (organizer_id, user_id, role, created_at) values ($1::uuid, $2, 'door', now())
                 on conflict (organizer_id, user_id) do update set role = 'door'",
            )
            .bind(&at.organizer)
            .bind(id)
            .execute(&mut world.db)
            .await?;
            return Ok(Some((id.to_string(), String::new())));
        }
        "account_id" => {
            let id = Uuid::from_u128(Uuid::parse_str(&at.organizer)?.as_u128() ^ 2);
            sqlx::query(
                "insert into system_accounts (organizer_id, account_id, label, scopes, secret_hash, created_by, created_at)
                 values ($1::uuid, $2, 'x', '{events.read}', sha256('x'), $2, now())
                 on conflict (organizer_id, account_id) do update set revoked_at = null",
            )
            .bind(&at.organizer)
            .bind(id)
            .execute(&mut world.db)
            .await?;
            return Ok(Some((id.to_string(), String::new())));
        }
        "session_id" => {
            let whose = match who {
                "user" | "door" | "manager" | "owner" | "admin" if side == 0 => who,
                _ => "rival",
            };
            let login = json!({ "email": format!("{whose}@matrix.example"), "password": PASSWORD });
            let session = world.server.post("/auth/session", &login).await?.expect(201)?;
            return Ok(Some((text(&session, "session_id")?, String::new())));
        }
        "subscription_id" => {
            // One's own, or somebody's.
            let whose = match who {
                "user" | "door" | "manager" | "owner" | "admin" if side == 0 => who,
                _ => "rival",
            };
            let id = world.server.app.rng.uuid(&world.clock);
            sqlx::query(
                "insert into push_subscriptions (subscription_id, user_id, endpoint_hash, sealed, created_at)
                 select $1, id, sha256($1::text::bytea), 'x', now() from users where email = $2::citext",
            )
            .bind(id)
            .bind(format!("{whose}@matrix.example"))
            .execute(&mut world.db)
            .await?;
            return Ok(Some((id.to_string(), String::new())));
        }
        "notification_id" => {
            let id = world.server.app.rng.uuid(&world.clock);
            sqlx::query(
                "insert into outbox (id, channel, kind, recipient, language, status, dead_because, next_attempt_at, created_at)
                 values ($1, 'email', 'ticket.reissued', 'x@matrix.example', 'en', 'dead', 'refused', now(), now())",
            )
            .bind(id)
            .execute(&mut world.db)
            .await?;
            return Ok(Some((id.to_string(), String::new())));
        }
        "endpoint_id" => {
            // There may be few.
            sqlx::query(
                "delete from webhook_endpoints where organizer_id = $1::uuid and endpoint_id <> $2::uuid",
            )
            .bind(&at.organizer)
            .bind(&at.ids["endpoint_id"])
            .execute(&mut world.db)
            .await?;
            let body = json!({ "url": "https://hooks.example.org/in" });
            made("/organizer/webhooks".to_owned(), body, "endpoint_id")
        }
        "question_id" => {
            made(format!("{event}/questions"), json!({ "label": "Shirt", "kind": "text" }), "question_id")
        }
        "import_id" => {
            static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let barcode = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let csv = format!("barcode,ticket_type\nM-{barcode},{}\n", at.ids["ticket_type_id"]);
            let path = format!("{event}/imports");
            let reply = world.server.post_as(&owner, &path, &json!({ "csv": csv })).await?.expect(201)?;
            return Ok(Some((text(&reply["import"], "import_id")?, String::new())));
        }
        "booking_id" | "ticket_id" => {
            let buyer = (side == 0 && who != "guest").then(|| world.user.clone());
            let bought = buy(&world.server, at, buyer.as_deref(), name == "ticket_id").await?;
            let id = if name == "ticket_id" { bought.ticket } else { bought.booking };
            return Ok(Some((id, bought.secret)));
        }
        _ => return Ok(None),
    };
    let reply = world.server.post_as(&owner, &path, &body).await?;
    Ok(Some((text(&reply.expect(201)?, id)?, String::new())))
}

/// A place on the waiting list: the user's own, a guest's with its secret, or somebody's of the other side.
async fn waiting(world: &mut World, side: usize, who: &str) -> Result<(String, String)> {
    let at = if side == 0 { &world.ours } else { &world.theirs };
    world.codes += 1;
    let path = format!("/events/{}/waiting-list", at.ids["event_id"]);
    let body = json!({
        "ticket_type_id": at.ids["sold_out_id"], "quantity": 1, "email": format!("w{}@matrix.example", world.codes),
    });
    let request = world.server.request(Method::POST, &path).json(&body);
    let request = match who {
        "guest" => request,
        _ if side == 0 => request.bearer_auth(&world.user),
        _ => request,
    };
    // The account waits once; its earlier place is gone by then.
    sqlx::query("update waiting_list set status = 'left' where status = 'waiting' and user_id is not null")
        .execute(&mut world.db)
        .await?;
    let entry = send(request).await?.expect(201)?;
    Ok((text(&entry, "entry_id")?, entry["booking_secret"].as_str().unwrap_or_default().to_owned()))
}

/// Where an endpoint is our own, for payment providers.
const TOLD_BY_PROVIDERS: &str = "/payment/webhooks/";

/// The id that stands for `name`, and the secret that a guest shows with it.
pub async fn object(
    world: &mut World,
    operation: &Operation,
    name: &str,
    side: usize,
    who: &str,
) -> Result<(String, String)> {
    // An event is canceled for good.
    if name == "event_id" && operation.name() == "POST /organizer/events/{event_id}/cancel" {
        let at = if side == 0 { &world.ours } else { &world.theirs };
        let body = json!({
            "title": "Short-lived", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
            "starts_at": "2090-06-01T18:00:00Z",
        });
        let made = world.server.post_as(&at.owner, "/organizer/events/create", &body).await?.expect(201)?;
        return Ok((text(&made, "event_id")?, String::new()));
    }
    let last = operation.path.split('/').rfind(|part| part.starts_with('{'));
    let used_up = last.is_none_or(|last| last == format!("{{{name}}}"));
    if (operation.changes() || name == "entry_id")
        && used_up
        && !operation.path.starts_with(TOLD_BY_PROVIDERS)
        && let Some((id, secret)) = fresh(world, name, side, who).await?
    {
        // Somebody else's booking is asked for with the secret of one's own.
        let secret = if side == 0 { secret } else { world.lasting[0].secret.clone() };
        return Ok((id, secret));
    }
    let bought = match (side, who) {
        (0, "guest") => &world.lasting[0],
        (0, _) => &world.lasting[1],
        _ => &world.lasting[2],
    };
    let at = if side == 0 { &world.ours } else { &world.theirs };
    let id =
        match name {
            "booking_id" => bought.booking.clone(),
            "ticket_id" => bought.ticket.clone(),
            "code" => at.code.clone(),
            "provider" => "stripe".to_owned(),
            "endpoint_id" if operation.path.starts_with(TOLD_BY_PROVIDERS) => "default".to_owned(),
            name => at.ids.get(name).cloned().with_context(|| {
                format!("{}: make an object for {{{name}}} in this test", operation.name())
            })?,
        };
    Ok((id, world.lasting[0].secret.clone()))
}

/// The same value with its `$names` replaced.
pub async fn filled(
    world: &mut World,
    operation: &Operation,
    body: Value,
    side: usize,
    who: &str,
    secret: &mut String,
) -> Result<Value> {
    let mut text = body.to_string();
    while let Some(at) = text.find("\"$") {
        let end = at + 2 + text[at + 2..].find('"').context("a closing quote")?;
        let name = text[at + 2..end].to_owned();
        let (id, shown) = object(world, operation, &name, side, who).await?;
        if name == "booking_id" {
            *secret = shown;
        }
        text.replace_range(at..=end, &Value::from(id).to_string());
    }
    Ok(serde_json::from_str(&text)?)
}
