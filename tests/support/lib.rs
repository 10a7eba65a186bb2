//! What the tests stand on: real processes, real databases, a site with an organizer and gates.

pub mod books;
pub mod db;
mod documented;
pub mod process;
pub mod server;
pub mod site;
pub mod stripe_double;
