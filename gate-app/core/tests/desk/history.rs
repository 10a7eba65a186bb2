//! The device's own log as the window shows and exports it.

use crate::stage::{Stage, nonce, place};
use gate_core::db::Db;
use gate_core::db::table::upload;
use gate_core::desk::contract::{HistoryFilter, HistoryShow, Language};
use shared::log::entry::EntryKind;

fn filter(show: HistoryShow, text: &str) -> HistoryFilter {
    HistoryFilter { show, text: text.to_owned() }
}

/// Entry, refusal, override (with a formula for a reason), undo of it, refusal of nonsense, entry.
fn evening() -> Stage {
    let stage = Stage::new();
    let code = stage.venue.code(0);
    stage.scan(&code);
    let refused = place(&stage.scan(&code)).unwrap();
    stage.unlock();
    let overridden = stage.desk.override_scan(refused, "=cmd|' /C calc'!A0", nonce()).unwrap();
    stage.desk.undo(place(&overridden).unwrap(), "+1 by mistake").unwrap();
    stage.scan("4006381333931");
    stage.scan(&stage.venue.code(1));
    stage
}

fn kinds(stage: &Stage, show: HistoryShow, text: &str) -> Vec<EntryKind> {
    let page = stage.desk.history(&filter(show, text), None, 100).unwrap();
    assert_eq!((page.total, page.next), (page.lines.len() as u64, None));
    page.lines.iter().map(|l| l.kind).collect()
}

#[test]
fn a_filter_shows_what_it_names_newest_first() {
    use EntryKind::{Entry, Override, Refuse, Undo};
    let stage = evening();
    assert_eq!(kinds(&stage, HistoryShow::All, ""), [Entry, Refuse, Undo, Override, Refuse, Entry]);
    assert_eq!(kinds(&stage, HistoryShow::Admitted, ""), [Entry, Override, Entry]);
    assert_eq!(kinds(&stage, HistoryShow::Refused, ""), [Refuse, Refuse]);
    assert_eq!(kinds(&stage, HistoryShow::Supervised, ""), [Undo, Override]);
    assert_eq!(kinds(&stage, HistoryShow::Unsent, "").len(), 6);
    assert_eq!(kinds(&stage, HistoryShow::All, "BY MISTAKE"), [Undo]);
    assert_eq!(kinds(&stage, HistoryShow::All, "standard"), [Entry, Undo, Override, Refuse, Entry]);
    assert_eq!(kinds(&stage, HistoryShow::All, "4006381333931"), [Refuse]);
    assert_eq!(kinds(&stage, HistoryShow::Admitted, &stage.venue.code(0)), [Override, Entry]);
    let ticket = stage.venue.rows[1].ticket_id.to_string();
    assert_eq!(kinds(&stage, HistoryShow::All, &ticket[20..]), [Entry]);
    assert!(kinds(&stage, HistoryShow::Supervised, "nothing says so").is_empty());
}

#[test]
fn pages_follow_one_another_without_gap_or_repeat() {
    let stage = evening();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = stage.desk.history(&HistoryFilter::default(), before, 4).unwrap();
        assert_eq!(page.total, 6);
        seen.extend(page.lines.iter().map(|l| l.seq));
        before = page.next;
        if before.is_none() {
            break;
        }
        // What is scanned meanwhile stands before the first page and moves none of the others.
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1]);
}

#[test]
fn a_page_opens_no_entry_that_is_not_on_it() {
    let stage = evening();
    let db = Db::open(stage.venue.path()).unwrap();
    let author = stage.venue.device.author.0;
    // The first entry can no longer be read; nothing but the last page needs it.
    db.conn().execute("update log_entry set bytes = x'00' where author = ?1 and seq = 1", [author]).unwrap();
    let first = stage.desk.history(&HistoryFilter::default(), None, 3).unwrap();
    assert_eq!((first.total, first.lines.len()), (6, 3));
    let second = stage.desk.history(&filter(HistoryShow::Supervised, ""), None, 1).unwrap();
    assert_eq!((second.total, second.lines[0].kind), (2, EntryKind::Undo));
    let third = stage.desk.history(&filter(HistoryShow::Supervised, ""), second.next, 1).unwrap();
    assert_eq!((third.total, third.lines[0].kind, third.next), (2, EntryKind::Override, None));
    assert!(stage.desk.history(&HistoryFilter::default(), first.next, 3).is_err());
}

#[test]
fn what_the_server_has_is_no_longer_among_the_unsent() {
    let stage = evening();
    let db = Db::open(stage.venue.path()).unwrap();
    upload::acknowledge(db.conn(), stage.venue.device.no, 1, 4).unwrap();
    let page = stage.desk.history(&filter(HistoryShow::Unsent, ""), None, 10).unwrap();
    assert_eq!((page.total, page.lines.iter().map(|l| l.seq).collect()), (2, vec![6, 5]));
    let words = stage.desk.history(&filter(HistoryShow::Unsent, "standard"), None, 10).unwrap();
    assert_eq!((words.total, words.lines[0].seq), (1, 6));
}

#[test]
fn a_line_says_what_was_taken_back() {
    let stage = evening();
    let lines = stage.desk.history(&HistoryFilter::default(), None, 100).unwrap().lines;
    let undone: Vec<u64> = lines.iter().filter(|l| l.undone).map(|l| l.seq).collect();
    assert_eq!(undone, [3]);
    assert_eq!(lines[2].target.unwrap().seq, 3);
    assert!(lines.iter().all(|l| !l.acknowledged));
    assert_eq!(lines[3].reason.as_deref(), Some("=cmd|' /C calc'!A0"));
}

#[test]
fn the_table_holds_what_the_filter_shows_and_runs_nothing() {
    let stage = evening();
    let to = stage.venue.path().join("history.csv");
    let show = filter(HistoryShow::Supervised, "");
    assert_eq!(stage.desk.export_history(&show, Language::De, &to).unwrap(), 2);
    let text = std::fs::read_to_string(&to).unwrap();
    let text = text.strip_prefix('\u{feff}').unwrap();
    let mut table = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(&table.headers().unwrap()[11], "Grund");
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(&rows[0][11], "'+1 by mistake");
    assert_eq!(&rows[1][11], "'=cmd|' /C calc'!A0");
    assert_eq!((&rows[0][3], &rows[0][12], &rows[1][15]), ("undo", "1:3", "1"));
    assert!(!stage.venue.path().join("history.part").exists());

    let nowhere = stage.venue.path().join("no folder").join("history.csv");
    assert!(stage.desk.export_history(&show, Language::En, &nowhere).is_err());
}
