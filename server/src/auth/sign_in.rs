//! Signing in with a password, for whoever then opens a session; and where sign-ins come from.

use std::net::IpAddr;

use ring::hmac;

use super::limit::{Limit, Refused, Whom};
use super::password::HashError;
use crate::app::App;
use crate::domain::account::{Email, Password};
use crate::keys::MasterKey;
use crate::network::Network;
use crate::store::Tx;
use crate::store::users::{self, User};

/// Why a password does not sign anybody in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("address or password is wrong")]
    Wrong,
    #[error("the address is not confirmed")]
    Unconfirmed,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The account of an address and a password, after as much time for an unknown address as for a wrong password, and its
/// transaction, in which the sign-in is noted: the caller opens a session there and commits. However it is asked for, a
/// sign-in has one limit.
pub async fn by_password(
    app: &App,
    client: IpAddr,
    email: &str,
    password: &Password,
) -> Result<(Tx, User), SignInError> {
    let whom = [Whom::Client(client), Whom::Account(email.trim())];
    // What cannot be an address has no account. It is looked for all the same, to take as long.
    let email = Email::parse(email).map_or_else(|_| String::new(), |email| email.as_str().to_owned());
    let mut tx = app.db.platform().await?;
    let counted = limit(app).attempt_in(&mut tx, &*app.clock, &whom).await?;
    let user = users::by_email(&mut tx, &email).await?;
    tx.commit().await?;
    // No connection is held while the password waits in line.
    let stored = user.as_ref().and_then(|user| user.secret.0.as_deref());
    if !app.passwords.verify(password, stored).await? {
        return Err(SignInError::Wrong);
    }
    let user = user.ok_or(SignInError::Wrong)?;
    if user.email_confirmed_at.is_none() {
        return Err(SignInError::Unconfirmed);
    }
    let mut tx = app.db.user(user.id).await?;
    let user = users::signed_in(&mut tx, user.id, &user.secret, app.clock.now()).await?;
    // Many people share an address; only wrong passwords count against it. The account's own count stays.
    counted.take_back(&mut tx, 0).await?;
    Ok((tx, user.ok_or(SignInError::Wrong)?))
}

/// Whether whoever holds a session of `user` knows the password. Counts as an attempt to sign in.
pub async fn knows_password(
    app: &App,
    client: IpAddr,
    user: &User,
    password: &Password,
) -> Result<bool, SignInError> {
    let whom = [Whom::Client(client), Whom::Account(&user.email)];
    limit(app).attempt(&app.db, &*app.clock, &whom).await?;
    Ok(app.passwords.verify(password, user.secret.0.as_deref()).await?)
}

fn limit(app: &App) -> Limit {
    Limit::per_minute("login", app.config.auth.logins_per_minute)
}

/// A place from which an account signs in: browser and network, as a hash that only this server can make.
pub fn place(master: &MasterKey, client: IpAddr, user_agent: Option<&str>) -> [u8; 32] {
    let key = master.subkey("hvflvspot/known-client/v1\0");
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*key));
    context.update(&Network::from(client).to_bytes());
    context.update(b"\0");
    context.update(user_agent.unwrap_or_default().as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}
