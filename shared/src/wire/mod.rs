//! Requests and responses between gates and server.

pub mod gates;
