//! The binary as a process, as turnstiles and stewards drive it.
#![allow(clippy::unwrap_used, reason = "a test says what must hold by failing where it does not")]

use gate_core::bench::synthetic::{Organizer, Rows};
use gate_core::clock::{Clock, SystemClock};
use gate_core::db::Db;
use gate_core::db::table::device::Device;
use gate_core::db::table::log_entry;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use shared::bytes::Nonce16;
use shared::manifest::docs::ManifestVersion;
use shared::manifest::rows::TicketRow;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Place {
    dir: tempfile::TempDir,
    device: Device,
    codes: Vec<String>,
}

/// A folder with a manifest of so many tickets, valid by the machine's own clock.
fn place(tickets: usize) -> Place {
    let mut rng = StdRng::seed_from_u64(3);
    let now = SystemClock::new(&mut rng).wall();
    let organizer = Organizer::new(now, &mut rng);
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let device = organizer.enroll(&db, 1, &mut rng).unwrap();
    let mut rows: Vec<TicketRow> = (0..tickets).map(|_| organizer.row(&mut rng)).collect();
    rows.sort_unstable_by_key(|r| r.ticket_id);
    let version = ManifestVersion { epoch: 1, change_seq: 1, as_of: now.secs() };
    let echo = Nonce16([1; 16]);
    let answer = organizer.answer(version, &rows, Rows::Full, echo, now);
    organizer.install(&db, &device, &answer, echo, &mut |_| Ok(())).unwrap();
    let codes = rows.iter().map(|r| organizer.code(r, now.secs().minus_secs(60))).collect();
    Place { dir, device, codes }
}

fn gate(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gate"));
    command.arg("--data").arg(place.dir.path()).args(args).env_remove("HVFLVSPOT_PIN");
    command
}

struct Scanning {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Scanning {
    fn start(place: &Place) -> Self {
        let mut child = gate(place, &["scan"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    fn scan(&mut self, code: &str) -> Value {
        writeln!(self.stdin, "{code}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn finish(self) {
        drop(self.stdin);
        let mut child = self.child;
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn every_line_gets_one_answer_in_order() {
    let place = place(3);
    let mut scanning = Scanning::start(&place);
    let lines = [&place.codes[0], "", &place.codes[1], "\u{1}garbage", &place.codes[0]];
    writeln!(scanning.stdin, "{}", lines.join("\r\n")).unwrap();
    let answers: Vec<Value> = lines.iter().map(|_| scanning.answer()).collect();
    let outcomes: Vec<&str> = answers.iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ok", "malformed", "ok", "malformed", "already_admitted"]);
    assert_eq!(answers.iter().map(|a| a["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    scanning.finish();

    let fields: Vec<&str> = answers[4].as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "code_sha256",
        "outcome",
        "flags",
        "kind",
        "ticket_id",
        "ticket_type",
        "list",
        "scanned_at",
        "log_no",
        "seq",
        "first_admission",
        "explanation",
    ];
    expected.sort_unstable();
    let mut found = fields;
    found.sort_unstable();
    assert_eq!(found, expected);
    for field in ["at", "gate", "device"] {
        assert!(answers[4]["first_admission"][field].is_string(), "{field}");
    }
}

#[test]
fn two_processes_on_one_folder_admit_each_ticket_once_and_leave_no_gap() {
    let place = place(60);
    let (mut a, mut b) = (Scanning::start(&place), Scanning::start(&place));
    let mut admitted = 0;
    for code in &place.codes {
        // Both at once: neither waits for the other's answer.
        writeln!(a.stdin, "{code}").unwrap();
        writeln!(b.stdin, "{code}").unwrap();
        let outcomes = [a.answer(), b.answer()].map(|v| v["outcome"].as_str().unwrap().to_owned());
        assert!(outcomes.contains(&"ok".to_owned()) && outcomes.contains(&"already_admitted".to_owned()));
        admitted += 1;
    }
    a.finish();
    b.finish();
    assert_eq!(admitted, 60);
    let db = Db::open(place.dir.path()).unwrap();
    let hashes = log_entry::hashes(db.conn(), place.device.author, 1).unwrap();
    assert_eq!(hashes.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=120).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_takes_no_more_turns_answers_red_until_it_does_again() {
    let place = place(8);
    let mut scanning = Scanning::start(&place);
    assert_eq!(scanning.scan(&place.codes[0])["outcome"], "ok");
    let pid = Pid::from_child(&scanning.child);
    let wal = std::fs::metadata(place.dir.path().join("gate.sqlite-wal")).unwrap().len();
    let full = Rlimit { current: Some(wal), maximum: None };
    let before = prlimit(Some(pid), Resource::Fsize, full).unwrap();
    for code in &place.codes[1..4] {
        let red = scanning.scan(code);
        assert_eq!((red["outcome"].as_str(), red["kind"].as_str()), (Some("cannot_record"), Some("refuse")));
        assert!(red["log_no"].is_null() && red["seq"].is_null());
    }
    prlimit(Some(pid), Resource::Fsize, before).unwrap();
    for code in &place.codes[1..] {
        assert_eq!(scanning.scan(code)["outcome"], "ok", "the process lives and works again");
    }
    assert_eq!(scanning.scan(&place.codes[0])["outcome"], "already_admitted");
    scanning.finish();
}

#[test]
fn an_answer_that_nobody_could_read_is_given_once_more() {
    let place = place(2);
    let mut scanning = Scanning::start(&place);
    assert_eq!(scanning.scan(&place.codes[0])["outcome"], "ok");
    // The reader is gone: the next answer is written into nothing, after its commit.
    drop(scanning.stdout);
    writeln!(scanning.stdin, "{}", place.codes[1]).unwrap();
    assert!(!scanning.child.wait().unwrap().success(), "a line that nobody could read was not answered");
    let mut again = Scanning::start(&place);
    let resumed = again.scan(&place.codes[1]);
    assert_eq!((resumed["outcome"].as_str(), resumed["seq"].as_u64()), (Some("ok"), Some(2)));
    assert!(resumed["flags"].as_array().unwrap().contains(&"resumed".into()));
    assert_eq!(again.scan(&place.codes[1])["outcome"], "already_admitted");
    assert_eq!(again.scan(&place.codes[0])["outcome"], "already_admitted");
    again.finish();
}

#[test]
fn status_log_and_undo_speak_json() {
    let place = place(2);
    let json = |args: &[&str]| -> Vec<Value> {
        let output = gate(&place, args).arg("--json").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    assert_eq!(json(&["scan", &place.codes[0], &place.codes[1]]).len(), 2);
    let status = &json(&["status"])[0];
    assert_eq!(status["fold"]["on_site"], 2);
    assert_eq!(status["fold"]["incidents"], 0);
    assert_eq!(status["fold"]["hash"].as_str().unwrap().len(), 64);
    assert_eq!(status["manifest"]["tickets"], 2);
    assert_eq!(status["manifest"]["change_seq"], 1);
    assert_eq!(status["queue"]["unsent"], 2);
    assert_eq!(status["clock"]["uncertainty_ms"], 600_000);
    assert!(status["last_sync_at"].is_null() && status["online"] == false);
    let undone = &json(&["undo", "1:2", "--reason", "wrong person"])[0];
    assert_eq!((undone["log_no"].as_u64(), undone["seq"].as_u64()), (Some(1), Some(3)));
    assert_eq!(json(&["status"])[0]["fold"]["on_site"], 1);
    let kinds: Vec<Value> = json(&["log"]).iter().map(|l| l["kind"].clone()).collect();
    assert_eq!(kinds, ["entry", "entry", "undo"]);
    assert_eq!(json(&["log", "--limit", "1"])[0]["target"]["seq"], 2);
}

#[test]
fn exit_codes_tell_a_refused_wish_from_a_misunderstanding() {
    let place = place(1);
    let code = |args: &[&str]| gate(&place, args).stdin(Stdio::null()).output().unwrap().status.code();
    assert_eq!(code(&["scan", "nonsense"]), Some(0), "a refused code is an answer");
    assert_eq!(code(&["scan", "--list", "no such list", "x"]), Some(1));
    assert_eq!(code(&["scan", "--event", "no such event", "x"]), Some(1));
    assert_eq!(code(&["scan", "--override", "why", "x"]), Some(2), "needs --staff");
    assert_eq!(code(&["undo", "1:99", "--reason", "r"]), Some(1));
    assert_eq!(code(&["undo", "1:99"]), Some(2));
    assert_eq!(code(&["dance"]), Some(2));
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gate"))
        .args(["scan", "x", "--data"])
        .arg(empty.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("gate enroll"), "it says what to do");
}

#[test]
fn every_command_shows_an_example() {
    for command in ["enroll", "sync", "scan", "undo", "status", "log", "run"] {
        let output = Command::new(env!("CARGO_BIN_EXE_gate")).args([command, "--help"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Example") && text.contains(command), "{command}");
    }
}

#[test]
fn run_stays_through_an_unreachable_server_and_stops_when_told() {
    let place = place(1);
    let mut child = gate(&place, &["run", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("running"));
    let mut scanning = Scanning::start(&place);
    assert_eq!(scanning.scan(&place.codes[0])["outcome"], "ok", "scan runs beside it");
    scanning.finish();
    assert!(child.try_wait().unwrap().is_none());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
