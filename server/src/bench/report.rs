//! What a bench says: one line a figure, with the floor that was measured in the same run.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub bench: &'static str,
    pub case: String,
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    /// The same work at its barest, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// `value ÷ floor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// Where figures go: JSON lines, or lines for people.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub bench: &'static str,
    pub json: bool,
}

impl Report {
    /// A figure with its floor.
    pub fn against(&self, case: &str, metric: &str, value: f64, unit: &'static str, floor: f64) {
        self.print(case, metric, value, unit, Some(floor));
    }

    /// A figure that has no floor.
    pub fn plain(&self, case: &str, metric: &str, value: f64, unit: &'static str) {
        self.print(case, metric, value, unit, None);
    }

    fn print(&self, case: &str, metric: &str, value: f64, unit: &'static str, floor: Option<f64>) {
        let ratio = floor.filter(|f| *f > 0.0).map(|f| value / f);
        let figure = Figure {
            bench: self.bench,
            case: case.to_owned(),
            metric: metric.to_owned(),
            value,
            unit,
            floor,
            ratio,
        };
        let line = if self.json {
            serde_json::to_string(&figure).expect("a figure is plain data")
        } else {
            let beside = match (floor, ratio) {
                (Some(f), Some(r)) => format!("   floor {f:>12.3} {unit}   ratio {r:.2}"),
                _ => String::new(),
            };
            format!("{:<9} {case:<34} {metric:<14} {value:>12.3} {unit}{beside}", self.bench)
        };
        // A reader that went away (`| head`) is no reason to panic.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Times of single operations.
#[derive(Debug, Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The q-quantile in milliseconds (nearest rank); 0 if nothing was timed.
    pub fn quantile_ms(&mut self, q: f64) -> f64 {
        self.0.sort_unstable();
        let rank = (q * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).map_or(0.0, |d| d.as_secs_f64() * 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut times = Times::default();
        assert_eq!(times.quantile_ms(0.5), 0.0);
        for ms in (1..=100).rev() {
            times.push(Duration::from_millis(ms));
        }
        assert_eq!(times.quantile_ms(0.5), 50.0);
        assert_eq!(times.quantile_ms(0.99), 99.0);
        assert_eq!(times.quantile_ms(1.0), 100.0);
    }
}
