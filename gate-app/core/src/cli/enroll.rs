//! `gate enroll`: shows six digits and waits for the organizer's yes.

use super::print_json;
use super::sync::runtime;
use crate::world;
use anyhow::Result;
use clap::Args;
use gate_core::enroll::{Enrolling, Invited, Progress};
use gate_core::sync::http::{CONNECT_ENV, Http};
use std::path::Path;
use std::time::Duration;

/// Between questions whether the organizer has confirmed.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct EnrollArgs {
    /// The link from the QR, or the eight characters of a typed code.
    #[arg(value_name = "LINK|CODE")]
    invitation: String,
    /// The server's address, for a typed code.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

pub fn run(data: &Path, args: &EnrollArgs, json: bool) -> Result<u8> {
    let invited = Invited::parse(&args.invitation, args.server.as_deref())?;
    let http = Http::new(&invited.origin, std::env::var(CONNECT_ENV).ok().as_deref())?;
    let mut world = world()?;
    runtime()?.block_on(async {
        let enrolling = Enrolling::begin(data, &invited, http, &mut world).await?;
        if json {
            print_json(&serde_json::json!({ "digits": enrolling.digits }))?;
        } else {
            println!("Compare these digits with the organizer's screen:");
            println!("{}", enrolling.digits);
            println!("Waiting for the organizer to confirm …");
        }
        let enrolled = loop {
            match enrolling.poll().await {
                Ok(Progress::Done(enrolled)) => break enrolled,
                Ok(Progress::Waiting) => {}
                // The line may be bad; the key and the invitation are kept.
                Err(error) if error.may_pass() => {
                    tracing::info!(%error, "asking again");
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(POLL).await;
        };
        if json {
            print_json(&serde_json::json!({
                "device_id": enrolled.device,
                "event": enrolled.event,
                "number": enrolled.number,
                "label": enrolled.label,
            }))?;
        } else {
            println!("Enrolled as “{}”, device {}", enrolled.label, enrolled.device);
        }
        Ok(0)
    })
}
