//! `hvflvspot admin create`: the first administrator cannot come from the API.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::auth::password::Passwords;
use crate::clock::{Clock as _, SharedRng, SystemClock};
use crate::config::Config;
use crate::domain::account::{Email, MIN_ADMIN_PASSWORD, Password, PlatformRole};
use crate::serve::Database;
use crate::store::users::{self, NewUser, PasswordHash, User};
use crate::store::{Db, migrate};

/// Makes an administrator. Works beside a running server of the same data folder.
/// With `promote` an account that exists becomes one and keeps its password.
///
/// # Errors
/// The address or password is not accepted; the account exists, or does not where it must.
pub async fn create(config: &Config, email: &str, promote: bool) -> anyhow::Result<User> {
    let email = Email::parse(email)?;
    let rng = SharedRng::from_system();
    let new = if promote { None } else { Some(new_password(&email)?) };
    let database = Database::join_or_open(config, &rng).await?;
    migrate::run(&database.endpoint).await?;
    let db = Db::connect(&database.endpoint, 2).await?;
    let outcome = match new {
        Some(password) => insert(&db, &email, &password, &rng).await,
        None => raise(&db, &email).await,
    };
    db.close().await;
    database.close().await?;
    outcome
}

async fn insert(db: &Db, email: &Email, password: &Password, rng: &SharedRng) -> anyhow::Result<User> {
    let hash = Passwords::new(rng.clone()).hash(password).await?;
    let new = NewUser {
        id: rng.uuid(&SystemClock),
        email: email.as_str(),
        password_hash: PasswordHash(Some(hash)),
        confirmed: true,
        role: PlatformRole::Admin,
        user_metadata: &serde_json::json!({}),
        language: crate::domain::language::Language::En,
    };
    let mut tx = db.platform().await?;
    let user = users::insert(&mut tx, &new, SystemClock.now()).await?;
    tx.commit().await?;
    user.with_context(|| {
        format!("the account {} exists: add --promote to make it an administrator", email.as_str())
    })
}

async fn raise(db: &Db, email: &Email) -> anyhow::Result<User> {
    let mut tx = db.platform().await?;
    let user = users::make_admin(&mut tx, email.as_str(), SystemClock.now()).await?;
    tx.commit().await?;
    user.with_context(|| format!("there is no account {}", email.as_str()))
}

/// From the terminal, unseen and twice, or the first line of standard input.
fn new_password(email: &Email) -> anyhow::Result<Password> {
    let password = if std::io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if first.as_bytes() != ask("Again: ")?.as_bytes() {
            bail!("the two passwords differ");
        }
        first
    } else {
        read_line()?
    };
    password.check(email, MIN_ADMIN_PASSWORD)?;
    Ok(password)
}

fn ask(prompt: &str) -> anyhow::Result<Password> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let line = read_line();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    writeln!(stderr)?;
    line
}

fn read_line() -> anyhow::Result<Password> {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("a password is expected on standard input");
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(Password::new(line))
}
