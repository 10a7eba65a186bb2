//! What the tests stand on: real processes, real databases, a site with an organizer and gates.

pub mod books;
pub mod db;
mod documented;
pub mod mail_server;
pub mod process;
pub mod recorder;
pub mod server;
pub mod site;
pub mod stripe_double;
#[cfg(feature = "window")]
pub mod window;

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::MissedTickBehavior;

/// Waits until `there` says so, asking again and again: for what happens in another process (a database, a server) and
/// tells nobody. What does tell is to be awaited instead.
///
/// # Errors
/// `there` fails, or it does not come about within half a minute.
pub async fn until(what: &str, there: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    until_within(what, Duration::from_secs(30), there).await
}

/// The same for what takes longer.
///
/// # Errors
/// `there` fails, or it does not come about in time.
pub async fn until_within(
    what: &str,
    patience: Duration,
    mut there: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let asking = async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        // Who answers slowly is not asked the faster for it.
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            if there().await? {
                return anyhow::Ok(());
            }
        }
    };
    let ended = tokio::time::timeout(patience, asking).await;
    ended.with_context(|| format!("in {} s not: {what}", patience.as_secs()))?
}
