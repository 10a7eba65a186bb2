//! Where a device stands in the guest records of its event. The order is the manifest's: all tickets once, by id, as of
//! one change, then the changes after it. The device keeps the cursor as bytes and gives them back; they say nothing
//! that it may not know, and let it read nothing that it may not read.

use minicbor::{Decode, Encode};
use shared::cbor;
use shared::ids::TicketId;
use shared::manifest::rows::ROW_LEN;
use shared::wire::guests::MAX_CURSOR_BYTES;

/// What the records of an event depend on beside its tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ground {
    /// Lineage of the manifest: change numbers mean something only within one.
    #[n(0)]
    pub epoch: u32,
    /// The device may know names.
    #[n(1)]
    pub names: bool,
    /// Which questions the door sees, as a hash.
    #[n(2)]
    pub questions: u64,
}

/// A place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cursor {
    #[n(0)]
    pub ground: Ground,
    /// Everything up to this change is told, or will be by the walk that goes on.
    #[n(1)]
    pub change_seq: u64,
    /// Tickets of the next change that are told as well.
    #[n(2)]
    pub skip: u32,
    /// All tickets are being told, by id.
    #[n(3)]
    pub walk: Option<Walk>,
}

/// How far all tickets are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Walk {
    /// `None`: none yet.
    #[n(0)]
    pub after: Option<TicketId>,
}

impl Cursor {
    /// The beginning: all tickets, as of this change.
    #[must_use]
    pub const fn start(ground: Ground, change_seq: u64) -> Self {
        Self { ground, change_seq, skip: 0, walk: Some(Walk { after: None }) }
    }

    /// What a device gave back, if it still stands on the same ground and is not ahead of the database.
    #[must_use]
    pub fn resumed(bytes: &[u8], ground: Ground, change_seq: u64) -> Option<Self> {
        let cursor: Self = cbor::decode(bytes, MAX_CURSOR_BYTES).ok()?;
        (cursor.ground == ground && cursor.change_seq <= change_seq).then_some(cursor)
    }

    /// The bytes that a device keeps.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// True if nothing is left to tell when the event is at `change_seq`.
    #[must_use]
    pub const fn is_done(&self, change_seq: u64) -> bool {
        self.walk.is_none() && self.change_seq >= change_seq
    }

    /// After a page of the walk: its last ticket, or `None` if that was the end.
    #[must_use]
    pub const fn walked(self, last: Option<TicketId>) -> Self {
        let walk = match last {
            Some(_) => Some(Walk { after: last }),
            None => None,
        };
        Self { walk, ..self }
    }

    /// Takes at most `max` tickets of changes that follow, in their order and each once; the cursor behind them.
    #[must_use]
    pub fn take(self, changes: &[Change], max: usize) -> (Self, Vec<TicketId>) {
        let (mut at, mut tickets) = (self, Vec::new());
        for change in changes {
            let from = if change.seq == at.change_seq + 1 { at.skip } else { 0 };
            let room = max.saturating_sub(tickets.len());
            let told = change.tickets.iter().take(room);
            let until = from.saturating_add(u32::try_from(told.len()).unwrap_or(u32::MAX));
            tickets.extend(told);
            if until < change.of {
                at.skip = until;
                break;
            }
            (at.change_seq, at.skip) = (change.seq, 0);
        }
        // Read as they are now, a ticket that changed twice is told once.
        let mut seen = std::collections::HashSet::new();
        tickets.retain(|t| seen.insert(*t));
        (at, tickets)
    }
}

/// One change of the manifest, from the first ticket that is not told on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub seq: u64,
    /// As many as were read.
    pub tickets: Vec<TicketId>,
    /// Tickets of the whole change.
    pub of: u32,
}

impl Change {
    /// From its 20-byte rows; `rows` are the first of them that are not told.
    #[must_use]
    pub fn of_rows(seq: u64, rows: &[u8], of: u32) -> Self {
        let id = |row: &[u8]| row.first_chunk().copied().map(TicketId::from_bytes);
        Self { seq, tickets: rows.chunks_exact(ROW_LEN).filter_map(id).collect(), of }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const GROUND: Ground = Ground { epoch: 1, names: false, questions: u64::MAX };

    fn ticket(n: u128) -> TicketId {
        TicketId(Uuid::from_u128(n))
    }

    fn change(seq: u64, tickets: &[u128]) -> Change {
        let of = u32::try_from(tickets.len()).unwrap();
        Change { seq, tickets: tickets.iter().map(|n| ticket(*n)).collect(), of }
    }

    fn at(change_seq: u64, skip: u32) -> Cursor {
        Cursor { skip, ..Cursor::start(GROUND, change_seq).walked(None) }
    }

    #[test]
    fn changes_are_told_in_their_order_each_ticket_once_a_page() {
        let changes = [change(4, &[1, 2]), change(5, &[]), change(6, &[2, 3])];
        let (cursor, told) = at(3, 0).take(&changes, 10);
        assert_eq!((cursor, told), (at(6, 0), vec![ticket(1), ticket(2), ticket(3)]));
        assert!(cursor.is_done(6) && !cursor.is_done(7));
    }

    #[test]
    fn a_page_ends_within_a_change_and_the_next_begins_there() {
        let changes = [change(4, &[1, 2, 3]), change(5, &[4])];
        let (cursor, told) = at(3, 0).take(&changes, 2);
        assert_eq!((cursor, told), (at(3, 2), vec![ticket(1), ticket(2)]));
        let rest = [Change { seq: 4, tickets: vec![ticket(3)], of: 3 }, change(5, &[4])];
        let (cursor, told) = cursor.take(&rest, 2);
        assert_eq!((cursor, told), (at(5, 0), vec![ticket(3), ticket(4)]));
        let (cursor, told) = at(3, 0).take(&changes, 3);
        assert_eq!((cursor, told.len()), (at(4, 0), 3), "a full page ends where the change does");
    }

    #[test]
    fn nothing_new_leaves_the_cursor_where_it_is() {
        assert_eq!(at(3, 1).take(&[], 5), (at(3, 1), Vec::new()));
    }

    #[test]
    fn a_cursor_survives_as_bytes_on_the_same_ground_only() {
        let cursor = Cursor::start(GROUND, u64::MAX >> 1).walked(Some(ticket(u128::MAX)));
        let cursor = Cursor { skip: u32::MAX, ground: Ground { epoch: u32::MAX, ..GROUND }, ..cursor };
        let bytes = cursor.to_bytes();
        assert!(bytes.len() <= MAX_CURSOR_BYTES, "{} bytes", bytes.len());
        let resumed = |ground, seq| Cursor::resumed(&bytes, ground, seq);
        assert_eq!(resumed(cursor.ground, u64::MAX >> 1), Some(cursor));
        assert_eq!(resumed(cursor.ground, 5), None, "ahead of the database");
        assert_eq!(resumed(Ground { names: true, ..cursor.ground }, u64::MAX), None);
        assert_eq!(resumed(Ground { questions: 1, ..cursor.ground }, u64::MAX), None);
        assert_eq!(resumed(GROUND, u64::MAX), None);
        assert_eq!(Cursor::resumed(b"rubbish", GROUND, 5), None);
    }
}
