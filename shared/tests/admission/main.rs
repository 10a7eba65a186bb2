//! `decide` and list rules, by tables.

mod decide;
mod explain;
mod precedence;
mod rules;
mod scene;
