//! Organizers' webhooks against a receiver of our own that looks at every byte: what is told, how it is signed, what
//! happens when nobody answers, and where no call may lead.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hvflvspot::jobs;
use hvflvspot::store::webhook::{self, Wanted};
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};
use support::server::{Reply, send};
use support::until;
use tokio::sync::Semaphore;

use crate::{Stage, sign_up, text};

const PAID: &str = "tok_always_succeeds";

/// A call that arrived.
#[derive(Debug, Clone)]
struct Call {
    path: String,
    headers: HeaderMap,
    raw: Bytes,
    body: Value,
}

impl Call {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// How many of its signatures are those of the secret, by the words of the specification.
    fn signed_by(&self, secret: &str) -> usize {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or_default()).unwrap_or_default();
        let head = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp"));
        let signed = [head.as_bytes(), &self.raw].concat();
        let tag = STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed));
        self.header("webhook-signature").split(' ').filter(|s| *s == format!("v1,{tag}")).count()
    }
}

/// A server of the organizer's.
#[derive(Debug, Clone)]
struct Receiver {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    /// What it answers, one after another; then 204.
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    /// Calls of /slow wait for a permit.
    gate: Arc<Semaphore>,
}

impl Receiver {
    async fn open() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self {
            address: listener.local_addr()?,
            calls: Arc::default(),
            answers: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(receiver)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answer(&self, answers: &[(u16, &'static str)]) {
        locked(&self.answers).extend(answers.iter().copied());
    }

    fn calls(&self) -> Vec<Call> {
        locked(&self.calls).clone()
    }

    fn types(&self) -> Vec<String> {
        self.calls().iter().map(|c| text(&c.body, "type")).collect()
    }

    /// Waits until so many calls have come to a path.
    async fn wait(&self, path: &str, count: usize) -> Result<()> {
        let come = || self.calls().iter().filter(|c| c.path == path).count() >= count;
        let waited = until(&format!("{count} calls of {path}"), async || Ok(come())).await;
        waited.with_context(|| format!("what came: {:?}", self.types()))
    }
}

async fn take(State(receiver): State<Receiver>, uri: Uri, headers: HeaderMap, raw: Bytes) -> Response {
    let body = serde_json::from_slice(&raw).unwrap_or_default();
    let path = uri.path().to_owned();
    locked(&receiver.calls).push(Call { path: path.clone(), headers, raw, body });
    if path == "/slow"
        && let Ok(permit) = receiver.gate.acquire().await
    {
        permit.forget();
    }
    let next = locked(&receiver.answers).pop_front();
    match next {
        None => StatusCode::NO_CONTENT.into_response(),
        Some((status, said)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            match status.as_u16() {
                302 => (status, [(header::LOCATION, receiver.url("/elsewhere"))], said).into_response(),
                503 => (status, [(header::RETRY_AFTER, "3600")], said).into_response(),
                _ => (status, said).into_response(),
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An organizer, and a receiver that may be called although it is not public.
async fn stage() -> Result<(Stage, Receiver)> {
    let receiver = Receiver::open().await?;
    let stage = Stage::open(|config| config.outside_exceptions = vec![receiver.url("")]).await?;
    Ok((stage, receiver))
}

impl Stage {
    async fn hook(&self, fields: Value) -> Result<Reply> {
        self.own("/organizer/webhooks", fields).await
    }

    /// (endpoint, secret)
    async fn endpoint(&self, fields: Value) -> Result<(String, String)> {
        let made = self.hook(fields).await?.expect(201)?;
        Ok((text(&made, "endpoint_id"), text(&made, "secret")))
    }

    async fn of(&self, endpoint: &str, rest: &str) -> Result<Value> {
        self.server.get_as(&self.owner, &format!("/organizer/webhooks/{endpoint}{rest}")).await?.expect(200)
    }

    async fn change(&self, endpoint: &str, fields: Value) -> Result<Reply> {
        let path = format!("/organizer/webhooks/{endpoint}");
        send(self.server.request(Method::PUT, &path).bearer_auth(&self.owner).json(&fields)).await
    }

    async fn tell(&self) -> Result<()> {
        jobs::webhooks::run(&self.server.app).await
    }

    async fn sell(&self) -> Result<Value> {
        self.buy(None, "guest@example.org", PAID, "en").await?.expect(201)
    }

    async fn deliveries(&self, endpoint: &str, query: &str) -> Result<Vec<Value>> {
        let page = self.of(endpoint, &format!("/deliveries?{query}")).await?;
        page["items"].as_array().cloned().context("items")
    }
}

#[tokio::test]
async fn what_is_sold_and_given_back_is_told_signed_and_once() -> Result<()> {
    let (stage, receiver) = stage().await?;
    let (endpoint, secret) = stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    let (few, _) =
        stage.endpoint(json!({ "url": receiver.url("/few"), "types": ["booking.refunded"] })).await?;
    // Another organizer's hears nothing of it.
    let other = sign_up(&stage.server, "other@example.org").await?;
    let profile = json!({ "name": "Other", "contact_email": "other@example.org" });
    let put = stage.server.request(Method::PUT, "/organizer/profile").bearer_auth(&other).json(&profile);
    send(put).await?.expect(201)?;
    let body = json!({ "url": receiver.url("/other") });
    stage.server.post_as(&other, "/organizer/webhooks", &body).await?.expect(201)?;

    receiver.answer(&[(200, "thank you")]);
    let booking = stage.sell().await?;
    assert_eq!(receiver.calls().len(), 0, "nobody is called inside of a sale");
    stage.tell().await?;
    let calls = receiver.calls();
    let [call] = calls.as_slice() else { anyhow::bail!("{:?}", receiver.types()) };
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.signed_by(&secret), 1);
    assert_eq!(call.header("webhook-timestamp"), crate::now().unix_timestamp().to_string());
    assert_eq!(call.header("webhook-id"), text(&call.body, "id"));
    assert!(call.header("webhook-id").starts_with("msg_"));
    let data = &call.body["data"];
    assert_eq!((text(&call.body, "type").as_str(), text(data, "status").as_str()), ("booking.paid", "paid"));
    assert_eq!(data["booking_id"], booking["booking_id"]);
    assert_eq!(data["total"]["amount_minor"], 2_650);
    assert_eq!(data["tickets"][0]["ticket_id"], booking["tickets"][0]["ticket_id"]);
    assert!(!call.body.to_string().contains("guest@example.org"), "nothing of persons: {}", call.body);
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 1, "once");

    let back = json!({ "booking_id": booking["booking_id"] });
    stage.own("/payment/refund", back).await?.expect(200)?;
    stage.tell().await?;
    let calls = receiver.calls();
    let refunds: Vec<_> = calls.iter().filter(|c| c.body["type"] == "booking.refunded").collect();
    let mut paths: Vec<_> = refunds.iter().map(|c| c.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/few", "/in"]);
    assert_eq!(refunds[0].header("webhook-id"), refunds[1].header("webhook-id"), "it is one fact");
    assert_eq!(refunds[0].body["data"]["revoked_ticket_ids"], json!([booking["tickets"][0]["ticket_id"]]));

    // The log knows all of it.
    let log = stage.deliveries(&endpoint, "").await?;
    assert_eq!(log.iter().map(|d| text(d, "type")).collect::<Vec<_>>(), ["booking.refunded", "booking.paid"]);
    assert!(log.iter().all(|d| d["status"] == "delivered" && d["attempts"] == 1));
    let one = stage.of(&endpoint, &format!("/deliveries/{}", text(&log[1], "delivery_id"))).await?;
    assert_eq!((&one["log"][0]["status"], &one["log"][0]["excerpt"]), (&json!(200), &json!("thank you")));
    assert_eq!(one["body"], calls[0].body);
    assert_eq!(stage.deliveries(&few, "type=booking.paid").await?.len(), 0);
    let theirs = format!("/organizer/webhooks/{endpoint}/deliveries");
    assert_eq!(stage.server.get_as(&other, &theirs).await?.status, 404, "another organizer's");
    Ok(())
}

#[tokio::test]
async fn what_happens_to_events_and_tickets_is_told() -> Result<()> {
    let (stage, receiver) = stage().await?;
    stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    let event = format!("/organizer/events/{}", stage.event_id);
    let change = |fields: Value| {
        let put = stage.server.request(Method::PUT, &format!("{event}/update"));
        send(put.bearer_auth(&stage.owner).json(&fields))
    };
    change(json!({ "city": "Graz", "max_per_booking": 4 })).await?.expect(200)?;
    change(json!({ "max_per_booking": 5 })).await?.expect(200)?;
    stage.tell().await?;
    let calls = receiver.calls();
    assert_eq!(receiver.types(), ["event.changed"], "what nobody is told of is no change");
    assert_eq!(
        (&calls[0].body["data"]["changed"], &calls[0].body["data"]["city"]),
        (&json!(["city"]), &json!("Graz"))
    );

    // The last ticket, and a code checked in at the door.
    let mut last = Value::Null;
    for _ in 0..10 {
        last = stage.sell().await?;
        stage.clock.advance(Duration::from_secs(61));
    }
    stage.tell().await?;
    let of = |name: &str| receiver.calls().into_iter().filter(|c| c.body["type"] == name).collect::<Vec<_>>();
    assert_eq!((of("booking.paid").len(), of("tickets.sold_out").len()), (10, 1));
    let sold_out = &of("tickets.sold_out")[0].body["data"];
    assert_eq!(
        (&sold_out["capacity"], &sold_out["ticket_type_ids"]),
        (&json!(10), &json!([stage.ticket_type_id]))
    );
    let lists = stage.server.get_as(&stage.owner, &format!("{event}/lists")).await?.expect(200)?;
    let list = lists["items"][0]["list_id"].clone();
    let check_in = json!({ "code": last["tickets"][0]["code"], "check_in": { "list_id": list } });
    for _ in 0..2 {
        stage.own("/tickets/validate", check_in.clone()).await?.expect(200)?;
    }
    stage.tell().await?;
    let admitted = of("ticket.checked_in");
    assert_eq!(admitted.len(), 1, "a refused scan is no admission");
    assert_eq!(admitted[0].body["data"]["ticket_id"], last["tickets"][0]["ticket_id"]);
    assert_eq!(admitted[0].body["data"]["list_id"], list);

    stage.own(&format!("{event}/cancel"), json!({ "reason": "storm" })).await?.expect(202)?;
    stage.own(&format!("{event}/cancel"), json!({ "reason": "storm" })).await?.expect(202)?;
    stage.tell().await?;
    let canceled = of("event.canceled");
    assert_eq!(canceled.len(), 1);
    assert_eq!(canceled[0].body["data"]["reason"], "storm");
    Ok(())
}

#[tokio::test]
async fn a_ticket_that_changes_hands_is_told_and_a_new_code_for_the_same_hands_is_not() -> Result<()> {
    let (stage, receiver) = stage().await?;
    stage.endpoint(json!({ "url": receiver.url("/in"), "types": ["ticket.transferred"] })).await?;
    let booking = stage.sell().await?;
    let ticket = text(&booking["tickets"][0], "ticket_id");
    stage.own(&format!("/tickets/{ticket}/reissue"), json!({})).await?.expect(200)?;
    stage.tell().await?;
    assert_eq!(receiver.types(), Vec::<String>::new());
    let to = json!({ "email": "friend@example.org", "name": "Zoë Friend" });
    stage.own(&format!("/tickets/{ticket}/transfer"), to).await?.expect(200)?;
    stage.tell().await?;
    assert_eq!(receiver.types(), ["ticket.transferred"]);
    let told = &receiver.calls()[0].body;
    assert_eq!(
        told["data"],
        json!({
            "ticket_id": ticket, "event_id": stage.event_id, "booking_id": booking["booking_id"],
            "ticket_type_id": stage.ticket_type_id, "generation": 2, "replaces_ticket_id": null,
        })
    );
    assert!(!told.to_string().contains("friend"), "nothing of persons: {told}");

    // After its fifteenth code the ticket goes on under another id.
    let mut db = stage.server.db.owner().await?;
    sqlx::query("update tickets set generation = 15").execute(&mut db).await?;
    let to = json!({ "email": "third@example.org" });
    let done = stage.own(&format!("/tickets/{ticket}/transfer"), to).await?.expect(200)?;
    stage.tell().await?;
    let data = receiver.calls()[1].body["data"].clone();
    assert_eq!(
        (&data["ticket_id"], &data["generation"], &data["replaces_ticket_id"]),
        (&done["ticket_id"], &json!(0), &json!(ticket))
    );
    Ok(())
}

#[tokio::test]
async fn what_changes_of_ticket_types_on_sale_is_told_for_each_of_them() -> Result<()> {
    let (stage, receiver) = stage().await?;
    stage.endpoint(json!({ "url": receiver.url("/in"), "types": ["ticket_type.changed"] })).await?;
    let event = format!("/organizer/events/{}", stage.event_id);
    let put = async |path: &str, fields: Value| -> Result<()> {
        let put = stage.server.request(Method::PUT, &format!("{event}{path}")).bearer_auth(&stage.owner);
        send(put.json(&fields)).await?.expect(200).map(drop)
    };
    // (of which type, what of it) of the calls so far, in order.
    let told = async || -> Result<Vec<(String, Value)>> {
        stage.tell().await?;
        let calls = receiver.calls();
        let mut all: Vec<_> = calls
            .iter()
            .map(|c| (text(&c.body["data"], "name"), c.body["data"]["changed"].clone()))
            .collect();
        locked(&receiver.calls).clear();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    };
    let change = |name: &str, of: Value| (name.to_owned(), of);
    let first = format!("/ticket-types/{}", stage.ticket_type_id);
    put(&first, json!({ "position": 7, "attention": "check the student card" })).await?;
    assert!(told().await?.is_empty(), "what nobody is told of is no change");
    put(&first, json!({ "price": { "amount_minor": 3_000, "currency": "EUR" }, "hidden": true })).await?;
    assert_eq!(told().await?, [change("Standing", json!(["hidden", "price", "total"]))]);

    let types = stage.server.get_as(&stage.owner, &format!("{event}/ticket-types")).await?.expect(200)?;
    let quota = text(&types["items"][0], "quota_id");
    let fields = json!({
        "name": "Student", "price": { "amount_minor": 1_000, "currency": "EUR" }, "quota_id": quota,
        "tax": { "rate_bp": 700, "inclusive": true },
    });
    let second = stage.own(&format!("{event}/ticket-types"), fields).await?.expect(201)?;
    stage.tell().await?;
    let created = receiver.calls().pop().context("a call")?.body;
    assert_eq!((&created["data"]["created"], &created["data"]["name"]), (&json!(true), &json!("Student")));
    assert_eq!(
        (&created["data"]["total"], &created["data"]["archived"]),
        (&json!({ "amount_minor": 1_000, "currency": "EUR" }), &json!(false))
    );
    let _ = told().await?;
    // They share a quota, and the event's fee.
    put(&format!("/quotas/{quota}"), json!({ "capacity": 99 })).await?;
    assert_eq!(
        told().await?,
        [change("Standing", json!(["capacity"])), change("Student", json!(["capacity"]))]
    );
    put(&format!("/quotas/{quota}"), json!({ "name": "Hall" })).await?;
    assert!(told().await?.is_empty());
    let fee =
        json!({ "amount": { "amount_minor": 100, "currency": "EUR" }, "rate_bp": 0, "bearer": "buyer" });
    put("/update", json!({ "fee": fee })).await?;
    assert_eq!(told().await?, [change("Standing", json!(["total"])), change("Student", json!(["total"]))]);
    let archive = format!("{event}/ticket-types/{}", text(&second, "ticket_type_id"));
    send(stage.server.request(Method::DELETE, &archive).bearer_auth(&stage.owner)).await?;
    assert_eq!(told().await?, [change("Student", json!(["archived"]))]);

    // Of a draft nobody is told.
    let draft = json!({
        "title": "Draft", "category_id": "music", "time_zone": "Europe/Vienna", "currency": "EUR",
        "starts_at": "2027-06-01T18:00:00Z",
    });
    let draft = stage.own("/organizer/events/create", draft).await?.expect(201)?;
    let fields = json!({ "name": "Early", "price": { "amount_minor": 0, "currency": "EUR" }, "capacity": 5 });
    let path = format!("/organizer/events/{}/ticket-types", text(&draft, "event_id"));
    stage.own(&path, fields).await?.expect(201)?;
    assert!(told().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_fails_is_tried_again_under_the_same_id_and_no_sooner_than_was_asked() -> Result<()> {
    let (mut stage, receiver) = stage().await?;
    let (endpoint, secret) = stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    receiver.answer(&[(500, "oh"), (302, ""), (503, "later"), (200, "")]);
    stage.sell().await?;
    stage.tell().await?;
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 1, "not at once");
    let failed = &stage.deliveries(&endpoint, "status=failed").await?[0];
    assert_eq!((text(failed, "last_error").as_str(), &failed["attempts"]), ("answered 500", &json!(1)));
    for calls in [2, 3] {
        stage.clock.advance(Duration::from_secs(60));
        stage.tell().await?;
        assert_eq!(receiver.calls().len(), calls);
    }
    assert!(receiver.calls().iter().all(|c| c.path == "/in"), "redirects are not followed");
    stage.clock.advance(Duration::from_secs(3_540));
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 3, "Retry-After is kept");
    stage.clock.advance(Duration::from_secs(60));
    stage.tell().await?;
    let calls = receiver.calls();
    assert_eq!(calls.len(), 4);
    for call in &calls {
        assert_eq!(call.signed_by(&secret), 1);
        assert_eq!((call.header("webhook-id"), &call.raw), (calls[0].header("webhook-id"), &calls[0].raw));
    }
    assert_ne!(calls[0].header("webhook-timestamp"), calls[3].header("webhook-timestamp"), "of the try");
    stage.owner = sign_in(&stage).await?;
    let done = &stage.deliveries(&endpoint, "status=delivered").await?[0];
    let one = stage.of(&endpoint, &format!("/deliveries/{}", text(done, "delivery_id"))).await?;
    let log = one["log"].as_array().context("log")?;
    assert_eq!(log.iter().map(|a| a["status"].clone()).collect::<Vec<_>>(), [200, 503, 302, 500]);
    assert!(text(&log[2], "error").contains("redirects are not followed"));
    assert_eq!(stage.of(&endpoint, "").await?["failing_since"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn who_answers_gone_is_disabled_and_makes_up_for_what_was_missed_by_a_replay() -> Result<()> {
    let (stage, receiver) = stage().await?;
    let (endpoint, _) = stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    receiver.answer(&[(410, "gone")]);
    let first = stage.sell().await?;
    stage.tell().await?;
    let of = stage.of(&endpoint, "").await?;
    assert_eq!((&of["enabled"], &of["disabled_because"]), (&json!(false), &json!("gone")));
    stage.deliver().await?;
    let mail = stage.mail("office@example.org", "webhook.gone").await?;
    assert!(mail["text"].as_str().is_some_and(|t| t.contains(&receiver.url("/in"))), "{mail}");

    stage.clock.advance(Duration::from_secs(60));
    let second = stage.sell().await?;
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 1, "it is told nothing");
    let missed = stage.deliveries(&endpoint, "status=dead").await?;
    assert_eq!(
        missed.iter().map(|d| text(d, "because")).collect::<Vec<_>>(),
        ["switched_off", "refused"],
        "but what happens is kept"
    );
    let replay = format!("/organizer/webhooks/{endpoint}/replay");
    let all = json!({ "from": "2026-11-22T00:00:00Z" });
    let refused = stage.own(&replay, all.clone()).await?;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "endpoint_disabled"));
    stage.change(&endpoint, json!({ "enabled": true })).await?.expect(200)?;
    // Of a part of the time: the first alone.
    let part = json!({ "from": "2026-11-22T00:00:00Z", "to": "2026-11-22T12:00:30Z" });
    assert_eq!(stage.own(&replay, part).await?.expect(202)?["queued"], 1);
    stage.tell().await?;
    let told = |n: usize| receiver.calls()[n].body["data"]["booking_id"].clone();
    assert_eq!((receiver.calls().len(), told(1)), (2, first["booking_id"].clone()));
    assert_eq!(stage.own(&replay, all.clone()).await?.expect(202)?["queued"], 1);
    stage.tell().await?;
    assert_eq!((receiver.calls().len(), told(2)), (3, second["booking_id"].clone()));
    assert_eq!(stage.own(&replay, all).await?.expect(202)?["queued"], 0, "all has arrived");

    // One that arrived, again.
    let arrived = &stage.deliveries(&endpoint, "status=delivered").await?[0];
    let again = format!("/organizer/webhooks/{endpoint}/deliveries/{}/replay", text(arrived, "delivery_id"));
    stage.own(&again, json!({})).await?.expect(202)?;
    stage.tell().await?;
    let calls = receiver.calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(calls[3].header("webhook-id"), calls[2].header("webhook-id"));
    let everything = json!({ "from": "2026-11-22T00:00:00Z", "all": true });
    assert_eq!(stage.own(&replay, everything).await?.expect(202)?["queued"], 2);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_for_three_days_is_disabled_and_no_sooner() -> Result<()> {
    let (mut stage, receiver) = stage().await?;
    let (endpoint, _) = stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    receiver.answer(&[(500, ""); 100]);
    let began = crate::now();
    stage.sell().await?;
    let mut disabled_after = None;
    for hour in 0..120 {
        stage.tell().await?;
        if stage.of(&endpoint, "").await?["enabled"] == false {
            disabled_after = Some(hour);
            break;
        }
        stage.clock.advance(Duration::from_secs(3_600));
        stage.owner = sign_in(&stage).await?;
    }
    let hours = disabled_after.context("it is never disabled")?;
    assert!((72..=84).contains(&hours), "after {hours} hours, began {began}");
    assert_eq!(stage.of(&endpoint, "").await?["disabled_because"], "failing");
    let tries = receiver.calls().len();
    assert!((10..=20).contains(&tries), "{tries} tries");
    stage.deliver().await?;
    stage.mail("office@example.org", "webhook.failing").await?;
    Ok(())
}

#[tokio::test]
async fn a_slow_endpoint_holds_up_itself_alone() -> Result<()> {
    let (stage, receiver) = stage().await?;
    stage.endpoint(json!({ "url": receiver.url("/slow") })).await?;
    stage.endpoint(json!({ "url": receiver.url("/quick") })).await?;
    for _ in 0..6 {
        stage.sell().await?;
    }
    let app = stage.server.app.clone();
    let run = tokio::spawn(async move { jobs::webhooks::run(&app).await });
    receiver.wait("/slow", 4).await?;
    receiver.wait("/quick", 6).await?;
    // What comes meanwhile goes to the quick one, too.
    stage.sell().await?;
    receiver.wait("/quick", 7).await?;
    assert_eq!(receiver.calls().iter().filter(|c| c.path == "/slow").count(), 4, "a few at a time");
    assert!(!run.is_finished());
    receiver.gate.add_permits(100);
    run.await??;
    let calls = receiver.calls();
    for path in ["/slow", "/quick"] {
        let mut ids: Vec<_> =
            calls.iter().filter(|c| c.path == path).map(|c| c.header("webhook-id")).collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!((all, ids.len()), (7, 7), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn while_a_secret_is_changed_both_sign_and_a_ping_says_so() -> Result<()> {
    let (stage, receiver) = stage().await?;
    let (endpoint, old) =
        stage.endpoint(json!({ "url": receiver.url("/in"), "types": ["event.canceled"] })).await?;
    let rotate = format!("/organizer/webhooks/{endpoint}/rotate");
    let made = stage.own(&rotate, json!({ "overlap_hours": 2 })).await?.expect(200)?;
    let new = text(&made, "secret");
    assert_eq!(made["secrets"], 2);
    let ping = format!("/organizer/webhooks/{endpoint}/ping");
    for (at, signatures) in [(0, (1, 1)), (7_199, (1, 1)), (1, (0, 1))] {
        stage.clock.advance(Duration::from_secs(at));
        let owner = sign_in(&stage).await?;
        stage.server.post_as(&owner, &ping, &json!({})).await?.expect(202)?;
        stage.tell().await?;
        let calls = receiver.calls();
        let call = calls.last().context("a call")?;
        assert_eq!(call.body["type"], "endpoint.ping", "whatever its types");
        assert_eq!((call.signed_by(&old), call.signed_by(&new)), signatures, "{at}");
    }
    let mut db = stage.server.db.owner().await?;
    let stored: String = sqlx::query_scalar(
        "select encode(secrets_sealed, 'escape') || url || types::text from webhook_endpoints",
    )
    .fetch_one(&mut db)
    .await?;
    assert!(!stored.contains(old.trim_start_matches("whsec_")) && !stored.contains("whsec_"), "sealed");
    Ok(())
}

async fn sign_in(stage: &Stage) -> Result<String> {
    let body = json!({ "email": "owner@example.org", "password": crate::PASSWORD });
    let session = stage.server.post("/auth/v1/token?grant_type=password", &body).await?.expect(200)?;
    Ok(text(&session, "access_token"))
}

#[tokio::test]
async fn what_a_worker_held_when_it_died_is_told_when_its_lease_ends() -> Result<()> {
    let (stage, receiver) = stage().await?;
    stage.endpoint(json!({ "url": receiver.url("/in") })).await?;
    stage.sell().await?;
    let app = &stage.server.app;
    let wanted = Wanted { busy: &[], failing: &[], of_failing: false, of_each: 4, limit: 10 };
    let mut tx = app.db.worker_platform().await?;
    let held = webhook::lease(&mut tx, &wanted, time::Duration::seconds(40), app.clock.now()).await?;
    tx.commit().await?;
    assert_eq!(held.len(), 1);
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 0, "it may be on its way");
    stage.clock.advance(Duration::from_secs(41));
    stage.tell().await?;
    assert_eq!(receiver.types(), ["booking.paid"]);
    // The dead one's late word changes nothing.
    let mut tx = app.db.worker_platform().await?;
    let ours = webhook::end(&mut tx, &held[0], &webhook::Ending::Delivered, app.clock.now()).await?;
    assert!(!ours);
    Ok(())
}

#[tokio::test]
async fn no_call_leads_into_our_own_network() -> Result<()> {
    let stage = Stage::open(|_| ()).await?;
    let receiver = Receiver::open().await?;
    let port = receiver.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/in"),
        format!("https://127.0.0.1:{port}/in"),
        format!("https://2130706433:{port}/in"),
        format!("https://0x7f.1:{port}/in"),
        format!("https://[::1]:{port}/in"),
        format!("https://[::ffff:127.0.0.1]:{port}/in"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://100.64.0.1/".to_owned(),
        "https://[fe80::1]/".to_owned(),
        "https://user:word@hooks.example/".to_owned(),
        "ftp://hooks.example/".to_owned(),
    ] {
        let refused = stage.hook(json!({ "url": url })).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_fields"), "{url}");
        assert_eq!(refused.body["errors"][0]["field"], "url", "{url}");
    }
    // Entered when it was allowed, or by a hand in the database: the call looks again. (Names: `adapters::outside`.)
    let (endpoint, _) = stage.endpoint(json!({ "url": "https://hooks.invalid/in" })).await?;
    stage.sell().await?;
    let mut db = stage.server.db.owner().await?;
    for (tries, url, why) in [
        (1, receiver.url("/in"), "only https addresses"),
        (2, format!("https://127.0.0.1:{port}/in"), "no public address"),
    ] {
        sqlx::query("update webhook_endpoints set url = $1").bind(url).execute(&mut db).await?;
        stage.tell().await?;
        let failed = &stage.deliveries(&endpoint, "status=failed").await?[0];
        assert_eq!(failed["attempts"], tries);
        assert!(text(failed, "last_error").contains(why), "{failed}");
        stage.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(receiver.calls().len(), 0);
    Ok(())
}

#[tokio::test]
async fn endpoints_are_kept_in_order() -> Result<()> {
    let (stage, receiver) = stage().await?;
    let missing = stage.hook(json!({})).await?;
    assert_eq!((missing.status.as_u16(), missing.body["errors"][0]["field"].as_str()), (422, Some("url")));
    let unknown = stage.hook(json!({ "url": receiver.url("/in"), "types": ["booking.dreamt"] })).await?;
    assert_eq!(unknown.status, 422);
    let (endpoint, secret) =
        stage.endpoint(json!({ "url": receiver.url("/in"), "description": "Ledger" })).await?;
    let listed = stage.server.get_as(&stage.owner, "/organizer/webhooks").await?.expect(200)?;
    assert_eq!(listed["items"][0]["description"], "Ledger");
    assert!(!listed.to_string().contains(&secret), "told once");
    // Switched off by hand: nothing goes, a ping neither; what was queued is not told.
    stage.sell().await?;
    let off = stage.change(&endpoint, json!({ "enabled": false })).await?.expect(200)?;
    assert_eq!(off["disabled_because"], "by_hand");
    let ping = format!("/organizer/webhooks/{endpoint}/ping");
    assert_eq!(stage.own(&ping, json!({})).await?.code(), "endpoint_disabled");
    stage.tell().await?;
    assert_eq!(receiver.calls().len(), 0);
    let on =
        stage.change(&endpoint, json!({ "enabled": true, "types": ["booking.paid"] })).await?.expect(200)?;
    assert_eq!((&on["enabled"], &on["types"]), (&json!(true), &json!(["booking.paid"])));
    for _ in 1..20 {
        stage.endpoint(json!({ "url": receiver.url("/more") })).await?;
    }
    assert_eq!(stage.hook(json!({ "url": receiver.url("/more") })).await?.code(), "too_many");
    // Removed with something on its way: it is told nobody.
    stage.own(&ping, json!({})).await?.expect(202)?;
    let path = format!("/organizer/webhooks/{endpoint}");
    let gone = send(stage.server.request(Method::DELETE, &path).bearer_auth(&stage.owner)).await?;
    assert_eq!(gone.status, 204);
    stage.tell().await?;
    assert!(receiver.calls().iter().all(|c| c.path == "/more"));
    assert_eq!(stage.server.get_as(&stage.owner, &path).await?.status, 404);
    Ok(())
}
