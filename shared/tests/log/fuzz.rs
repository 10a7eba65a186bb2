//! A million inputs to the parser of entries, half random, half broken on purpose.

use crate::entries::{chain, first, key, run, second};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use shared::admission::fold::{EventFold, ListPolicies};
use shared::admission::{CutOffs, Record};
use shared::log::entry::LogEntry;
use shared::log::{entry_hash, verify_run};

const INPUTS: u32 = 1_000_000;

fn noise(rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..64)];
    rng.fill_bytes(&mut bytes);
    // Otherwise nearly all are refused at the first byte.
    if rng.random_range(0..4) > 0
        && let Some(head) = bytes.first_mut()
    {
        *head = 0xa0 | (*head & 0x17);
    }
    bytes
}

fn mutated(seed: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len().max(1));
        match rng.random_range(0..5) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 if at < bytes.len() => bytes[at] = rng.random(),
            3 => bytes.truncate(at),
            _ => bytes.insert(at.min(bytes.len()), rng.random()),
        }
    }
    bytes
}

#[test]
fn no_bytes_make_the_parser_of_entries_panic() {
    let seed = 2_026_112_200;
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let seeds = [first().to_bytes(), second().to_bytes()];
    let mut accepted = 0;
    for n in 0..INPUTS {
        let bytes = if n % 2 == 0 { noise(&mut rng) } else { mutated(&seeds[n as usize / 2 % 2], &mut rng) };
        if let Ok(entry) = LogEntry::from_bytes(&bytes) {
            assert_eq!(entry.to_bytes(), bytes, "an accepted entry has one encoding");
            let _ = entry.check();
            // Whatever it says, the fold can bear it.
            if n % 64 == 1 {
                let record = Record::of(&entry, entry_hash(&bytes));
                let fold = EventFold::of([record], ListPolicies::default(), &CutOffs::default());
                let _ = (fold.hash(), fold.incidents());
            }
            accepted += 1;
        }
    }
    assert!(accepted > INPUTS / 20, "only {accepted} got through: the rest of the code was not reached");
}

#[test]
fn no_bytes_make_the_check_of_runs_panic() {
    let mut rng = StdRng::seed_from_u64(7);
    let sound = run(&chain(3));
    for _ in 0..2000 {
        let mut forged = sound.clone();
        let i = rng.random_range(0..3);
        forged.entries[i] = mutated(&sound.entries[i], &mut rng).into();
        if forged.entries != sound.entries {
            assert!(verify_run(&forged, &key().verifying_key()).is_err());
        }
    }
}
