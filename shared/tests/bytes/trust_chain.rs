//! Trust roots: a chain from the pinned one, and every way to leave it.

use crate::fixtures::{NOW, Server, key, organizer, public};
use shared::bytes::{Nonce16, PublicKey};
use shared::cbor;
use shared::ids::{DeviceId, EventId, OrganizerId};
use shared::manifest::docs::{
    Capability, DeviceCertificate, DocKind, ServerTime, SignedTrustRoot, TrustRoot,
};
use shared::manifest::document_hash;
use shared::manifest::online::{OnlineError, open_certificate, open_time};
use shared::manifest::sign1::{Sign1Error, seal, sign};
use shared::manifest::trust::{MAX_CHAIN, Trust, TrustError, sign_root};
use shared::ticket::keys::SigningKey;
use shared::time::{UnixMillis, UnixSecs};

/// Root `version` with root key 100 + version.
fn root(version: u32) -> TrustRoot {
    TrustRoot {
        version,
        organizer: organizer(),
        root_key: public(&root_key(version)),
        manifest_keys: vec![public(&key(200 + u64::from(version)))],
        online_keys: vec![public(&key(300 + u64::from(version)))],
        created_at: UnixSecs(NOW.0 + version),
    }
}

fn root_key(version: u32) -> SigningKey {
    key(100 + u64::from(version))
}

fn signed(root: &TrustRoot) -> SignedTrustRoot {
    let previous = (root.version > 1).then(|| root_key(root.version - 1));
    sign_root(root, &root_key(root.version), previous.as_ref())
}

fn chain(versions: std::ops::RangeInclusive<u32>) -> Vec<SignedTrustRoot> {
    versions.map(|v| signed(&root(v))).collect()
}

fn pinned(chain: &[SignedTrustRoot]) -> Result<Trust, TrustError> {
    Trust::pinned(&document_hash(&signed(&root(1)).document), chain)
}

fn why(result: Result<Trust, TrustError>) -> TrustError {
    result.map(|t| t.version()).expect_err("this chain must be refused")
}

#[test]
fn a_whole_chain_and_its_parts_lead_to_the_same_trust() {
    let whole = pinned(&chain(1..=4)).unwrap();
    assert_eq!((whole.version(), whole.organizer()), (4, organizer()));
    assert_eq!(whole.manifest_keys(), [key(204).verifying_key()]);
    assert_eq!(whole.online_keys(), [key(304).verifying_key()]);
    let step =
        pinned(&chain(1..=2)).unwrap().advanced(&chain(3..=3)).unwrap().advanced(&chain(4..=4)).unwrap();
    assert_eq!(step.hash(), whole.hash());
    assert_eq!(whole.advanced(&[]).unwrap().version(), 4);
    assert_eq!(whole.advanced(&chain(4..=5)).unwrap().version(), 5, "the held one may be repeated");
}

#[test]
fn only_the_pinned_first_root_starts_a_chain() {
    assert_eq!(why(pinned(&[])), TrustError::Empty);
    assert_eq!(why(pinned(&chain(2..=3))), TrustError::NotPinned);
    let mut other = root(1);
    other.created_at = UnixSecs(1);
    assert_eq!(why(pinned(&[signed(&other)])), TrustError::NotPinned);
    // Even pinned by mistake, a later root is no beginning.
    let second = signed(&root(2));
    let result = Trust::pinned(&document_hash(&second.document), &[second]);
    assert_eq!(why(result), TrustError::VersionJump { held: 0, offered: 2 });
    let mut first = signed(&root(1));
    first.succession = Some(vec![]);
    assert_eq!(why(pinned(&[first])), TrustError::SuccessionPresence { version: 1 });
}

#[test]
fn versions_rise_by_one_and_never_fall_or_fork() {
    let held = pinned(&chain(1..=3)).unwrap();
    let jump = TrustError::VersionJump { held: 3, offered: 5 };
    assert_eq!(why(held.advanced(&chain(5..=5))), jump);
    assert_eq!(why(held.advanced(&chain(2..=2))), TrustError::VersionFell { held: 3, offered: 2 });
    assert_eq!(why(held.advanced(&chain(1..=4))), TrustError::VersionFell { held: 3, offered: 1 });
    let mut fork = root(3);
    fork.manifest_keys = vec![public(&key(999))];
    assert_eq!(why(held.advanced(&[signed(&fork)])), TrustError::Equivocation { version: 3 });
    let many: Vec<_> = std::iter::repeat_n(signed(&root(3)), MAX_CHAIN + 1).collect();
    assert_eq!(why(held.advanced(&many)), TrustError::TooMany);
}

#[test]
fn a_root_follows_only_with_its_predecessors_signature_over_its_very_bytes() {
    let held = pinned(&chain(1..=1)).unwrap();
    let good = signed(&root(2));
    let with = |succession: Option<Vec<u8>>| {
        why(held.advanced(&[SignedTrustRoot { document: good.document.clone(), succession }]))
    };
    assert_eq!(with(None), TrustError::SuccessionPresence { version: 2 });
    let refused = |source| TrustError::Succession { version: 2, source };
    let hash = document_hash(&good.document);
    let by = |kind, key: &SigningKey, payload: &[u8]| Some(sign(kind, key, payload));
    // Signed by itself, over another document, as another kind, or over more than the hash.
    let kind = DocKind::TrustRootSuccession;
    assert_eq!(with(by(kind, &root_key(2), hash.as_bytes())), refused(Sign1Error::UnknownKey));
    assert_eq!(with(by(kind, &root_key(1), &[0; 32])), refused(Sign1Error::BadSignature));
    let other_kind = by(DocKind::TrustRoot, &root_key(1), hash.as_bytes());
    assert_eq!(with(other_kind), refused(Sign1Error::BadSignature));
    let longer = [&hash.0[..], &[0]].concat();
    assert_eq!(with(by(kind, &root_key(1), &longer)), refused(Sign1Error::BadSignature));
}

#[test]
fn a_root_must_be_signed_by_itself_and_hold_strong_keys_of_one_organizer() {
    let held = pinned(&chain(1..=1)).unwrap();
    let signed_by = |root: &TrustRoot, own: &SigningKey| {
        let document = sign(DocKind::TrustRoot, own, &cbor::encode(root));
        let hash = document_hash(&document);
        let succession = Some(sign(DocKind::TrustRootSuccession, &root_key(1), hash.as_bytes()));
        why(held.advanced(&[SignedTrustRoot { document, succession }]))
    };
    assert_eq!(signed_by(&root(2), &key(9)), TrustError::Signature(Sign1Error::UnknownKey));
    let foreign = TrustRoot { organizer: OrganizerId::from_bytes([9; 16]), ..root(2) };
    assert_eq!(signed_by(&foreign, &root_key(2)), TrustError::ForeignOrganizer);
    let weak = PublicKey([0; 32]);
    let bad = TrustError::BadKey { version: 2, key: weak };
    assert_eq!(signed_by(&TrustRoot { manifest_keys: vec![weak], ..root(2) }, &root_key(2)), bad);
    assert_eq!(signed_by(&TrustRoot { online_keys: vec![weak], ..root(2) }, &root_key(2)), bad);
    let none = TrustError::NoKeys { version: 2 };
    assert_eq!(signed_by(&TrustRoot { manifest_keys: vec![], ..root(2) }, &root_key(2)), none);
    assert_eq!(signed_by(&TrustRoot { online_keys: vec![], ..root(2) }, &root_key(2)), none);
    let huge = TrustRoot { online_keys: vec![public(&key(3)); 1000], ..root(2) };
    assert!(matches!(signed_by(&huge, &root_key(2)), TrustError::Signature(Sign1Error::TooLong { .. })));
}

#[test]
fn every_flipped_bit_of_a_root_or_its_succession_is_refused() {
    let held = pinned(&chain(1..=1)).unwrap();
    let good = signed(&root(2));
    let succession = good.succession.clone().unwrap();
    for bit in 0..good.document.len() * 8 {
        let mut changed = good.clone();
        changed.document[bit / 8] ^= 1 << (bit % 8);
        assert!(held.advanced(&[changed]).is_err(), "document bit {bit}");
    }
    for bit in 0..succession.len() * 8 {
        let mut changed = succession.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = SignedTrustRoot { succession: Some(changed), ..good.clone() };
        assert!(held.advanced(&[changed]).is_err(), "succession bit {bit}");
    }
}

#[test]
fn certificates_and_times_are_believed_only_from_an_online_key() {
    let server = Server::new();
    let trust = server.trust();
    let event = EventId::from_bytes([3; 16]);
    let certificate = DeviceCertificate {
        organizer: organizer(),
        event,
        device: DeviceId::from_bytes([4; 16]),
        number: 1,
        public_key: public(&key(50)),
        capabilities: vec![Capability::Scan],
        not_after: NOW,
        label: "North".into(),
    };
    let open = |c: &DeviceCertificate, key: &SigningKey| {
        open_certificate(&trust, event, &seal(DocKind::DeviceCertificate, key, c)).map(|(_, key)| key)
    };
    assert_eq!(open(&certificate, &server.online), Ok(key(50).verifying_key()));
    let unsigned = OnlineError::Signature(Sign1Error::UnknownKey);
    assert_eq!(open(&certificate, &server.manifest), Err(unsigned.clone()));
    let foreign = DeviceCertificate { organizer: OrganizerId::from_bytes([9; 16]), ..certificate.clone() };
    assert_eq!(open(&foreign, &server.online), Err(OnlineError::ForeignOrganizer));
    let elsewhere = DeviceCertificate { event: EventId::from_bytes([9; 16]), ..certificate.clone() };
    assert_eq!(open(&elsewhere, &server.online), Err(OnlineError::ForeignEvent));
    let weak = DeviceCertificate { public_key: PublicKey([0; 32]), ..certificate };
    assert_eq!(open(&weak, &server.online), Err(OnlineError::BadKey));

    let nonce = Nonce16([5; 16]);
    let time = ServerTime { nonce, received_at: UnixMillis(10), sent_at: UnixMillis(11) };
    let open =
        |t: &ServerTime, key: &SigningKey| open_time(&trust, &seal(DocKind::ServerTime, key, t), &nonce);
    assert_eq!(open(&time, &server.online), Ok(time.clone()));
    assert_eq!(open(&time, &server.root), Err(unsigned));
    let replayed = ServerTime { nonce: Nonce16([6; 16]), ..time.clone() };
    assert_eq!(open(&replayed, &server.online), Err(OnlineError::Replayed));
    let backwards = ServerTime { sent_at: UnixMillis(9), ..time };
    assert_eq!(open(&backwards, &server.online), Err(OnlineError::TimeOrder));
}
