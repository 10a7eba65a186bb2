//! List rules: every operand, every connective, and what a refusal names.

use crate::scene::*;
use shared::admission::TicketHistory;
use shared::admission::rule::expr::{Operand, Operator, Weekday};
use shared::admission::rule::{
    Broken, CompiledRule, MAX_RULE_BYTES, MAX_RULE_DEPTH, MAX_RULE_NODES, RuleAnswer, RuleContext, RuleError,
    Unmet,
};
use shared::admission::zone::{EventZone, Utc, Zone};
use shared::log::entry::EntryKind;
use shared::time::UnixMillis;
use time::macros::datetime;

fn at(t: time::OffsetDateTime) -> UnixMillis {
    t.into()
}

fn answer_for(rule: &str, scene: &Scene, history: &TicketHistory) -> RuleAnswer {
    CompiledRule::compile(rule).evaluate(&RuleContext {
        now: scene.now,
        history,
        type_no: Some(scene.payload.type_no),
        gate: scene.gate,
        info: scene.header.as_ref().map(|h| &h.info),
        zone: scene.zone.as_ref().map(|z| z as &dyn Zone),
    })
}

fn answer(rule: &str, spoil: impl FnOnce(&mut Scene)) -> RuleAnswer {
    let scene = Scene::admitted().with(spoil);
    answer_for(rule, &scene, &scene.history())
}

fn passes(rule: &str, spoil: impl FnOnce(&mut Scene)) -> bool {
    match answer(rule, spoil) {
        RuleAnswer::Pass => true,
        RuleAnswer::Fail { .. } => false,
        RuleAnswer::Broken { why } => panic!("{rule}: {why}"),
    }
}

fn nearest(rule: &str, spoil: impl FnOnce(&mut Scene)) -> Unmet {
    match answer(rule, spoil) {
        RuleAnswer::Fail { nearest } => nearest,
        other => panic!("{rule}: {other:?}"),
    }
}

fn compare(value: &str, op: &str, to: i64) -> String {
    format!(r#"{{"compare": {{"value": {value}, "op": "{op}", "to": {to}}}}}"#)
}

/// Reads a count by trying every number.
fn count(value: &str, spoil: impl Fn(&mut Scene)) -> i64 {
    (-1..100).find(|n| passes(&compare(value, "==", *n), &spoil)).expect("a small number")
}

#[test]
fn counts_and_minutes_without_and_with_entries() {
    let three = |s: &mut Scene| {
        s.earlier(EntryKind::Entry, 26 * 60);
        s.earlier(EntryKind::Exit, 25 * 60);
        s.earlier(EntryKind::Override, 70);
        s.earlier(EntryKind::Exit, 65);
        s.earlier(EntryKind::Entry, 59);
        s.earlier(EntryKind::Refuse, 5);
    };
    for (value, none, some) in [
        (r#""entries_total""#, 0, 3),
        (r#""entries_today""#, 0, 2),
        (r#""entries_days""#, 0, 2),
        (r#""minutes_since_last""#, -1, 59),
        (r#"{"entries_since": {"at": "2026-11-22T08:50:00Z"}}"#, 0, 2),
        (r#"{"entries_since": {"at": "2026-11-22T08:50:00.001Z"}}"#, 0, 1),
        (r#"{"entries_before": {"at": "2026-11-22T08:50:00Z"}}"#, 0, 1),
        (r#"{"entries_before": {"at": "2026-11-22T08:50:00.001Z"}}"#, 0, 2),
        // Admission was at 09:00, the entry of 59 minutes ago at 09:01.
        (r#"{"entries_since": {"event": {"edge": "admission"}}}"#, 0, 1),
        (r#"{"entries_since": {"event": {"edge": "admission", "offset_minutes": -10}}}"#, 0, 2),
        // 09:50 in Vienna is 08:50 UTC.
        (r#"{"entries_since": {"time_of_day": "09:50"}}"#, 0, 2),
        (r#"{"entries_since": {"time_of_day": "09:51"}}"#, 0, 1),
    ] {
        assert_eq!(count(value, |_| {}), none, "{value} without entries");
        assert_eq!(count(value, three), some, "{value}");
    }
    assert!(passes(&compare(r#""minutes_since_first""#, "==", 26 * 60), three));
    assert_eq!(count(r#""minutes_since_first""#, |_| {}), -1);
}

#[test]
fn minutes_are_floored_and_an_entry_in_the_future_is_just_now() {
    let ago = |ms: i64| {
        move |s: &mut Scene| {
            s.earlier(EntryKind::Entry, 0);
            s.records[0].at = s.now.plus_ms(-ms);
        }
    };
    for (ms, minutes) in [(0, 0), (59_999, 0), (60_000, 1), (119_999, 1), (-1, 0), (-600_000, 0)] {
        assert_eq!(count(r#""minutes_since_last""#, ago(ms)), minutes, "{ms} ms ago");
    }
}

#[test]
fn today_is_the_venues_day() {
    // 23:30 UTC on Saturday is 00:30 on Sunday in Vienna.
    let entry_at = |t| {
        move |s: &mut Scene| {
            s.earlier(EntryKind::Entry, 0);
            s.records[0].at = at(t);
        }
    };
    assert_eq!(count(r#""entries_today""#, entry_at(datetime!(2026-11-21 23:30 UTC))), 1);
    assert_eq!(count(r#""entries_today""#, entry_at(datetime!(2026-11-21 22:59:59 UTC))), 0);
    assert!(passes(r#"{"weekday": ["sunday"]}"#, |s| s.now = at(datetime!(2026-11-21 23:00 UTC))));
    assert!(!passes(r#"{"weekday": ["sunday"]}"#, |s| s.now = at(datetime!(2026-11-21 22:59:59.999 UTC))));
}

#[test]
fn daylight_saving_gaps_and_repeats_have_one_answer() {
    let vienna = EventZone::named("Europe/Vienna").expect("bundled");
    // 29 March 2026: 02:00–03:00 does not exist; 02:30 is read as 03:30 summer time.
    let gap = datetime!(2026-03-29 02:30);
    assert_eq!(vienna.instant(gap), Some(at(datetime!(2026-03-29 01:30 UTC))));
    assert_eq!(vienna.local(at(datetime!(2026-03-29 01:30 UTC))), Some(datetime!(2026-03-29 03:30)));
    // 25 October 2026: 02:30 comes twice; the first is meant.
    let twice = datetime!(2026-10-25 02:30);
    assert_eq!(vienna.instant(twice), Some(at(datetime!(2026-10-25 00:30 UTC))));
    let rule = r#"{"after": {"time": {"time_of_day": "02:30"}}}"#;
    assert!(!passes(rule, |s| s.now = at(datetime!(2026-03-29 01:29:59 UTC))));
    assert!(passes(rule, |s| s.now = at(datetime!(2026-03-29 01:30 UTC))));
    assert!(passes(rule, |s| s.now = at(datetime!(2026-10-25 00:30 UTC))));
    assert_eq!(EventZone::named("Europe/Atlantis").map(|_| ()), None);
    for edge in [i64::MIN, i64::MAX] {
        assert_eq!(vienna.local(UnixMillis(edge)), None);
        assert_eq!(Utc.local(UnixMillis(edge)), None);
    }
}

#[test]
fn after_and_before_are_half_open_and_widened_by_the_tolerance() {
    let edge = |side: &str, minutes: u32| {
        format!(
            r#"{{"{side}": {{"time": {{"at": "2026-11-22T10:00:00Z"}}, "tolerance_minutes": {minutes}}}}}"#
        )
    };
    for (side, tolerance, shift_ms, expected) in [
        ("after", 0, -1, false),
        ("after", 0, 0, true),
        ("before", 0, -1, true),
        ("before", 0, 0, false),
        ("after", 5, -300_001, false),
        ("after", 5, -300_000, true),
        ("before", 5, 299_999, true),
        ("before", 5, 300_000, false),
    ] {
        let rule = edge(side, tolerance);
        let spoil = |s: &mut Scene| s.now = NOW.millis().plus_ms(shift_ms);
        assert_eq!(passes(&rule, spoil), expected, "{rule} at {shift_ms}");
        assert_eq!(passes(&format!(r#"{{"not": {rule}}}"#), spoil), !expected, "not {rule} at {shift_ms}");
    }
}

#[test]
fn missing_admission_and_end_fall_back_to_the_start() {
    for edge in ["admission", "start", "end"] {
        let rule = format!(r#"{{"after": {{"time": {{"event": {{"edge": "{edge}"}}}}}}}}"#);
        let without = |s: &mut Scene| {
            s.header().info.admission_at = None;
            s.header().info.ends_at = None;
        };
        assert_eq!(nearest(&rule, without), Unmet::From(NOW.plus_secs(HOUR).millis()), "{edge}");
    }
    let rule = r#"{"after": {"time": {"event": {"edge": "end", "offset_minutes": 30}}}}"#;
    assert_eq!(nearest(rule, |_| {}), Unmet::From(NOW.plus_secs(4 * HOUR + 1800).millis()));
}

#[test]
fn sets_and_presence() {
    let north = format!(r#"{{"gate": ["{}"]}}"#, gate_id(1));
    let south = format!(r#"{{"gate": ["{}", "{}"]}}"#, gate_id(2), gate_id(3));
    assert!(passes(&north, |_| {}));
    assert_eq!(nearest(&south, |_| {}), Unmet::Gate(vec![gate_id(2), gate_id(3)]));
    assert_eq!(nearest(&format!(r#"{{"not": {north}}}"#), |_| {}), Unmet::OtherGate);
    assert!(passes(r#"{"ticket_type": [5, 1]}"#, |_| {}));
    assert_eq!(nearest(r#"{"ticket_type": [5]}"#, |_| {}), Unmet::TicketType);
    assert!(passes(r#"{"not": {"ticket_type": [5]}}"#, |_| {}));
    assert!(passes(r#"{"present": false}"#, |_| {}));
    let inside = |s: &mut Scene| s.earlier(EntryKind::Entry, 5);
    assert!(passes(r#"{"present": true}"#, inside));
    assert_eq!(nearest(r#"{"present": false}"#, inside), Unmet::Present(false));
    assert_eq!(nearest(r#"{"not": {"present": true}}"#, inside), Unmet::Present(false));
    assert_eq!(
        nearest(r#"{"weekday": ["friday", "monday"]}"#, |_| {}),
        Unmet::Weekday(vec![Weekday::Monday, Weekday::Friday])
    );
    assert_eq!(
        nearest(r#"{"not": {"weekday": ["sunday", "monday", "tuesday", "wednesday", "thursday"]}}"#, |_| {}),
        Unmet::Weekday(vec![Weekday::Friday, Weekday::Saturday])
    );
}

#[test]
fn not_and_or_follow_de_morgan() {
    let (yes, no) = (r#"{"present": false}"#, r#"{"present": true}"#);
    for (a, b) in [(yes, yes), (yes, no), (no, yes), (no, no)] {
        let (x, y) = (a == yes, b == yes);
        let pass = |rule: String| passes(&rule, |_| {});
        assert_eq!(pass(format!(r#"{{"and": [{a}, {b}]}}"#)), x && y);
        assert_eq!(pass(format!(r#"{{"or": [{a}, {b}]}}"#)), x || y);
        assert_eq!(pass(format!(r#"{{"not": {{"and": [{a}, {b}]}}}}"#)), !(x && y));
        assert_eq!(pass(format!(r#"{{"not": {{"or": [{a}, {b}]}}}}"#)), !(x || y));
        assert_eq!(pass(format!(r#"{{"not": {{"not": {{"or": [{a}, {b}]}}}}}}"#)), x || y);
    }
    for op in ["<", "<=", "==", "!=", ">=", ">"] {
        for to in -1..=1 {
            let rule = compare(r#""entries_total""#, op, to);
            let negated = format!(r#"{{"not": {rule}}}"#);
            assert_ne!(passes(&rule, |_| {}), passes(&negated, |_| {}), "{rule}");
        }
    }
}

#[test]
fn a_refusal_names_the_nearest_condition() {
    let at_1150 = r#"{"after": {"time": {"time_of_day": "11:50"}}}"#;
    let at_1300 = r#"{"after": {"time": {"time_of_day": "13:00"}}}"#;
    let vip = r#"{"ticket_type": [9]}"#;
    let vienna_1150 = Unmet::From(at(datetime!(2026-11-22 10:50 UTC)));
    let vienna_1300 = Unmet::From(at(datetime!(2026-11-22 12:00 UTC)));
    assert_eq!(nearest(at_1150, |_| {}), vienna_1150);
    assert_eq!(nearest(&format!(r#"{{"or": [{vip}, {at_1300}, {at_1150}]}}"#), |_| {}), vienna_1150);
    assert_eq!(nearest(&format!(r#"{{"and": [{at_1300}, {at_1150}]}}"#), |_| {}), vienna_1300);
    assert_eq!(nearest(&format!(r#"{{"and": [{at_1300}, {vip}]}}"#), |_| {}), Unmet::TicketType);
    // One that holds is no reason.
    assert_eq!(nearest(&format!(r#"{{"and": [{{"present": false}}, {at_1150}]}}"#), |_| {}), vienna_1150);
    // "At least 30 minutes since the last entry" is a moment.
    let inside = |s: &mut Scene| s.earlier(EntryKind::Entry, 10);
    let last = |op: &str, to| nearest(&compare(r#""minutes_since_last""#, op, to), inside);
    assert_eq!(last(">=", 30), Unmet::From(NOW.plus_secs(20 * 60).millis()));
    assert_eq!(last(">", 30), Unmet::From(NOW.plus_secs(21 * 60).millis()));
    assert_eq!(last("<", 10), Unmet::Until(NOW.millis()));
    assert_eq!(last("<=", 9), Unmet::Until(NOW.millis()));
    assert_eq!(
        nearest(&compare(r#""entries_total""#, "<", 1), inside),
        Unmet::Number { operand: Operand::EntriesTotal, op: Operator::Less, to: 1, actual: 1 }
    );
    assert_eq!(
        nearest(&compare(r#""minutes_since_last""#, ">=", 30), |_| {}),
        Unmet::Number { operand: Operand::MinutesSinceLast, op: Operator::AtLeast, to: 30, actual: -1 }
    );
}

#[test]
fn the_moment_that_a_refusal_names_is_the_moment_from_which_it_passes() {
    for (value, op, to) in [("minutes_since_last", ">=", 30), ("minutes_since_first", ">", 45)] {
        let rule = compare(&format!("{value:?}"), op, to);
        let scene = Scene::admitted().with(|s| s.earlier(EntryKind::Entry, 10));
        let history = scene.history();
        let RuleAnswer::Fail { nearest: Unmet::From(from) } = answer_for(&rule, &scene, &history) else {
            panic!("{rule} names no moment");
        };
        for (now, expected) in [(from.plus_ms(-1), false), (from, true)] {
            let then = scene.clone().with(|s| s.now = now);
            assert_eq!(answer_for(&rule, &then, &history) == RuleAnswer::Pass, expected, "{rule}");
        }
    }
}

#[test]
fn what_cannot_be_evaluated_breaks_the_whole_rule() {
    let broken = |rule: &str, spoil: fn(&mut Scene)| matches!(answer(rule, spoil), RuleAnswer::Broken { why: Broken(text) } if !text.is_empty());
    let today = compare(r#""entries_today""#, "<", 9);
    assert!(broken(&today, |s| s.zone = None));
    assert!(broken(r#"{"weekday": ["sunday"]}"#, |s| s.zone = None));
    assert!(broken(r#"{"before": {"time": {"time_of_day": "23:00"}}}"#, |s| s.zone = None));
    assert!(broken(r#"{"before": {"time": {"event": {"edge": "end"}}}}"#, |s| s.header = None));
    assert!(broken(&format!(r#"{{"not": {{"gate": ["{}"]}}}}"#, gate_id(2)), |s| s.gate = None));
    assert!(broken(&today, |s| s.now = UnixMillis(i64::MAX)));
    // Whatever the other parts say.
    assert!(broken(&format!(r#"{{"or": [{{"present": false}}, {today}]}}"#), |s| s.zone = None));
    assert!(broken(&format!(r#"{{"and": [{{"present": true}}, {today}]}}"#), |s| s.zone = None));
}

#[test]
fn what_is_no_rule_is_refused_when_set_and_refuses_when_met() {
    let deep = |n: usize| format!("{}{}{}", r#"{"not":"#.repeat(n), r#"{"present":true}"#, "}".repeat(n));
    let wide = |n: usize| format!(r#"{{"or":[{}]}}"#, vec![r#"{"present":true}"#; n].join(","));
    assert!(CompiledRule::parse(&deep(MAX_RULE_DEPTH)).is_ok());
    assert!(CompiledRule::parse(&wide(MAX_RULE_NODES - 1)).is_ok());
    let shape = |rule: &str| matches!(CompiledRule::parse(rule), Err(RuleError::Shape(_)));
    for bad in [
        "",
        "null",
        "{}",
        r#"{"present": 1}"#,
        r#"{"present": true, "not": {"present": true}}"#,
        r#"{"presents": true}"#,
        r#"{"compare": {"value": "entries_total", "op": "=", "to": 1}}"#,
        r#"{"compare": {"value": "entries_total", "op": "<", "to": 1.5}}"#,
        r#"{"compare": {"value": "entries_total", "op": "<", "to": 1, "unit": "h"}}"#,
        r#"{"compare": {"value": "entries", "op": "<", "to": 1}}"#,
        r#"{"after": {"time": {"time_of_day": "24:00"}}}"#,
        r#"{"after": {"time": {"time_of_day": "9:00"}}}"#,
        r#"{"after": {"time": {"time_of_day": "+9:00"}}}"#,
        r#"{"after": {"time": {"at": "2026-11-22 10:00"}}}"#,
        r#"{"after": {"time": {"event": {"edge": "doors"}}}}"#,
        r#"{"after": {"time": {"event": {"edge": "start", "offset": 3}}}}"#,
        r#"{"after": {"time": {"event": {"edge": "start"}}, "tolerance_minutes": -1}}"#,
        r#"{"ticket_type": [70000]}"#,
        r#"{"gate": ["north"]}"#,
        r#"{"present": true} {"present": true}"#,
        &deep(1000),
    ] {
        assert!(shape(bad), "{bad} should not be a rule: {:?}", CompiledRule::parse(bad));
        assert!(matches!(answer(bad, |_| {}), RuleAnswer::Broken { .. }), "{bad}");
    }
    assert_eq!(CompiledRule::parse(&deep(MAX_RULE_DEPTH + 1)), Err(RuleError::TooDeep));
    assert_eq!(CompiledRule::parse(&wide(MAX_RULE_NODES)), Err(RuleError::TooBig));
    assert_eq!(CompiledRule::parse(&" ".repeat(MAX_RULE_BYTES + 1)), Err(RuleError::TooBig));
    for empty in [
        r#"{"and":[]}"#,
        r#"{"or":[]}"#,
        r#"{"gate":[]}"#,
        r#"{"ticket_type":[]}"#,
        r#"{"not":{"weekday":[]}}"#,
    ] {
        assert_eq!(CompiledRule::parse(empty), Err(RuleError::EmptySet), "{empty}");
    }
}

#[test]
fn extreme_numbers_do_not_overflow() {
    let far = i64::MAX;
    for value in ["minutes_since_first", "minutes_since_last"] {
        for op in ["<", "<=", "==", "!=", ">=", ">"] {
            for to in [far, -far - 1] {
                for entry in [i64::MIN, 0, i64::MAX] {
                    let _ = answer(&compare(&format!("{value:?}"), op, to), |s| {
                        s.earlier(EntryKind::Entry, 1);
                        s.records[0].at = UnixMillis(entry);
                    });
                }
            }
        }
    }
    let rule = format!(
        r#"{{"after": {{"time": {{"event": {{"edge": "start", "offset_minutes": {}}}}}, "tolerance_minutes": {}}}}}"#,
        i32::MIN,
        u32::MAX
    );
    assert!(passes(&rule, |_| {}));
}

#[test]
fn a_rule_survives_json_and_back() {
    let json = format!(
        r#"{{"and":[{{"or":[{{"not":{{"present":true}}}},{{"ticket_type":[1,2]}}]}},{{"gate":["{}"]}},{{"weekday":["monday"]}},{{"compare":{{"value":{{"entries_since":{{"time_of_day":"06:00"}}}},"op":"<","to":2}}}},{{"after":{{"time":{{"event":{{"edge":"admission","offset_minutes":-30}}}},"tolerance_minutes":5}}}},{{"before":{{"time":{{"at":"2026-11-22T10:00:00Z"}},"tolerance_minutes":0}}}}]}}"#,
        gate_id(1)
    );
    let rule: shared::admission::rule::Rule = serde_json::from_str(&json).expect("a rule");
    assert_eq!(serde_json::to_string(&rule).expect("JSON"), json);
}

#[test]
fn the_protocol_page_shows_a_rule_that_compiles() {
    let page = include_str!("../../../docs/PROTOCOL.md");
    let json = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    CompiledRule::parse(json).expect("it is a rule");
}
