//! An organizer's keys: making them and the first trust root. Sealing is `crate::keys`, storing is `store`.

use ed25519_dalek::SigningKey;
use shared::bytes::{Kid, PublicKey};
use shared::ids::OrganizerId;
use shared::manifest::docs::{SignedTrustRoot, TrustRoot};
use shared::manifest::trust::sign_root;
use shared::ticket::keys::kid_of;
use shared::time::UnixSecs;

use crate::clock::SharedRng;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Trust roots.
    Root,
    /// Manifest headers and key lists.
    Manifest,
    /// Device certificates, freshness, time.
    Online,
    /// Ticket codes of one event.
    Ticket,
}

impl Purpose {
    /// The column's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Manifest => "manifest",
            Self::Online => "online",
            Self::Ticket => "ticket",
        }
    }

    /// Associated data under which the private half is sealed: a key sealed for one use opens for no other.
    #[must_use]
    pub fn seal_purpose(self) -> String {
        format!("organizer_keys/{}", self.as_str())
    }
}

/// A new key pair.
#[derive(Debug)]
pub struct NewKey {
    pub purpose: Purpose,
    pub signing: SigningKey,
}

impl NewKey {
    /// From 32 bytes of chance.
    #[must_use]
    pub fn generate(purpose: Purpose, rng: &SharedRng) -> Self {
        Self { purpose, signing: SigningKey::from_bytes(&rng.bytes()) }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key().to_bytes())
    }

    /// Its short name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        kid_of(&self.public())
    }
}

/// The keys of a new organizer and the trust root that names them.
#[derive(Debug)]
pub struct NewTrust {
    pub root: NewKey,
    pub manifest: NewKey,
    pub online: NewKey,
    pub signed: SignedTrustRoot,
}

impl NewTrust {
    /// Trust root 1.
    #[must_use]
    pub fn generate(organizer: OrganizerId, created_at: UnixSecs, rng: &SharedRng) -> Self {
        let [root, manifest, online] =
            [Purpose::Root, Purpose::Manifest, Purpose::Online].map(|p| NewKey::generate(p, rng));
        let document = TrustRoot {
            version: 1,
            organizer,
            root_key: root.public(),
            manifest_keys: vec![manifest.public()],
            online_keys: vec![online.public()],
            created_at,
        };
        let signed = sign_root(&document, &root.signing, None);
        Self { root, manifest, online, signed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::manifest::document_hash;
    use shared::manifest::trust::Trust;
    use uuid::Uuid;

    #[test]
    fn a_gate_that_pins_the_first_trust_root_believes_its_keys() {
        let organizer = OrganizerId(Uuid::from_u128(7));
        let made = NewTrust::generate(organizer, UnixSecs(1_700_000_000), &SharedRng::seeded(3));
        let trust =
            Trust::pinned(&document_hash(&made.signed.document), std::slice::from_ref(&made.signed)).unwrap();
        assert_eq!((trust.organizer(), trust.version()), (organizer, 1));
        assert_eq!(trust.manifest_keys()[0], made.manifest.signing.verifying_key());
        assert_eq!(trust.online_keys()[0], made.online.signing.verifying_key());
    }
}
