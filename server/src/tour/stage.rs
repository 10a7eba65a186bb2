//! Saying what happens, and whether it was what must happen.

use std::io::{IsTerminal as _, Write as _};

/// Where the tour speaks. Collects what went wrong instead of stopping at the first.
#[derive(Debug)]
pub struct Stage {
    colour: bool,
    json: bool,
    passed: u32,
    failed: Vec<String>,
}

impl Stage {
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { colour: std::io::stdout().is_terminal(), json, passed: 0, failed: Vec::new() }
    }

    /// A heading.
    pub fn scene(&self, title: &str) {
        if !self.json {
            line(&format!("\n{}", self.paint("1", title)));
        }
    }

    /// Something worth saying.
    pub fn say(&self, what: &str) {
        if !self.json {
            line(&format!("    {what}"));
        }
    }

    /// Something that must be so.
    pub fn check(&mut self, what: &str, so: bool, seen: &str) {
        if self.json {
            line(&serde_json::json!({ "check": what, "passed": so, "seen": seen }).to_string());
        } else if so {
            line(&format!("  {} {what}", self.paint("32", "✓")));
        } else {
            line(&format!("  {} {what}\n      seen: {seen}", self.paint("31", "✗")));
        }
        if so { self.passed += 1 } else { self.failed.push(what.to_owned()) }
    }

    /// Checks that passed, and the names of those that did not.
    #[must_use]
    pub fn result(&self) -> (u32, &[String]) {
        (self.passed, &self.failed)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn line(text: &str) {
    // A reader that went away is no reason to stop the tour.
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
