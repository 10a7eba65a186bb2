//! How a machine becomes a device: the steps of an invitation (slot), and what revocation leaves standing.
//!
//! A slot goes *open → committed → revealed → confirmed*, or *declined*. Every step may be repeated with
//! the same content and then gives the same answer, because its answer may have been lost on the way.

use shared::bytes::{Hash32, Nonce16, Nonce32, PublicKey, sha256};
use shared::manifest::docs::LogPlace;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// An invitation waits this long for its machine, and the machine as long for the organizer's yes.
pub const SLOT_TTL: Duration = Duration::minutes(10);
/// Wrong secrets or wrong digits that a slot survives, less one.
pub const TRIES: i16 = 5;
/// A certificate outlives its event by so much: gates upload and compare their logs until then.
pub const AFTER_EVENT: Duration = Duration::days(7);
/// Which secret of a slot a hash is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// 128 bits, in the link.
    Link,
    /// Four typed characters.
    Typed,
}

/// How a slot keeps its secrets.
#[must_use]
pub fn secret_hash(slot: Uuid, kind: SecretKind, secret: &[u8]) -> Hash32 {
    let kind = match kind {
        SecretKind::Link => b"l",
        SecretKind::Typed => b"t",
    };
    sha256(b"hvflvspot/slot-secret/v1\0", &[slot.as_bytes(), kind, secret])
}

/// Where a slot stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SlotState {
    /// Waits for its machine.
    Open,
    /// A machine committed to a key and has our nonce.
    Committed(Attempt),
    /// It revealed the key; both sides show the digits.
    Revealed(Attempt, Revealed),
    /// The organizer saw the same digits; it is a device.
    Confirmed(Attempt, Revealed, Uuid),
    /// The organizer said no, or too many wrong secrets or digits came.
    Declined,
}

/// The one enrolment of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub enrolment: Nonce16,
    pub commitment: Hash32,
    pub server_nonce: Nonce32,
}

/// What the machine showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revealed {
    pub public_key: PublicKey,
    pub device_nonce: Nonce32,
    pub digits: String,
}

/// An invitation.
#[derive(Debug, Clone)]
pub struct Slot {
    pub slot_id: Uuid,
    pub event_id: Uuid,
    pub label: String,
    pub box_office: bool,
    pub short_name: String,
    pub link_secret_hash: Hash32,
    pub typed_secret_hash: Hash32,
    pub tries_left: i16,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub state: SlotState,
}

/// Why an invitation does not let a machine in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefusal {
    /// Costs one try.
    #[error("wrong secret")]
    WrongSecret,
    /// No more tries: also the right secret is refused.
    #[error("locked after too many wrong secrets")]
    Locked,
    #[error("the ten minutes are over")]
    Expired,
    /// Another machine was quicker, or the organizer has decided.
    #[error("used")]
    Used,
}

/// What a right secret leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// Store this attempt.
    New,
    /// Answer as before.
    Again(Attempt),
}

/// Why a key cannot be revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevealRefusal {
    #[error("key and nonce are not what was committed to")]
    OtherThanCommitted,
    #[error("nothing was committed to, or it is over")]
    Over,
}

/// What a machine hears that asks for the organizer's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poll {
    Pending,
    Confirmed(Uuid),
    Declined,
}

/// Why the organizer's yes does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmRefusal {
    /// Costs one try; with the last one the slot is declined.
    #[error("other digits than the machine's")]
    WrongDigits,
    #[error("no machine has shown its key yet")]
    NotYet,
    #[error("the ten minutes are over")]
    Expired,
    #[error("declined")]
    Declined,
}

/// What the organizer's yes leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirm {
    /// Make the device.
    Make(Revealed),
    /// It was made.
    Again(Uuid),
}

impl Slot {
    /// A machine names the slot, a secret and a commitment.
    pub fn commit(
        &self,
        kind: SecretKind,
        secret: &[u8],
        commitment: &Hash32,
        now: OffsetDateTime,
    ) -> Result<Commit, CommitRefusal> {
        if self.tries_left <= 0 {
            return Err(CommitRefusal::Locked);
        }
        let right = match kind {
            SecretKind::Link => &self.link_secret_hash,
            SecretKind::Typed => &self.typed_secret_hash,
        };
        if !bool::from(secret_hash(self.slot_id, kind, secret).0.ct_eq(&right.0)) {
            return Err(CommitRefusal::WrongSecret);
        }
        if now >= self.expires_at {
            return Err(CommitRefusal::Expired);
        }
        match &self.state {
            SlotState::Open => Ok(Commit::New),
            SlotState::Committed(attempt) | SlotState::Revealed(attempt, _)
                if attempt.commitment == *commitment =>
            {
                Ok(Commit::Again(attempt.clone()))
            }
            _ => Err(CommitRefusal::Used),
        }
    }

    /// The machine reveals what hashes to `commitment`. `Ok(None)`: store it. `Ok(Some)`: it did already.
    /// The caller has verified the proof of possession.
    pub fn reveal(
        &self,
        commitment: &Hash32,
        now: OffsetDateTime,
    ) -> Result<Option<&Revealed>, RevealRefusal> {
        if now >= self.expires_at && !matches!(self.state, SlotState::Confirmed(..)) {
            return Err(RevealRefusal::Over);
        }
        match &self.state {
            SlotState::Committed(attempt) if attempt.commitment == *commitment => Ok(None),
            SlotState::Revealed(attempt, revealed) | SlotState::Confirmed(attempt, revealed, _)
                if attempt.commitment == *commitment =>
            {
                Ok(Some(revealed))
            }
            SlotState::Committed(_) | SlotState::Revealed(..) | SlotState::Confirmed(..) => {
                Err(RevealRefusal::OtherThanCommitted)
            }
            SlotState::Open | SlotState::Declined => Err(RevealRefusal::Over),
        }
    }

    /// What became of it.
    pub fn poll(&self, now: OffsetDateTime) -> Poll {
        match &self.state {
            SlotState::Confirmed(_, _, device) => Poll::Confirmed(*device),
            SlotState::Revealed(..) if now < self.expires_at => Poll::Pending,
            _ => Poll::Declined,
        }
    }

    /// The organizer typed the digits that the machine shows.
    pub fn confirm(&self, digits: &str, now: OffsetDateTime) -> Result<Confirm, ConfirmRefusal> {
        match &self.state {
            SlotState::Confirmed(_, revealed, device) if revealed.digits == digits => {
                Ok(Confirm::Again(*device))
            }
            SlotState::Confirmed(..) => Err(ConfirmRefusal::WrongDigits),
            SlotState::Declined => Err(ConfirmRefusal::Declined),
            _ if now >= self.expires_at => Err(ConfirmRefusal::Expired),
            SlotState::Open | SlotState::Committed(_) => Err(ConfirmRefusal::NotYet),
            SlotState::Revealed(_, revealed) if revealed.digits == digits => {
                Ok(Confirm::Make(revealed.clone()))
            }
            SlotState::Revealed(..) => Err(ConfirmRefusal::WrongDigits),
        }
    }
}

/// True if an entry of a revoked device waits in quarantine: it stands after the cut-off and after what the
/// owner accepted.
#[must_use]
pub fn in_quarantine(place: LogPlace, cut_off: LogPlace, accepted_to: Option<LogPlace>) -> bool {
    place > cut_off && accepted_to.is_none_or(|to| place > to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn slot(state: SlotState) -> Slot {
        let slot_id = Uuid::from_bytes([7; 16]);
        Slot {
            slot_id,
            event_id: Uuid::nil(),
            label: "North".into(),
            box_office: false,
            short_name: "A1B2".into(),
            link_secret_hash: secret_hash(slot_id, SecretKind::Link, &[9; 16]),
            typed_secret_hash: secret_hash(slot_id, SecretKind::Typed, b"Z9Y8"),
            tries_left: TRIES,
            created_at: NOW,
            expires_at: NOW + SLOT_TTL,
            state,
        }
    }

    fn attempt() -> Attempt {
        Attempt { enrolment: Nonce16([1; 16]), commitment: Hash32([2; 32]), server_nonce: Nonce32([3; 32]) }
    }

    fn revealed() -> Revealed {
        Revealed { public_key: PublicKey([4; 32]), device_nonce: Nonce32([5; 32]), digits: "012345".into() }
    }

    #[test]
    fn each_secret_opens_by_its_own_way_only() {
        let s = slot(SlotState::Open);
        let c = Hash32([2; 32]);
        assert_eq!(s.commit(SecretKind::Link, &[9; 16], &c, NOW), Ok(Commit::New));
        assert_eq!(s.commit(SecretKind::Typed, b"Z9Y8", &c, NOW), Ok(Commit::New));
        assert_eq!(s.commit(SecretKind::Typed, &[9; 16], &c, NOW), Err(CommitRefusal::WrongSecret));
        assert_eq!(s.commit(SecretKind::Link, b"Z9Y8", &c, NOW), Err(CommitRefusal::WrongSecret));
    }

    #[test]
    fn a_used_slot_answers_the_same_machine_again_and_no_other() {
        let s = slot(SlotState::Committed(attempt()));
        let again = s.commit(SecretKind::Link, &[9; 16], &Hash32([2; 32]), NOW);
        assert_eq!(again, Ok(Commit::Again(attempt())));
        let other = s.commit(SecretKind::Link, &[9; 16], &Hash32([8; 32]), NOW);
        assert_eq!(other, Err(CommitRefusal::Used));
    }

    #[test]
    fn expiry_is_half_open_and_a_locked_slot_refuses_the_right_secret() {
        let mut s = slot(SlotState::Open);
        let c = Hash32([2; 32]);
        let last = s.expires_at - Duration::nanoseconds(1);
        assert!(s.commit(SecretKind::Link, &[9; 16], &c, last).is_ok());
        assert_eq!(s.commit(SecretKind::Link, &[9; 16], &c, s.expires_at), Err(CommitRefusal::Expired));
        s.tries_left = 0;
        assert_eq!(s.commit(SecretKind::Link, &[9; 16], &c, NOW), Err(CommitRefusal::Locked));
    }

    #[test]
    fn only_what_was_committed_to_is_revealed() {
        let s = slot(SlotState::Committed(attempt()));
        assert_eq!(s.reveal(&Hash32([2; 32]), NOW), Ok(None));
        assert_eq!(s.reveal(&Hash32([8; 32]), NOW), Err(RevealRefusal::OtherThanCommitted));
        assert_eq!(s.reveal(&Hash32([2; 32]), s.expires_at), Err(RevealRefusal::Over));
        assert_eq!(slot(SlotState::Open).reveal(&Hash32([2; 32]), NOW), Err(RevealRefusal::Over));
    }

    #[test]
    fn only_the_shown_digits_confirm_and_only_in_time() {
        let s = slot(SlotState::Revealed(attempt(), revealed()));
        assert_eq!(s.confirm("012345", NOW), Ok(Confirm::Make(revealed())));
        assert_eq!(s.confirm("012346", NOW), Err(ConfirmRefusal::WrongDigits));
        assert_eq!(s.confirm("012345", s.expires_at), Err(ConfirmRefusal::Expired));
        assert_eq!(slot(SlotState::Open).confirm("012345", NOW), Err(ConfirmRefusal::NotYet));
        assert_eq!(slot(SlotState::Declined).confirm("012345", NOW), Err(ConfirmRefusal::Declined));
        let made = slot(SlotState::Confirmed(attempt(), revealed(), Uuid::from_bytes([6; 16])));
        assert_eq!(made.confirm("012345", s.expires_at), Ok(Confirm::Again(Uuid::from_bytes([6; 16]))));
    }

    #[test]
    fn quarantine_holds_what_is_after_cut_off_and_acceptance() {
        let at = |log_no, seq| LogPlace { log_no, seq };
        assert!(!in_quarantine(at(1, 5), at(1, 5), None));
        assert!(in_quarantine(at(1, 6), at(1, 5), None));
        assert!(in_quarantine(at(2, 1), at(1, 5), None));
        assert!(!in_quarantine(at(1, 4), at(2, 0), None));
        assert!(!in_quarantine(at(1, 6), at(1, 5), Some(at(1, 6))));
        assert!(in_quarantine(at(1, 7), at(1, 5), Some(at(1, 6))));
    }
}
