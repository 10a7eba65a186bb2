//! What a guest's secret alone does not allow takes a code by mail besides: who found the link in a browser's
//! history, or a printed page, cannot read the mails.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, Guest};
use super::edge::{self, Client};
use super::error::{ApiError, Problem};
use crate::app::{App, AppState};
use crate::auth::limit::{Counted, Daily, Limit, Whom};
use crate::auth::one_time::{OneTime, code_hash, is_code};
use crate::jobs::outbox::seal;
use crate::store::guest_code::{self, NewCode};
use crate::store::hand_on;
use crate::store::outbox::{self, NewMail};

/// How long a code is good.
const TTL: Duration = Duration::minutes(15);

pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(send))
}

/// Where a code went.
#[derive(Debug, Serialize, ToSchema)]
struct CodeSent {
    /// The address, but for its first letter and its domain.
    #[schema(example = "g***@example.org")]
    sent_to: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// Mails a code to the holder of the secret: guests need it to hand on, reissue and change tickets.
///
/// Six digits, good for fifteen minutes and five wrong tries, for whatever the secret opens. The next code takes the
/// place of the last one. Within 24 hours an address gets as many as `auth.mail_codes_per_day` says. Accounts need none.
#[utoipa::path(
    post, path = "/bookings/code", operation_id = "send_guest_code", tag = "bookings", security(("booking_secret" = [])),
    responses(
        (status = 202, description = "On its way", body = CodeSent),
        (status = 403, description = "`not_a_guest`: an account needs no code", body = Problem),
        (status = 404, description = "`not_found`: the secret opens nothing", body = Problem),
        (status = 409, description = "`no_address`: nobody knows where to send it", body = Problem),
        (status = 429, description = "`rate_limited`, with Retry-After", body = Problem),
    ),
)]
async fn send(
    State(app): State<AppState>,
    caller: Caller,
    client: Client,
) -> Result<(StatusCode, Json<CodeSent>), ApiError> {
    let Caller::Guest(guest) = &caller else {
        return Err(ApiError::forbidden_code("not_a_guest", "accounts need no code"));
    };
    require_sound(&app, guest).await?;
    let mut tx = app.db.tenant(guest.organizer_id).await?;
    let address = hand_on::address_of_secret(&mut tx, guest.organizer_id, &guest.secret_hash).await?;
    tx.commit().await?;
    let address =
        address.ok_or_else(|| ApiError::conflict("no_address", "this booking has no e-mail address"))?;
    allow_mail(&app, "ticket_code", client, &address).await?;
    allow_code(&app, &address).await?;
    let (id, now) = (app.rng.uuid(&*app.clock), app.clock.now());
    let secret = OneTime::new(&app.rng);
    let expires_at = now + TTL;
    let code = NewCode {
        code_id: id,
        secret_hash: &guest.secret_hash,
        email: &address,
        code_hash: &code_hash(&app.master_key, id, &secret.code),
        expires_at,
    };
    let mail = NewMail {
        id,
        kind: "ticket.code",
        recipient: &address,
        organizer_id: Some(guest.organizer_id),
        language: edge::language().as_str(),
        facts: &json!({ "minutes": TTL.whole_minutes() }),
        sealed_facts: Some(&seal(&app, id, &json!({ "code": *secret.code }))),
        expires_at: Some(expires_at),
    };
    let mut tx = app.db.tenant(guest.organizer_id).await?;
    guest_code::put(&mut tx, guest.organizer_id, &code, now).await?;
    outbox::enqueue(&mut tx, &mail, now).await?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, Json(CodeSent { sent_to: masked(&address), expires_at })))
}

/// Counts a code against those that an address may get within 24 hours: each of them can be guessed at five times.
async fn allow_code(app: &App, address: &str) -> Result<(), ApiError> {
    let more = if app.config.dev { 30 } else { 1 };
    let max = app.config.auth.mail_codes_per_day.saturating_mul(more);
    let mut tx = app.db.platform().await?;
    Daily { name: "ticket_code", max }.attempt(&mut tx, &*app.clock, address).await?;
    tx.commit().await?;
    Ok(())
}

/// 404 unless the secret opens a booking or a ticket.
pub(super) async fn require_sound(app: &App, guest: &Guest) -> Result<(), ApiError> {
    let mut tx = app.db.guest(&guest.secret_hash).await?;
    let tickets =
        crate::store::ticket::of_guest(&mut tx, guest.organizer_id, &guest.secret_hash, None, 1).await?;
    let booking =
        crate::store::booking::id_of_secret(&mut tx, guest.organizer_id, &guest.secret_hash).await?;
    tx.commit().await?;
    if tickets.is_empty() && booking.is_none() {
        return Err(ApiError::not_found("booking"));
    }
    Ok(())
}

/// Counts a mail of one kind that somebody asks for, to whom it goes and who asks. What is returned takes back the
/// former.
pub(super) async fn allow_mail(
    app: &App,
    name: &'static str,
    client: Client,
    email: &str,
) -> Result<Counted, ApiError> {
    let hourly = app.config.auth.mails_per_hour.saturating_mul(if app.config.dev { 30 } else { 1 });
    let limit = |max| Limit { name, max, window: std::time::Duration::from_secs(3_600) };
    let mut tx = app.db.platform().await?;
    // Many people share an address of the network.
    limit(hourly.saturating_mul(10)).attempt_in(&mut tx, &*app.clock, &[Whom::Client(client.addr)]).await?;
    let counted = limit(hourly).attempt_in(&mut tx, &*app.clock, &[Whom::Account(email)]).await?;
    tx.commit().await?;
    Ok(counted)
}

/// Lets accounts and staff pass; a guest only with the code of the last mail.
pub(super) async fn require_code(app: &App, caller: &Caller, code: Option<&str>) -> Result<(), ApiError> {
    let Caller::Guest(guest) = caller else { return Ok(()) };
    let code = code.ok_or_else(|| {
        ApiError::forbidden_code("code_required", "send the code of POST /bookings/code in the field `code`")
    })?;
    let mut tx = app.db.tenant(guest.organizer_id).await?;
    let stored =
        guest_code::try_one(&mut tx, guest.organizer_id, &guest.secret_hash, app.clock.now()).await?;
    // The try counts whatever comes of it.
    tx.commit().await?;
    let right = stored
        .as_ref()
        .filter(|stored| is_code(&app.master_key, stored.code_id, code.trim(), &stored.code_hash));
    let Some(stored) = right else {
        return Err(ApiError::forbidden_code(
            "wrong_code",
            "this is not the code, or it is over: ask for another",
        ));
    };
    let mut tx = app.db.tenant(guest.organizer_id).await?;
    guest_code::was_right(&mut tx, guest.organizer_id, &guest.secret_hash, stored.code_id).await?;
    tx.commit().await?;
    Ok(())
}

fn masked(address: &str) -> String {
    match address.split_once('@') {
        Some((name, domain)) => {
            let first: String = name.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => "***".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_to_who_knows_it_already() {
        assert_eq!(masked("guest@example.org"), "g***@example.org");
        assert_eq!(masked("@example.org"), "***@example.org");
    }
}
