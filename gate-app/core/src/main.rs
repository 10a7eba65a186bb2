//! The headless gate: turnstiles, tests and simulations drive it.

use clap::Parser as _;
use gate_core::process::{log_to_stderr, survive_full_disks, world};
use std::process::ExitCode;

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
