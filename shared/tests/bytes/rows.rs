//! Ticket rows on the wire and in buckets.

use crate::fixtures::{rng, row, sold_rows, ticket};
use proptest::prelude::*;
use shared::ids::TicketId;
use shared::manifest::buckets::{
    BUCKETS, bucket_hash, bucket_of, buckets_hash, empty_hashes, find, hash_all, merge, split,
};
use shared::manifest::rows::{
    ROW_LEN, RowsError, TicketRow, TicketState, pack_columns, parse_rows, sort_last_wins, unpack_columns,
};
use std::collections::BTreeMap;
use std::io::Write as _;

fn blob(rows: &[TicketRow]) -> Vec<u8> {
    rows.iter().flat_map(TicketRow::to_bytes).collect()
}

/// zstd over hand-made columns.
fn packed(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, 3).expect("memory into memory")
}

fn any_row() -> impl Strategy<Value = TicketRow> {
    (any::<[u8; 16]>(), any::<u16>(), 0..=15u8, 0..=4u8).prop_map(|(id, type_no, generation, state)| {
        TicketRow {
            ticket_id: TicketId::from_bytes(id),
            type_no,
            generation,
            state: TicketState::from_u8(state).expect("0 to 4 are states"),
        }
    })
}

proptest! {
    #[test]
    fn packing_any_sorted_rows_loses_nothing(mut rows in proptest::collection::vec(any_row(), 0..200)) {
        sort_last_wins(&mut rows);
        prop_assert_eq!(unpack_columns(&pack_columns(&rows), rows.len()), Ok(rows));
    }

    #[test]
    fn the_last_row_of_a_ticket_wins(changes in proptest::collection::vec((0..20u32, 0..=4u8), 0..100)) {
        let mut rows: Vec<_> =
            changes.iter().map(|(n, s)| row(*n, TicketState::from_u8(*s).unwrap())).collect();
        let model: BTreeMap<_, _> = rows.iter().map(|r| (r.ticket_id, *r)).collect();
        sort_last_wins(&mut rows);
        prop_assert_eq!(rows, model.into_values().collect::<Vec<_>>());
    }

    #[test]
    fn merging_is_what_a_map_does(
        old in proptest::collection::btree_map(0..50u32, 0..=4u8, 0..40),
        new in proptest::collection::btree_map(0..50u32, 0..=4u8, 0..40),
    ) {
        let rows = |map: &BTreeMap<u32, u8>| -> Vec<TicketRow> {
            map.iter().map(|(n, s)| row(*n, TicketState::from_u8(*s).unwrap())).collect()
        };
        let merged = merge(&blob(&rows(&old)), &rows(&new));
        let mut model = old.clone();
        model.extend(&new);
        prop_assert_eq!(&merged, &blob(&rows(&model)));
        for n in 0..50 {
            let expected = model.get(&n).map(|s| row(n, TicketState::from_u8(*s).unwrap()));
            prop_assert_eq!(find(&merged, &ticket(n)), expected);
        }
    }
}

#[test]
fn a_month_of_sales_takes_fewer_than_fourteen_bytes_a_ticket() {
    let rows = sold_rows(100_000, &mut rng(1));
    let packed = pack_columns(&rows);
    assert!(packed.len() <= 14 * rows.len(), "{} bytes for {} rows", packed.len(), rows.len());
    assert_eq!(unpack_columns(&packed, rows.len()), Ok(rows));
}

#[test]
fn announced_sizes_are_checked_before_anything_is_unpacked() {
    let rows = sold_rows(1000, &mut rng(2));
    let packed_rows = pack_columns(&rows);
    assert_eq!(unpack_columns(&packed_rows, 999), Err(RowsError::TooMany { rows: 1000, max: 999 }));
    // Four gigabytes of zeros in a few bytes of zstd: refused by its announcement alone.
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
    bomb.extend_from_slice(&(4u64 << 30).to_le_bytes());
    assert!(matches!(unpack_columns(&bomb, 1000), Err(RowsError::TooMany { .. })));
}

#[test]
fn unsound_frames_are_refused() {
    let good = pack_columns(&[row(1, TicketState::Valid), row(2, TicketState::Blocked)]);
    assert!(unpack_columns(&good, 2).is_ok());
    for len in 0..good.len() {
        assert!(unpack_columns(&good[..len], 2).is_err(), "cut at {len}");
    }
    assert_eq!(unpack_columns(&[&good[..], &good].concat(), 9), Err(RowsError::Frame), "two frames");
    let skippable = [&good[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
    assert_eq!(unpack_columns(&skippable, 2), Err(RowsError::Frame), "a skippable frame behind it");
    assert_eq!(unpack_columns(b"no zstd at all", 2), Err(RowsError::Frame));
    let mut stream = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
    stream.write_all(&[0; 4]).unwrap();
    stream.flush().unwrap();
    let unsized_frame = stream.finish().unwrap();
    assert_eq!(unpack_columns(&unsized_frame, 2), Err(RowsError::Frame), "no announced size");
}

#[test]
fn unsorted_repeated_and_impossible_rows_are_refused() {
    let raw = |count: u32, rows: &[[u8; ROW_LEN]]| {
        let mut raw = count.to_be_bytes().to_vec();
        for at in [0, 1, 2, 3, 4, 5, 6, 8, 16, 17, 18, 19] {
            raw.extend(rows.iter().map(|r| r[at]));
        }
        for r in rows {
            raw.extend([7, 9, 10, 11, 12, 13, 14, 15].map(|at| r[at]));
        }
        packed(&raw)
    };
    // Second rows keep the first's timestamp, so their difference is zero.
    let first = row(5, TicketState::Valid).to_bytes();
    let second = |n: u32| {
        let mut bytes = row(n, TicketState::Valid).to_bytes();
        bytes[..6].fill(0);
        bytes
    };
    assert_eq!(unpack_columns(&raw(2, &[first, second(6)]), 2).map(|r| r.len()), Ok(2));
    assert_eq!(unpack_columns(&raw(2, &[first, second(5)]), 2), Err(RowsError::OutOfOrder(1)));
    assert_eq!(unpack_columns(&raw(2, &[first, second(4)]), 2), Err(RowsError::OutOfOrder(1)));
    let mut overflow = second(6);
    overflow[..6].fill(0xff);
    assert_eq!(unpack_columns(&raw(2, &[first, overflow]), 2), Err(RowsError::OutOfOrder(1)));
    let mut bad_state = first;
    bad_state[19] = 5;
    assert_eq!(unpack_columns(&raw(1, &[bad_state]), 2), Err(RowsError::UnknownState(5)));
    let mut bad_generation = first;
    bad_generation[18] = 16;
    assert_eq!(unpack_columns(&raw(1, &[bad_generation]), 2), Err(RowsError::BadGeneration(16)));
    for count in [0, 2, u32::MAX] {
        assert_eq!(unpack_columns(&raw(count, &[first]), 9), Err(RowsError::Length), "count {count}");
    }
    assert_eq!(unpack_columns(&packed(&[]), 9), Err(RowsError::Length));
    assert_eq!(unpack_columns(&packed(&[0, 0, 0, 0, 0]), 9), Err(RowsError::Length));
}

#[test]
fn concatenated_rows_are_read_in_their_order_or_not_at_all() {
    let rows = [row(2, TicketState::Valid), row(1, TicketState::Canceled), row(2, TicketState::Blocked)];
    let bytes = blob(&rows);
    assert_eq!(parse_rows(&bytes).as_deref(), Ok(&rows[..]));
    assert_eq!(parse_rows(&[]), Ok(vec![]));
    assert_eq!(parse_rows(&bytes[1..]), Err(RowsError::Length));
    assert_eq!(parse_rows(&[0xff; ROW_LEN]), Err(RowsError::BadGeneration(0xff)));
}

#[test]
fn a_million_rows_split_into_buckets_that_a_delta_reaches_too() {
    let rows = sold_rows(1_000_000, &mut rng(3));
    let blobs = split(&rows);
    assert_eq!(blobs.iter().map(Vec::len).sum::<usize>(), rows.len() * ROW_LEN);
    let sample = &rows[123_456];
    let no = bucket_of(&sample.ticket_id);
    assert_eq!(find(&blobs[usize::from(no)], &sample.ticket_id), Some(*sample));
    assert_eq!(merge(&blobs[usize::from(no)], &[*sample]), blobs[usize::from(no)]);
}

#[test]
fn bucket_hashes_depend_on_number_rows_and_order() {
    let one = blob(&[row(1, TicketState::Valid)]);
    assert_ne!(bucket_hash(1, &one), bucket_hash(2, &one));
    assert_ne!(bucket_hash(1, &one), bucket_hash(1, &[]));
    let empty = empty_hashes();
    assert_eq!(empty.len(), BUCKETS);
    let mut swapped = empty.clone();
    swapped.swap(0, 1);
    assert_ne!(buckets_hash(&empty), buckets_hash(&swapped));
    assert_eq!(hash_all(split(&[])), empty);
}
