//! `hvflvspot bench`: figures beside the floor of the same run.

mod events;
pub mod fill;
mod log;
mod login;
mod manifest;
mod recommend;
pub mod report;
mod sale;
mod scan;
mod search;
mod services;
pub mod site;

use clap::ValueEnum;
use report::Report;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// One scan at the gate, from text to durable verdict
    Scan,
    /// Uploading queued scans
    Log,
    /// A manifest from the server to a gate's disk
    Manifest,
    /// Signing in, and who am I
    Login,
    /// Bookings on one hot ticket type
    Sale,
    /// Recommendations on a simulated history
    Recommend,
    /// Searching 100,000 synthetic events
    Search,
    /// Each service beside the times of the product it replaced
    Services,
    /// All of them
    All,
}

/// Runs what was asked for.
///
/// # Errors
/// If a bench cannot run, or what it measured was wrong.
pub async fn run(what: What, seconds: u64, json: bool) -> anyhow::Result<()> {
    let wanted = |one| what == one || what == What::All;
    let report = |bench| Report { bench, json };
    if wanted(What::Scan) {
        scan::run(json).await?;
    }
    if wanted(What::Log) {
        log::run(report("log")).await?;
    }
    if wanted(What::Manifest) {
        manifest::run(report("manifest")).await?;
    }
    if wanted(What::Login) {
        login::run(report("login")).await?;
    }
    if wanted(What::Sale) {
        sale::run(report("sale"), seconds).await?;
    }
    if wanted(What::Recommend) {
        recommend::run(report("recommend"))?;
    }
    if wanted(What::Search) {
        search::run(report("search")).await?;
    }
    if wanted(What::Services) {
        services::run(report("services")).await?;
    }
    Ok(())
}
