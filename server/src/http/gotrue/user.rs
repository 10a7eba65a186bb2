//! The account itself: read it, change address, password, metadata.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::auth::insufficient_aal;
use super::super::edge::Client;
use super::super::error::ApiError;
use super::super::extract::{ApiJson, ApiQuery};
use super::super::{notice, totp};
use super::bearer::SignedIn;
use super::letter::{self, Flow, send_token};
use super::otp::RedirectQuery;
use super::shape::UserJson;
use super::token::refused;
use super::verify::by_code;
use super::{
    GoTrueError, autoconfirm, bad_request, invalid_email, metadata_or_database, new_metadata, new_password,
};
use crate::app::{App, AppState};
use crate::auth::sign_in;
use crate::domain::access::Aal;
use crate::domain::account::{Email, MIN_ADMIN_PASSWORD, MIN_PASSWORD, Password, PlatformRole, RECENT};
use crate::domain::one_time::Purpose;
use crate::store::sessions::{self, Ending};
use crate::store::users::{self, Changes, User};
use crate::store::{self, one_time};

/// What to change; further members are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct UserChanges {
    email: Option<String>,
    #[schema(value_type = Option<String>)]
    password: Option<Password>,
    /// Needed for a new address or password when the session is older than a day.
    #[schema(value_type = Option<String>)]
    current_password: Option<Password>,
    /// The code of `GET /auth/v1/reauthenticate`: as good as `current_password`.
    nonce: Option<String>,
    /// RFC 7636, for the link of the mail that confirms a new address.
    code_challenge: Option<String>,
    /// `s256` or `plain`.
    code_challenge_method: Option<String>,
    phone: Option<String>,
    /// Members to set in the user's metadata; null removes one.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// The signed-in account.
#[utoipa::path(
    get, path = "/auth/v1/user", operation_id = "auth_user", tag = "accounts", security(("bearer" = [])),
    responses(
        (status = 200, body = UserJson),
        (status = 401, description = "`no_authorization`, `bad_jwt`, `session_not_found`", body = GoTrueError),
    ),
)]
pub(super) async fn read(signed_in: SignedIn) -> Json<UserJson> {
    Json(UserJson::of(&signed_in.user))
}

/// Changes the signed-in account. A new password ends all of its other sessions; a new address takes effect once
/// the mail to it was followed. With a second factor in force both take a session of level `aal2`, however it began: a
/// mail proves one factor alone.
#[utoipa::path(
    put, path = "/auth/v1/user", operation_id = "auth_update_user", tag = "accounts", security(("bearer" = [])), params(RedirectQuery), request_body = UserChanges,
    responses(
        (status = 200, body = UserJson),
        (status = 400, description = "`validation_failed`, `phone_provider_disabled`, `reauthentication_needed`, `invalid_credentials`", body = GoTrueError),
        (status = 401, description = "`no_authorization`, `bad_jwt`, `session_not_found`", body = GoTrueError),
        (status = 403, description = "`insufficient_aal`: show the second factor first, POST /auth/totp/verify", body = GoTrueError),
        (status = 422, description = "`weak_password`, `same_password`, `email_exists`, `reauthentication_not_valid`", body = GoTrueError),
        (status = 429, description = "`over_request_rate_limit`, `over_email_send_rate_limit`, with Retry-After", body = GoTrueError),
    ),
)]
pub(super) async fn change(
    State(app): State<AppState>,
    client: Client,
    signed_in: SignedIn,
    ApiQuery(query): ApiQuery<RedirectQuery>,
    ApiJson(body): ApiJson<UserChanges>,
) -> Result<Json<UserJson>, ApiError> {
    let user = &signed_in.user;
    if body.phone.is_some_and(|phone| !phone.is_empty()) {
        return Err(bad_request("phone_provider_disabled", "Phone numbers are not kept here"));
    }
    let email = body
        .email
        .as_deref()
        .map(|text| Email::parse(text).map_err(invalid_email))
        .transpose()?
        .filter(|email| email.as_str() != user.email);
    let flow = Flow::new(query.redirect_to, body.code_challenge, body.code_challenge_method.as_deref())?;
    if email.is_some() || body.password.is_some() {
        require_aal2(&app, &signed_in).await?;
        prove(&app, client, &signed_in, body.current_password.as_ref(), body.nonce.as_deref()).await?;
    }
    let password_hash = match &body.password {
        Some(_) => Some(hash_new(&app, &signed_in, email.as_ref(), body.password.as_ref()).await?),
        None => None,
    };
    let (removed, set): (Map<_, _>, Map<_, _>) =
        new_metadata(body.data)?.into_iter().partition(|(_, value)| value.is_null());
    let remove: Vec<String> = removed.into_iter().map(|(name, _)| name).collect();
    let set = Value::Object(set);
    // Now, or once the mail to it was followed.
    let (email_now, email_later) = if autoconfirm(&app) { (email, None) } else { (None, email) };
    let with_code = match &email_later {
        Some(email) => letter::allow(&app, client, email.as_str()).await?,
        None => false,
    };
    let changes = Changes {
        email: email_now.as_ref().map(Email::as_str),
        password_hash: password_hash.as_deref(),
        set: Some(&set),
        remove: &remove,
    };

    let now = app.clock.now();
    let mut tx = app.db.user(user.id).await?;
    let changed = users::change(&mut tx, user.id, &user.secret, &changes, now).await.map_err(|e| {
        if store::is_unique_violation(&e, "users_email") {
            ApiError::unprocessable(
                "email_exists",
                "A user with this email address has already been registered",
            )
        } else {
            metadata_or_database(e)
        }
    })?;
    let Some(changed) = changed else {
        return Err(ApiError::conflict("conflict", "The password was changed at the same time"));
    };
    if password_hash.is_some() {
        sessions::revoke(&mut tx, user.id, Ending::AllBut(signed_in.session.id), now).await?;
        // Links that were sent before are keys to the account too.
        one_time::forget(&mut tx, user.id).await?;
        // Guesses at the second factor were made by who knew the old password.
        totp::forget_guesses(&mut tx, user.id).await?;
        notice::send(&app, &mut tx, ("auth.password_changed", &json!({})), &changed.email, None, now).await?;
    }
    tx.commit().await?;
    if let Some(email) = &email_later {
        begin_email_change(&app, &changed, (email, with_code), &flow).await?;
    }
    Ok(Json(UserJson::of(&changed).with_new_email(email_later.map(|email| email.as_str().to_owned()))))
}

/// Mails to the new address, to confirm it, and to the old one, to tell. Of a taken address nothing is told.
async fn begin_email_change(
    app: &App,
    user: &User,
    (email, with_code): (&Email, bool),
    flow: &Flow,
) -> Result<(), ApiError> {
    let now = app.clock.now();
    let mut tx = app.db.platform().await?;
    if users::by_email(&mut tx, email.as_str()).await?.is_none() {
        let to = (email.as_str(), with_code);
        send_token(app, &mut tx, user.id, Purpose::EmailChange, to, flow, now).await?;
        let facts = json!({ "new_email": email.as_str() });
        notice::send(app, &mut tx, ("auth.email_change_notice", &facts), &user.email, None, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn require_aal2(app: &App, signed_in: &SignedIn) -> Result<(), ApiError> {
    if signed_in.aal == Aal::Aal2 {
        return Ok(());
    }
    let mut tx = app.db.user(signed_in.user.id).await?;
    let on = store::totp::is_on(&mut tx, signed_in.user.id).await?;
    tx.commit().await?;
    if on { Err(insufficient_aal()) } else { Ok(()) }
}

/// An access token alone, perhaps a stolen one, must not take the account over: the session is young, or
/// the password is told once more.
async fn prove(
    app: &App,
    client: Client,
    signed_in: &SignedIn,
    current: Option<&Password>,
    nonce: Option<&str>,
) -> Result<(), ApiError> {
    if let Some(nonce) = nonce.filter(|text| !text.is_empty()) {
        let now = app.clock.now();
        let found = by_code(app, &signed_in.user.email, nonce, &[Purpose::Reauthentication], now)
            .await?
            .filter(|f| f.user_id == signed_in.user.id);
        let mut tx = app.db.user(signed_in.user.id).await?;
        let used = match found {
            Some(found) => one_time::take_by_id(&mut tx, found.id).await?,
            None => false,
        };
        tx.commit().await?;
        return match used {
            true => Ok(()),
            false => Err(ApiError::unprocessable(
                "reauthentication_not_valid",
                "The code is wrong, used or too old",
            )),
        };
    }
    let Some(current) = current else {
        if app.clock.now() - signed_in.session.created_at < RECENT {
            return Ok(());
        }
        return Err(bad_request(
            "reauthentication_needed",
            "Sign in again, or send current_password, to change address or password",
        ));
    };
    match sign_in::knows_password(app, client.addr, &signed_in.user, current).await.map_err(refused)? {
        true => Ok(()),
        false => Err(bad_request("invalid_credentials", "The current password is wrong")),
    }
}

async fn hash_new(
    app: &App,
    signed_in: &SignedIn,
    email: Option<&Email>,
    password: Option<&Password>,
) -> Result<String, ApiError> {
    let user = &signed_in.user;
    let own = Email::parse(&user.email).map_err(ApiError::internal)?;
    let at_least = if user.role == PlatformRole::Admin { MIN_ADMIN_PASSWORD } else { MIN_PASSWORD };
    let password = new_password(password, email.unwrap_or(&own), at_least)?;
    if app.passwords.verify(password, user.secret.0.as_deref()).await? {
        return Err(ApiError::unprocessable(
            "same_password",
            "New password should be different from the old password.",
        ));
    }
    Ok(app.passwords.hash(password).await?)
}
