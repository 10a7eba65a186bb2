//! The gate's real window, built as it is shipped, against the real server: what a steward sees and does on an evening,
//! in kiosks and rehearsals, without a network, and on hard days. Run by `make test-window`.

mod evening;
mod hard_days;
mod pictures;
mod post;
