//! The headless gate: turnstiles, tests and simulations drive it.

use anyhow::{Context, Result};
use clap::Parser as _;
use gate_core::clock::{SystemClock, system_rng};
use gate_core::gate::World;
use std::process::ExitCode;
use std::sync::Arc;

mod cli;

fn main() -> ExitCode {
    // Errors of the command line itself end with 2 in here.
    let cli = cli::Cli::parse();
    log_to_stderr();
    match survive_full_disks().and_then(|()| cli.run()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("gate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The real clocks, and chance seeded by the system.
fn world() -> Result<World> {
    let mut rng = system_rng().context("the system gives no randomness")?;
    Ok(World { clock: Arc::new(SystemClock::new(&mut rng)), rng })
}

/// Standard output belongs to answers.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HVFLVSPOT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// A file at its size limit must be an error to answer with, not the end of the process (SIGXFSZ).
fn survive_full_disks() -> Result<()> {
    const SIGXFSZ: i32 = 25;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // The handler stays when the runtime is gone.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}
