//! `/organizer/payment/stripe`: the organizer's own account with the payment provider, for its owners.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;

use crate::adapters::payment::stripe;
use crate::app::AppState;
use crate::config::is_stripe_secret_key;
use crate::http::auth::Member;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiJson;
use crate::http::fields::Wrong;
use crate::selling::gateway::{self, SECRET_KEY, WEBHOOK_SECRETS};
use crate::store::payment_account::{self, PaymentAccount};
use crate::store::transaction;

/// After an event payments for it may have to be given back for so long.
const REFUNDABLE_FOR: Duration = Duration::days(90);

/// The organizer's account with Stripe. Its secrets are never told.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StripeAccountJson {
    /// True if payments go through this account; else they go through the server's, if it has one.
    configured: bool,
    /// `live` or `test`.
    mode: Option<String>,
    publishable_key: Option<String>,
    /// How many signing secrets are known.
    webhook_secrets: usize,
    /// Where Stripe is to tell its events. It stays the same when keys change. Null before the first PUT.
    webhook_url: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    updated_at: Option<OffsetDateTime>,
}

/// Keys of an account. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "secret_key": "sk_test_51ExampleExampleExample", "publishable_key": "pk_test_51ExampleExampleExample",
    "webhook_secrets": ["whsec_ExampleExampleExample"],
}))]
pub(super) struct StripeAccountRequest {
    /// A secret or restricted key: `sk_…` or `rk_…`. Required the first time; later only one of the same account as long
    /// as payments of the old one are on their way or may have to be refunded.
    #[schema(max_length = 255)]
    secret_key: Option<String>,
    #[schema(max_length = 255)]
    publishable_key: Option<String>,
    /// Signing secrets of the webhook endpoint, `whsec_…`: several while one is being changed.
    #[schema(max_items = 5)]
    webhook_secrets: Option<Vec<String>>,
}

/// The organizer's account with Stripe, without its secrets.
#[utoipa::path(
    get, path = "/organizer/payment/stripe", operation_id = "get_stripe_account", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses((status = 200, body = StripeAccountJson), (status = 401, body = Problem), (status = 403, body = Problem)),
)]
pub(super) async fn show(
    State(app): State<AppState>,
    member: Member,
) -> Result<Json<StripeAccountJson>, ApiError> {
    let mut tx = app.db.tenant(member.organizer_id).await?;
    let row = payment_account::find(&mut tx, member.organizer_id, stripe::NAME).await?;
    tx.commit().await?;
    Ok(Json(json(&app, row)?))
}

/// Puts the organizer's account with Stripe in place, or its new keys. New payments go through it at once.
#[utoipa::path(
    put, path = "/organizer/payment/stripe", operation_id = "put_stripe_account", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    request_body = StripeAccountRequest, security(("bearer" = [])),
    responses(
        (status = 200, body = StripeAccountJson), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, description = "`other_payment_account`, `payments_in_flight`: payments of the account that is in place are on their way, or may have to be refunded with its keys", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`", body = Problem),
    ),
)]
pub(super) async fn put(
    State(app): State<AppState>,
    member: Member,
    ApiJson(request): ApiJson<StripeAccountRequest>,
) -> Result<Json<StripeAccountJson>, ApiError> {
    let organizer_id = member.organizer_id;
    let mut tx = app.db.tenant(organizer_id).await?;
    let known = payment_account::find(&mut tx, organizer_id, stripe::NAME).await?;
    tx.commit().await?;
    check(&request, known.as_ref().is_some_and(|k| k.secret_key_sealed.is_some()))?;
    // Outside of a transaction: Stripe may be slow.
    let whose = Whose::ask(&app, &request, known.as_ref()).await?;
    let mut tx = app.db.tenant(organizer_id).await?;
    let known = payment_account::find(&mut tx, organizer_id, stripe::NAME).await?;
    let known_key = known.as_ref().and_then(|k| k.secret_key_sealed.clone());
    if let Some(known) = &known {
        whose.check(&app, &mut tx, organizer_id, known.account_id).await?;
    }
    let seal = |purpose: &str, plain: &[u8]| app.master_key.seal(purpose, plain, &app.rng);
    let secrets = match &request.webhook_secrets {
        Some(all) => {
            let list = serde_json::to_vec(all).expect("strings become JSON");
            Some(seal(WEBHOOK_SECRETS, &list))
        }
        None => known.as_ref().and_then(|k| k.webhook_secrets_sealed.clone()),
    };
    let account = PaymentAccount {
        account_id: known.as_ref().map_or_else(|| app.rng.uuid(&*app.clock), |k| k.account_id),
        publishable_key: request.publishable_key.clone().or_else(|| known.and_then(|k| k.publishable_key)),
        secret_key_sealed: match &request.secret_key {
            Some(key) => Some(seal(SECRET_KEY, key.as_bytes())),
            None => known_key,
        },
        webhook_secrets_sealed: secrets,
        provider_account: whose.new.clone(),
        updated_at: app.clock.now(),
    };
    let account_id = payment_account::put(&mut tx, organizer_id, stripe::NAME, &account).await?;
    payment_account::enter(&mut tx, organizer_id, account_id).await?;
    let object = ("payment_account", account_id);
    let detail = serde_json::json!({
        "secret_key": request.secret_key.is_some(), "webhook_secrets": request.webhook_secrets.as_ref().map(Vec::len),
    });
    super::record(&app, &mut tx, &member, "payment_account.put", object, detail).await?;
    let stored = payment_account::find(&mut tx, organizer_id, stripe::NAME).await?;
    tx.commit().await?;
    app.selling.gateways.forget(organizer_id);
    Ok(Json(json(&app, stored)?))
}

/// Whose keys the old and the new one are.
struct Whose {
    old: Option<String>,
    new: Option<String>,
    /// The key is another than before.
    changes: bool,
}

impl Whose {
    async fn ask(
        app: &AppState,
        request: &StripeAccountRequest,
        known: Option<&PaymentAccount>,
    ) -> Result<Self, ApiError> {
        let stored = known.and_then(|k| k.provider_account.clone());
        let Some(key) = &request.secret_key else {
            return Ok(Self { old: stored.clone(), new: stored, changes: false });
        };
        let new = gateway::account_of_key(app, key).await;
        let old = match (stored, known) {
            (None, Some(known)) => gateway::account_of_stored(app, known).await?,
            (stored, _) => stored,
        };
        Ok(Self { old, new, changes: true })
    }

    /// The new key must be able to do what the old one has begun.
    async fn check(
        &self,
        app: &AppState,
        conn: &mut sqlx::PgConnection,
        organizer_id: uuid::Uuid,
        account_id: uuid::Uuid,
    ) -> Result<(), ApiError> {
        if !self.changes {
            return Ok(());
        }
        let busy = transaction::is_account_busy(conn, organizer_id, account_id).await?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old == new => Ok(()),
            (Some(_), Some(_)) => {
                let ended_after = app.clock.now() - REFUNDABLE_FOR;
                let refundable =
                    transaction::is_account_refundable(conn, organizer_id, account_id, ended_after).await?;
                if busy || refundable {
                    return Err(ApiError::conflict(
                        "other_payment_account",
                        "the key is of another Stripe account, and payments of the one in place are on their way or \
                         may have to be refunded: that takes its own keys",
                    ));
                }
                Ok(())
            }
            // Nobody can tell whether it is another account's.
            _ if busy => Err(ApiError::conflict(
                "payments_in_flight",
                "payments or refunds of this account are on their way, and Stripe does not tell whose key this is: wait \
                 until they are closed",
            )),
            _ => Ok(()),
        }
    }
}

/// Takes the account's keys away. Payments that were made through it cannot be refunded here any more.
#[utoipa::path(
    delete, path = "/organizer/payment/stripe", operation_id = "delete_stripe_account", tag = "organizer",
    params(("Organizer-Id" = Option<Uuid>, Header, description = "Required of members of several organizers")),
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Gone, now or before"), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, description = "`payments_in_flight`: wait until they are closed", body = Problem),
    ),
)]
pub(super) async fn remove(State(app): State<AppState>, member: Member) -> Result<StatusCode, ApiError> {
    let organizer_id = member.organizer_id;
    let mut tx = app.db.tenant(organizer_id).await?;
    let known = payment_account::find(&mut tx, organizer_id, stripe::NAME).await?;
    let Some(account) = known.filter(|k| k.secret_key_sealed.is_some()) else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let account_id = account.account_id;
    if transaction::is_account_busy(&mut tx, organizer_id, account_id).await? {
        return Err(ApiError::conflict(
            "payments_in_flight",
            "payments or refunds of this account are on their way: wait until they are closed",
        ));
    }
    payment_account::remove(&mut tx, organizer_id, stripe::NAME, app.clock.now()).await?;
    let object = ("payment_account", account_id);
    super::record(&app, &mut tx, &member, "payment_account.removed", object, serde_json::json!({})).await?;
    tx.commit().await?;
    app.selling.gateways.forget(organizer_id);
    Ok(StatusCode::NO_CONTENT)
}

fn check(request: &StripeAccountRequest, known: bool) -> Result<(), ApiError> {
    let mut wrong = Wrong::default();
    match &request.secret_key {
        Some(key) if !is_stripe_secret_key(key) => {
            wrong.note("secret_key", "invalid", "a secret or restricted key of Stripe, as sk_test_…");
        }
        None if !known => wrong.note("secret_key", "required", "there is none yet"),
        _ => {}
    }
    let plain = |text: &str, start: &str| {
        text.starts_with(start) && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if request.publishable_key.as_ref().is_some_and(|key| !plain(key, "pk_")) {
        wrong.note("publishable_key", "invalid", "a publishable key of Stripe, as pk_test_…");
    }
    for (at, secret) in request.webhook_secrets.iter().flatten().enumerate() {
        if !plain(secret, "whsec_") {
            wrong.note(format!("webhook_secrets[{at}]"), "invalid", "a signing secret of Stripe, as whsec_…");
        }
    }
    if request.webhook_secrets.as_ref().is_some_and(|all| all.len() > 5) {
        wrong.note("webhook_secrets", "too_many", "at most 5");
    }
    wrong.check()
}

fn json(app: &AppState, row: Option<PaymentAccount>) -> Result<StripeAccountJson, ApiError> {
    let Some(row) = row else {
        return Ok(StripeAccountJson {
            configured: false,
            mode: None,
            publishable_key: None,
            webhook_secrets: 0,
            webhook_url: None,
            updated_at: None,
        });
    };
    let mode = match &row.secret_key_sealed {
        Some(sealed) => {
            let key = app.master_key.open(SECRET_KEY, sealed).map_err(ApiError::internal)?;
            let live = key.starts_with(b"sk_live_") || key.starts_with(b"rk_live_");
            Some(if live { "live" } else { "test" }.to_owned())
        }
        None => None,
    };
    let secrets =
        gateway::webhook_secrets(app, row.webhook_secrets_sealed.as_deref()).map_err(ApiError::internal)?;
    Ok(StripeAccountJson {
        configured: mode.is_some(),
        mode,
        publishable_key: row.publishable_key,
        webhook_secrets: secrets.len(),
        webhook_url: Some(format!(
            "{}/payment/webhooks/{}/{}",
            app.config.link_origin(),
            stripe::NAME,
            row.account_id
        )),
        updated_at: Some(row.updated_at),
    })
}
