//! What a process of the gate does before anything else, headless or with a window.

use crate::clock::{SystemClock, system_rng};
use crate::gate::World;
use anyhow::{Context as _, Result};
use std::sync::Arc;

/// The real clocks, and chance seeded by the system.
///
/// # Errors
/// If the system gives no randomness.
pub fn world() -> Result<World> {
    let mut rng = system_rng().context("the system gives no randomness")?;
    Ok(World { clock: Arc::new(SystemClock::new(&mut rng)), rng })
}

/// Logs what `HVFLVSPOT_LOG` asks for, warnings without it. Standard output belongs to answers.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HVFLVSPOT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// A file at its size limit must be an error to answer with, not the end of the process (SIGXFSZ).
///
/// # Errors
/// If the signal cannot be caught.
#[cfg(unix)]
pub fn survive_full_disks() -> Result<()> {
    const SIGXFSZ: i32 = 25;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // The handler stays when the runtime is gone.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}
