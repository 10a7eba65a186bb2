//! Stripe: PaymentIntents that are created and confirmed in one call, refunds by charge. A small client of
//! our own over form-encoded REST.
//!
//! Every call that moves money carries an `Idempotency-Key` derived from our transaction, and our ids as
//! metadata. An intent is answered as declined only once it is canceled there: nobody can pay it later.
//! The API's version is pinned to one whose intents are for cards unless they say otherwise, so that what
//! organizers switch on in their dashboard changes nothing here.

mod amount;
pub mod webhook;

pub use amount::to_stripe;

use std::time::Duration;

use reqwest::{Method, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Answer, Charge, CustomerAction, Ours, Outcome, PaymentProvider, Refund};
use crate::config::Secret;

/// The name of this provider.
pub const NAME: &str = "stripe";

const VERSION: &str = "2022-11-15";
/// Stripe forgets idempotency keys after 24 hours at the earliest; from then on a repeat would pay twice.
const KEYS_LAST: time::Duration = time::Duration::hours(23);
/// What was made is found by a search a minute later, and after an hour at the worst: until then an empty answer says
/// nothing.
const SEARCH_SETTLES: time::Duration = time::Duration::hours(2);
/// An answer that is larger is none.
const MAX_ANSWER: usize = 1 << 20;

/// Of one Stripe account.
#[derive(Debug, Clone)]
pub struct Stripe {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    secret_key: Secret,
}

/// A connection pool for all accounts.
///
/// # Errors
/// The TLS library does not start.
pub fn client() -> reqwest::Result<reqwest::Client> {
    crate::tls::install_provider();
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(18))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("hvflvspot/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// An answer that came.
struct Reply {
    status: u16,
    body: Value,
}

/// No answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Nothing was sent either.
    NotSent,
    /// The request may have been heard.
    Lost,
}

#[derive(Debug, Deserialize)]
struct Intent {
    id: String,
    amount: i64,
    #[serde(default)]
    amount_received: Option<i64>,
    currency: String,
    status: String,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    latest_charge: Option<Value>,
    #[serde(default)]
    next_action: Option<Value>,
    #[serde(default)]
    last_payment_error: Option<Value>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct Refunded {
    id: String,
    amount: i64,
    currency: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    failure_reason: Option<String>,
    #[serde(default)]
    metadata: Value,
}

#[derive(Debug, Deserialize)]
struct List<T> {
    data: Vec<T>,
}

impl Stripe {
    #[must_use]
    pub const fn new(http: reqwest::Client, base: String, secret_key: Secret) -> Self {
        Self { http, base, secret_key }
    }

    /// Whose key it is: the account's id. None if Stripe does not say: a restricted key may not ask.
    pub async fn account(&self) -> Option<String> {
        let reply = self.call(Method::GET, "/v1/account", None, &[]).await.ok()?;
        let id = word(&reply.body, "/id").filter(|id| reply.status == 200 && id.len() <= 255)?;
        Some(id.to_owned())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        form: &[(&str, String)],
    ) -> Result<Reply, Silence> {
        let mut url = Url::parse(&format!("{}{path}", self.base)).map_err(|_| Silence::NotSent)?;
        let encoded = {
            let mut writer = url.clone();
            writer.query_pairs_mut().clear().extend_pairs(form);
            writer.query().unwrap_or_default().to_owned()
        };
        let get = method == Method::GET;
        if get && !form.is_empty() {
            url.set_query(Some(&encoded));
        }
        let mut request = self
            .http
            .request(method, url)
            .bearer_auth(self.secret_key.reveal())
            .header("Stripe-Version", VERSION);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if !get {
            request = request.header("Content-Type", "application/x-www-form-urlencoded").body(encoded);
        }
        let mut response = request.send().await.map_err(|e| {
            // No address, no names: only what kind of trouble it is.
            tracing::warn!(
                path,
                connect = e.is_connect(),
                timeout = e.is_timeout(),
                "Stripe does not answer"
            );
            if e.is_connect() { Silence::NotSent } else { Silence::Lost }
        })?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| Silence::Lost)? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(Silence::Lost);
            }
            bytes.extend_from_slice(&chunk);
        }
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status >= 400 {
            let request_id = response.headers().get("request-id").and_then(|v| v.to_str().ok());
            let (kind, code) = (word(&body, "/error/type"), word(&body, "/error/code"));
            tracing::info!(path, status, request_id, kind, code, "Stripe refuses");
        }
        Ok(Reply { status, body })
    }

    /// Creates and confirms, or hears the first answer again.
    async fn begin(&self, charge: &Charge) -> Outcome {
        let first = charge.attempt <= 1;
        let Some(token) = &charge.token else { return declined("token_missing") };
        let Some(amount) = amount::to_stripe(charge.amount_minor, &charge.currency) else {
            return failed("amount_not_supported");
        };
        let mut form = vec![
            ("amount", amount.to_string()),
            ("currency", charge.currency.to_lowercase()),
            ("payment_method", token.clone()),
            ("confirm", "true".to_owned()),
        ];
        form.extend(metadata(charge.ours));
        let reply = match self.call(Method::POST, "/v1/payment_intents", Some(&charge.key), &form).await {
            Ok(reply) => reply,
            Err(Silence::NotSent) if first => return failed("provider_unreachable"),
            Err(_) => return Outcome::Unknown,
        };
        match reply.status {
            200 => match parse::<Intent>(reply.body) {
                // Under a key the first answer is given again: how it stands by now is another question.
                Some(intent) if !first => self.look(charge, &intent.id).await,
                Some(intent) => self.judge(charge, intent).await,
                None => Outcome::Unknown,
            },
            // The intent exists and could be paid by another card: not any more.
            402 => match word(&reply.body, "/error/payment_intent/id") {
                Some(id) => self.end(charge, id).await.declined_as(card_error(&reply.body)),
                None => declined(card_error(&reply.body)),
            },
            _ => refusal(&reply, first),
        }
    }

    /// How an intent stands now.
    async fn look(&self, charge: &Charge, id: &str) -> Outcome {
        let Ok(reply) = self.call(Method::GET, &format!("/v1/payment_intents/{id}"), None, &[]).await else {
            return Outcome::Unknown;
        };
        match reply.status {
            200 => match parse(reply.body) {
                Some(intent) => self.judge(charge, intent).await,
                None => Outcome::Unknown,
            },
            404 => Outcome::Contradicts { what: "the account does not know the payment".to_owned() },
            _ => Outcome::Unknown,
        }
    }

    /// The intent that carries our transaction's id, for whom it is too late to ask again: long after its key was
    /// forgotten, or after the buyer's hold is over. It is asked for again as long as the search may not know it yet.
    async fn search(&self, charge: &Charge) -> Outcome {
        let query = format!("metadata['transaction_id']:'{}'", charge.ours.transaction_id);
        let form = [("query", query)];
        let Ok(reply) = self.call(Method::GET, "/v1/payment_intents/search", None, &form).await else {
            return Outcome::Unknown;
        };
        match (reply.status, parse::<List<Intent>>(reply.body)) {
            (200, Some(found)) => match found.data.into_iter().next() {
                Some(intent) => self.judge(charge, intent).await,
                None if charge.age < SEARCH_SETTLES => Outcome::Unknown,
                None => failed("never_arrived"),
            },
            _ => Outcome::Unknown,
        }
    }

    async fn judge(&self, charge: &Charge, intent: Intent) -> Outcome {
        if let Some(what) = differs(charge.ours, charge.amount_minor, &charge.currency, &intent) {
            return Outcome::Contradicts { what };
        }
        let provider_ref = intent.id.clone();
        match intent.status.as_str() {
            "succeeded" => Outcome::Succeeded { provider_ref },
            "processing" => Outcome::Processing { provider_ref },
            // Not paid in time: nobody may pay for it any more.
            "requires_action" if charge.over => self.end(charge, &intent.id).await,
            "requires_action" => Outcome::NeedsAction { provider_ref, action: action(&intent) },
            "canceled" => match intent.last_payment_error.as_ref().map(reason) {
                Some(code) => declined(code),
                None => Outcome::Canceled,
            },
            "requires_payment_method" | "requires_confirmation" | "requires_capture" => {
                let code =
                    intent.last_payment_error.as_ref().map_or_else(|| "card_declined".to_owned(), reason);
                self.end(charge, &intent.id).await.declined_as(code)
            }
            other => {
                tracing::warn!(status = other, "Stripe knows a status that we do not");
                Outcome::Unknown
            }
        }
    }

    /// Cancels, and says how it stands then.
    async fn end(&self, charge: &Charge, id: &str) -> Outcome {
        let key = format!("{}-cancel", charge.key);
        let path = format!("/v1/payment_intents/{id}/cancel");
        let Ok(reply) = self.call(Method::POST, &path, Some(&key), &[]).await else {
            return Outcome::Unknown;
        };
        let (status, body) = match reply.status {
            200 => (200, reply.body),
            // It is canceled already, or was paid meanwhile.
            400 | 404 => {
                let path = format!("/v1/payment_intents/{id}");
                match self.call(Method::GET, &path, None, &[]).await {
                    Ok(reply) => (reply.status, reply.body),
                    Err(_) => return Outcome::Unknown,
                }
            }
            _ => return Outcome::Unknown,
        };
        let Some(intent) = parse::<Intent>(body).filter(|_| status == 200) else { return Outcome::Unknown };
        if let Some(what) = differs(charge.ours, charge.amount_minor, &charge.currency, &intent) {
            return Outcome::Contradicts { what };
        }
        match intent.status.as_str() {
            "canceled" => Outcome::Canceled,
            "succeeded" => Outcome::Succeeded { provider_ref: intent.id },
            "processing" => Outcome::Processing { provider_ref: intent.id },
            _ => Outcome::Unknown,
        }
    }

    async fn give_back(&self, refund: &Refund) -> Outcome {
        let first = refund.attempt <= 1;
        let Some(payment) = &refund.payment_ref else { return failed("payment_unknown") };
        let Some(amount) = amount::to_stripe(refund.amount_minor, &refund.currency) else {
            return declined("amount_not_supported");
        };
        let path = format!("/v1/payment_intents/{payment}");
        let charge = match self.call(Method::GET, &path, None, &[]).await {
            Ok(reply) if reply.status == 200 => parse::<Intent>(reply.body).and_then(|i| charge_of(&i)),
            Ok(reply) if first => return refusal(&reply, first),
            Err(_) if first => return failed("provider_unreachable"),
            _ => return Outcome::Unknown,
        };
        let Some(charge) = charge else {
            return if first { failed("charge_unknown") } else { Outcome::Unknown };
        };
        let mut form = vec![("charge", charge.clone()), ("amount", amount.to_string())];
        form.extend(metadata(refund.ours));
        if refund.age >= KEYS_LAST {
            return self.find_refund(refund, &charge).await;
        }
        let reply = match self.call(Method::POST, "/v1/refunds", Some(&refund.key), &form).await {
            Ok(reply) => reply,
            Err(Silence::NotSent) if first => return failed("provider_unreachable"),
            Err(_) => return Outcome::Unknown,
        };
        match reply.status {
            200 => match parse::<Refunded>(reply.body) {
                Some(made) if !first => self.look_at_refund(refund, &made.id).await,
                Some(made) => judge_refund(refund, made),
                None => Outcome::Unknown,
            },
            400 | 402 | 404 if word(&reply.body, "/error/type") != Some("idempotency_error") => {
                declined(word(&reply.body, "/error/code").unwrap_or("refund_refused"))
            }
            _ => refusal(&reply, first),
        }
    }

    async fn look_at_refund(&self, refund: &Refund, id: &str) -> Outcome {
        match self.call(Method::GET, &format!("/v1/refunds/{id}"), None, &[]).await {
            Ok(reply) if reply.status == 200 => {
                parse(reply.body).map_or(Outcome::Unknown, |made| judge_refund(refund, made))
            }
            Ok(reply) if reply.status == 404 => {
                Outcome::Contradicts { what: "the account does not know the refund".to_owned() }
            }
            _ => Outcome::Unknown,
        }
    }

    /// The refund that carries our transaction's id, long after its key was forgotten.
    async fn find_refund(&self, refund: &Refund, charge: &str) -> Outcome {
        let form = [("charge", charge.to_owned()), ("limit", "100".to_owned())];
        let Ok(reply) = self.call(Method::GET, "/v1/refunds", None, &form).await else {
            return Outcome::Unknown;
        };
        match (reply.status, parse::<List<Refunded>>(reply.body)) {
            (200, Some(all)) => {
                match all.data.into_iter().find(|made| is_ours(&made.metadata, refund.ours)) {
                    Some(made) => judge_refund(refund, made),
                    None => failed("never_arrived"),
                }
            }
            _ => Outcome::Unknown,
        }
    }
}

impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        NAME
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome> {
        Box::pin(self.begin(charge))
    }

    fn payment<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome> {
        Box::pin(async move {
            match &charge.provider_ref {
                Some(id) => self.look(charge, id).await,
                // Asking again under the key would take the money now if the first time was never heard.
                None if charge.over || charge.age >= KEYS_LAST => self.search(charge).await,
                None => self.begin(charge).await,
            }
        })
    }

    fn cancel<'a>(&'a self, charge: &'a Charge) -> Answer<'a, Outcome> {
        Box::pin(async move {
            match &charge.provider_ref {
                Some(id) => self.end(charge, id).await,
                None => Outcome::Unknown,
            }
        })
    }

    fn refund<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome> {
        Box::pin(self.give_back(refund))
    }

    fn refunded<'a>(&'a self, refund: &'a Refund) -> Answer<'a, Outcome> {
        Box::pin(async move {
            match &refund.provider_ref {
                Some(id) => self.look_at_refund(refund, id).await,
                None => self.give_back(refund).await,
            }
        })
    }
}

impl Outcome {
    /// A payment that ended because of `code`.
    fn declined_as(self, code: String) -> Self {
        match self {
            Self::Canceled => Self::Declined { code },
            other => other,
        }
    }
}

fn declined(code: impl Into<String>) -> Outcome {
    Outcome::Declined { code: code.into() }
}

fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned() }
}

/// Anything that is neither an intent nor a card's refusal. `first`: nothing was asked under this key before, so
/// that a refusal says that no money moved.
fn refusal(reply: &Reply, first: bool) -> Outcome {
    let code = word(&reply.body, "/error/code");
    match reply.status {
        // Another request with the key is at work, or its body was another: only time can tell.
        409 => Outcome::Unknown,
        400 if word(&reply.body, "/error/type") == Some("idempotency_error") => {
            tracing::error!("an idempotency key was used for two different requests");
            Outcome::Unknown
        }
        400 | 404 if word(&reply.body, "/error/param") == Some("payment_method") => declined("invalid_token"),
        400 | 404 if code == Some("resource_missing") => declined("invalid_token"),
        _ if !first => Outcome::Unknown,
        401 | 403 => failed("provider_refuses_keys"),
        404 if code.is_none() => declined("invalid_token"),
        429 => failed("rate_limited"),
        400..=499 => failed(code.unwrap_or("provider_refuses")),
        _ => Outcome::Unknown,
    }
}

fn judge_refund(refund: &Refund, made: Refunded) -> Outcome {
    let expected = amount::to_stripe(refund.amount_minor, &refund.currency);
    if Some(made.amount) != expected || !made.currency.eq_ignore_ascii_case(&refund.currency) {
        return Outcome::Contradicts { what: format!("refunded are {} {}", made.amount, made.currency) };
    }
    if !is_ours(&made.metadata, refund.ours) {
        return Outcome::Contradicts { what: "the refund carries other ids than ours".to_owned() };
    }
    match made.status.as_deref() {
        Some("succeeded") => Outcome::Succeeded { provider_ref: made.id },
        Some("pending" | "requires_action") => Outcome::Processing { provider_ref: made.id },
        Some("failed" | "canceled") => {
            declined(made.failure_reason.unwrap_or_else(|| "refund_declined".to_owned()))
        }
        _ => Outcome::Unknown,
    }
}

/// What of an intent is not as we asked for; `None` if all is.
fn differs(ours: Ours, amount_minor: i64, currency: &str, intent: &Intent) -> Option<String> {
    let paid = match intent.status.as_str() {
        "succeeded" => intent.amount_received.unwrap_or(intent.amount),
        _ => intent.amount,
    };
    if Some(paid) != amount::to_stripe(amount_minor, currency)
        || !intent.currency.eq_ignore_ascii_case(currency)
    {
        return Some(format!("the payment is of {paid} {}", intent.currency));
    }
    (!is_ours(&intent.metadata, ours)).then(|| "the payment carries other ids than ours".to_owned())
}

fn is_ours(metadata: &Value, ours: Ours) -> bool {
    let says = |name: &str, id: uuid::Uuid| metadata[name].as_str() == Some(&id.to_string());
    says("transaction_id", ours.transaction_id) && says("organizer_id", ours.organizer_id)
}

fn metadata(ours: Ours) -> [(&'static str, String); 3] {
    [
        ("metadata[organizer_id]", ours.organizer_id.to_string()),
        ("metadata[booking_id]", ours.booking_id.to_string()),
        ("metadata[transaction_id]", ours.transaction_id.to_string()),
    ]
}

fn action(intent: &Intent) -> CustomerAction {
    let next = intent.next_action.as_ref().unwrap_or(&Value::Null);
    CustomerAction {
        kind: next["type"].as_str().unwrap_or("use_stripe_sdk").to_owned(),
        client_secret: intent.client_secret.clone(),
        redirect_url: next["redirect_to_url"]["url"].as_str().map(str::to_owned),
    }
}

/// Its id, whether it came as an id or as an object.
fn charge_of(intent: &Intent) -> Option<String> {
    let charge = intent.latest_charge.as_ref()?;
    charge.as_str().or_else(|| charge["id"].as_str()).map(str::to_owned)
}

fn card_error(body: &Value) -> String {
    body.get("error").map_or_else(|| "card_declined".to_owned(), reason)
}

/// The bank's word, or else Stripe's.
fn reason(error: &Value) -> String {
    let word = error["decline_code"].as_str().filter(|w| *w != "generic_decline");
    word.or_else(|| error["code"].as_str()).unwrap_or("card_declined").chars().take(100).collect()
}

fn word<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer)?.as_str()
}

fn parse<T: DeserializeOwned>(body: Value) -> Option<T> {
    serde_json::from_value(body).map_err(|e| tracing::warn!("an answer of Stripe cannot be read: {e}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use uuid::Uuid;

    fn ours() -> Ours {
        let id = Uuid::from_u128;
        Ours { organizer_id: id(1), booking_id: id(2), transaction_id: id(3) }
    }

    fn intent(change: impl FnOnce(&mut Value)) -> Intent {
        let mut body = json!({
            "id": "pi_1", "amount": 100, "amount_received": 100, "currency": "eur", "status": "succeeded",
            "metadata": { "organizer_id": Uuid::from_u128(1), "transaction_id": Uuid::from_u128(3) },
            "something_new": { "of": "tomorrow" },
        });
        change(&mut body);
        parse(body).unwrap()
    }

    #[test]
    fn an_intent_of_another_amount_currency_or_transaction_is_not_ours() {
        assert_eq!(differs(ours(), 100, "EUR", &intent(|_| ())), None);
        for (name, value) in
            [("amount_received", json!(99)), ("currency", json!("usd")), ("metadata", json!({}))]
        {
            let other = intent(|body| body[name] = value);
            assert!(differs(ours(), 100, "EUR", &other).is_some(), "{name}");
        }
    }

    #[test]
    fn refusals_say_that_nothing_moved_only_where_nothing_was_asked_before() {
        let reply = |status, error: Value| Reply { status, body: json!({ "error": error }) };
        for (reply, first, again) in [
            (reply(409, json!({})), Outcome::Unknown, Outcome::Unknown),
            (reply(400, json!({ "type": "idempotency_error" })), Outcome::Unknown, Outcome::Unknown),
            (reply(401, json!({})), failed("provider_refuses_keys"), Outcome::Unknown),
            (reply(429, json!({ "code": "rate_limit" })), failed("rate_limited"), Outcome::Unknown),
            (reply(500, json!({})), Outcome::Unknown, Outcome::Unknown),
            (reply(400, json!({ "code": "amount_too_small" })), failed("amount_too_small"), Outcome::Unknown),
            (
                reply(404, json!({ "code": "resource_missing", "param": "payment_method" })),
                declined("invalid_token"),
                declined("invalid_token"),
            ),
        ] {
            assert_eq!(refusal(&reply, true), first, "{}", reply.body);
            assert_eq!(refusal(&reply, false), again, "{}", reply.body);
        }
    }
}
