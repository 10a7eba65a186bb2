//! Counts, and how they are printed.

use crate::readers::Reading;
use std::fmt::Write as _;

/// What one reader did.
#[derive(Debug, Default, Clone)]
pub struct Score {
    pub read: usize,
    /// Texts that were not on the picture.
    pub wrong: usize,
    millis: Vec<f64>,
}

impl Score {
    pub fn count(&mut self, reading: &Reading, truth: Option<&str>) {
        match (reading.text.as_deref(), truth) {
            (Some(text), Some(truth)) if text == truth => self.read += 1,
            (Some(_), _) => self.wrong += 1,
            (None, _) => {}
        }
        self.millis.push(reading.millis);
    }

    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.wrong += other.wrong;
        self.millis.extend_from_slice(&other.millis);
    }

    /// Milliseconds that `share` of the pictures stayed within.
    pub fn within(&self, share: f64) -> f64 {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
    }
}

/// A row of any table: what it is about, how many pictures, and each reader's score.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub measure: String,
    pub frames: usize,
    pub scores: Vec<Score>,
}

/// A table in Markdown of how many each reader read, in percent.
pub fn successes(head: &str, readers: &[&str], rows: &[Row]) -> String {
    let mut out = format!(
        "| {head} | pictures | {} |\n|---|--:|{}\n",
        readers.join(" | "),
        "--:|".repeat(readers.len())
    );
    for row in rows {
        let cells: Vec<String> = row
            .scores
            .iter()
            .map(|s| format!("{:.0}", 100.0 * s.read as f64 / row.frames.max(1) as f64))
            .collect();
        let what =
            if row.measure.is_empty() { row.name.clone() } else { format!("{} ({})", row.name, row.measure) };
        let _ = writeln!(out, "| {what} | {} | {} |", row.frames, cells.join(" | "));
    }
    out
}

/// How long each reader took, over pictures with a code and over ones without.
pub fn times(readers: &[&str], with_code: &Row, without: &Row) -> String {
    let mut out = String::from(
        "| milliseconds a picture | p50 | p99 | without a code: p50 | p99 | wrong texts |\n|---|--:|--:|--:|--:|--:|\n",
    );
    for ((name, with_code), without) in readers.iter().zip(&with_code.scores).zip(&without.scores) {
        let _ = writeln!(
            out,
            "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            with_code.within(0.5),
            with_code.within(0.99),
            without.within(0.5),
            without.within(0.99),
            with_code.wrong + without.wrong
        );
    }
    out
}
