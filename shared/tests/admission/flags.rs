//! Flags as bits in signed bytes and as words in JSON.

use shared::admission::{Flag, Flags, Outcome};
use shared::cbor;
use std::collections::BTreeSet;

#[test]
fn a_lifted_defect_is_flagged_at_sixteen_plus_its_number_by_its_own_word() {
    for outcome in Outcome::ALL {
        match Flag::of_defect(outcome) {
            Some(flag) => {
                assert_eq!(flag as u8, 16 + outcome as u8, "{outcome:?}");
                assert_eq!(flag.as_str(), outcome.as_str());
            }
            None => assert!(
                outcome <= Outcome::WrongEvent || outcome == Outcome::CannotRecord,
                "{outcome:?} can be lifted"
            ),
        }
    }
}

#[test]
fn every_flag_has_its_own_bit_and_word() {
    let bits: BTreeSet<u32> = Flag::ALL.into_iter().map(|f| Flags::NONE.with(f).0).collect();
    let words: BTreeSet<&str> = Flag::ALL.into_iter().map(Flag::as_str).collect();
    assert_eq!((bits.len(), words.len()), (Flag::ALL.len(), Flag::ALL.len()));
    for flag in Flag::ALL {
        let one = Flags::NONE.with(flag);
        assert!(one.contains(flag) && !one.is_empty());
        assert_eq!(one.iter().collect::<Vec<_>>(), [flag]);
        let all: Flags = Flag::ALL.into_iter().collect();
        assert_eq!(all.union(one), all);
    }
}

#[test]
fn json_is_a_list_of_words_and_cbor_keeps_bits_that_nobody_knows_yet() {
    let flags = Flags::NONE.with(Flag::Overridden).with(Flag::LateSale).with_if(false, Flag::Rules);
    let json = serde_json::to_string(&flags).expect("JSON");
    assert_eq!(json, r#"["late_sale","overridden"]"#);
    assert_eq!(serde_json::from_str::<Flags>(&json).expect("flags"), flags);
    assert!(serde_json::from_str::<Flags>(r#"["late"]"#).is_err());
    let future = Flags(1 << 31 | 1);
    assert_eq!(cbor::decode::<Flags>(&cbor::encode(&future), 9), Ok(future));
    assert_eq!(serde_json::to_string(&future).expect("JSON"), r#"["late_sale"]"#);
}
