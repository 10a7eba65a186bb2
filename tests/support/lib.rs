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

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Waits until `there` says so, asking again and again: for what happens in another process (a database, a server) and
/// tells nobody. What does tell is to be awaited instead.
///
/// # Errors
/// `there` fails, or it does not come about within half a minute.
pub async fn until(what: &str, mut there: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let asking = async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        loop {
            again.tick().await;
            if there().await? {
                return anyhow::Ok(());
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(30), asking).await;
    ended.with_context(|| format!("in half a minute not: {what}"))?
}
