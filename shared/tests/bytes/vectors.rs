//! Frozen bytes. Gates in the field, printed tickets and stored signatures hold these; a difference here means
//! that they stop working. `HVFLVSPOT_FREEZE=1` writes a file that does not exist yet and never replaces one.

use crate::fixtures::{NOW, Server, empty_handed, event, judge, key, nonce, organizer, payload, public, row};
use serde_json::{Value, json};
use shared::admission::{Flags, Outcome};
use shared::bytes::{Hash32, Nonce16, Nonce32, Signature64};
use shared::cbor;
use shared::ids::DeviceId;
use shared::log::entry::{Direction, EntryKind, EntryPlace, LogEntry, ScanTime};
use shared::manifest::apply::apply;
use shared::manifest::buckets::{bucket_hash, bucket_of, buckets_hash, empty_hashes, hash_all, split};
use shared::manifest::check::parse;
use shared::manifest::docs::{Capability, DeviceCertificate, DocKind, ManifestVersion, ServerTime};
use shared::manifest::document_hash;
use shared::manifest::rows::{TicketRow, TicketState, pack_columns, unpack_columns};
use shared::manifest::sign1::{seal, unverified_payload};
use shared::manifest::trust::Trust;
use shared::ticket::code::{self, sign, text_hash};
use shared::ticket::keys::{KeyRing, Presented, Signer};
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::enroll::{Link, TypedCode, commitment, digits, poll_message, reveal_message};
use shared::wire::gates::{
    EnrollAnswer, EnrollRequest, Hole, Invitation, ManifestBody, Run, TimeAnswer, UploadAnswer,
    UploadRequest, WaitAnswer,
};
use shared::wire::httpsig::{ReceivedHeaders, RequestParts, WINDOW_SECS, sign_request, verify_request};
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// The frozen file; made now if it is absent and the environment asks for it.
fn frozen(name: &str, now: &Value) -> Value {
    let path = path(name);
    if !path.exists() && std::env::var_os("HVFLVSPOT_FREEZE").is_some() {
        let text = serde_json::to_string_pretty(now).expect("a JSON value has a text");
        std::fs::write(&path, text + "\n").expect("the vectors' folder is writable");
    }
    let text = std::fs::read_to_string(&path).expect("the vector is committed");
    serde_json::from_str(&text).expect("the vector is JSON")
}

/// Compares field by field, so that a difference names its field.
fn assert_frozen(name: &str, now: &Value) -> Value {
    let then = frozen(name, now);
    for (field, value) in now.as_object().expect("vectors are objects") {
        assert_eq!(value, &then[field], "{name}: {field}");
    }
    assert_eq!(now, &then, "{name}: fields");
    then
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("a hex text")).expect("a hex text")
}

#[test]
fn the_ticket_code_is_frozen() {
    let server = Server::new();
    let payload = payload(&server.ticket);
    let code = sign(&server.ticket, organizer(), event(), &payload);
    let text = code.to_text();
    let message = [
        b"hvflvspot/ticket/v1\0".as_slice(),
        organizer().as_bytes(),
        event().as_bytes(),
        &payload.to_bytes(),
    ]
    .concat();
    let now = json!({
        "secret_key": hex::encode(server.ticket.to_bytes()),
        "public_key": public(&server.ticket),
        "kid": payload.kid,
        "organizer": organizer(),
        "event": event(),
        "generation": payload.generation,
        "ticket": payload.ticket_id,
        "type_no": payload.type_no,
        "issued_at": payload.issued_at,
        "not_before": payload.not_before,
        "expires_at": payload.expires_at,
        "signed_fields": hex::encode(payload.to_bytes()),
        "signed_message": hex::encode(message),
        "signature": hex::encode(&code.as_bytes()[36..]),
        "code": hex::encode(code.as_bytes()),
        "text": text,
        "text_sha256": text_hash(&text),
    });
    let then = assert_frozen("ticket-code.json", &now);

    let text = then["text"].as_str().unwrap();
    assert_eq!(code::parse(text).unwrap().payload, payload);
    let ring = KeyRing::new(&server.key_list, event()).unwrap();
    assert!(matches!(ring.present(text), Presented::Verified { .. }));
}

#[test]
fn a_manifest_answer_is_frozen() {
    let server = Server::new();
    let answer = server.full(nonce());
    let bytes = cbor::encode(&answer);
    let ManifestBody::Full { rows } = &answer.body else { unreachable!("a full answer") };
    let blobs = split(&server.rows);
    let hashes = hash_all(&blobs);
    let buckets: Vec<Value> = server
        .rows
        .iter()
        .map(|r| {
            let no = bucket_of(&r.ticket_id);
            let blob = &blobs[usize::from(no)];
            json!({ "number": no, "rows": hex::encode(blob), "hash": bucket_hash(no, blob) })
        })
        .collect();
    let now = json!({
        "secret_keys": {
            "root": hex::encode(server.root.to_bytes()),
            "manifest": hex::encode(server.manifest.to_bytes()),
            "online": hex::encode(server.online.to_bytes()),
        },
        "trust_root_payload": hex::encode(unverified_payload(&server.trust_roots[0].document).unwrap()),
        "trust_root": hex::encode(&server.trust_roots[0].document),
        "trust_root_hash": document_hash(&server.trust_roots[0].document),
        "key_list_payload": hex::encode(cbor::encode(&server.key_list)),
        "key_list": hex::encode(&answer.key_list),
        "key_list_hash": document_hash(&answer.key_list),
        "rows": server.rows.iter().map(|r| hex::encode(r.to_bytes())).collect::<Vec<_>>(),
        "buckets": buckets,
        "empty_bucket_0_hash": bucket_hash(0, &[]),
        "empty_buckets_hash": buckets_hash(&empty_hashes()),
        "buckets_hash": buckets_hash(&hashes),
        "packed_rows": hex::encode(rows),
        "header_payload": hex::encode(cbor::encode(&server.current_header())),
        "header": hex::encode(&answer.header),
        "header_hash": document_hash(&answer.header),
        "nonce": nonce(),
        "freshness_payload": hex::encode(unverified_payload(&answer.freshness).unwrap()),
        "freshness": hex::encode(&answer.freshness),
        "answer": hex::encode(&bytes),
    });
    let then = assert_frozen("manifest.json", &now);

    let answer = parse(&unhex(&then["answer"])).unwrap();
    let checked = judge(&server.trust(), &empty_handed(), &answer).unwrap();
    let applied =
        apply(&checked, &empty_hashes(), |_| -> Result<_, std::fmt::Error> { unreachable!() }).unwrap();
    assert_eq!(applied.hashes, hashes);
    assert_eq!(unpack_columns(&unhex(&then["packed_rows"]), 2).as_ref(), Ok(&server.rows));
    let pin = Hash32::from_slice(&unhex(&then["trust_root_hash"])).unwrap();
    assert!(Trust::pinned(&pin, &server.trust_roots).is_ok());
}

#[test]
fn an_enrolment_is_frozen() {
    let device_key = key(50);
    let (k, device, server) = (public(&device_key), Nonce32([0xd1; 32]), Nonce32([0x51; 32]));
    let (enrolment, roots) = (Nonce16([0xe1; 16]), Server::new().trust_roots);
    let trust_root_hash = document_hash(&roots[0].document);
    let link = Link {
        origin: "https://tickets.example".into(),
        slot: Nonce16([0x10; 16]),
        secret: Nonce16([0x5e; 16]),
        trust_root_hash,
    };
    let typed = TypedCode::from_random([0x21, 0x98, 0xcb, 0xa9, 0x87]);
    let reveal = reveal_message(&enrolment, &server, &k, &device);
    let poll = poll_message(&enrolment);
    let now = json!({
        "origin": link.origin,
        "link": link.to_url(),
        "typed_code": typed.to_text(),
        "trust_root_hash": trust_root_hash,
        "secret_key": hex::encode(device_key.to_bytes()),
        "public_key": k,
        "device_nonce": device,
        "server_nonce": server,
        "enrolment": enrolment,
        "commitment": commitment(&k, &device),
        "reveal_message": hex::encode(&reveal),
        "reveal_signature": hex::encode(device_key.sign(&reveal).to_bytes()),
        "poll_message": hex::encode(&poll),
        "poll_signature": hex::encode(device_key.sign(&poll).to_bytes()),
        "digits": digits(&link.origin, &trust_root_hash, &k, &device, &server),
    });
    let then = assert_frozen("enrolment.json", &now);

    assert_eq!(Link::parse(then["link"].as_str().unwrap()), Ok(link));
    assert_eq!(TypedCode::parse(then["typed_code"].as_str().unwrap()), Ok(typed));
}

#[test]
fn signed_requests_are_frozen() {
    let (device_key, device) = (key(50), DeviceId::from_bytes([0xd0; 16]));
    let get = RequestParts {
        method: "GET",
        path: "/gates/manifest",
        query: Some("root=1&epoch=1&seq=7&as_of=1780336680&nonce=07070707070707070707070707070707"),
        body: b"",
    };
    let post = RequestParts { method: "POST", path: "/gates/log", query: None, body: b"\xa1\x00\xa0" };
    let mut now = json!({
        "secret_key": hex::encode(device_key.to_bytes()),
        "public_key": public(&device_key),
        "device": device,
        "created": NOW,
    });
    for (name, request) in [("get", get), ("post", post)] {
        let headers = sign_request(&device_key, device, &request, NOW);
        now[name] = json!({
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "body": hex::encode(request.body),
            "content_digest": headers.content_digest,
            "signature_input": headers.signature_input,
            "signature": headers.signature,
        });
    }
    let then = assert_frozen("signed-requests.json", &now);

    for (name, request) in [("get", get), ("post", post)] {
        let received = ReceivedHeaders {
            content_digest: then[name]["content_digest"].as_str(),
            signature_input: then[name]["signature_input"].as_str(),
            signature: then[name]["signature"].as_str(),
        };
        let verified = verify_request(&device_key.verifying_key(), &request, &received, NOW, WINDOW_SECS);
        assert_eq!(verified, Ok(device));
    }
}

/// One of each body of `/gates/…` but the manifest answer, which has a vector of its own.
pub fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let server = Server::new();
    let (enrolment, device) = (Nonce16([0xe1; 16]), DeviceId::from_bytes([0xd0; 16]));
    let certificate = DeviceCertificate {
        organizer: organizer(),
        event: event(),
        device,
        number: 1,
        public_key: public(&key(50)),
        capabilities: vec![Capability::Scan],
        not_after: UnixSecs(NOW.0 + 7 * 86_400),
        label: "North entrance".into(),
    };
    let certificate = seal(DocKind::DeviceCertificate, &server.online, &certificate);
    let (received_at, sent_at) = (NOW.millis(), UnixMillis(NOW.millis().0 + 2));
    let time = ServerTime { nonce: nonce(), received_at, sent_at };
    let time = seal(DocKind::ServerTime, &server.online, &time);
    // Entries are opaque here; their own vector freezes them.
    let entries: Vec<minicbor::bytes::ByteVec> = vec![vec![0xa0].into(), vec![0xa1, 0x00, 0x01].into()];
    let run = Run { device, log_no: 1, entries, signature: Signature64([0x51; 64]) };
    let link = Invitation::Link { slot: Nonce16([0x10; 16]), secret: Nonce16([0x5e; 16]) };
    let commitment = commitment(&public(&key(50)), &Nonce32([0xd1; 32]));
    let typed = TypedCode::from_random([0x21, 0x98, 0xcb, 0xa9, 0x87]).invitation();
    let reveal = EnrollRequest::Reveal {
        enrolment,
        public_key: public(&key(50)),
        device_nonce: Nonce32([0xd1; 32]),
        signature: Signature64([0x51; 64]),
    };
    let challenge = EnrollAnswer::Challenge {
        enrolment,
        server_nonce: Nonce32([0x51; 32]),
        trust_roots: server.trust_roots.clone(),
    };
    let confirmed = EnrollAnswer::Confirmed {
        organizer: organizer(),
        event: event(),
        device,
        certificate: certificate.clone(),
    };
    let uploaded = UploadAnswer {
        device,
        log_no: 1,
        acknowledged: 2,
        holes: vec![Hole { from: 3, to: 4 }],
        forked: false,
    };
    let news = WaitAnswer {
        manifest: ManifestVersion { epoch: 1, change_seq: 7, as_of: UnixSecs(NOW.0 - 120) },
        certificates: vec![certificate.into()],
        runs: vec![run.clone()],
        scans: 300,
        more: false,
    };
    let poll = EnrollRequest::Poll { enrolment, signature: Signature64([0x51; 64]) };
    vec![
        ("enroll_commit_by_link", cbor::encode(&EnrollRequest::Commit { invitation: link, commitment })),
        ("enroll_commit_typed", cbor::encode(&EnrollRequest::Commit { invitation: typed, commitment })),
        ("enroll_reveal", cbor::encode(&reveal)),
        ("enroll_poll", cbor::encode(&poll)),
        ("enroll_challenge", cbor::encode(&challenge)),
        ("enroll_pending", cbor::encode(&EnrollAnswer::Pending {})),
        ("enroll_confirmed", cbor::encode(&confirmed)),
        ("enroll_declined", cbor::encode(&EnrollAnswer::Declined {})),
        ("time", cbor::encode(&TimeAnswer { received_at, sent_at, signed: Some(time) })),
        ("time_unsigned", cbor::encode(&TimeAnswer { received_at, sent_at, signed: None })),
        ("manifest_same", cbor::encode(&ManifestBody::Same {})),
        ("manifest_delta", cbor::encode(&delta())),
        ("upload", cbor::encode(&UploadRequest { run })),
        ("uploaded", cbor::encode(&uploaded)),
        ("wait", cbor::encode(&news)),
    ]
}

fn delta() -> ManifestBody {
    let rows: [TicketRow; 1] = [row(2, TicketState::Refunded)];
    ManifestBody::Delta { from_seq: 6, rows: pack_columns(&rows) }
}

/// A sound entry to start mutations from; its frozen bytes are the log's own vector.
pub fn log_entry() -> LogEntry {
    LogEntry {
        place: EntryPlace { device: DeviceId::from_bytes([0xd0; 16]), log_no: 1, seq: 1 },
        prev_hash: Hash32([0; 32]),
        kind: EntryKind::Entry,
        outcome: Outcome::Ok,
        flags: Flags::default(),
        list: None,
        ticket: Some(crate::fixtures::ticket(1)),
        generation: Some(0),
        kid: None,
        text_hash: None,
        type_no: Some(1),
        reason: None,
        gate: None,
        staff: None,
        nonce: nonce(),
        target: None,
        direction: Direction::In,
        rehearsal: false,
        time: ScanTime {
            corrected: NOW.millis(),
            error_ms: 600_000,
            wall: NOW.millis(),
            boot_id: nonce(),
            monotonic_ns: 1,
            anchor: None,
        },
        manifest: None,
        seen: Vec::new(),
    }
}

#[test]
fn the_bodies_of_the_gate_routes_are_frozen() {
    let now: serde_json::Map<String, Value> =
        bodies().into_iter().map(|(name, bytes)| (name.to_owned(), hex::encode(bytes).into())).collect();
    let then = assert_frozen("gate-bodies.json", &Value::Object(now));

    fn reads<T>(value: &Value) -> bool
    where
        T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
    {
        cbor::decode::<T>(&unhex(value), 64 * 1024).is_ok()
    }
    for (name, value) in then.as_object().unwrap() {
        let read = match name.as_str() {
            "enroll_commit_by_link" | "enroll_commit_typed" | "enroll_reveal" | "enroll_poll" => {
                reads::<EnrollRequest>(value)
            }
            "enroll_challenge" | "enroll_pending" | "enroll_confirmed" | "enroll_declined" => {
                reads::<EnrollAnswer>(value)
            }
            "time" | "time_unsigned" => reads::<TimeAnswer>(value),
            "manifest_same" | "manifest_delta" => reads::<ManifestBody>(value),
            "upload" => reads::<UploadRequest>(value),
            "uploaded" => reads::<UploadAnswer>(value),
            "wait" => reads::<WaitAnswer>(value),
            other => panic!("nothing reads {other}"),
        };
        assert!(read, "{name}");
    }
}

/// Frozen texts that the protocol page shows in pieces, or only names.
const NOT_QUOTED: [&str; 14] = [
    "secret_key",
    "secret_keys",
    "code",
    "signed_message",
    "trust_root",
    "key_list",
    "header",
    "freshness",
    "reveal_message",
    "poll_message",
    "enroll_challenge",
    "enroll_confirmed",
    "time",
    "wait",
];

fn assert_quoted(page: &str, field: &str, value: &Value) {
    match value {
        _ if NOT_QUOTED.contains(&field) => {}
        Value::String(text) => {
            let text: String = text.split_whitespace().collect();
            assert!(page.contains(&text), "docs/PROTOCOL.md does not quote {field}: {text}");
        }
        Value::Array(items) => items.iter().for_each(|item| assert_quoted(page, field, item)),
        Value::Object(fields) => fields.iter().for_each(|(name, item)| assert_quoted(page, name, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn the_protocol_page_quotes_the_frozen_bytes() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let page: String = std::fs::read_to_string(page).unwrap().split_whitespace().collect();
    for name in
        ["ticket-code.json", "manifest.json", "enrolment.json", "signed-requests.json", "gate-bodies.json"]
    {
        let text = std::fs::read_to_string(path(name)).unwrap();
        assert_quoted(&page, name, &serde_json::from_str(&text).unwrap());
    }
}
