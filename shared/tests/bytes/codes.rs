//! Ticket codes: every small change of a genuine code is refused, and the ring tells whose code it is.

use crate::fixtures::{Server, event, key, organizer, other_event, payload, public, ticket, ticket_key};
use shared::bytes::PublicKey;
use shared::ids::OrganizerId;
use shared::manifest::docs::{KeyList, KeyStatus};
use shared::ticket::code::{CODE_LEN, Code, MAX_TEXT_LEN, PREFIX, TEXT_LEN, parse, sign, text_hash};
use shared::ticket::keys::{KeyRing, KeyRingError, Presented, Signer, SigningKey, kid_of};
use shared::ticket::{Malformed, Payload, base45};
use shared::time::UnixSecs;

/// Two keys (by seed) whose kids are the same four bytes; found by search.
const SAME_KID: (u64, u64) = (29_188, 34_125);

fn genuine() -> (Server, Code, KeyRing) {
    let server = Server::new();
    let code = sign(&server.ticket, organizer(), event(), &payload(&server.ticket));
    let ring = KeyRing::new(&server.key_list, event()).expect("the fixture's key is sound");
    (server, code, ring)
}

fn to_text(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", base45::encode(bytes))
}

fn is_verified(ring: &KeyRing, text: &str) -> bool {
    matches!(ring.present(text), Presented::Verified { .. })
}

fn key_list(keys: &[(&SigningKey, shared::ids::EventId, KeyStatus)]) -> KeyList {
    let mut ticket_keys: Vec<_> = keys.iter().map(|(k, e, s)| ticket_key(k, *e, *s)).collect();
    ticket_keys.sort_by_key(|k| (k.kid, k.public_key));
    KeyList { ticket_keys, ..Server::new().key_list }
}

/// Signs 36 arbitrary bytes, as a server with a bug would.
fn sign_raw(key: &SigningKey, bytes: [u8; 36]) -> String {
    let message =
        [b"hvflvspot/ticket/v1\0".as_slice(), organizer().as_bytes(), event().as_bytes(), &bytes].concat();
    to_text(&[&bytes[..], &key.sign(&message).to_bytes()].concat())
}

#[test]
fn a_genuine_code_verifies_and_says_what_was_signed() {
    let (server, code, ring) = genuine();
    let text = code.to_text();
    assert_eq!(text.len(), TEXT_LEN);
    let expected = Presented::Verified { payload: payload(&server.ticket), text_hash: text_hash(&text) };
    assert_eq!(ring.present(&text), expected);
    assert_eq!(to_text(code.as_bytes()), text);
}

#[test]
fn all_fields_survive_at_their_limits() {
    for (generation, number) in [(0, 0), (15, u32::MAX)] {
        let payload = Payload {
            generation,
            kid: kid_of(&public(&key(4))),
            ticket_id: ticket(number),
            type_no: u16::try_from(number & 0xffff).unwrap(),
            issued_at: UnixSecs(number),
            not_before: UnixSecs(number.saturating_sub(1)),
            expires_at: UnixSecs(number.max(1)),
        };
        assert_eq!(Payload::from_bytes(&payload.to_bytes()), Ok(payload));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (_, code, ring) = genuine();
    for bit in 0..CODE_LEN * 8 {
        let mut bytes = *code.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_verified(&ring, &to_text(&bytes)), "bit {bit}");
    }
}

#[test]
fn every_substituted_character_is_refused() {
    let (_, code, ring) = genuine();
    let text = code.to_text();
    for at in 0..text.len() {
        for c in 0..=127u8 {
            let mut changed = text.clone().into_bytes();
            if changed[at] != c {
                changed[at] = c;
                let changed = String::from_utf8(changed).unwrap();
                assert!(!is_verified(&ring, &changed), "{at}: {:?}", char::from(c));
            }
        }
    }
}

#[test]
fn every_truncation_and_every_extension_is_malformed() {
    let (_, code, ring) = genuine();
    let text = code.to_text();
    let refused =
        |t: &str| matches!(ring.present(t), Presented::Malformed { .. } | Presented::Foreign { .. });
    for len in 0..text.len() {
        assert!(refused(&text[..len]), "cut at {len}");
        assert!(refused(&text[len + 1..]), "cut up to {len}");
    }
    for c in 0..=127u8 {
        let c = char::from(c);
        for extended in [format!("{text}{c}"), format!("{c}{text}"), format!("{text}{c}{c}{c}")] {
            assert!(refused(&extended), "{c:?}");
        }
    }
    for foreign in ["\n", " ", "\u{feff}", "é", "\0\0\0", "HV1:"] {
        assert!(refused(&format!("{text}{foreign}")));
    }
    assert!(refused(&text.to_lowercase()));
    assert!(refused(&format!("{text}{}", &text[4..])));
}

#[test]
fn a_text_is_foreign_only_if_it_does_not_begin_like_a_code_and_is_no_longer_than_one_may_be() {
    assert_eq!(parse("4006381333931"), Err(Malformed::Foreign));
    assert_eq!(parse(""), Err(Malformed::Foreign));
    assert_eq!(parse("hv1:"), Err(Malformed::Foreign));
    assert_eq!(parse("HV1:"), Err(Malformed::Text));
    assert_eq!(parse(&"A".repeat(MAX_TEXT_LEN)), Err(Malformed::Foreign));
    assert_eq!(parse(&"A".repeat(MAX_TEXT_LEN + 1)), Err(Malformed::TooLong));
}

#[test]
fn well_signed_payloads_that_no_server_may_issue_are_malformed() {
    let good = payload(&key(4)).to_bytes();
    let (_, _, ring) = genuine();
    let with = |change: &dyn Fn(&mut [u8; 36])| {
        let mut bytes = good;
        change(&mut bytes);
        sign_raw(&key(4), bytes)
    };
    assert!(is_verified(&ring, &with(&|_| {})), "the raw signer makes genuine codes");
    let cases: [(String, Malformed); 6] = [
        (with(&|b| b[0] = 0), Malformed::Version(0)),
        (with(&|b| b[0] = 2), Malformed::Version(2)),
        (with(&|b| b[1] |= 0x10), Malformed::ReservedFlags(1)),
        (with(&|b| b[1] |= 0x80), Malformed::ReservedFlags(8)),
        (with(&|b| b.copy_within(32..36, 28)), Malformed::EmptyWindow),
        (with(&|b| b[28] = 0xff), Malformed::EmptyWindow),
    ];
    for (text, why) in cases {
        assert_eq!(parse(&text), Err(why));
        assert!(matches!(ring.present(&text), Presented::Malformed { .. }));
    }
}

#[test]
fn a_code_is_bound_to_its_organizer_and_event() {
    let (server, _, ring) = genuine();
    let stranger = OrganizerId::from_bytes([9; 16]);
    for code in [
        sign(&server.ticket, stranger, event(), &payload(&server.ticket)),
        sign(&server.ticket, organizer(), other_event(), &payload(&server.ticket)),
    ] {
        assert!(matches!(ring.present(&code.to_text()), Presented::BadSignature { .. }));
    }
}

#[test]
fn the_ring_tells_own_foreign_unknown_and_compromised_keys_apart() {
    let (own, other, leaked, strange) = (key(4), key(5), key(6), key(7));
    let list = key_list(&[
        (&own, event(), KeyStatus::VerifyOnly),
        (&other, other_event(), KeyStatus::Active),
        (&leaked, event(), KeyStatus::Compromised),
    ]);
    let ring = KeyRing::new(&list, event()).unwrap();
    let text = |key: &SigningKey, event| sign(key, organizer(), event, &payload(key)).to_text();
    assert!(is_verified(&ring, &text(&own, event())));
    match ring.present(&text(&other, other_event())) {
        Presented::WrongEvent { event, payload: p, .. } => {
            assert_eq!(event, other_event());
            assert_eq!(p, payload(&other));
        }
        else_ => panic!("{else_:?}"),
    }
    assert!(matches!(ring.present(&text(&leaked, event())), Presented::UnknownKey { .. }));
    assert!(matches!(ring.present(&text(&strange, event())), Presented::UnknownKey { .. }));
}

#[test]
fn keys_that_share_a_kid_are_all_tried() {
    let (a, b) = (key(SAME_KID.0), key(SAME_KID.1));
    assert_eq!(kid_of(&public(&a)), kid_of(&public(&b)));
    let text = |key: &SigningKey, event| sign(key, organizer(), event, &payload(key)).to_text();
    for (own, other) in [(&a, &b), (&b, &a)] {
        let present = |statuses: [KeyStatus; 2], text: &str| {
            let list = key_list(&[(own, event(), statuses[0]), (other, other_event(), statuses[1])]);
            KeyRing::new(&list, event()).unwrap().present(text)
        };
        let (ours, theirs) = (text(own, event()), text(other, other_event()));
        use KeyStatus::{Active, Compromised};
        assert!(matches!(present([Active, Active], &ours), Presented::Verified { .. }));
        assert!(matches!(present([Active, Active], &theirs), Presented::WrongEvent { .. }));
        let forged = text(own, other_event());
        assert!(matches!(present([Active, Active], &forged), Presented::BadSignature { .. }));
        // A compromised neighbour neither hides a good key nor lends it its own codes.
        assert!(matches!(present([Active, Compromised], &ours), Presented::Verified { .. }));
        assert!(matches!(present([Active, Compromised], &theirs), Presented::UnknownKey { .. }));
        assert!(matches!(present([Compromised, Active], &ours), Presented::UnknownKey { .. }));
        assert!(matches!(present([Compromised, Active], &theirs), Presented::WrongEvent { .. }));
        assert!(matches!(present([Compromised, Compromised], &ours), Presented::UnknownKey { .. }));
    }
}

#[test]
fn a_key_list_with_a_weak_misnamed_or_repeated_key_is_refused_by_name() {
    let good = ticket_key(&key(4), event(), KeyStatus::Active);
    let ring = |ticket_keys: Vec<_>| {
        KeyRing::new(&KeyList { ticket_keys, ..Server::new().key_list }, event()).map(|_| ())
    };
    assert_eq!(ring(vec![good.clone()]), Ok(()));
    let mut identity = [0; 32];
    identity[0] = 1;
    for bytes in [[0; 32], identity, [0xff; 32]] {
        let mut bad = good.clone();
        bad.public_key = PublicKey(bytes);
        bad.kid = kid_of(&bad.public_key);
        assert_eq!(ring(vec![bad.clone()]), Err(KeyRingError::BadKey(bad.kid)));
    }
    let mut misnamed = good.clone();
    misnamed.kid.0[0] ^= 1;
    assert_eq!(ring(vec![misnamed.clone()]), Err(KeyRingError::WrongKid(misnamed.kid)));
    let mut twice = good.clone();
    twice.status = KeyStatus::Compromised;
    assert_eq!(ring(vec![good.clone(), twice]), Err(KeyRingError::OutOfOrder(good.kid)));
}

#[test]
#[should_panic(expected = "a payload names the key that signs it")]
fn signing_for_another_key_is_a_bug() {
    let _ = sign(&key(5), organizer(), event(), &payload(&key(4)));
}
