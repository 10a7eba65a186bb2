//! Signing in with a password, for whoever then opens a session; and where sign-ins come from.

use std::net::IpAddr;

use ring::hmac;

use super::limit::{Counted, Limit, Refused, Whom, network};
use super::password::HashError;
use crate::app::App;
use crate::domain::account::{Email, Password};
use crate::keys::MasterKey;
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

/// The account of an address and a password, after as much time for an unknown address as for a wrong
/// password. The attempts counted are the client's first; they share their limit with every other sign-in.
pub async fn by_password(
    app: &App,
    client: IpAddr,
    email: &str,
    password: &Password,
) -> Result<(User, Counted), SignInError> {
    let whom = [Whom::Client(client), Whom::Account(email.trim())];
    let limit = Limit::per_minute("login", app.config.auth.logins_per_minute);
    // What cannot be an address has no account. It is looked for all the same, to take as long.
    let email = Email::parse(email).map_or_else(|_| String::new(), |email| email.as_str().to_owned());
    let mut tx = app.db.platform().await?;
    let counted = limit.attempt_in(&mut tx, &*app.clock, &whom).await?;
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
    Ok((user, counted))
}

/// A place from which an account signs in: browser and network, as a hash that only this server can make.
pub fn place(master: &MasterKey, client: IpAddr, user_agent: Option<&str>) -> [u8; 32] {
    let key = master.subkey("hvflvspot/known-client/v1\0");
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &*key));
    context.update(&network(client));
    context.update(b"\0");
    context.update(user_agent.unwrap_or_default().as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}
