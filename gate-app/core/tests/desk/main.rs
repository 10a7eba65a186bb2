//! A window's whole evening at one machine, without the window.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

#[path = "../common/mod.rs"]
mod common;

mod guests;
mod history;
mod pictures;
mod places;
mod scans;
mod servers;
mod stage;
mod supervision;
mod troubles;
