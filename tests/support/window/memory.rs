//! What a program and its helpers take of the memory.

use anyhow::{Context as _, Result};

use super::process::family;

/// Proportional set size of a process and all that descend from it, in bytes.
///
/// # Errors
/// If the system does not tell.
pub fn of(process: u32) -> Result<u64> {
    let mut total = 0;
    for id in family(process) {
        let rolled = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"));
        // A helper may have ended since it was listed.
        let Ok(rolled) = rolled else { continue };
        let pss = rolled.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = pss.and_then(|value| value.split_whitespace().next()).context("no Pss")?;
        total += kib.parse::<u64>()? * 1024;
    }
    Ok(total)
}
