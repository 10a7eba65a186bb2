//! Test support.
pub mod process;
