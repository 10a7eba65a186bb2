//! A manifest answer from somebody who controls the network, or who kept an old one: each attack has its own
//! refusal, and the gate keeps what it had.

use crate::fixtures::{
    NOW, Server, empty_handed, encoded, event, judge, key, nonce, other_event, public, row, ticket_key,
};
use shared::bytes::{Hash32, Nonce16, PublicKey};
use shared::ids::OrganizerId;
use shared::manifest::apply::{Applied, ApplyError, WrongState, apply};
use shared::manifest::buckets::{BucketHashes, bucket_of, empty_hashes, hash_all, split};
use shared::manifest::check::{
    Advice, Change, Checked, Held, MAX_FRESHNESS_BYTES, MAX_HEADER_BYTES, MAX_KEY_LIST_BYTES, ManifestError,
    check, parse,
};
use shared::manifest::docs::{DocKind, KeyStatus, ManifestVersion, TrustRoot};
use shared::manifest::rows::{RowsError, TicketRow, TicketState, pack_columns};
use shared::manifest::sign1::{Sign1Error, seal};
use shared::manifest::trust::{TrustError, sign_root};
use shared::ticket::keys::{KeyRingError, kid_of};
use shared::time::{UnixMillis, UnixSecs};
use shared::wire::gates::{MAX_MANIFEST_BYTES, ManifestAnswer, ManifestBody};
use std::convert::Infallible;

fn why(server: &Server, held: &Held, answer: &ManifestAnswer) -> ManifestError {
    judge(&server.trust(), held, answer).map(|c| c.header.version).expect_err("this answer must be refused")
}

/// Applies to a store that holds `rows`.
fn apply_to(checked: &Checked, rows: &[TicketRow]) -> Result<Applied, ApplyError<Infallible>> {
    let blobs = split(rows);
    apply(checked, &hash_all(&blobs), |no| Ok(blobs[usize::from(no)].clone()))
}

fn delta(from_seq: u64, rows: &[TicketRow]) -> ManifestBody {
    ManifestBody::Delta { from_seq, rows: pack_columns(rows) }
}

// ---- what must be accepted

#[test]
fn a_first_full_a_delta_and_no_change_are_accepted_and_add_up() {
    let mut server = Server::new();
    let full = judge(&server.trust(), &empty_handed(), &server.full(nonce())).unwrap();
    assert_eq!(full.change, Change::Full(server.rows.clone()));
    assert_eq!(full.server_time, NOW.millis());
    let applied = apply(&full, &empty_hashes(), |_| -> Result<_, Infallible> { unreachable!() }).unwrap();
    assert_eq!(applied.touched.len(), 4096, "a Full writes every bucket");
    assert_eq!(applied.hashes, hash_all(split(&server.rows)));

    let (held, before) = (server.held(), server.rows.clone());
    let changed = [row(1, TicketState::Blocked), row(3, TicketState::Valid)];
    server.change(&changed);
    let answer = server.answer(nonce(), delta(7, &changed));
    let checked = judge(&server.trust(), &held, &answer).unwrap();
    let applied = apply_to(&checked, &before).unwrap();
    assert_eq!(applied.hashes, hash_all(split(&server.rows)));
    let mut touched: Vec<u16> = changed.iter().map(|r| bucket_of(&r.ticket_id)).collect();
    touched.sort_unstable();
    assert_eq!(applied.touched.iter().map(|t| t.0).collect::<Vec<_>>(), touched);

    // The same header again, and a newer one without changes of rows.
    let held = server.held();
    let same = |server: &Server| server.answer(nonce(), ManifestBody::Same {});
    let again = judge(&server.trust(), &held, &same(&server)).unwrap();
    assert_eq!(apply_to(&again, &server.rows).unwrap().touched, []);
    server.header.version.as_of = UnixSecs(server.header.version.as_of.0 + 1);
    let newer = judge(&server.trust(), &held, &same(&server)).unwrap();
    assert_eq!(apply_to(&newer, &server.rows).unwrap().touched, []);
}

#[test]
fn an_answer_survives_its_encoding_and_tells_the_clocks_distance() {
    let server = Server::new();
    let answer = parse(&encoded(&server.full(nonce()))).unwrap();
    let slow = NOW.millis().plus_ms(-5000);
    let checked = check(&server.trust(), &empty_handed(), &answer, &nonce(), slow).unwrap();
    assert_eq!(checked.clock_offset_ms, 5000);
}

#[test]
fn keys_may_change_together_with_the_manifest_that_they_sign() {
    let mut server = Server::new();
    let trust = server.trust();
    let (root, manifest, online) = (key(11), key(12), key(13));
    let next = TrustRoot {
        version: 2,
        root_key: public(&root),
        manifest_keys: vec![public(&manifest)],
        online_keys: vec![public(&online)],
        ..trust.root().clone()
    };
    let signed = sign_root(&next, &root, Some(&server.root));
    (server.root, server.manifest, server.online) = (root, manifest, online);
    let mut answer = server.full(nonce());
    let unknown = ManifestError::HeaderSignature(Sign1Error::UnknownKey);
    assert_eq!(judge(&trust, &empty_handed(), &answer).unwrap_err(), unknown);
    answer.trust_roots = vec![signed];
    assert_eq!(judge(&trust, &empty_handed(), &answer).unwrap().trust.version(), 2);
}

#[test]
fn a_new_epoch_is_taken_as_a_full_even_if_its_sequence_is_lower() {
    let mut server = Server::new();
    let held = server.held();
    server.header.version = ManifestVersion { epoch: 2, change_seq: 3, as_of: UnixSecs(1) };
    judge(&server.trust(), &held, &server.full(nonce())).unwrap();
    let error = why(&server, &held, &server.answer(nonce(), delta(7, &[])));
    assert_eq!((error.clone(), error.advice()), (ManifestError::NotFromHeld, Advice::AskFull));
    let same = why(&server, &held, &server.answer(nonce(), ManifestBody::Same {}));
    assert_eq!(same, ManifestError::NotFromHeld);
}

// ---- rollback, freeze, equivocation

#[test]
fn rollback_an_older_manifest_is_refused_in_each_part_of_its_version() {
    let server = Server::new();
    let held = server.held();
    let version = server.header.version;
    let older = [
        ManifestVersion { epoch: 0, change_seq: 99, as_of: UnixSecs(u32::MAX) },
        ManifestVersion { change_seq: 6, as_of: UnixSecs(u32::MAX), ..version },
        ManifestVersion { as_of: UnixSecs(version.as_of.0 - 1), ..version },
    ];
    for offered in older {
        let mut old = Server::new();
        old.header.version = offered;
        let error = why(&server, &held, &old.full(nonce()));
        assert_eq!(error, ManifestError::Rollback { held: version, offered });
        assert_eq!(error.advice(), Advice::Refuse);
    }
}

#[test]
fn freeze_an_old_header_is_refused_without_a_freshness_for_this_very_question() {
    let mut server = Server::new();
    let held = server.held();
    let recorded = server.answer(Nonce16([1; 16]), ManifestBody::Same {});
    assert_eq!(why(&server, &held, &recorded), ManifestError::Replayed);
    // The attacker passes our nonce on, but keeps handing out the old header.
    server.change(&[row(1, TicketState::Refunded)]);
    let current = server.full(nonce());
    let frozen = ManifestAnswer { freshness: current.freshness, ..recorded };
    assert_eq!(why(&server, &held, &frozen), ManifestError::Frozen);
}

#[test]
fn equivocation_another_manifest_of_the_same_version_is_refused() {
    let server = Server::new();
    let held = server.held();
    let mut twin = Server::new();
    twin.rows.push(row(9, TicketState::Valid));
    let error = why(&server, &held, &twin.full(nonce()));
    assert_eq!(error, ManifestError::Equivocation { version: server.header.version });
    let mut renamed = Server::new();
    renamed.header.info.title = "Another Night".into();
    let error = why(&server, &held, &renamed.full(nonce()));
    assert_eq!(error, ManifestError::Equivocation { version: server.header.version });
}

// ---- mix and match, foreign, forged

#[test]
fn mix_and_match_each_part_of_another_answer_is_refused() {
    let server = Server::new();
    let mut later = Server::new();
    later.change(&[row(1, TicketState::Refunded)]);
    later.key_list.issued_at = NOW;
    let (a, b) = (server.full(nonce()), later.full(nonce()));
    let held = empty_handed();
    let mixed = ManifestAnswer { key_list: b.key_list.clone(), ..a.clone() };
    assert_eq!(why(&server, &held, &mixed), ManifestError::KeyListHash);
    let mixed = ManifestAnswer { header: b.header.clone(), key_list: b.key_list.clone(), ..a.clone() };
    assert_eq!(why(&server, &held, &mixed), ManifestError::Frozen);
    let mixed = ManifestAnswer { freshness: b.freshness.clone(), ..a.clone() };
    assert_eq!(why(&server, &held, &mixed), ManifestError::Frozen);
    // Rows of another state pass the documents and fail the bucket hashes.
    let mixed = ManifestAnswer { body: b.body, ..a };
    let checked = judge(&server.trust(), &held, &mixed).unwrap();
    let wrong = ApplyError::WrongState { state: WrongState::Hash, full: true };
    assert_eq!(apply_to(&checked, &[]), Err(wrong));
    assert_eq!(wrong.advice(), Advice::Refuse);
}

#[test]
fn foreign_events_and_organizers_are_refused() {
    let server = Server::new();
    let mut elsewhere = Server::new();
    elsewhere.header.event = other_event();
    assert_eq!(why(&server, &empty_handed(), &elsewhere.full(nonce())), ManifestError::ForeignEvent);
    let mut stranger = Server::new();
    stranger.header.organizer = OrganizerId::from_bytes([9; 16]);
    assert_eq!(why(&server, &empty_handed(), &stranger.full(nonce())), ManifestError::ForeignOrganizer);
    let mut list = Server::new();
    list.key_list.organizer = OrganizerId::from_bytes([9; 16]);
    assert_eq!(why(&server, &empty_handed(), &list.full(nonce())), ManifestError::KeyListOrganizer);
}

#[test]
fn forged_each_document_is_refused_under_every_key_but_its_own() {
    let held = empty_handed();
    let honest = Server::new();
    let stranger = key(99);
    for forger in [&honest.root, &honest.online, &honest.ticket, &stranger] {
        let forged = Server { manifest: forger.clone(), ..Server::new() };
        let error = why(&honest, &held, &forged.full(nonce()));
        assert_eq!(error, ManifestError::HeaderSignature(Sign1Error::UnknownKey));
        // A key list of the forger, named by an honest header: only a manifest key may sign it.
        let key_list = seal(DocKind::KeyList, forger, &honest.key_list);
        let mut header = honest.current_header();
        header.key_list_hash = shared::manifest::document_hash(&key_list);
        let header = seal(DocKind::ManifestHeader, &honest.manifest, &header);
        let freshness = honest.freshness(nonce(), &header);
        let answer = ManifestAnswer { header, key_list, freshness, ..honest.full(nonce()) };
        let error = why(&honest, &held, &answer);
        assert_eq!(error, ManifestError::KeyListSignature(Sign1Error::UnknownKey));
    }
    for forger in [&honest.root, &honest.manifest, &honest.ticket, &stranger] {
        let forged = Server { online: forger.clone(), ..Server::new() };
        let error = why(&honest, &held, &forged.full(nonce()));
        assert_eq!(error, ManifestError::FreshnessSignature(Sign1Error::UnknownKey));
    }
    let own_root = Server { root: stranger.clone(), ..Server::new() };
    let roots = TrustRoot { version: 2, root_key: public(&stranger), ..honest.trust().root().clone() };
    let answer = ManifestAnswer {
        trust_roots: vec![sign_root(&roots, &stranger, Some(&stranger))],
        ..own_root.full(nonce())
    };
    let refused = TrustError::Succession { version: 2, source: Sign1Error::UnknownKey };
    assert_eq!(why(&honest, &held, &answer), ManifestError::Trust(refused));
}

#[test]
fn every_flipped_bit_of_every_document_is_refused() {
    let server = Server::new();
    let trust = server.trust();
    let answer = server.full(nonce());
    let flips = |change: &dyn Fn(&mut ManifestAnswer) -> &mut Vec<u8>| {
        let bits = change(&mut answer.clone()).len() * 8;
        for bit in 0..bits {
            let mut changed = answer.clone();
            change(&mut changed)[bit / 8] ^= 1 << (bit % 8);
            let accepted = judge(&trust, &empty_handed(), &changed).is_ok_and(|c| apply_to(&c, &[]).is_ok());
            assert!(!accepted, "bit {bit} of {bits}");
        }
    };
    flips(&|a| &mut a.header);
    flips(&|a| &mut a.key_list);
    flips(&|a| &mut a.freshness);
}

#[test]
fn every_flipped_bit_of_the_rows_leaves_the_signed_state_or_is_refused() {
    let server = Server::new();
    let trust = server.trust();
    let answer = server.full(nonce());
    let ManifestBody::Full { rows } = &answer.body else { unreachable!("a full answer") };
    for bit in 0..rows.len() * 8 {
        let mut changed = rows.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let body = ManifestBody::Full { rows: changed };
        let changed = ManifestAnswer { body, ..answer.clone() };
        if let Ok(checked) = judge(&trust, &empty_handed(), &changed)
            && let Ok(applied) = apply_to(&checked, &[])
        {
            // zstd has unused header bits; what counts is that the rows are the signed ones.
            assert_eq!(applied.hashes, hash_all(split(&server.rows)), "bit {bit}");
        }
    }
}

// ---- truncation, size, shape

#[test]
fn truncation_at_every_byte_is_refused() {
    let server = Server::new();
    let answer = server.full(nonce());
    let bytes = encoded(&answer);
    for len in 0..bytes.len() {
        assert!(matches!(parse(&bytes[..len]), Err(ManifestError::Answer(_))), "cut at {len}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(matches!(parse(&longer), Err(ManifestError::Answer(_))));

    let cut = |field: &dyn Fn(&mut ManifestAnswer) -> &mut Vec<u8>| {
        for len in 0..field(&mut answer.clone()).len() {
            let mut changed = answer.clone();
            field(&mut changed).truncate(len);
            why(&server, &empty_handed(), &changed);
        }
    };
    cut(&|a| &mut a.header);
    cut(&|a| &mut a.key_list);
    cut(&|a| &mut a.freshness);
    cut(&|a| match &mut a.body {
        ManifestBody::Full { rows } => rows,
        _ => unreachable!("a full answer"),
    });
}

#[test]
fn oversized_answers_and_documents_are_refused_unread() {
    let too_big = vec![0; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(parse(&too_big), Err(ManifestError::Answer(shared::cbor::CborError::TooLong { .. }))));
    let server = Server::new();
    let answer = server.full(nonce());
    let grown = |len: usize| vec![0; len + 1];
    let too_long = |max: usize| Sign1Error::TooLong { len: max + 1, max };
    let refused = |answer: ManifestAnswer| why(&server, &empty_handed(), &answer);
    let big = ManifestAnswer { header: grown(MAX_HEADER_BYTES), ..answer.clone() };
    assert_eq!(refused(big), ManifestError::HeaderSignature(too_long(MAX_HEADER_BYTES)));
    let big = ManifestAnswer { key_list: grown(MAX_KEY_LIST_BYTES), ..answer.clone() };
    assert_eq!(refused(big), ManifestError::KeyListSignature(too_long(MAX_KEY_LIST_BYTES)));
    let big = ManifestAnswer { freshness: grown(MAX_FRESHNESS_BYTES), ..answer.clone() };
    assert_eq!(refused(big), ManifestError::FreshnessSignature(too_long(MAX_FRESHNESS_BYTES)));
    // More rows than the header signs for, before they are unpacked.
    let rows: Vec<_> = (1..=3).map(|n| row(n, TicketState::Valid)).collect();
    let big = ManifestAnswer { body: ManifestBody::Full { rows: pack_columns(&rows) }, ..answer };
    let source = RowsError::TooMany { rows: 3, max: 2 };
    assert_eq!(refused(big), ManifestError::Rows { full: true, source });
}

#[test]
fn a_list_of_countless_trust_roots_is_refused_before_it_takes_memory() {
    // {0: [{}, {}, … ]}: each empty map is one byte here and fifty in memory.
    for head in [&[0xa5, 0x00, 0x9a, 0x00, 0x10, 0x00, 0x00][..], &[0xa5, 0x00, 0x9f]] {
        let bytes = [head, &vec![0xa0; 1 << 20]].concat();
        let error = parse(&bytes).unwrap_err();
        assert!(error.to_string().contains("too many trust roots"), "{error}");
    }
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    type Break = fn(&mut Server);
    let cases: [Break; 6] = [
        |s| s.header.fresh_until = UnixSecs(s.header.hard_until.0 + 1),
        |s| s.header.lists.clear(),
        |s| s.header.lists.push(s.header.lists[0].clone()),
        |s| s.header.lists[0].attendance = false,
        |s| s.header.ticket_types.push(s.header.ticket_types[0].clone()),
        |s| s.header.gaps = vec![shared::manifest::docs::Gap { from: UnixSecs(2), to: UnixSecs(1) }],
    ];
    for case in cases {
        let mut server = Server::new();
        case(&mut server);
        let error = why(&server, &empty_handed(), &server.full(nonce()));
        assert!(matches!(error, ManifestError::HeaderShape(_)), "{error}");
    }
}

#[test]
fn a_key_list_with_a_weak_key_is_refused_by_name() {
    let mut server = Server::new();
    let weak = PublicKey([0; 32]);
    let bad = KeyRingError::BadKey(kid_of(&weak));
    let mut entry = ticket_key(&key(4), event(), KeyStatus::Active);
    (entry.kid, entry.public_key) = (kid_of(&weak), weak);
    server.key_list.ticket_keys = vec![entry];
    assert_eq!(why(&server, &empty_handed(), &server.full(nonce())), ManifestError::KeyListKeys(bad));
}

// ---- rows that are not the header's

#[test]
fn deltas_start_from_the_state_held_or_a_full_is_asked_for() {
    let mut server = Server::new();
    let (held, changed) = (server.held(), [row(1, TicketState::Blocked)]);
    server.change(&changed);
    for (held, from) in [(held, 6), (held, 8), (empty_handed(), 7), (empty_handed(), 0)] {
        let error = why(&server, &held, &server.answer(nonce(), delta(from, &changed)));
        assert_eq!((error.clone(), error.advice()), (ManifestError::NotFromHeld, Advice::AskFull));
    }
    let same = why(&server, &held, &server.answer(nonce(), ManifestBody::Same {}));
    assert_eq!(same, ManifestError::NotFromHeld);
}

#[test]
fn unsound_rows_lead_to_a_full_once() {
    let mut server = Server::new();
    let held = server.held();
    server.change(&[]);
    let body = ManifestBody::Delta { from_seq: 7, rows: vec![1, 2, 3] };
    let error = why(&server, &held, &server.answer(nonce(), body));
    assert_eq!(error.advice(), Advice::AskFull);
    let error = why(&server, &held, &server.answer(nonce(), ManifestBody::Full { rows: vec![1, 2, 3] }));
    assert_eq!(error.advice(), Advice::Refuse);
    let short = ManifestBody::Full { rows: pack_columns(&server.rows[..1]) };
    let error = why(&server, &held, &server.answer(nonce(), short));
    assert_eq!(error, ManifestError::RowCount { rows: 1, tickets: 2 });
}

#[test]
fn wrong_bucket_hashes_are_found_whatever_was_left_out_added_or_damaged() {
    let mut server = Server::new();
    let (held, before) = (server.held(), server.rows.clone());
    let changed = [row(1, TicketState::Blocked), row(3, TicketState::Valid)];
    server.change(&changed);
    let checked =
        |rows: &[TicketRow]| judge(&server.trust(), &held, &server.answer(nonce(), delta(7, rows))).unwrap();
    let outcome = |rows: &[TicketRow]| apply_to(&checked(rows), &before).unwrap_err();
    let wrong = |state| ApplyError::WrongState { state, full: false };
    assert_eq!(outcome(&changed[..1]), wrong(WrongState::Count { rows: 2, tickets: 3 }));
    assert_eq!(outcome(&changed[1..]), wrong(WrongState::Hash), "a change held back");
    let other = [row(1, TicketState::Valid), changed[1]];
    assert_eq!(outcome(&other), wrong(WrongState::Hash), "a state forged");
    assert_eq!(outcome(&other).advice(), Advice::AskFull);
    let added = [changed[0], row(3, TicketState::Valid), row(4, TicketState::Valid)];
    assert_eq!(outcome(&added), wrong(WrongState::Count { rows: 4, tickets: 3 }));

    // The store lost or garbled a bucket that the delta touches, or another one.
    let blobs = split(&before);
    let hashes = hash_all(&blobs);
    let no = bucket_of(&changed[0].ticket_id);
    let damaged = apply(&checked(&changed), &hashes, |_| Ok::<_, Infallible>(Vec::new()));
    assert_eq!(damaged, Err(wrong(WrongState::DamagedBucket(no))));
    let mut other_hashes: Box<BucketHashes> = hashes;
    other_hashes[usize::from(bucket_of(&row(2, TicketState::Valid).ticket_id))] = Hash32([0; 32]);
    let damaged =
        apply(&checked(&changed), &other_hashes, |n| Ok::<_, Infallible>(blobs[usize::from(n)].clone()));
    assert_eq!(damaged, Err(wrong(WrongState::Hash)));
    let unreadable = apply(&checked(&changed), &hash_all(&blobs), |_| Err(std::fmt::Error));
    assert_eq!(unreadable.map(|_| ()), Err(ApplyError::Read(std::fmt::Error)));
}

#[test]
fn the_gates_own_clock_never_decides_acceptance() {
    let server = Server::new();
    for now in [UnixMillis(0), UnixMillis(i64::MIN), UnixMillis(i64::MAX)] {
        check(&server.trust(), &empty_handed(), &server.full(nonce()), &nonce(), now).unwrap();
    }
}
