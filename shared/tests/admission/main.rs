//! `decide` and list rules, by tables.

mod cases;
mod decide;
mod explain;
mod flags;
mod precedence;
mod rules;
mod scene;
