//! Frozen bytes of one run. Signed logs lie in databases and on devices; a difference here means that they no longer
//! verify. `HVFLVSPOT_FREEZE=1` writes the file if it does not exist and never replaces it.

use crate::entries::{device, first, key, run};
use serde_json::{Value, json};
use shared::admission::{Flag, Outcome};
use shared::bytes::PublicKey;
use shared::log::entry::{Direction, EntryKind, LogEntry};
use shared::log::run::NO_ENTRY;
use shared::log::{entry_hash, run_message, verify_run};
use std::path::Path;

/// An admission with an anchor, and a supervisor's override after it with everything that it may carry.
fn entries() -> [LogEntry; 2] {
    let admission = first();
    let overriding = LogEntry {
        place: crate::entries::place(1, 2),
        prev_hash: entry_hash(&admission.to_bytes()),
        kind: EntryKind::Override,
        flags: [Flag::Overridden, Flag::AlreadyAdmitted, Flag::ClockDoubt].into_iter().collect(),
        reason: Some("Türsteherin kennt ihn".into()),
        time: shared::log::entry::ScanTime { anchor: None, error_ms: 600_000, ..admission.time },
        seen: vec![],
        ..first()
    };
    [admission, overriding]
}

fn vector() -> Value {
    let entries = entries();
    let run = run(&entries);
    let hashes: Vec<_> = run.entries.iter().map(|b| entry_hash(b)).collect();
    json!({
        "secret_key": hex::encode(key().to_bytes()),
        "public_key": PublicKey(key().verifying_key().to_bytes()),
        "device": device(),
        "entries": run.entries.iter().map(|b| hex::encode(b.as_slice())).collect::<Vec<_>>(),
        "hashes": hashes,
        "run_message": hex::encode(run_message(device(), 1, 2, &hashes[1])),
        "signature": run.signature,
        "run": hex::encode(shared::cbor::encode(&run)),
    })
}

#[test]
fn a_run_is_frozen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/log.json");
    let now = vector();
    if !path.exists() && std::env::var_os("HVFLVSPOT_FREEZE").is_some() {
        let text = serde_json::to_string_pretty(&now).expect("a JSON value has a text");
        std::fs::write(&path, text + "\n").expect("the vectors' folder is writable");
    }
    let text = std::fs::read_to_string(&path).expect("the vector is committed");
    let then: Value = serde_json::from_str(&text).expect("the vector is JSON");
    for (field, value) in now.as_object().expect("an object") {
        assert_eq!(value, &then[field], "{field}");
    }
    assert_eq!(now, then);
}

#[test]
fn the_frozen_run_verifies_and_says_what_it_said() {
    let entries = entries();
    let verified = verify_run(&run(&entries), &key().verifying_key()).expect("it is authentic");
    assert_eq!(verified[0].0.prev_hash, NO_ENTRY);
    assert_eq!(verified[1].0.outcome, Outcome::Ok);
    assert_eq!(verified[1].0.direction, Direction::In);
    for ((entry, _), sent) in verified.iter().zip(&entries) {
        assert_eq!(entry, sent);
        assert_eq!(entry.check(), Ok(()));
    }
}

#[test]
fn the_protocol_page_quotes_the_frozen_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../docs/PROTOCOL.md")).expect("the page is committed");
    let code = page.split("```").skip(1).step_by(2);
    // Annotated lines: the bytes, two spaces, words.
    let bytes: String = code
        .flat_map(str::lines)
        .map(|line| line.trim_start().split("  ").next().unwrap_or_default())
        .collect();
    let squeezed: String = page.split_whitespace().collect();
    let now = vector();
    let frozen = |field: &str| now[field].as_str().expect("a text").to_owned();
    for text in [frozen("run_message"), frozen("signature")] {
        assert!(squeezed.contains(&text), "the page does not quote {text}");
    }
    for (entry, hash) in
        now["entries"].as_array().into_iter().flatten().zip(now["hashes"].as_array().into_iter().flatten())
    {
        let (entry, hash) = (entry.as_str().expect("hex"), hash.as_str().expect("hex"));
        assert!(bytes.contains(entry), "the page does not quote the entry {entry}");
        assert!(squeezed.contains(hash), "the page does not quote the hash {hash}");
    }
}
