//! Ed25519 itself: the Wycheproof set through the product's one verification function, and COSE against an
//! independent implementation.

use crate::fixtures::{key, public};
use coset::{CborSerializable as _, TaggedCborSerializable as _};
use shared::bytes::PublicKey;
use shared::manifest::docs::DocKind;
use shared::manifest::sign1::{Sign1Error, key_id, sign, unverified_payload, verify};
use shared::ticket::keys::{Signer, strong_key, verify_strict};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

#[test]
fn the_wycheproof_set_is_judged_as_it_says() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut judged = 0;
    for group in &set.test_groups {
        let key = PublicKey::from_slice(&group.key.pk).as_ref().and_then(strong_key);
        for test in &group.tests {
            let accepted = key.as_ref().is_some_and(|k| verify_strict(k, &test.msg, &test.sig));
            let expected = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                TestResult::Acceptable => continue,
            };
            assert_eq!(accepted, expected, "test {}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert!(judged >= 150, "only {judged} vectors were judged");
}

const KINDS: [DocKind; 7] = [
    DocKind::TrustRoot,
    DocKind::TrustRootSuccession,
    DocKind::KeyList,
    DocKind::DeviceCertificate,
    DocKind::ManifestHeader,
    DocKind::Freshness,
    DocKind::ServerTime,
];

#[test]
fn our_documents_are_what_an_independent_cose_library_reads_and_writes() {
    let signer = key(2);
    for len in [0, 1, 23, 24, 255, 256, 65_535, 65_536] {
        let payload: Vec<u8> = (0..=255u8).cycle().take(len).collect();
        for kind in KINDS {
            let ours = sign(kind, &signer, &payload);
            let read = coset::CoseSign1::from_tagged_slice(&ours).unwrap();
            assert_eq!(read.payload.as_deref(), Some(&payload[..]));
            assert_eq!(read.protected.header.key_id, key_id(&signer.verifying_key()));
            assert!(read.unprotected.is_empty());
            read.verify_signature(kind.external_aad(), |sig, data| {
                if verify_strict(&signer.verifying_key(), data, sig) { Ok(()) } else { Err(()) }
            })
            .unwrap();

            let protected = coset::HeaderBuilder::new()
                .algorithm(coset::iana::Algorithm::EdDSA)
                .key_id(key_id(&signer.verifying_key()).to_vec())
                .build();
            let theirs = coset::CoseSign1Builder::new()
                .protected(protected)
                .payload(payload.clone())
                .create_signature(kind.external_aad(), |data| signer.sign(data).to_bytes().to_vec())
                .build();
            assert_eq!(theirs.to_tagged_vec().unwrap(), ours, "{kind:?}, {len} bytes");
        }
    }
}

#[test]
fn no_document_passes_for_another_kind_or_under_another_key() {
    let (signer, other) = (key(2), key(3));
    let keys = [signer.verifying_key()];
    for kind in KINDS {
        let document = sign(kind, &signer, b"payload");
        for asked in KINDS {
            let expected = if asked == kind { Ok(&b"payload"[..]) } else { Err(Sign1Error::BadSignature) };
            assert_eq!(verify(asked, &keys, &document, 1000), expected);
        }
        let result = verify(kind, &[other.verifying_key()], &document, 1000);
        assert_eq!(result, Err(Sign1Error::UnknownKey));
        let both = [other.verifying_key(), signer.verifying_key()];
        assert_eq!(verify(kind, &both, &document, 1000), Ok(&b"payload"[..]));
        assert_eq!(verify(kind, &[], &document, 1000), Err(Sign1Error::UnknownKey));
        let too_long = Sign1Error::TooLong { len: document.len(), max: 10 };
        assert_eq!(verify(kind, &keys, &document, 10), Err(too_long));
    }
    let claimed = sign(DocKind::KeyList, &other, b"payload");
    let mut forged = claimed.clone();
    forged[8..16].copy_from_slice(&key_id(&keys[0]));
    assert_eq!(verify(DocKind::KeyList, &keys, &forged, 1000), Err(Sign1Error::BadSignature));
}

#[test]
fn a_document_has_one_byte_form() {
    let signer = key(2);
    let keys = [signer.verifying_key()];
    let document = sign(DocKind::KeyList, &signer, b"payload");
    for bit in 0..document.len() * 8 {
        let mut changed = document.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(DocKind::KeyList, &keys, &changed, 1000).is_err(), "bit {bit}");
    }
    for len in 0..document.len() {
        let cut = verify(DocKind::KeyList, &keys, &document[..len], 1000);
        assert_eq!(cut, Err(Sign1Error::Malformed), "cut at {len}");
    }
    // The same values in other spellings, whose signature would verify: a longer length, an unprotected header,
    // no tag, trailing bytes.
    let (head, tail) = document.split_at(17);
    let long = [head, &[0x58, 7], &tail[1..]].concat();
    let unprotected = [&head[..16], &[0xa1, 0x18, 99, 0], tail].concat();
    let trailing = [&document[..], &[0]].concat();
    for other in [&long[..], &unprotected, &trailing, &document[1..]] {
        assert_eq!(verify(DocKind::KeyList, &keys, other, 1000), Err(Sign1Error::Malformed));
    }
    assert_eq!(unverified_payload(&document), Some(&b"payload"[..]));
    let without_tag = coset::CoseSign1::from_slice(&document[1..]).unwrap();
    assert_eq!(without_tag.payload.as_deref(), Some(&b"payload"[..]), "the spelling was a sound one");
    assert_eq!(public(&signer).0, keys[0].to_bytes());
}
