//! `decide` and list rules, by tables.

mod decide;
mod explain;
mod flags;
mod precedence;
mod rules;
mod scene;
