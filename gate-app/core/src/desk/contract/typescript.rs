//! The contract as TypeScript, made from the types, compared with the file that the window is built with.

use super::*;
use crate::answer::{Answer, First};
use crate::status::{ClockStatus, FoldStatus, ManifestStatus, Queue, Status};
use shared::admission::{Flag, Outcome};
use std::fmt::Write as _;
use ts_rs::{Config, TS};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ui/src/lib/core.ts");

const HEAD: &str = "\
// Made from the types of gate-core (gate-app/core/src/desk/contract); do not edit. `CONTRACT=write` before the test
// `the_contract_in_the_tree_is_that_of_the_types` writes it anew.

/** RFC 3339 in UTC. */
export type Moment = string;
/** 32 bytes in hexadecimal. */
export type Hash = string;
/** 16 bytes in hexadecimal: one attempt. The same nonce is the same scan, however often it is sent. */
export type Nonce = string;
export type DeviceId = string;
export type EventId = string;
export type GateId = string;
export type ListId = string;
export type StewardId = string;
export type TicketId = string;
export type TicketTypeId = string;
";

/// Unions of words whose types live in `shared`, which knows nothing of TypeScript. Each word is asserted below.
const WORDS: &str = "\
export const ENTRY_KINDS = ['entry', 'exit', 'refuse', 'override', 'undo', 'fork'] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];
export type Direction = 'in' | 'out';
export type Capability = 'scan' | 'box_office';
export type DeviceState = 'pending' | 'active' | 'leaving' | 'revoked';
export type Operator = '<' | '<=' | '==' | '!=' | '>=' | '>';
export type Weekday = 'monday' | 'tuesday' | 'wednesday' | 'thursday' | 'friday' | 'saturday' | 'sunday';
";

/// The words in their order, and the type of any of them.
fn words<'w>(list: &str, name: &str, words: impl Iterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.map(|w| format!("'{w}'")).collect();
    format!(
        "export const {list} = [{}] as const;\nexport type {name} = (typeof {list})[number];\n",
        words.join(", ")
    )
}

fn made() -> String {
    let config = Config::new().with_large_int("number");
    let mut out = String::from(HEAD);
    out.push('\n');
    out.push_str(&words("OUTCOMES", "Outcome", Outcome::ALL.iter().map(|o| o.as_str())));
    out.push_str(&words("FLAGS", "Flag", Flag::ALL.iter().map(|f| f.as_str())));
    out.push_str(WORDS);
    macro_rules! types {
        ($($t:ty),* $(,)?) => { $( writeln!(out, "\nexport {}", <$t>::decl(&config)).unwrap(); )* };
    }
    types!(
        First,
        Answer,
        Reason,
        Because,
        FinalState,
        Unmet,
        Operand,
        Guest,
        GuestAnswer,
        AnswerShown,
        Verdict,
        ScanSource,
        PictureSource,
        FrameAnswer,
        Place,
        ListChoice,
        GateChoice,
        StewardChoice,
        Enrolment,
        Post,
        Language,
        Settings,
        AppState,
        Interrupted,
        Trouble,
        Status,
        ManifestStatus,
        Queue,
        ClockStatus,
        FoldStatus,
        Counts,
        WindowStatus,
        SyncPhase,
        SyncProgress,
        EnrolmentBegun,
        EnrolmentNews,
        Supervision,
        Incident,
        ForkedAt,
        Side,
        SidePlace,
        QuarantineNote,
        TicketWord,
        Hit,
        LogLine,
        HistoryShow,
        HistoryFilter,
        HistoryPage,
        ErrorCode,
        CommandError,
    );
    out
}

#[test]
fn the_contract_in_the_tree_is_that_of_the_types() {
    let made = made();
    if std::env::var("CONTRACT").is_ok_and(|v| v == "write") {
        std::fs::write(FILE, &made).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(kept == made, "core.ts is not that of the types: run this test with CONTRACT=write");
}

#[test]
fn words_from_shared_are_written_as_they_travel() {
    use shared::admission::rule::expr::{Operator, Weekday};
    use shared::log::entry::{Direction, EntryKind};
    use shared::manifest::docs::Capability;
    let mut words = vec![];
    let mut add = |value: serde_json::Value| words.push(value.as_str().unwrap().to_owned());
    for kind in [
        EntryKind::Entry,
        EntryKind::Exit,
        EntryKind::Refuse,
        EntryKind::Override,
        EntryKind::Undo,
        EntryKind::Fork,
    ] {
        add(serde_json::to_value(kind).unwrap());
    }
    for direction in [Direction::In, Direction::Out] {
        add(serde_json::to_value(direction).unwrap());
    }
    for capability in [Capability::Scan, Capability::BoxOffice] {
        add(serde_json::to_value(capability).unwrap());
    }
    for op in [
        Operator::Less,
        Operator::AtMost,
        Operator::Equal,
        Operator::Different,
        Operator::AtLeast,
        Operator::More,
    ] {
        add(serde_json::to_value(op).unwrap());
    }
    for day in [Weekday::Monday, Weekday::Sunday] {
        add(serde_json::to_value(day).unwrap());
    }
    for word in words {
        assert!(WORDS.contains(&format!("'{word}'")), "{word}");
    }
}
