//! Links of the audit's chain: each authenticates one act and the link before it.

use ring::hmac;
use uuid::Uuid;

/// The link before the first.
pub const START: [u8; 32] = [0; 32];
/// What the chain's key is derived for.
pub const KEY_PURPOSE: &str = "hvflvspot/audit-chain/v1\0";

/// An act as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAct {
    pub audit_id: Uuid,
    /// Microseconds since 1970.
    pub at_micros: i64,
    pub actor_kind: String,
    pub actor_id: Option<Uuid>,
    pub action: String,
    pub object_kind: String,
    pub object_id: Uuid,
    pub request_id: Option<String>,
    /// JSON as PostgreSQL writes jsonb.
    pub detail: String,
}

/// HMAC-SHA256(key, organizer ‖ seq u64 BE ‖ link before ‖ the act's fields, each with its length u32 BE before it;
/// an absent one has the length 2³²−1).
#[must_use]
pub fn link(key: &[u8; 32], organizer_id: Uuid, seq: u64, before: &[u8; 32], act: &StoredAct) -> [u8; 32] {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    mac.update(organizer_id.as_bytes());
    mac.update(&seq.to_be_bytes());
    mac.update(before);
    let mut field = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(u32::MAX, |b| u32::try_from(b.len()).unwrap_or(u32::MAX - 1));
        mac.update(&length.to_be_bytes());
        mac.update(bytes.unwrap_or_default());
    };
    field(Some(act.audit_id.as_bytes()));
    field(Some(&act.at_micros.to_be_bytes()));
    field(Some(act.actor_kind.as_bytes()));
    field(act.actor_id.as_ref().map(|id| &id.as_bytes()[..]));
    field(Some(act.action.as_bytes()));
    field(Some(act.object_kind.as_bytes()));
    field(Some(act.object_id.as_bytes()));
    field(act.request_id.as_deref().map(str::as_bytes));
    field(Some(act.detail.as_bytes()));
    let mut out = START;
    out.copy_from_slice(mac.sign().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act() -> StoredAct {
        StoredAct {
            audit_id: Uuid::from_u128(1),
            at_micros: 2,
            actor_kind: "user".into(),
            actor_id: None,
            action: "event.published".into(),
            object_kind: "event".into(),
            object_id: Uuid::from_u128(3),
            request_id: None,
            detail: "{}".into(),
        }
    }

    #[test]
    fn every_part_changes_the_link() {
        let (key, org) = ([7; 32], Uuid::from_u128(9));
        let base = link(&key, org, 1, &START, &act());
        let changed = [
            link(&[8; 32], org, 1, &START, &act()),
            link(&key, Uuid::from_u128(10), 1, &START, &act()),
            link(&key, org, 2, &START, &act()),
            link(&key, org, 1, &[1; 32], &act()),
            link(&key, org, 1, &START, &StoredAct { at_micros: 3, ..act() }),
            link(&key, org, 1, &START, &StoredAct { actor_id: Some(Uuid::nil()), ..act() }),
            link(&key, org, 1, &START, &StoredAct { request_id: Some(String::new()), ..act() }),
            link(&key, org, 1, &START, &StoredAct { detail: "{ }".into(), ..act() }),
            // The border between two fields counts too.
            link(
                &key,
                org,
                1,
                &START,
                &StoredAct { action: "event.publishe".into(), object_kind: "devent".into(), ..act() },
            ),
        ];
        assert!(changed.iter().all(|other| *other != base));
        assert_eq!(base, link(&key, org, 1, &START, &act()));
    }
}
