//! `hvflvspot bench`: figures beside the floor of the same run.

pub mod report;
