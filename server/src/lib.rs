//! The HVFLVSPOT server: accounts, discovery, booking, payment, gates.
//!
//! `http → domain`, `http → store → domain`; `domain` knows neither axum nor sqlx, `store` knows no axum.

pub mod adapters;
pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod bench;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod documents;
pub mod domain;
pub mod fault;
pub mod gates;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod network;
pub mod news;
pub mod pg;
pub mod selling;
pub mod series;
pub mod serve;
pub mod store;
pub mod tls;
pub mod tour;
pub mod webhooks;
