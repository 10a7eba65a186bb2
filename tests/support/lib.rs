//! What the tests stand on: real processes, real databases, a site with an organizer and gates.
pub mod process;
pub mod site;
