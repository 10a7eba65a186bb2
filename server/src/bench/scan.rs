//! Scanning is the gate's own work and is measured by the gate: its binary runs as a process and prints its figures in
//! the form of this bench.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::tour::gate;

/// Runs the gate's bench with 100,000 and 1,000,000 tickets; its lines go straight to our standard output.
///
/// # Errors
/// If it fails.
pub async fn run(json: bool) -> Result<()> {
    for tickets in ["100000", "1000000"] {
        let mut command = Command::new(gate::binary()?);
        command.args(["bench-scan", "--tickets", tickets]);
        if json {
            command.arg("--json");
        }
        let status = command.status().await.context("starting the gate")?;
        ensure!(status.success(), "gate bench-scan: {status}");
    }
    Ok(())
}
