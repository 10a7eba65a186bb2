//! More than a million inputs, random and half right, through every parser of bytes that strangers may send.
//! Seeded: a failure prints the parser, and the same run finds it again.

use crate::fixtures::{NOW, Server, event, key, noise, nonce, organizer, payload, public, rng, row};
use crate::vectors::{bodies, log_entry};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use shared::bytes::Hash32;
use shared::cbor;
use shared::ids::DeviceId;
use shared::log::entry::LogEntry;
use shared::manifest::check::parse;
use shared::manifest::docs::{
    DeviceCertificate, DocKind, Freshness, KeyList, ManifestHeader, ServerTime, SignedTrustRoot, TrustRoot,
};
use shared::manifest::rows::{TicketState, pack_columns, parse_rows, unpack_columns};
use shared::manifest::sign1::{unverified_payload, verify};
use shared::ticket::code::sign;
use shared::ticket::keys::KeyRing;
use shared::wire::enroll::{Link, TypedCode, normalize_origin};
use shared::wire::gates::{EnrollAnswer, EnrollRequest, TimeAnswer, UploadAnswer, UploadRequest, WaitAnswer};
use shared::wire::httpsig::{ReceivedHeaders, RequestParts, claimed_device, sign_request, verify_request};

const INPUTS_PER_PARSER: usize = 48_000;

type Parser = (&'static str, Box<dyn Fn(&[u8])>);

fn decoder<T>(name: &'static str) -> Parser
where
    T: for<'b> minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let parse = |bytes: &[u8]| {
        if let Ok(value) = cbor::decode::<T>(bytes, 4096) {
            assert_eq!(cbor::encode(&value), bytes, "an accepted value has one encoding");
        }
    };
    (name, Box::new(parse))
}

fn of_text(name: &'static str, parse: impl Fn(&str) + 'static) -> Parser {
    (name, Box::new(move |bytes| parse(&String::from_utf8_lossy(bytes))))
}

fn parsers() -> Vec<Parser> {
    let server = Server::new();
    let ring = KeyRing::new(&server.key_list, event()).expect("the fixture's key is sound");
    let keys = [server.manifest.verifying_key()];
    let device_key = key(50).verifying_key();
    vec![
        decoder::<TrustRoot>("trust root"),
        decoder::<SignedTrustRoot>("signed trust root"),
        decoder::<KeyList>("key list"),
        decoder::<DeviceCertificate>("device certificate"),
        decoder::<ManifestHeader>("manifest header"),
        decoder::<Freshness>("freshness"),
        decoder::<ServerTime>("server time"),
        decoder::<EnrollRequest>("enroll request"),
        decoder::<EnrollAnswer>("enroll answer"),
        decoder::<TimeAnswer>("time answer"),
        decoder::<UploadRequest>("upload request"),
        decoder::<UploadAnswer>("upload answer"),
        decoder::<WaitAnswer>("wait answer"),
        decoder::<LogEntry>("log entry"),
        (
            "manifest answer",
            Box::new(|b| {
                let _ = parse(b);
            }),
        ),
        (
            "packed rows",
            Box::new(|b| {
                let _ = unpack_columns(b, 1000);
            }),
        ),
        (
            "rows",
            Box::new(|b| {
                let _ = parse_rows(b);
            }),
        ),
        (
            "signed document",
            Box::new(move |b| {
                let _ = verify(DocKind::KeyList, &keys, b, 4096);
            }),
        ),
        (
            "unverified document",
            Box::new(|b| {
                let _ = unverified_payload(b);
            }),
        ),
        of_text("ticket code", move |t| {
            let _ = ring.present(t);
        }),
        of_text("link", |t| {
            let _ = Link::parse(t);
        }),
        of_text("typed code", |t| {
            let _ = TypedCode::parse(t);
        }),
        of_text("origin", |t| {
            let _ = normalize_origin(t);
        }),
        of_text("signature headers", move |t| {
            // Input and signature in one text, so that both are mutated.
            let (input, signature) = t.split_once('\n').unwrap_or((t, ""));
            let received = ReceivedHeaders {
                content_digest: None,
                signature_input: Some(input),
                signature: Some(signature),
            };
            let request = RequestParts { method: "GET", path: "/", query: None, body: b"" };
            let _ = claimed_device(&received);
            let _ = verify_request(&device_key, &request, &received, NOW, 300);
        }),
    ]
}

/// One or more sound inputs of every parser; every parser gets mutations of all of them.
fn seeds() -> Vec<Vec<u8>> {
    let server = Server::new();
    let rows: Vec<_> = (1..40).map(|n| row(n, TicketState::Valid)).collect();
    let request = RequestParts { method: "GET", path: "/", query: None, body: b"" };
    let signed = sign_request(&key(50), DeviceId::from_bytes([1; 16]), &request, NOW);
    let link = Link {
        origin: "https://a.example:8443".into(),
        slot: nonce(),
        secret: nonce(),
        trust_root_hash: Hash32([1; 32]),
    };
    let code = sign(&server.ticket, organizer(), event(), &payload(&server.ticket));
    let mut seeds = vec![
        cbor::encode(server.trust().root()),
        cbor::encode(&server.trust_roots[0]),
        cbor::encode(&server.key_list),
        cbor::encode(&server.current_header()),
        cbor::encode(&server.full(nonce())),
        cbor::encode(&log_entry()),
        server.signed_key_list(),
        server.freshness(nonce(), b"header"),
        pack_columns(&rows),
        rows.iter().flat_map(shared::manifest::rows::TicketRow::to_bytes).collect(),
        code.to_text().into_bytes(),
        link.to_url().into_bytes(),
        TypedCode::from_random([1, 2, 3, 4, 5]).to_text().into_bytes(),
        format!("{}\n{}", signed.signature_input, signed.signature).into_bytes(),
        public(&key(1)).0.to_vec(),
    ];
    seeds.extend(bodies().into_iter().map(|(_, bytes)| bytes));
    seeds
}

/// Bytes that begin, end or break CBOR items and numbers.
const NASTY: [u8; 16] =
    [0x00, 0x01, 0x17, 0x18, 0x1b, 0x1f, 0x40, 0x5b, 0x5f, 0x7f, 0x80, 0x9b, 0x9f, 0xbf, 0xf6, 0xff];

fn mutate(seeds: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        let to = rng.random_range(at..=bytes.len().min(at + 16));
        match rng.random_range(0..7) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = NASTY[rng.random_range(0..NASTY.len())],
            2 => drop(bytes.drain(at..to)),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, NASTY[rng.random_range(0..NASTY.len())]),
            5 => {
                let repeated = bytes[at..to].to_vec();
                bytes.splice(at..at, repeated);
            }
            _ => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

#[test]
fn no_parser_panics_on_a_million_inputs() {
    let (parsers, seeds) = (parsers(), seeds());
    assert!(parsers.len() * INPUTS_PER_PARSER >= 1_000_000);
    let mut rng = rng(20_260_601);
    for (name, parse) in &parsers {
        let state = rng.next_u64();
        println!("{name}: seed {state}");
        let mut rng = crate::fixtures::rng(state);
        for n in 0..INPUTS_PER_PARSER {
            let input = if n % 2 == 0 { noise(&mut rng, 160) } else { mutate(&seeds, &mut rng) };
            parse(&input);
        }
    }
}
