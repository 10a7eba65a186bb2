//! The outside world, one trait each, one file per provider.

pub mod mail;
pub mod outside;
pub mod payment;
pub mod push;
pub mod sms;
pub mod webhook;

use std::future::Future;
use std::pin::Pin;

/// A future that a trait object can return.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
