//! A double of Stripe, for what its contract says and other doubles leave out: idempotency keys (the same answer again,
//! 409 while one is at work, 400 for another body), refunds of more than was captured, declines, 3-D Secure, refunds
//! that take their time, events, late and lost answers. It knows exactly what money moved.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use hvflvspot::adapters::payment::stripe::webhook;
use reqwest::Url;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The only key that it knows.
pub const SECRET_KEY: &str = "sk_test_double";
/// What its events are signed with.
pub const WEBHOOK_SECRET: &str = "whsec_double";

/// A running double; stops with the value.
#[derive(Debug)]
pub struct StripeDouble {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    books: Arc<Mutex<Books>>,
    serving: JoinHandle<()>,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quirk {
    /// The work is done, and the connection breaks before the answer.
    LoseAnswer,
    /// The answer takes so long; the work was done at once.
    Late(Duration),
    /// This status, and no work.
    Refuse(u16),
}

/// One payment as the double knows it.
#[derive(Debug, Clone)]
pub struct Moved {
    pub intent: String,
    pub transaction: String,
    pub booking: String,
    pub status: String,
    pub captured: i64,
    pub refunded: i64,
}

#[derive(Debug, Default)]
struct Books {
    next: u64,
    intents: BTreeMap<String, Value>,
    refunds: BTreeMap<String, Value>,
    /// By idempotency key: path and body, and the answer once there is one.
    keys: HashMap<String, (String, Option<(u16, Value)>)>,
    quirks: VecDeque<(String, Quirk)>,
    calls: Vec<String>,
    /// Tells of every call.
    heard: Arc<Notify>,
    events: Vec<Value>,
    /// Keys beside the first one, and whose they are; none: they may not ask.
    other_keys: HashMap<String, Option<String>>,
    /// Searches do not know yet what was made.
    search_lags: bool,
}

type Answer = (u16, Value);

impl StripeDouble {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let books: Arc<Mutex<Books>> = Arc::default();
        let app = axum::Router::new().fallback(handle).with_state(Arc::clone(&books));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a listener that was bound accepts");
        });
        Ok(Self { url, books, serving })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next call of a path that contains `path` goes wrong.
    pub fn next_call(&self, path: &str, quirk: Quirk) {
        self.books().quirks.push_back((path.to_owned(), quirk));
    }

    /// It knows another key; none: one that may not ask whose it is.
    pub fn know_key(&self, key: &str, account: Option<&str>) {
        self.books().other_keys.insert(key.to_owned(), account.map(str::to_owned));
    }

    /// Whether searches lag behind what was made, as they may for an hour.
    pub fn lag_searches(&self, lag: bool) {
        self.books().search_lags = lag;
    }

    /// Every call so far, as `POST /v1/refunds`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.books().calls.clone()
    }

    /// Every payment.
    #[must_use]
    pub fn moved(&self) -> Vec<Moved> {
        let books = self.books();
        let all = books.intents.values().map(|intent| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let id = text(&intent["id"]);
            Moved {
                transaction: text(&intent["metadata"]["transaction_id"]),
                booking: text(&intent["metadata"]["booking_id"]),
                status: text(&intent["status"]),
                captured: intent["amount_received"].as_i64().unwrap_or(0),
                refunded: books.refunded(&id),
                intent: id,
            }
        });
        all.collect()
    }

    /// Every refund: our transaction, its status, its amount.
    #[must_use]
    pub fn refunds(&self) -> Vec<(String, String, i64)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |r: &Value| {
            (text(&r["metadata"]["transaction_id"]), text(&r["status"]), r["amount"].as_i64().unwrap_or(0))
        };
        self.books().refunds.values().map(of).collect()
    }

    /// The customer acts: confirms at the bank, or fails to.
    pub fn act(&self, intent: &str, confirms: bool) {
        let mut books = self.books();
        let Some(mut of) = books.intents.get(intent).cloned() else { return };
        if of["status"] != "requires_action" {
            return;
        }
        of["next_action"] = Value::Null;
        if confirms {
            books.capture(&mut of);
        } else {
            of["status"] = json!("requires_payment_method");
            of["last_payment_error"] = json!({ "code": "payment_intent_authentication_failure" });
            books.tell("payment_intent.payment_failed", &of);
        }
        books.intents.insert(intent.to_owned(), of);
    }

    /// A refund comes to its end, or a finished one is undone: `succeeded`, `failed`.
    pub fn settle_refund(&self, refund: &str, status: &str) {
        let mut books = self.books();
        let Some(mut of) = books.refunds.get(refund).cloned() else { return };
        of["status"] = json!(status);
        if status == "failed" {
            of["failure_reason"] = json!("expired_or_canceled_card");
        }
        books.refunds.insert(refund.to_owned(), of.clone());
        books.tell("refund.updated", &of);
    }

    /// Somebody refunds in the provider's dashboard.
    pub fn refund_elsewhere(&self, intent: &str, amount: i64) {
        let mut books = self.books();
        let id = books.id("re");
        let charge = format!("ch_{intent}");
        books.refunds.insert(
            id.clone(),
            json!({ "id": id, "object": "refund", "amount": amount, "currency": "eur", "status": "succeeded",
                    "charge": charge, "payment_intent": intent, "metadata": {} }),
        );
        books.tell_refunded(intent);
    }

    /// The holder of the card disputes.
    pub fn dispute(&self, intent: &str) {
        let mut books = self.books();
        let dispute = json!({ "id": "dp_1", "object": "dispute", "payment_intent": intent, "amount": 1,
                              "currency": "eur", "reason": "fraudulent", "status": "needs_response" });
        books.tell("charge.dispute.created", &dispute);
    }

    /// Changes a payment behind everybody's back.
    pub fn change(&self, intent: &str, change: impl FnOnce(&mut Value)) {
        if let Some(of) = self.books().intents.get_mut(intent) {
            change(of);
        }
    }

    /// The ids of the refunds, in their order.
    #[must_use]
    pub fn refund_ids(&self) -> Vec<String> {
        self.books().refunds.keys().cloned().collect()
    }

    /// What it has to tell, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.books().events.clone()
    }

    /// The latest event of a kind.
    ///
    /// # Errors
    /// There is none.
    pub fn event(&self, kind: &str) -> Result<Value> {
        let all = self.events();
        all.into_iter().rev().find(|e| e["type"] == kind).with_context(|| format!("no event {kind}"))
    }

    /// Waits until a call was made that contains `call`.
    ///
    /// # Errors
    /// None is made within ten seconds.
    pub async fn called(&self, call: &str) -> Result<()> {
        let heard = Arc::clone(&self.books().heard);
        let made = async {
            loop {
                // Listening begins before the look, so that no call falls between.
                let mut next = std::pin::pin!(heard.notified());
                next.as_mut().enable();
                if self.calls().iter().any(|c| c.contains(call)) {
                    return;
                }
                next.await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), made).await;
        ended.with_context(|| format!("{call} was not called: {:?}", self.calls()))
    }
}

impl Drop for StripeDouble {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Tells an event to a server as Stripe does.
///
/// # Errors
/// If no answer comes.
pub async fn tell(
    client: &reqwest::Client,
    server: &str,
    endpoint: &str,
    event: &Value,
    now: OffsetDateTime,
) -> Result<reqwest::Response> {
    let body = event.to_string();
    let signature = webhook::sign(body.as_bytes(), WEBHOOK_SECRET, now);
    let request = client.post(format!("{server}/payment/webhooks/stripe/{endpoint}"));
    let request = request.header("Stripe-Signature", signature).header("Content-Type", "application/json");
    Ok(request.body(body).send().await?)
}

async fn handle(
    State(books): State<Arc<Mutex<Books>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let call = format!("{method} {path}");
    let lock = || books.lock().unwrap_or_else(PoisonError::into_inner);
    let quirk = {
        let mut books = lock();
        books.calls.push(call.clone());
        books.heard.notify_waiters();
        let at = books.quirks.iter().position(|(wanted, _)| call.contains(wanted.as_str()));
        at.and_then(|at| books.quirks.remove(at)).map(|(_, quirk)| quirk)
    };
    if let Some(Quirk::Refuse(status)) = quirk {
        return reply((status, json!({ "error": { "type": "api_error" } })), false);
    }
    let authorization = headers.get("authorization").and_then(|v| v.to_str().ok());
    let account = match authorization.and_then(|a| a.strip_prefix("Bearer ")) {
        Some(SECRET_KEY) => Some("acct_double".to_owned()),
        Some(key) if lock().other_keys.contains_key(key) => lock().other_keys.get(key).cloned().flatten(),
        _ => return reply((401, error("invalid_request_error", None, None)), false),
    };
    if call == "GET /v1/account" {
        return match account {
            Some(id) => reply((200, json!({ "id": id, "object": "account" })), false),
            None => reply((403, error("invalid_request_error", None, None)), false),
        };
    }
    let text = if method == Method::GET { uri.query().unwrap_or_default().as_bytes() } else { &body[..] };
    let form = form(text);
    let key = headers.get("idempotency-key").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let asked = format!("{call} {}", String::from_utf8_lossy(&body));
    if let Some(key) = &key {
        let known = lock().keys.get(key).cloned();
        match known {
            Some((before, _)) if before != asked => {
                return reply((400, error("idempotency_error", None, None)), false);
            }
            Some((_, None)) => {
                let body = error("invalid_request_error", Some("idempotency_key_in_use"), None);
                return reply((409, body), false);
            }
            Some((_, Some(answer))) => {
                if let Some(Quirk::Late(time)) = quirk {
                    tokio::time::sleep(time).await;
                }
                return reply(answer, true);
            }
            None => {}
        }
    }
    let answer = {
        let mut books = lock();
        let answer = books.answer(&method, &path, &form);
        if let Some(key) = &key {
            // What never began to work is not remembered.
            let began = !matches!(answer.0, 400 | 401 | 404);
            let kept = (began && !matches!(quirk, Some(Quirk::Late(_)))).then(|| answer.clone());
            if began {
                books.keys.insert(key.clone(), (asked.clone(), kept));
            }
        }
        answer
    };
    match quirk {
        // The connection's task ends here, and the connection with it.
        Some(Quirk::LoseAnswer) => std::panic::resume_unwind(Box::new("lost")),
        Some(Quirk::Late(time)) => {
            tokio::time::sleep(time).await;
            if let Some(key) = key {
                lock().keys.insert(key, (asked, Some(answer.clone())));
            }
        }
        _ => {}
    }
    reply(answer, false)
}

impl Books {
    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}_{:06}", self.next)
    }

    fn answer(&mut self, method: &Method, path: &str, form: &HashMap<String, String>) -> Answer {
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        match (method.as_str(), parts.as_slice()) {
            ("POST", ["v1", "payment_intents"]) => self.create(form),
            ("GET", ["v1", "payment_intents", "search"]) => {
                let query = form.get("query").cloned().unwrap_or_default();
                let wanted =
                    query.strip_prefix("metadata['transaction_id']:'").and_then(|q| q.strip_suffix('\''));
                let lags = self.search_lags;
                let ours = |i: &&Value| !lags && i["metadata"]["transaction_id"].as_str() == wanted;
                (200, json!({ "data": self.intents.values().filter(ours).collect::<Vec<_>>() }))
            }
            ("GET", ["v1", "payment_intents", id]) => self.show(self.intents.get(*id)),
            ("POST", ["v1", "payment_intents", id, "cancel"]) => self.cancel(id),
            ("POST", ["v1", "refunds"]) => self.refund(form),
            ("GET", ["v1", "refunds"]) => {
                let charge = form.get("charge").cloned().unwrap_or_default();
                let of = |r: &&Value| r["charge"] == charge.as_str();
                (200, json!({ "data": self.refunds.values().filter(of).collect::<Vec<_>>() }))
            }
            ("GET", ["v1", "refunds", id]) => self.show(self.refunds.get(*id)),
            _ => (404, error("invalid_request_error", None, None)),
        }
    }

    fn show(&self, object: Option<&Value>) -> Answer {
        match object {
            Some(object) => (200, object.clone()),
            None => (404, error("invalid_request_error", Some("resource_missing"), Some("id"))),
        }
    }

    fn create(&mut self, form: &HashMap<String, String>) -> Answer {
        let known = ["amount", "currency", "payment_method", "confirm"];
        if let Some(other) = form.keys().find(|k| !known.contains(&k.as_str()) && !k.starts_with("metadata["))
        {
            return (400, error("invalid_request_error", Some("parameter_unknown"), Some(other)));
        }
        let amount: i64 = form.get("amount").and_then(|a| a.parse().ok()).unwrap_or(0);
        if amount < 50 {
            return (400, error("invalid_request_error", Some("amount_too_small"), Some("amount")));
        }
        let method = form.get("payment_method").cloned().unwrap_or_default();
        if !method.starts_with("pm_card_") {
            return (404, error("invalid_request_error", Some("resource_missing"), Some("payment_method")));
        }
        let id = self.id("pi");
        let mut intent = json!({
            "id": id, "object": "payment_intent", "amount": amount, "amount_received": 0,
            "currency": form.get("currency"), "payment_method": method, "status": "requires_confirmation",
            "client_secret": format!("{id}_secret_1"), "latest_charge": null, "next_action": null,
            "last_payment_error": null, "metadata": metadata(form), "livemode": false,
        });
        let decline = |code: &str, decline_code: &str| json!({ "type": "card_error", "code": code, "decline_code": decline_code });
        let refused = match method.as_str() {
            "pm_card_chargeDeclined" => Some(decline("card_declined", "generic_decline")),
            "pm_card_chargeDeclinedInsufficientFunds" => Some(decline("card_declined", "insufficient_funds")),
            "pm_card_chargeDeclinedExpiredCard" => Some(decline("expired_card", "expired_card")),
            _ => None,
        };
        if let Some(mut why) = refused {
            intent["status"] = json!("requires_payment_method");
            intent["last_payment_error"] = why.clone();
            self.intents.insert(id, intent.clone());
            self.tell("payment_intent.payment_failed", &intent);
            why["payment_intent"] = intent;
            return (402, json!({ "error": why }));
        }
        if method == "pm_card_threeDSecure2Required" {
            intent["status"] = json!("requires_action");
            intent["next_action"] =
                json!({ "type": "use_stripe_sdk", "use_stripe_sdk": { "type": "three_d_secure_redirect" } });
            self.tell("payment_intent.requires_action", &intent);
        } else {
            self.capture(&mut intent);
        }
        self.intents.insert(id, intent.clone());
        (200, intent)
    }

    fn capture(&mut self, intent: &mut Value) {
        let id = intent["id"].as_str().unwrap_or_default().to_owned();
        intent["status"] = json!("succeeded");
        intent["amount_received"] = intent["amount"].clone();
        intent["latest_charge"] = json!(format!("ch_{id}"));
        self.tell("payment_intent.succeeded", intent);
    }

    fn cancel(&mut self, id: &str) -> Answer {
        let Some(mut intent) = self.intents.get(id).cloned() else { return self.show(None) };
        if matches!(intent["status"].as_str(), Some("succeeded" | "processing" | "canceled")) {
            let code = Some("payment_intent_unexpected_state");
            return (400, error("invalid_request_error", code, None));
        }
        intent["status"] = json!("canceled");
        intent["next_action"] = Value::Null;
        self.intents.insert(id.to_owned(), intent.clone());
        self.tell("payment_intent.canceled", &intent);
        (200, intent)
    }

    fn refunded(&self, intent: &str) -> i64 {
        let of = |r: &&Value| r["payment_intent"] == intent && r["status"] != "failed";
        self.refunds.values().filter(of).filter_map(|r| r["amount"].as_i64()).sum()
    }

    fn refund(&mut self, form: &HashMap<String, String>) -> Answer {
        let charge = form.get("charge").cloned().unwrap_or_default();
        let Some(intent) = charge.strip_prefix("ch_").and_then(|id| self.intents.get(id)).cloned() else {
            return (404, error("invalid_request_error", Some("resource_missing"), Some("charge")));
        };
        let id = intent["id"].as_str().unwrap_or_default().to_owned();
        let left = intent["amount_received"].as_i64().unwrap_or(0) - self.refunded(&id);
        let amount: i64 = form.get("amount").and_then(|a| a.parse().ok()).unwrap_or(left);
        if left == 0 {
            return (400, error("invalid_request_error", Some("charge_already_refunded"), None));
        }
        if amount > left || amount < 1 {
            return (400, error("invalid_request_error", None, Some("amount")));
        }
        let method = intent["payment_method"].as_str().unwrap_or_default();
        if method == "pm_card_refundRefused" {
            return (400, error("invalid_request_error", Some("charge_disputed"), None));
        }
        let refund_id = self.id("re");
        let status = if method == "pm_card_pendingRefund" { "pending" } else { "succeeded" };
        let refund = json!({
            "id": refund_id, "object": "refund", "amount": amount, "currency": intent["currency"],
            "charge": charge, "payment_intent": id, "status": status, "metadata": metadata(form),
        });
        self.refunds.insert(refund_id, refund.clone());
        self.tell("refund.created", &refund);
        self.tell_refunded(&id);
        (200, refund)
    }

    fn tell_refunded(&mut self, intent: &str) {
        let Some(of) = self.intents.get(intent).cloned() else { return };
        let charge = json!({
            "id": format!("ch_{intent}"), "object": "charge", "payment_intent": intent, "amount": of["amount"],
            "currency": of["currency"], "amount_refunded": self.refunded(intent), "metadata": of["metadata"],
        });
        self.tell("charge.refunded", &charge);
    }

    fn tell(&mut self, kind: &str, object: &Value) {
        let id = self.id("evt");
        self.events.push(json!({
            "id": id, "object": "event", "type": kind, "api_version": "2022-11-15", "livemode": false,
            "pending_webhooks": 1, "data": { "object": object },
        }));
    }
}

fn form(bytes: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let url = Url::parse(&format!("http://form.example/?{text}"));
    url.map(|url| url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
        .unwrap_or_default()
}

fn metadata(form: &HashMap<String, String>) -> Value {
    let named = form.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), json!(value)))
    });
    Value::Object(named.collect())
}

fn error(kind: &str, code: Option<&str>, param: Option<&str>) -> Value {
    json!({ "error": { "type": kind, "code": code, "param": param, "message": "no" } })
}

fn reply((status, body): Answer, again: bool) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, axum::Json(body)).into_response();
    if again {
        response.headers_mut().insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
    }
    response
}
