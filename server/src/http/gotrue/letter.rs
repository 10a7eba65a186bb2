//! One-time tokens on their way by mail, and where their links lead back to.

use reqwest::Url;
use serde_json::json;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::super::edge::Client;
use super::super::error::ApiError;
use super::bad_request;
use crate::app::App;
use crate::auth::limit::{Daily, Limit, Refused, Whom};
use crate::auth::one_time::{OneTime, code_hash, token_hash};
use crate::domain::one_time::{Purpose, is_challenge, may_return_to};
use crate::jobs::outbox::seal;
use crate::store::Tx;
use crate::store::one_time::{self, NewToken};
use crate::store::outbox::{self, NewMail};
use crate::store::users;

/// How a sign-in that begins with a mail goes on.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub redirect_to: Option<String>,
    /// (challenge, method) of RFC 7636: the link gives a code for whoever knows the verifier, no session.
    pub challenge: Option<(String, &'static str)>,
}

impl Flow {
    pub fn new(
        redirect_to: Option<String>,
        challenge: Option<String>,
        method: Option<&str>,
    ) -> Result<Self, ApiError> {
        let challenge = match challenge.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) if !is_challenge(&text) => {
                return Err(bad_request(
                    "validation_failed",
                    "code_challenge has to be 43 to 128 characters",
                ));
            }
            Some(text) => match method.map(str::to_ascii_lowercase).as_deref() {
                Some("s256") => Some((text, "s256")),
                Some("plain") => Some((text, "plain")),
                _ => {
                    return Err(bad_request(
                        "validation_failed",
                        "code_challenge_method must be s256 or plain",
                    ));
                }
            },
        };
        Ok(Self { redirect_to, challenge })
    }
}

/// Counts a mail to `email` on request of `client`, whether or not there is such an account. False if it may carry its
/// link alone: each code can be guessed five times, so there are only so many of them a day. The link cannot be guessed,
/// so that whoever uses the day's codes up keeps nobody from signing in.
pub(super) async fn allow(app: &App, client: Client, email: &str) -> Result<bool, ApiError> {
    let mut tx = app.db.platform().await?;
    count_mail(app, &mut tx, client, email).await?;
    let with_code = match codes(app, "mail_code").attempt(&mut tx, &*app.clock, email).await {
        Ok(_) => true,
        Err(Refused::TooMany { .. }) => false,
        Err(Refused::Database(e)) => return Err(e.into()),
    };
    tx.commit().await?;
    Ok(with_code)
}

/// The same for a mail that is nothing but its code. Counted by itself: nobody but the account's own sessions ask for it.
pub(super) async fn allow_nonce(app: &App, client: Client, email: &str) -> Result<(), ApiError> {
    let mut tx = app.db.platform().await?;
    count_mail(app, &mut tx, client, email).await?;
    codes(app, "nonce_code").attempt(&mut tx, &*app.clock, email).await.map_err(too_many)?;
    tx.commit().await?;
    Ok(())
}

async fn count_mail(app: &App, tx: &mut Tx, client: Client, email: &str) -> Result<(), ApiError> {
    let hourly = app.config.auth.mails_per_hour.saturating_mul(in_development(app));
    let limit = |max| Limit { name: "auth_mail", max, window: std::time::Duration::from_secs(3_600) };
    // Many people share an address of the network.
    limit(hourly.saturating_mul(10))
        .attempt_in(tx, &*app.clock, &[Whom::Client(client.addr)])
        .await
        .map_err(too_many)?;
    limit(hourly).attempt_in(tx, &*app.clock, &[Whom::Account(email)]).await.map_err(too_many)?;
    Ok(())
}

fn codes(app: &App, name: &'static str) -> Daily {
    Daily { name, max: app.config.auth.mail_codes_per_day.saturating_mul(in_development(app)) }
}

/// How much more is allowed where somebody tries things out.
fn in_development(app: &App) -> u32 {
    if app.config.dev { 30 } else { 1 }
}

fn too_many(refused: Refused) -> ApiError {
    match refused {
        Refused::TooMany { retry_after } => ApiError::new(
            axum::http::StatusCode::TOO_MANY_REQUESTS,
            "over_email_send_rate_limit",
            "For security purposes, you can only request this again later",
        )
        .with_retry_after(retry_after),
        Refused::Database(e) => ApiError::from(e),
    }
}

/// Makes a token of the account and puts its mail into the outbox, in the caller's transaction; with a code to type or
/// with its link alone, as [`allow`] says.
pub(super) async fn send_token(
    app: &App,
    conn: &mut PgConnection,
    user_id: Uuid,
    purpose: Purpose,
    (to, with_code): (&str, bool),
    flow: &Flow,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let minutes = app.config.auth.otp_minutes;
    let expires_at = now + Duration::minutes(minutes.into());
    let id = app.rng.uuid(&*app.clock);
    let secret = OneTime::new(&app.rng);
    let code_hash = with_code.then(|| code_hash(&app.master_key, id, &secret.code));
    let token = NewToken {
        id,
        user_id,
        purpose,
        email: to,
        token_hash: &token_hash(&secret.token),
        code_hash: code_hash.as_ref(),
        challenge: flow.challenge.as_ref().map(|(text, method)| (text.as_str(), *method)),
        expires_at,
    };
    one_time::put(conn, &token, now).await?;
    let kind = match purpose {
        Purpose::Signup => "auth.confirm",
        Purpose::Recovery => "auth.recovery",
        Purpose::EmailChange => "auth.email_change",
        Purpose::Reauthentication => "auth.reauthentication",
        Purpose::MagicLink | Purpose::Pkce => "auth.magic_link",
    };
    let facts = json!({
        "link": link(app, purpose, &secret.token, flow.redirect_to.as_deref()).as_str(),
        "code": with_code.then_some(secret.code.as_str()),
    });
    let mail = app.rng.uuid(&*app.clock);
    let language = users::language(conn, user_id).await?;
    let letter = NewMail {
        id: mail,
        kind,
        recipient: to,
        organizer_id: None,
        language: language.as_str(),
        facts: &json!({ "minutes": minutes }),
        sealed_facts: Some(&seal(app, mail, &facts)),
        expires_at: Some(expires_at),
    };
    outbox::enqueue(conn, &letter, now).await
}

fn link(app: &App, purpose: Purpose, token: &str, redirect_to: Option<&str>) -> Url {
    let mut url = site(app);
    url.set_path("/auth/v1/verify");
    url.query_pairs_mut()
        .append_pair("token", token)
        .append_pair("type", purpose.link_type())
        .append_pair("redirect_to", return_url(app, redirect_to).as_str());
    url
}

/// Where to go back to: as wished, if that is allowed, else to our own front page.
pub(super) fn return_url(app: &App, wished: Option<&str>) -> Url {
    wished
        .and_then(|text| Url::parse(text).ok())
        .filter(|url| is_allowed(app, url))
        .unwrap_or_else(|| site(app))
}

fn is_allowed(app: &App, url: &Url) -> bool {
    let Some(origin) = crate::config::origin_of(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let ours = crate::config::origin_of(&site(app));
    ours.as_deref() == Some(&origin)
        || may_return_to(&origin, host, url.scheme(), &app.config.auth.redirect_urls, app.config.dev)
}

fn site(app: &App) -> Url {
    Url::parse(app.config.link_origin()).expect("the configuration checked the public URL")
}
