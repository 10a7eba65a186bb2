//! The audit's chain: written a little after the acts, and proven by `hvflvspot audit verify`.

use std::fmt;

use serde_json::json;
use uuid::Uuid;

use crate::app::AppState;
use crate::clock::{Clock, SharedRng, SystemClock};
use crate::config::Config;
use crate::domain::audit_chain::{KEY_PURPOSE, START, link};
use crate::serve::Database;
use crate::store::{Db, audit, directory, is_unique_violation, migrate};

const AT_ONCE: i64 = 1_000;
/// An act may be committed so long after its id was made and still be chained; one that turns up later was not
/// written by this server.
const LATE_MS: u64 = 10 * 60 * 1_000;

/// Chains what an organizer's acts have become more since the last time.
///
/// # Errors
/// The database's.
pub async fn extend(app: &AppState, organizer_id: Uuid) -> Result<(), sqlx::Error> {
    let key = app.master_key.subkey(KEY_PURPOSE);
    loop {
        let mut tx = app.db.worker_tenant(organizer_id).await?;
        let head = audit::head(&mut tx, organizer_id).await?;
        // By our own clock too: a head from a clock that was ahead must not shut out what came meanwhile.
        let now = Uuid::from_u128(u128::from(unix_ms(&*app.clock)) << 80);
        let from = head.map_or(Uuid::nil(), |(_, last, _)| earlier(last.min(now)));
        let acts = audit::unchained(&mut tx, organizer_id, from, AT_ONCE).await?;
        let (first, mut before) = head.map_or((1, START), |(seq, _, link)| (seq + 1, link));
        let mut links = Vec::with_capacity(acts.len());
        for (seq, act) in (first..).zip(&acts) {
            before = link(&key, organizer_id, seq, &before, act);
            links.push((act.audit_id, before));
        }
        match audit::chain(&mut tx, organizer_id, first, &links).await {
            Ok(()) => tx.commit().await?,
            // Another server was quicker.
            Err(e) if is_unique_violation(&e, "audit_chain") => return Ok(()),
            Err(e) => return Err(e),
        }
        if i64::try_from(links.len()).unwrap_or(i64::MAX) < AT_ONCE {
            return Ok(());
        }
    }
}

fn unix_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
}

/// The smallest id of [`LATE_MS`] before this one (RFC 9562, section 5.7: the first 48 bits are milliseconds).
fn earlier(id: Uuid) -> Uuid {
    let ms = u64::try_from(id.as_u128() >> 80).unwrap_or(0);
    Uuid::from_u128(u128::from(ms.saturating_sub(LATE_MS)) << 80)
}

/// What a check of one organizer's chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub organizer_id: Uuid,
    /// Links that are as they were written.
    pub proven: u64,
    /// The last of them.
    pub head: [u8; 32],
    /// Acts not chained yet: the job comes to them within a minute.
    pub waiting: u64,
    /// What is not as it was written, if anything.
    pub broken: Option<String>,
}

impl Report {
    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "organizer_id": self.organizer_id, "proven": self.proven, "head": hex::encode(self.head),
            "waiting": self.waiting, "broken": self.broken,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { organizer_id, proven, waiting, .. } = self;
        write!(f, "{organizer_id}  {proven} proven, {waiting} waiting, head {}", hex::encode(self.head))?;
        if let Some(broken) = &self.broken {
            write!(f, "\n  BROKEN: {broken}")?;
        }
        Ok(())
    }
}

/// Proves every organizer's chain. Works beside a running server.
///
/// # Errors
/// The database cannot be reached.
pub async fn verify(config: &Config) -> anyhow::Result<Vec<Report>> {
    let database = Database::join_or_open(config, &SharedRng::from_system()).await?;
    migrate::run(&database.endpoint).await?;
    let db = Db::connect(&database.endpoint, 2).await?;
    let key = database.master_key.subkey(KEY_PURPOSE);
    let outcome = verify_all(&db, &key).await;
    db.close().await;
    database.close().await?;
    Ok(outcome?)
}

/// Proves every organizer's chain under `key`.
///
/// # Errors
/// The database's.
pub async fn verify_all(db: &Db, key: &[u8; 32]) -> Result<Vec<Report>, sqlx::Error> {
    let mut tx = db.worker_platform().await?;
    let organizers = directory::organizers(&mut tx).await?;
    tx.commit().await?;
    let mut reports = Vec::with_capacity(organizers.len());
    for organizer_id in organizers {
        reports.push(prove(db, key, organizer_id).await?);
    }
    Ok(reports)
}

async fn prove(db: &Db, key: &[u8; 32], organizer_id: Uuid) -> Result<Report, sqlx::Error> {
    let mut report = Report { organizer_id, proven: 0, head: START, waiting: 0, broken: None };
    let mut last = Uuid::nil();
    let mut tx = db.worker_tenant(organizer_id).await?;
    loop {
        let links = audit::links(&mut tx, organizer_id, report.proven, AT_ONCE).await?;
        for found in &links {
            let seq = report.proven + 1;
            if found.seq != seq {
                report.broken = Some(format!("link {seq} is missing"));
                return Ok(report);
            }
            let Some(act) = &found.act else {
                report.broken = Some(format!("act {} of link {seq} is gone", found.audit_id));
                return Ok(report);
            };
            let expected = link(key, organizer_id, seq, &report.head, act);
            if expected != found.link {
                report.broken = Some(format!("act {} of link {seq} is not what was written", found.audit_id));
                return Ok(report);
            }
            (report.proven, report.head, last) = (seq, expected, found.audit_id);
        }
        if links.is_empty() {
            break;
        }
    }
    let now = Uuid::from_u128(u128::from(unix_ms(&SystemClock)) << 80);
    let late = earlier(last.min(now));
    for act in audit::unchained(&mut tx, organizer_id, Uuid::nil(), AT_ONCE).await? {
        if act.audit_id < late {
            report.broken = Some(format!("act {} was slipped in behind the chain", act.audit_id));
            return Ok(report);
        }
        report.waiting += 1;
    }
    Ok(report)
}
