//! Transitions and decisions that only the server makes. Knows neither axum nor sqlx: time, chance and
//! rows come in as arguments.

pub mod account;
pub mod device;
