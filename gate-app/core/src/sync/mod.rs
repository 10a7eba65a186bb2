//! Synchronising with the server: [`plan`] decides what to do next and is pure, [`engine`] does it. Upload and
//! download are two lanes that never wait for each other's success.

pub mod apply;
pub mod engine;
pub mod foreign;
pub mod guests;
pub mod http;
pub mod live;
pub mod plan;
pub mod transport;
pub mod upload;
