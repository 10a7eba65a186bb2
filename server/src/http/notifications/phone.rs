//! `/notifications/phone`: the number that an account is sent text messages at. A code that went there proves whose it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, AppState};
use crate::auth::limit::Daily;
use crate::auth::one_time::{OneTime, code_hash, is_code};
use crate::domain::notification::Channel;
use crate::domain::phone::{masked, number};
use crate::http::auth::Caller;
use crate::http::edge::Client;
use crate::http::error::{ApiError, Problem};
use crate::http::extract::ApiJson;
use crate::http::guest_code::allow_mail;
use crate::jobs::outbox::seal;
use crate::store::outbox::{self, NewMail};
use crate::store::phone::{self, NewPhone, Phone};
use crate::store::users;

/// How long a code is good.
const TTL: Duration = Duration::minutes(15);

/// An account's number.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PhoneJson {
    #[schema(example = "+436641234567")]
    number: String,
    /// Since when it is known to be mine: text messages go to verified numbers alone.
    #[serde(with = "time::serde::rfc3339::option")]
    verified_at: Option<OffsetDateTime>,
    /// Since when I told the provider, by answering STOP, to send nothing more. Verifying the number again lifts it.
    #[serde(with = "time::serde::rfc3339::option")]
    stopped_at: Option<OffsetDateTime>,
}

impl From<Phone> for PhoneJson {
    fn from(of: Phone) -> Self {
        Self { number: of.number, verified_at: of.verified_at, stopped_at: of.stopped_at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MyPhone {
    /// Null if I have none.
    phone: Option<PhoneJson>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "number": "+43 664 1234567" }))]
pub(super) struct NewNumber {
    /// With its country, as `+43…` or `0043…`.
    #[schema(max_length = 40)]
    number: String,
}

/// Where a code went.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TextSent {
    #[schema(example = "+43…67")]
    sent_to: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "012345" }))]
pub(super) struct TypedCode {
    #[schema(max_length = 20)]
    code: String,
}

/// The number that I am sent text messages at.
#[utoipa::path(
    get, path = "/notifications/phone", operation_id = "get_phone", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, body = MyPhone), (status = 401, body = Problem)),
)]
pub(super) async fn show(State(app): State<AppState>, caller: Caller) -> Result<Json<MyPhone>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut tx = app.db.user(user_id).await?;
    let phone = phone::find(&mut tx, user_id).await?.map(PhoneJson::from);
    tx.commit().await?;
    Ok(Json(MyPhone { phone }))
}

/// Sets my number, in place of the last one, and sends a code there.
///
/// Six digits, good for fifteen minutes and five wrong tries. Until they come back by `POST /notifications/phone/verify`
/// nothing else goes there. What is sent by text message is chosen by `PUT /notifications/preferences`; nothing is at first.
#[utoipa::path(
    put, path = "/notifications/phone", operation_id = "set_phone", tag = "notifications", security(("bearer" = [])),
    request_body = NewNumber,
    responses(
        (status = 202, description = "The code is on its way", body = TextSent),
        (status = 401, body = Problem),
        (status = 409, description = "`no_text_messages`: this server sends none", body = Problem),
        (status = 422, description = "`invalid_fields`, `invalid_body`: the field's code is `not_served` for a country that nothing is sent to", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
pub(super) async fn put(
    State(app): State<AppState>,
    caller: Caller,
    client: Client,
    ApiJson(body): ApiJson<NewNumber>,
) -> Result<(StatusCode, Json<TextSent>), ApiError> {
    let user_id = caller.require_user()?.user_id;
    if app.ways.of(Channel::Sms).is_none() {
        return Err(ApiError::conflict("no_text_messages", "this server sends no text messages"));
    }
    let number = number(&body.number).ok_or_else(|| {
        ApiError::invalid_field("number", "invalid", "must be a number with its country, as +436641234567")
    })?;
    let prefixes = &app.config.sms.prefixes;
    if !prefixes.is_empty() && !prefixes.iter().any(|prefix| number.starts_with(prefix.as_str())) {
        return Err(ApiError::invalid_field("number", "not_served", "nothing is sent to this country"));
    }
    allow_mail(&app, "phone_code", client, &number).await?;
    allow_code(&app, user_id, &number).await?;
    let (id, now) = (app.rng.uuid(&*app.clock), app.clock.now());
    let secret = OneTime::new(&app.rng);
    let expires_at = now + TTL;
    let new = NewPhone {
        user_id,
        number: &number,
        code_id: id,
        code_hash: &code_hash(&app.master_key, id, &secret.code),
        expires_at,
    };
    let mut tx = app.db.user(user_id).await?;
    let language = users::language(&mut tx, user_id).await?;
    let text = NewMail {
        id,
        kind: "phone.code",
        recipient: &number,
        organizer_id: None,
        language: language.as_str(),
        facts: &json!({ "minutes": TTL.whole_minutes() }),
        sealed_facts: Some(&seal(&app, id, &json!({ "code": *secret.code }))),
        expires_at: Some(expires_at),
    };
    phone::put(&mut tx, &new, now).await?;
    outbox::enqueue_text(&mut tx, &text, user_id, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(TextSent { sent_to: masked(&number), expires_at })))
}

/// Each code costs money and can be guessed at: so many a day for a number, whoever asks, and for an account, whatever
/// number it names.
async fn allow_code(app: &App, user_id: Uuid, number: &str) -> Result<(), ApiError> {
    let more = if app.config.dev { 30 } else { 1 };
    let daily = |name| Daily { name, max: app.config.sms.codes_per_day.saturating_mul(more) };
    let mut tx = app.db.platform().await?;
    daily("phone_code_account").attempt(&mut tx, &*app.clock, &user_id.to_string()).await?;
    daily("phone_code").attempt(&mut tx, &*app.clock, number).await?;
    tx.commit().await?;
    Ok(())
}

/// Proves by the code that the number is mine.
#[utoipa::path(
    post, path = "/notifications/phone/verify", operation_id = "verify_phone", tag = "notifications",
    security(("bearer" = [])), request_body = TypedCode,
    responses(
        (status = 200, body = MyPhone),
        (status = 401, body = Problem),
        (status = 422, description = "`wrong_code`, `invalid_body`: the code may also be over, or was tried too often", body = Problem),
    ),
)]
pub(super) async fn verify(
    State(app): State<AppState>,
    caller: Caller,
    ApiJson(body): ApiJson<TypedCode>,
) -> Result<Json<MyPhone>, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let now = app.clock.now();
    let mut tx = app.db.user(user_id).await?;
    let stored = phone::try_one(&mut tx, user_id, now).await?;
    // The try counts whatever comes of it.
    tx.commit().await?;
    let wrong =
        || ApiError::unprocessable("wrong_code", "this is not the code, or it is over: ask for another");
    let stored = stored
        .filter(|stored| is_code(&app.master_key, stored.code_id, body.code.trim(), &stored.code_hash))
        .ok_or_else(wrong)?;
    let mut tx = app.db.user(user_id).await?;
    if !phone::verify(&mut tx, user_id, stored.code_id, now).await? {
        return Err(wrong());
    }
    let phone = phone::find(&mut tx, user_id).await?.map(PhoneJson::from);
    tx.commit().await?;
    Ok(Json(MyPhone { phone }))
}

/// Removes my number: no text message goes to it any more, not even one on its way.
#[utoipa::path(
    delete, path = "/notifications/phone", operation_id = "remove_phone", tag = "notifications",
    security(("bearer" = [])),
    responses((status = 204, description = "There is none now"), (status = 401, body = Problem)),
)]
pub(super) async fn remove(State(app): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let user_id = caller.require_user()?.user_id;
    let mut tx = app.db.user(user_id).await?;
    phone::remove(&mut tx, user_id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
