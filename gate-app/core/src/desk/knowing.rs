//! What the logs of devices prove that they knew, asked many times over: each log is read once.

use crate::db::table::cert::Author;
use shared::admission::seen::{CouldHaveKnown, could_have_known};
use shared::log::entry::{EntryPlace, Seen};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Where a log says how far its device had read another one, by that one's device number and log.
type Changes = BTreeMap<(u32, u32), Vec<(EntryPlace, [Seen; 1])>>;

/// Reads all entries of an author, and gives on their places with the changes of their seen vectors.
pub(super) trait ReadLog:
    FnMut(Author, &mut dyn FnMut(EntryPlace, &[Seen])) -> rusqlite::Result<()>
{
}

impl<R: FnMut(Author, &mut dyn FnMut(EntryPlace, &[Seen])) -> rusqlite::Result<()>> ReadLog for R {}

/// What was asked, with what was read for it.
pub(super) struct Knowing<R> {
    read: R,
    logs: BTreeMap<Author, Changes>,
}

impl<R: ReadLog> Knowing<R> {
    pub const fn new(read: R) -> Self {
        Self { read, logs: BTreeMap::new() }
    }

    /// True if the log of the later entry's device, which is `author` here, proves that it had the first entry, whose
    /// device has `first_number`.
    pub fn knew(
        &mut self,
        author: Author,
        later: EntryPlace,
        first: EntryPlace,
        first_number: u32,
    ) -> rusqlite::Result<bool> {
        let changes = match self.logs.entry(author) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => {
                let mut changes = Changes::new();
                (self.read)(author, &mut |place, seen| {
                    for change in seen {
                        let of = (change.number, change.log_no);
                        changes.entry(of).or_default().push((place, [*change]));
                    }
                })?;
                unread.insert(changes)
            }
        };
        let about = changes.get(&(first_number, first.log_no)).map_or(&[][..], Vec::as_slice);
        let log = about.iter().map(|(place, change)| (*place, &change[..]));
        Ok(could_have_known(log, later, first, first_number) == CouldHaveKnown::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::ids::DeviceId;

    fn place(device: u8, seq: u64) -> EntryPlace {
        EntryPlace { device: DeviceId::from_bytes([device; 16]), log_no: 1, seq }
    }

    #[test]
    fn a_log_is_read_once_however_often_it_is_asked() {
        let mut reads = Vec::new();
        let mut knowing = Knowing::new(|author, each: &mut dyn FnMut(EntryPlace, &[Seen])| {
            reads.push(author);
            each(place(2, 1), &[]);
            each(
                place(2, 2),
                &[Seen { number: 1, log_no: 1, seq: 5 }, Seen { number: 3, log_no: 1, seq: 9 }],
            );
            each(place(2, 4), &[Seen { number: 1, log_no: 1, seq: 7 }]);
            Ok(())
        });
        let mut knew = |later, first| knowing.knew(Author(2), place(2, later), place(1, first), 1).unwrap();
        assert!(!knew(1, 5), "it had read nothing yet");
        assert!(knew(2, 5) && knew(3, 5) && !knew(3, 6), "as far as it had read by then");
        assert!(knew(4, 7) && !knew(4, 8));
        assert!(
            !knowing.knew(Author(2), place(2, 4), place(4, 1), 4).unwrap(),
            "of a device it never heard of"
        );
        assert!(!knowing.knew(Author(9), place(9, 1), place(2, 1), 2).unwrap());
        assert_eq!(reads, [Author(2), Author(9)]);
    }
}
