//! Limits on attempts: so many within a window, for each account and each client address ([`Limit`]); so many a day,
//! whatever happens to the server meanwhile ([`Daily`]).

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::network::Network;
use crate::store::{Db, Tx, daily, limits};

/// So many attempts within a window.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// What is limited; part of the key.
    pub name: &'static str,
    pub max: u32,
    /// An hour at most: older attempts are forgotten.
    pub window: Duration,
}

/// Whom a limit counts.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// By address, in whatever case; the account need not exist.
    Account(&'a str),
    Client(IpAddr),
}

/// Counted attempts, to take back where they turn out to be none.
#[derive(Debug)]
pub struct Counted {
    keys: Vec<[u8; 32]>,
    at: OffsetDateTime,
}

/// Why an attempt may not be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("too many attempts")]
    TooMany { retry_after: Duration },
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Limit {
    pub fn per_minute(name: &'static str, max: u32) -> Self {
        Self { name, max, window: Duration::from_secs(60) }
    }

    /// Counts an attempt of each if every one of them has room, else of none. At once: what the request
    /// does later changes nothing.
    pub async fn attempt(self, db: &Db, clock: &dyn Clock, whom: &[Whom<'_>]) -> Result<Counted, Refused> {
        let mut tx = db.platform().await?;
        let counted = self.attempt_in(&mut tx, clock, whom).await?;
        tx.commit().await?;
        Ok(counted)
    }

    /// The same in a transaction that the caller commits before it goes on, or drops when refused. The
    /// callers of one limit name clients and accounts in one order, so that two attempts cannot wait for
    /// each other.
    pub async fn attempt_in(
        self,
        tx: &mut Tx,
        clock: &dyn Clock,
        whom: &[Whom<'_>],
    ) -> Result<Counted, Refused> {
        let at = as_kept(clock.now());
        let window = time::Duration::new(self.window.as_secs().cast_signed(), 0);
        let mut counted = Counted { keys: Vec::with_capacity(whom.len()), at };
        for one in whom {
            let key = key(self.name, *one);
            if let Some(wait) = limits::attempt(tx, &key, self.max, window, at).await? {
                return Err(Refused::TooMany { retry_after: wait.unsigned_abs() });
            }
            counted.keys.push(key);
        }
        Ok(counted)
    }
}

/// So many within any 24 hours, counted for one account, address or organizer, by whatever names it.
#[derive(Debug, Clone, Copy)]
pub struct Daily {
    /// What is limited; part of the key.
    pub name: &'static str,
    pub max: u32,
}

/// An attempt of the day.
#[derive(Debug, Clone, Copy)]
pub struct OfToday {
    key: [u8; 32],
    at: OffsetDateTime,
    /// There is no other after it.
    pub last: bool,
}

impl Daily {
    /// Counts an attempt if there is room. In the caller's transaction.
    pub async fn attempt(
        self,
        conn: &mut PgConnection,
        clock: &dyn Clock,
        whom: &str,
    ) -> Result<OfToday, Refused> {
        let (key, at) = (key(self.name, Whom::Account(whom)), as_kept(clock.now()));
        match daily::attempt(conn, &key, self.max, at).await? {
            daily::Outcome::Counted(nth) => {
                Ok(OfToday { key, at, last: i64::from(nth) >= i64::from(self.max) })
            }
            daily::Outcome::Full(wait) => Err(Refused::TooMany { retry_after: wait.unsigned_abs() }),
        }
    }

    /// Whether this is the first within 24 hours; counts it then.
    pub async fn first(
        name: &'static str,
        conn: &mut PgConnection,
        clock: &dyn Clock,
        whom: &str,
    ) -> Result<bool, sqlx::Error> {
        match (Self { name, max: 1 }).attempt(conn, clock, whom).await {
            Ok(_) => Ok(true),
            Err(Refused::TooMany { .. }) => Ok(false),
            Err(Refused::Database(e)) => Err(e),
        }
    }

    /// Begins anew.
    pub async fn forget(self, conn: &mut PgConnection, whom: &str) -> Result<(), sqlx::Error> {
        daily::forget(conn, &key(self.name, Whom::Account(whom))).await
    }
}

impl OfToday {
    /// It was none after all.
    pub async fn take_back(self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        daily::take_back(conn, &self.key, self.at).await
    }
}

/// As the database keeps it, so that the attempt is found again.
fn as_kept(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.microsecond() * 1_000).unwrap_or(at)
}

fn key(name: &str, whom: Whom<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"hvflvspot/rate-limit/v1\0");
    hash.update(name.as_bytes());
    match whom {
        Whom::Account(email) => {
            hash.update(b"\0account\0");
            hash.update(email.to_lowercase().as_bytes());
        }
        Whom::Client(addr) => {
            hash.update(b"\0client\0");
            hash.update(Network::from(addr).to_bytes());
        }
    }
    hash.finalize().into()
}

impl Counted {
    /// The `nth` of those counted was none after all, as of a client that proved to know the password.
    pub async fn take_back(&self, tx: &mut Tx, nth: usize) -> Result<(), sqlx::Error> {
        match self.keys.get(nth) {
            Some(key) => limits::take_back(tx, key, self.at).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_count_in_any_case_and_ipv6_by_network() {
        let of = |email: &'static str| super::key("login", Whom::Account(email));
        let key = |text: &str| super::key("login", Whom::Client(text.parse().unwrap()));
        assert_eq!(of("A@b.de"), of("a@B.de"));
        assert_ne!(of("a@b.de"), of("c@b.de"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_ne!(key("10.0.0.1"), super::key("signup", Whom::Client("10.0.0.1".parse().unwrap())));
    }
}
