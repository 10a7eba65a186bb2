//! Who counts as one person where something is limited per person: whoever gets mail at one address.

use sha2::{Digest as _, Sha256};

/// An address as it is compared: lower case, without what follows a plus sign before the @, where most providers
/// deliver the same.
#[must_use]
pub fn normalized(email: &str) -> String {
    let text = email.trim().to_lowercase();
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            let name = local.split_once('+').map_or(local, |(name, _)| name);
            let name = if name.is_empty() { local } else { name };
            format!("{name}@{domain}")
        }
        None => text,
    }
}

/// A person without a name: the hash of the normalised address under `key`, a subkey of the master key, so that
/// the database alone tells nobody who it is.
#[must_use]
pub fn key_of(key: &[u8; 32], email: &str) -> [u8; 32] {
    keyed(key, b"person", normalized(email).as_bytes())
}

/// The same for a place in an event's waiting room.
#[must_use]
pub fn key_of_place(key: &[u8; 32], place: i64) -> [u8; 32] {
    keyed(key, b"place\0", &place.to_be_bytes())
}

/// Key and kind are of fixed length, so that no two inputs run together.
fn keyed(key: &[u8; 32], kind: &[u8; 6], what: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"hvflvspot/claimant/v1\0");
    hash.update(key);
    hash.update(kind);
    hash.update(what);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_one_person() {
        for same in ["ann@example.org", " Ann@Example.ORG", "ann+tickets@example.org", "ann+a+b@example.org"]
        {
            assert_eq!(normalized(same), "ann@example.org", "{same}");
        }
        assert_eq!(normalized("+ann@example.org"), "+ann@example.org", "a name is left");
        assert_eq!(
            normalized("a.nn@example.org"),
            "a.nn@example.org",
            "points are some providers' own business"
        );
    }

    #[test]
    fn persons_and_places_are_told_apart_and_need_the_key() {
        let key = [7; 32];
        assert_eq!(key_of(&key, "ANN@example.org"), key_of(&key, "ann@example.org"));
        assert_ne!(key_of(&key, "ann@example.org"), key_of(&key, "bob@example.org"));
        assert_ne!(key_of(&key, "ann@example.org"), key_of(&[8; 32], "ann@example.org"));
        assert_ne!(key_of_place(&key, 1), key_of_place(&key, 2));
    }
}
