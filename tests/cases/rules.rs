//! The table of list rules in `rules.json`: one set of cases for the pure decision, a server and a gate.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

/// One scan, with what came before it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    #[serde(default = "vienna")]
    pub zone: String,
    #[serde(default = "admission", with = "time::serde::rfc3339::option")]
    pub admission: Option<OffsetDateTime>,
    #[serde(default = "end", with = "time::serde::rfc3339::option")]
    pub end: Option<OffsetDateTime>,
    #[serde(default = "one")]
    pub ticket_type: u16,
    /// Types that the list takes; all without it.
    pub types: Option<Vec<u16>>,
    #[serde(default = "north")]
    pub gate: Option<String>,
    #[serde(default)]
    pub multiple_entry: bool,
    #[serde(default)]
    pub reentry_after_exit: bool,
    /// In the order of time, all at gate north.
    #[serde(default)]
    pub history: Vec<Past>,
    rule: Option<Value>,
    /// The server refuses to set it.
    #[serde(default)]
    pub invalid: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
    pub outcome: String,
    says: String,
}

/// An earlier scan that was admitted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    pub kind: Kind,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Entry,
    Exit,
    Override,
}

/// When the event of every case starts.
pub const START: OffsetDateTime = datetime!(2027-06-19 18:00 UTC);

fn vienna() -> String {
    "Europe/Vienna".to_owned()
}

fn admission() -> Option<OffsetDateTime> {
    Some(datetime!(2027-06-19 16:00 UTC))
}

fn end() -> Option<OffsetDateTime> {
    Some(datetime!(2027-06-19 22:00 UTC))
}

const fn one() -> u16 {
    1
}

fn north() -> Option<String> {
    Some("north".to_owned())
}

/// All of them, earliest first.
pub fn all() -> Vec<Case> {
    let mut table: Value = serde_json::from_str(include_str!("rules.json")).expect("the table is JSON");
    let mut cases: Vec<Case> = serde_json::from_value(table["cases"].take()).expect("the table has cases");
    assert!(cases.len() > 80, "the table is whole");
    cases.sort_by_key(Case::begin);
    cases
}

impl Case {
    /// Its first scan.
    pub fn begin(&self) -> OffsetDateTime {
        self.history.first().map_or(self.now, |past| past.at)
    }

    /// The rule, with the ids of the gates.
    pub fn rule(&self, north: impl std::fmt::Display, south: impl std::fmt::Display) -> Option<Value> {
        let text = self.rule.as_ref()?.to_string();
        let text =
            text.replace("\"north\"", &format!("\"{north}\"")).replace("\"south\"", &format!("\"{south}\""));
        Some(serde_json::from_str(&text).expect("ids are strings"))
    }

    /// Compares a verdict with what the table says.
    pub fn check(&self, outcome: &str, explanation: &str) {
        assert_eq!(outcome, self.outcome, "{}: {explanation}", self.name);
        assert!(!self.invalid || outcome == "rules", "{}", self.name);
        if self.says.ends_with(' ') {
            assert!(explanation.starts_with(&self.says), "{}: {explanation}", self.name);
        } else {
            assert_eq!(explanation, self.says, "{}", self.name);
        }
    }
}
