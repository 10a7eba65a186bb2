//! Decisions that only the server makes: prices, states, windows, entries. No SQL, no HTTP, no clock.

pub mod access;
pub mod account;
pub mod audit_chain;
pub mod booking;
pub mod catalog;
pub mod device;
pub mod import;
pub mod incident;
pub mod keys;
pub mod language;
pub mod ledger;
pub mod mail;
pub mod manifest;
pub mod notification;
pub mod one_time;
pub mod person;
pub mod phone;
pub mod pricing;
pub mod promo;
pub mod question;
pub mod recommend;
pub mod refund;
pub mod search;
pub mod steward;
pub mod text;
pub mod ticket;
