//! Who gets in where, seen from outside: every operation of the served OpenAPI document × every kind of caller
//! × an object of the caller's own side and one of somebody else's, by real requests, against `matrix.txt`,
//! which a person can read. An operation without a line fails, and so does a line without an operation.
//!
//! Only who is let in is compared: whatever a request meets behind the door (400, 409, 422 …) counts as in.
//! Browsers are the same callers with another credential, and no column: for two of them each operation must let the
//! session's cookie in where it lets the bearer token in, and no page of another site with that cookie.
//! `MATRIX=write cargo nextest run -p hvflvspot-tests --test matrix` writes the table anew, for review.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hvflvspot::clock::TestClock;
use hvflvspot::config::Secret;
use hvflvspot::domain::access::{self, Scope};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use support::server::{Reply, TestServer, send};
use time::macros::datetime;
use uuid::Uuid;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api/matrix.txt");
const HEAD: &str = "\
# Who gets in where. Two signs a caller: for an object of its own side, and for somebody else's
# (own organizer, own booking; where a path names none, another organizer in the header Organizer-Id).
#   + let in   1 not signed in (401)   3 may not (403)   4 may not know of it (404)
# anon    nobody in particular         guest   holds a booking's secret     user    bought with an account
# door, manager, owner                 members of the organizer
# admin   administrator of the platform, member of none
# system  system account with the scope that the route takes (with all of them, if it takes none)
# bare    system account with another scope alone
# Gates sign their requests: nobody here gets past their routes.
";
const CALLERS: [&str; 9] = ["anon", "guest", "user", "door", "manager", "owner", "admin", "system", "bare"];
const PASSWORD: &str = "a-long-enough-password";

/// One organizer and what belongs to it.
#[derive(Debug, Default)]
struct Side {
    organizer: String,
    owner: String,
    ids: BTreeMap<&'static str, String>,
    code: String,
}

/// A booking and how one gets at it.
#[derive(Debug, Clone, Default)]
struct Bought {
    booking: String,
    ticket: String,
    secret: String,
}

struct World {
    server: TestServer,
    clock: TestClock,
    db: PgConnection,
    ours: Side,
    theirs: Side,
    /// Access tokens.
    user: String,
    door: String,
    manager: String,
    admin: String,
    system: String,
    /// May read events alone, and read statistics alone.
    bare: [String; 2],
    /// Browsers' cookies, by caller.
    cookies: BTreeMap<String, String>,
    /// (the guest's, the user's, of others) that nobody changes.
    lasting: [Bought; 3],
    undocumented: BTreeSet<String>,
    /// Promo codes made so far.
    codes: u32,
}

#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    /// Of the document, if it has one.
    example: Option<Value>,
    takes_organizer: bool,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn changes(&self) -> bool {
        self.method != Method::GET
    }
}

fn text(of: &Value, name: &str) -> Result<String> {
    Ok(of[name].as_str().with_context(|| format!("no {name} in {of}"))?.to_owned())
}

/// Every operation of the document.
fn operations(document: &Value) -> Result<Vec<Operation>> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in ["get", "post", "put", "patch", "delete"] {
            let Some(of) = item.get(method) else { continue };
            let content = &of["requestBody"]["content"]["application/json"];
            let schema = content["schema"]["$ref"].as_str().and_then(|r| r.rsplit('/').next());
            let of_schema = schema.map(|name| &document["components"]["schemas"][name]["example"]);
            let example = [Some(&content["example"]), of_schema].into_iter().flatten().find(|e| !e.is_null());
            let parameters = of["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            all.push(Operation {
                method: method.to_uppercase().parse()?,
                path: path.clone(),
                example: example.cloned(),
                takes_organizer: path.starts_with("/organizer/")
                    || parameters.iter().any(|p| p["name"] == "Organizer-Id"),
            });
        }
    }
    Ok(all)
}

/// Bodies that pass as far as the object they are about; `$…` stands for an id.
fn body_of(operation: &Operation) -> Value {
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
async fn object(
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
async fn filled(
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

/// How an account shows who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Token,
    /// By the session's cookie, from a page of the server's own.
    Cookie,
    /// By the cookie that another site's page makes the browser send.
    ForeignPage,
}

/// One request; its sign.
async fn ask(world: &mut World, operation: &Operation, who: &str, side: usize, by: By) -> Result<char> {
    let mut secret = world.lasting[0].secret.clone();
    let mut path = operation.path.clone();
    while let Some(at) = path.find('{') {
        let end = at + path[at..].find('}').context("a closing brace")?;
        let name = path[at + 1..end].to_owned();
        let (id, shown) = object(world, operation, &name, side, who).await?;
        if matches!(name.as_str(), "booking_id" | "ticket_id" | "entry_id") {
            secret = shown;
        }
        path.replace_range(at..=end, &id);
    }
    let mut body = filled(world, operation, body_of(operation), side, who, &mut secret).await?;
    match operation.name().as_str() {
        // Whoever is no member anywhere would found an organizer, and be its owner from here on.
        "PUT /organizer/profile" if matches!(who, "user" | "admin") => body = json!({}),
        // Not all of the account's sessions.
        "POST /auth/v1/logout" => path.push_str("?scope=local"),
        _ => {}
    }
    let scope = access::action_of(operation.method.as_str(), &operation.path).and_then(access::Action::scope);
    let ends_session = matches!(operation.path.as_str(), "/auth/v1/logout" | "/auth/session");
    let mut token = match who {
        "user" => Some(world.user.clone()),
        "door" => Some(world.door.clone()),
        "manager" => Some(world.manager.clone()),
        "owner" => Some(world.ours.owner.clone()),
        "admin" => Some(world.admin.clone()),
        "system" => Some(world.system.clone()),
        "bare" => Some(world.bare[usize::from(scope == Some(Scope::EventsRead))].clone()),
        _ => None,
    };
    if ends_session && operation.changes() && token.is_some() && !matches!(who, "system" | "bare") {
        token = Some(sign_in(&world.server, &format!("{who}@matrix.example")).await?);
    }
    let cookie = match by {
        By::Token => None,
        By::Cookie | By::ForeignPage => Some(browse(world, who, ends_session).await?),
    };
    for _ in 0..3 {
        let mut request = world.server.request(operation.method.clone(), &path);
        if let Some(cookie) = &cookie {
            let page = if by == By::Cookie { &world.server.url } else { "https://elsewhere.example" };
            request = request.header("cookie", cookie).header("origin", page);
        } else if let Some(token) = &token {
            request = request.bearer_auth(token);
        } else if who == "guest" {
            request = request.header("booking-secret", &secret);
        }
        if side == 1 && operation.takes_organizer && !path_names_object(operation) {
            request = request.header("organizer-id", &world.theirs.organizer);
        }
        if operation.changes() {
            request = request.json(&body);
        }
        let reply = send(request).await?;
        match reply.status.as_u16() {
            401 => return Ok('1'),
            403 => return Ok('3'),
            404 => return Ok('4'),
            // A limit is no answer: the minute passes.
            429 => world.clock.advance(Duration::from_secs(61)),
            500.. => {
                // The test server puts this in the place of an answer that the document lacks.
                let lacking = reply.text.split_once("does not know this answer of ").map(|(_, of)| of.trim());
                let status = lacking.and_then(|of| of.rsplit_once(": ")).map(|(_, answer)| &answer[..3]);
                let sign = match status {
                    Some("401") => '1',
                    Some("403") => '3',
                    Some("404") => '4',
                    Some(status) if !status.starts_with('5') => '+',
                    _ => bail!("{} {path} as {who}: {}", operation.method, reply.text),
                };
                world.undocumented.extend(lacking.map(|of| format!("the document lacks {of}")));
                return Ok(sign);
            }
            _ => return Ok('+'),
        }
    }
    bail!("{} {path} as {who}: limited again and again", operation.method)
}

fn path_names_object(operation: &Operation) -> bool {
    operation.path.contains('{')
}

async fn row(world: &mut World, operation: &Operation) -> Result<String> {
    let mut out = format!("{:<78}", operation.name());
    for who in CALLERS {
        let own = ask(world, operation, who, 0, By::Token).await?;
        let others = ask(world, operation, who, 1, By::Token).await?;
        write!(out, " {:>7}", format!("{own}{others}"))?;
    }
    Ok(out)
}

/// What differs between a browser and its account's tokens in an operation whose row is `row`, and should not.
async fn browsers(world: &mut World, operation: &Operation, row: &str) -> Result<Vec<String>> {
    let cells: Vec<Vec<char>> = row[78..].split_whitespace().map(|cell| cell.chars().collect()).collect();
    let column = |who: &str| CALLERS.iter().position(|caller| *caller == who).unwrap_or_default();
    let mut wrong = Vec::new();
    for who in ["user", "owner"] {
        for side in [0, 1] {
            // GoTrue's paths know tokens alone: a cookie is nobody there.
            let like = if operation.path.starts_with("/auth/v1/") { "anon" } else { who };
            let (expected, seen) =
                (cells[column(like)][side], ask(world, operation, who, side, By::Cookie).await?);
            if seen != expected {
                wrong.push(format!("{}: {who} by cookie {seen}, not {expected}", operation.name()));
            }
        }
        if !operation.changes() {
            continue;
        }
        let nobody = cells[column("anon")][0];
        let seen = ask(world, operation, who, 0, By::ForeignPage).await?;
        if seen != '3' && seen != nobody {
            wrong.push(format!("{}: {who} is let in from another site's page: {seen}", operation.name()));
        }
    }
    Ok(wrong)
}

/// `name=text` of a browser session's cookie; of a session of its own if it is to end.
async fn browse(world: &mut World, who: &str, to_end: bool) -> Result<String> {
    if let Some(cookie) = world.cookies.get(who).filter(|_| !to_end) {
        return Ok(cookie.clone());
    }
    let login = json!({ "email": format!("{who}@matrix.example"), "password": PASSWORD });
    let reply = world.server.post("/auth/session", &login).await?;
    let cookie = reply.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    reply.expect(201)?;
    if !to_end {
        world.cookies.insert(who.to_owned(), cookie.clone());
    }
    Ok(cookie)
}

async fn sign_in(server: &TestServer, email: &str) -> Result<String> {
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

async fn buy(server: &TestServer, at: &Side, buyer: Option<&str>, paid: bool) -> Result<Bought> {
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
async fn found(server: &TestServer, db: &mut PgConnection, name: &str) -> Result<Side> {
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
async fn system(server: &TestServer, owner: &str, scopes: &[Scope]) -> Result<String> {
    let body = json!({ "label": "Integration", "scopes": scopes });
    let made = server.post_as(owner, "/organizer/system-accounts", &body).await?.expect(201)?;
    let credentials = json!({ "client_id": made["client_id"], "client_secret": made["client_secret"] });
    text(&server.post("/auth/system/login", &credentials).await?.expect(200)?, "access_token")
}

async fn member(world: (&TestServer, &str), name: &str) -> Result<String> {
    let (server, owner) = world;
    let (token, _) = sign_up(server, name).await?;
    let body = json!({ "email": format!("{name}@matrix.example"), "role": name });
    let invitation = server.post_as(owner, "/organizer/invitations", &body).await?.expect(201)?;
    let accept = json!({ "token": invitation["token"] });
    server.post_as(&token, "/auth/invitations/accept", &accept).await?.expect(200)?;
    Ok(token)
}

async fn world() -> Result<World> {
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

/// What the table inside says of members must be what is seen from outside, for whoever acts on an own object.
fn agrees(operation: &Operation, row: &str) -> Option<String> {
    let action = access::action_of(operation.method.as_str(), &operation.path)?;
    // Everybody may leave, and nobody but owners and managers put others out.
    if !action.is_staff_work() || action == access::Action::EndMembership {
        return None;
    }
    let cells: Vec<&str> = row[78..].split_whitespace().collect();
    for (who, role) in
        [(3, access::OrgRole::Door), (4, access::OrgRole::Manager), (5, access::OrgRole::Owner)]
    {
        // What is open to administrators alone is nothing that members do.
        let told = action.least_role().is_some() && access::member_may(Some(action), role).is_ok();
        if cells[who].starts_with('+') != told {
            return Some(format!(
                "{}: domain::access and the server differ about {role:?}",
                operation.name()
            ));
        }
    }
    let told = action.scope().is_some();
    (cells[7].starts_with('+') != told)
        .then(|| format!("{}: domain::access and the server differ about system accounts", operation.name()))
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() -> Result<()> {
    let mut world = world().await?;
    // A redirect is an answer; where it leads is not ours.
    world.server.client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let document = world.server.get("/openapi.json").await?.expect(200)?;
    let operations = operations(&document)?;
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for operation in &operations {
        let row = row(&mut world, operation).await?;
        wrong.extend(agrees(operation, &row));
        wrong.extend(browsers(&mut world, operation, &row).await?);
        if access::action_of(operation.method.as_str(), &operation.path).is_none() {
            wrong.push(format!("{}: enter it in domain::access::ROUTES", operation.name()));
        }
        seen.insert((operation.path.clone(), operation.method.to_string()), row);
    }
    wrong.extend(std::mem::take(&mut world.undocumented));
    for (method, path, _) in access::ROUTES {
        if !seen.contains_key(&((*path).to_owned(), (*method).to_owned())) {
            wrong.push(format!("{method} {path}: stands in domain::access::ROUTES and in no document"));
        }
    }
    let head = CALLERS.iter().fold(format!("{:<78}", "# operation"), |line, who| format!("{line} {who:>7}"));
    let now: Vec<&String> = seen.values().collect();
    if std::env::var("MATRIX").is_ok_and(|v| v == "write") {
        let rows = now.iter().fold(String::new(), |out, row| format!("{out}{row}\n"));
        std::fs::write(TABLE, format!("{HEAD}{head}\n{rows}"))?;
    }
    let table = std::fs::read_to_string(TABLE)?;
    let lines: Vec<&str> = table.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).collect();
    for row in &now {
        if !lines.contains(&row.as_str()) {
            wrong.push(format!("+ {row}"));
        }
    }
    for line in lines {
        if !now.iter().any(|row| row.as_str() == line) {
            wrong.push(format!("- {line}"));
        }
    }
    wrong.sort_by_key(|line| line.trim_start_matches(['+', '-', ' ']).to_owned());
    assert!(
        wrong.is_empty(),
        "the table says (-), the server does (+); MATRIX=write writes it anew, for review:\n  {head}\n{}",
        wrong.join("\n")
    );
    Ok(())
}
