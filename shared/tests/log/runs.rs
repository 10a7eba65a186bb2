//! Only what the device signed, whole and in order, is a run.

use crate::entries::{chain, device, entry, key, place, run};
use ed25519_dalek::SigningKey;
use shared::bytes::{Hash32, Signature64};
use shared::cbor::CborError;
use shared::ids::DeviceId;
use shared::log::entry::LogEntry;
use shared::log::run::NO_ENTRY;
use shared::log::{RunError, entry_hash, run_message, sign_run, verify_run};
use shared::wire::gates::{MAX_RUN_BYTES, MAX_RUN_ENTRIES, Run};

fn verify(run: &Run) -> Result<Vec<(LogEntry, Hash32)>, RunError> {
    verify_run(run, &key().verifying_key())
}

/// Signs again, as the device itself would: what is left to find is in the entries.
fn resign(run: &mut Run, last_seq: u64) {
    let hash = entry_hash(run.entries.last().expect("entries"));
    let last = shared::log::entry::EntryPlace { device: run.device, log_no: run.log_no, seq: last_seq };
    run.signature = sign_run(&key(), last, &hash);
}

#[test]
fn a_sound_run_gives_its_entries_with_their_hashes() {
    let entries = chain(5);
    let verified = verify(&run(&entries)).expect("sound");
    assert_eq!(verified.len(), 5);
    for (sent, (got, hash)) in entries.iter().zip(&verified) {
        assert_eq!((sent, entry_hash(&sent.to_bytes())), (got, *hash));
    }
    // Any contiguous part of a log is a run, whatever was before it.
    assert!(verify(&run(&entries[2..4])).is_ok());
    assert!(verify(&run(&entries[4..])).is_ok());
}

#[test]
fn caps_come_before_parsing() {
    let empty = Run { entries: vec![], ..run(&chain(1)) };
    assert_eq!(verify(&empty), Err(RunError::Empty));
    // Rubbish that would fail to parse.
    let many = Run { entries: vec![vec![0xff].into(); MAX_RUN_ENTRIES + 1], ..empty.clone() };
    assert_eq!(verify(&many), Err(RunError::TooManyEntries(MAX_RUN_ENTRIES + 1)));
    let long = Run { entries: vec![vec![0xff; MAX_RUN_BYTES / 2 + 1].into(); 2], ..empty };
    assert_eq!(verify(&long), Err(RunError::TooManyBytes(MAX_RUN_BYTES + 2)));
    // Exactly as many as allowed.
    assert_eq!(verify(&run(&chain(MAX_RUN_ENTRIES as u64))).map(|e| e.len()), Ok(MAX_RUN_ENTRIES));
}

#[test]
fn no_bit_of_entries_or_signature_may_change() {
    let sound = run(&chain(3));
    for (i, bytes) in sound.entries.iter().enumerate() {
        for bit in 0..bytes.len() * 8 {
            let mut forged = sound.clone();
            forged.entries[i][bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&forged).is_err(), "bit {bit} of entry {i}");
        }
    }
    for bit in 0..512 {
        let mut forged = sound.clone();
        forged.signature.0[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(&forged), Err(RunError::BadSignature), "bit {bit} of the signature");
    }
}

#[test]
fn a_run_belongs_to_one_device_one_log_and_one_key() {
    let sound = run(&chain(2));
    let stranger = SigningKey::from_bytes(&[0x12; 32]).verifying_key();
    assert_eq!(verify_run(&sound, &stranger), Err(RunError::BadSignature));
    let found = place(1, 1);
    let other_device = Run { device: DeviceId::from_bytes([9; 16]), ..sound.clone() };
    assert_eq!(verify(&other_device), Err(RunError::Misplaced { index: 0, found }));
    let mut other_log = Run { log_no: 2, ..sound.clone() };
    assert_eq!(verify(&other_log), Err(RunError::Misplaced { index: 0, found }));
    resign(&mut other_log, 2);
    assert_eq!(verify(&other_log), Err(RunError::Misplaced { index: 0, found }));
    assert_eq!(sound.device, device());
}

#[test]
fn what_the_device_signed_out_of_order_is_no_run_either() {
    let entries = chain(3);
    let hash = |e: &LogEntry| entry_hash(&e.to_bytes());
    let misplaced = |entries: &[LogEntry], index: usize| {
        assert_eq!(
            verify(&run(entries)).map(|_| ()),
            Err(RunError::Misplaced { index, found: entries[index].place })
        );
    };
    let [a, b, c] = [&entries[0], &entries[1], &entries[2]].map(Clone::clone);
    misplaced(&[a.clone(), c.clone()], 1);
    misplaced(&[a.clone(), a.clone()], 1);
    misplaced(&[b.clone(), a.clone()], 1);
    misplaced(&[entry(0, NO_ENTRY)], 0);
    misplaced(&[LogEntry { place: place(0, 1), ..a.clone() }], 0);
    let end = i64::MAX as u64;
    assert!(verify(&run(&[entry(end, NO_ENTRY)])).is_ok());
    misplaced(&[entry(end + 1, NO_ENTRY)], 0);
    misplaced(&[entry(u64::MAX, NO_ENTRY)], 0);
    misplaced(&[entry(end, NO_ENTRY), entry(1, NO_ENTRY)], 1);
    // Right numbers, wrong ancestor.
    let stepchild = entry(2, Hash32([7; 32]));
    assert_eq!(verify(&run(&[a.clone(), stepchild])), Err(RunError::BrokenChain { index: 1 }));
    let grandchild = entry(3, hash(&a));
    assert_eq!(verify(&run(&[a, b, grandchild])), Err(RunError::BrokenChain { index: 2 }));
}

#[test]
fn other_spellings_of_an_entry_are_no_entries() {
    let sound = run(&chain(1));
    let bytes = sound.entries[0].to_vec();
    let with = |change: fn(&mut Vec<u8>)| {
        let mut spelled = bytes.clone();
        change(&mut spelled);
        let mut forged = Run { entries: vec![spelled.into()], ..sound.clone() };
        resign(&mut forged, 1);
        match verify(&forged) {
            Err(RunError::NotAnEntry { index: 0, error }) => error,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with(|b| b.push(0)), CborError::Trailing(1));
    assert!(matches!(with(|b| b.truncate(b.len() - 1)), CborError::Malformed(_)));
    // An indefinite-length map of the same pairs.
    let indefinite = with(|b| {
        assert_eq!(b[0] & 0xe0, 0xa0, "a map with a short head");
        b[0] = 0xbf;
        b.push(0xff);
    });
    assert_eq!(indefinite, CborError::NotCanonical);
    // One pair that this version does not know.
    let unknown = with(|b| {
        b[0] += 1;
        b.extend([0x18, 0x63, 0x00]);
    });
    assert_eq!(unknown, CborError::NotCanonical);
}

#[test]
fn the_signed_message_names_everything() {
    let base = run_message(device(), 1, 2, &Hash32([3; 32]));
    assert_eq!(&base[..21], b"hvflvspot/log-run/v1\0");
    for other in [
        run_message(DeviceId::from_bytes([0; 16]), 1, 2, &Hash32([3; 32])),
        run_message(device(), 2, 2, &Hash32([3; 32])),
        run_message(device(), 1, 3, &Hash32([3; 32])),
        run_message(device(), 1, 2, &Hash32([4; 32])),
    ] {
        assert_ne!(base, other);
    }
}

/// A key of small order verifies signatures that nobody made, unless the check is strict.
#[test]
fn a_weak_key_signs_nothing() {
    let weak = ed25519_dalek::VerifyingKey::from_bytes(&{
        let mut identity = [0; 32];
        identity[0] = 1;
        identity
    })
    .expect("the identity is a point");
    let mut forged = run(&chain(1));
    let mut signature = [0; 64];
    signature[0] = 1;
    forged.signature = Signature64(signature);
    let message = run_message(forged.device, 1, 1, &entry_hash(&forged.entries[0]));
    let lax =
        ed25519_dalek::Verifier::verify(&weak, &message, &ed25519_dalek::Signature::from_bytes(&signature));
    assert!(lax.is_ok(), "the plain check is fooled, so this test can fail");
    assert_eq!(verify_run(&forged, &weak), Err(RunError::BadSignature));
}
