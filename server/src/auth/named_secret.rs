//! Secrets that name their organizer, so that whoever receives one knows whose rows to look in: a short
//! prefix that says what it is (and lets scanners for leaked secrets find it), then
//! base64url(organizer id ‖ 32 random bytes). Stored as their SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::clock::SharedRng;

/// What a system account signs in as. No secret: base64url(organizer id ‖ account id).
pub const CLIENT_ID: &str = "hva_";
/// What it signs in with.
pub const CLIENT_SECRET: &str = "hvk_";
/// What it gets.
pub const SYSTEM_TOKEN: &str = "hvs_";
/// What a mail of invitation carries.
pub const INVITATION: &str = "hvi_";

/// A secret as its holder has it. Never printed.
#[derive(Clone)]
pub struct NamedSecret {
    text: Zeroizing<String>,
    organizer_id: Uuid,
}

impl std::fmt::Debug for NamedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NamedSecret(…)")
    }
}

impl NamedSecret {
    pub fn generate(prefix: &str, organizer_id: Uuid, rng: &SharedRng) -> Self {
        let mut bytes = Zeroizing::new(organizer_id.as_bytes().to_vec());
        bytes.extend_from_slice(&*Zeroizing::new(rng.bytes::<32>()));
        let text = Zeroizing::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(&*bytes)));
        Self { text, organizer_id }
    }

    /// As a client sent it; `None` if it is none of this kind.
    pub fn parse(prefix: &str, text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.strip_prefix(prefix)?).ok()?);
        match bytes.split_first_chunk::<16>() {
            Some((organizer, random)) if random.len() == 32 => Some(Self {
                text: Zeroizing::new(text.to_owned()),
                organizer_id: Uuid::from_bytes(*organizer),
            }),
            _ => None,
        }
    }

    /// The organizer that it names; that this is true shows when its hash is found there.
    pub fn organizer_id(&self) -> Uuid {
        self.organizer_id
    }

    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    pub fn reveal(&self) -> &str {
        &self.text
    }
}

/// The client id of a system account.
pub fn client_id(organizer_id: Uuid, account_id: Uuid) -> String {
    let bytes = [organizer_id.into_bytes(), account_id.into_bytes()].concat();
    format!("{CLIENT_ID}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// (organizer, account) of a client id.
pub fn parse_client_id(text: &str) -> Option<(Uuid, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(CLIENT_ID)?).ok()?;
    let (organizer, account) = bytes.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*organizer), Uuid::from_bytes(account.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_organizer_and_its_kind_and_is_not_printed() {
        let rng = SharedRng::seeded(1);
        let organizer = Uuid::from_u128(7);
        let secret = NamedSecret::generate(SYSTEM_TOKEN, organizer, &rng);
        let back = NamedSecret::parse(SYSTEM_TOKEN, secret.reveal()).unwrap();
        assert_eq!((back.organizer_id(), back.hash()), (organizer, secret.hash()));
        assert!(NamedSecret::parse(INVITATION, secret.reveal()).is_none());
        assert!(NamedSecret::parse(SYSTEM_TOKEN, &secret.reveal()[..60]).is_none());
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        let other = NamedSecret::generate(SYSTEM_TOKEN, organizer, &rng);
        assert_ne!(other.hash(), secret.hash());
    }

    #[test]
    fn a_client_id_names_organizer_and_account() {
        let (organizer, account) = (Uuid::from_u128(7), Uuid::from_u128(9));
        assert_eq!(parse_client_id(&client_id(organizer, account)), Some((organizer, account)));
        assert_eq!(parse_client_id("hva_AAAA"), None);
        assert_eq!(parse_client_id(""), None);
    }
}
