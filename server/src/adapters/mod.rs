//! The outside world, one trait each, one file per provider.

pub mod payment;
