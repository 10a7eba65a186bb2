//! Requests and responses between gates and server.

pub mod enroll;
pub mod gates;
pub mod guests;
pub mod httpsig;
