//! How much goes back, and for which tickets. Pure: the store repeats what it relies on under the booking's lock.
//!
//! A ticket's share is what one unit of its type cost, price, fee and tax each by itself. Nothing is rounded
//! twice: who gives back the last tickets of a booking gives back all that is left of its money, so that any
//! sequence of partial refunds adds up to exactly what was paid.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::ledger::{Amounts, divided};

/// What is to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// All that is left.
    Whole,
    /// So much, in minor units, and no ticket: less than what is left.
    Amount(i64),
    /// These tickets.
    Tickets(Vec<Wish>),
}

/// Tickets that are to go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    One { ticket_id: Uuid },
    OfType { ticket_type_id: Uuid, quantity: u32 },
}

/// A ticket that can go back: valid, or blocked by the organizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub ticket_id: Uuid,
    pub ticket_type_id: Uuid,
    /// Who asks may give it back: it was not handed on to somebody else.
    pub theirs: bool,
}

/// Tickets of one type as they were sold.
#[derive(Debug, Clone, Copy)]
pub struct Sold {
    pub ticket_type_id: Uuid,
    pub quantity: i64,
    /// Of one.
    pub unit: Amounts,
}

/// What is known of a booking.
#[derive(Debug, Clone)]
pub struct Facts {
    pub total: Amounts,
    /// Refunds that are done or on their way.
    pub refunded: Amounts,
    pub sold: Vec<Sold>,
    /// In the order of their making.
    pub left: Vec<Left>,
}

/// What will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub amounts: Amounts,
    pub tickets: Vec<Uuid>,
}

/// Why nothing can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRefundable {
    #[error("nothing is left to give back")]
    NothingLeft,
    #[error("some of the tickets belong to somebody else by now: name those that are to go back")]
    HandedOn,
    #[error("these tickets cost nothing, or their money went back already")]
    Free,
    /// Place in the list.
    #[error("the booking has no such ticket that could go back")]
    NoSuchTicket { item: usize },
    /// Place in the list.
    #[error("the booking has not that many tickets of this type that could go back")]
    NotSoMany { item: usize },
    /// Place in the list.
    #[error("this ticket stands in the list twice")]
    Repeated { item: usize },
    #[error("less than what is left must go back by amount; to give everything back, refund the booking")]
    TooMuch { left_minor: i64 },
}

impl Facts {
    /// Plans a refund.
    ///
    /// # Errors
    /// [`NotRefundable`]
    pub fn plan(&self, what: &What) -> Result<Plan, NotRefundable> {
        let left = minus(self.total, self.refunded);
        if left.total() <= 0 {
            return Err(NotRefundable::NothingLeft);
        }
        match what {
            What::Whole if self.left.iter().any(|t| !t.theirs) => Err(NotRefundable::HandedOn),
            What::Whole => {
                Ok(Plan { amounts: left, tickets: self.left.iter().map(|t| t.ticket_id).collect() })
            }
            What::Amount(amount) if *amount >= left.total() => {
                Err(NotRefundable::TooMuch { left_minor: left.total() })
            }
            What::Amount(amount) => Ok(Plan { amounts: split(*amount, left), tickets: Vec::new() }),
            What::Tickets(wishes) => {
                let chosen = self.choose(wishes)?;
                let units = self.units();
                let cost = |t: &Left| units.get(&t.ticket_type_id).map_or(0, Amounts::total);
                let sum: i64 = chosen.iter().map(cost).sum();
                let others = self.left.iter().filter(|t| !chosen.contains(t)).any(|t| cost(t) > 0);
                if sum == 0 && chosen.len() < self.left.len() {
                    return Err(NotRefundable::Free);
                }
                // The last tickets that cost anything take all that is left.
                let amounts = if others { shares(&units, &chosen, left) } else { left };
                if others && amounts.total() >= left.total() {
                    return Err(NotRefundable::TooMuch { left_minor: left.total() });
                }
                if amounts.total() == 0 {
                    return Err(NotRefundable::Free);
                }
                Ok(Plan { amounts, tickets: chosen.into_iter().map(|t| t.ticket_id).collect() })
            }
        }
    }

    fn choose(&self, wishes: &[Wish]) -> Result<Vec<Left>, NotRefundable> {
        let mut taken = HashSet::new();
        // Named ones first: those chosen by number are none of them.
        for (item, wish) in wishes.iter().enumerate() {
            if let Wish::One { ticket_id } = wish {
                if !self.left.iter().any(|t| t.theirs && t.ticket_id == *ticket_id) {
                    return Err(NotRefundable::NoSuchTicket { item });
                }
                if !taken.insert(*ticket_id) {
                    return Err(NotRefundable::Repeated { item });
                }
            }
        }
        for (item, wish) in wishes.iter().enumerate() {
            if let Wish::OfType { ticket_type_id, quantity } = wish {
                let free = self.left.iter().filter(|t| {
                    t.theirs && t.ticket_type_id == *ticket_type_id && !taken.contains(&t.ticket_id)
                });
                let wanted = usize::try_from(*quantity).unwrap_or(usize::MAX);
                let found: Vec<Uuid> = free.map(|t| t.ticket_id).take(wanted).collect();
                if found.len() < wanted || wanted == 0 {
                    return Err(NotRefundable::NotSoMany { item });
                }
                taken.extend(found);
            }
        }
        Ok(self.left.iter().filter(|t| taken.contains(&t.ticket_id)).copied().collect())
    }

    /// What one ticket of each type cost; where a type was sold at several prices, their mean, rounded down.
    fn units(&self) -> HashMap<Uuid, Amounts> {
        let mut sums: HashMap<Uuid, (i64, Amounts)> = HashMap::new();
        for sold in &self.sold {
            let (n, sum) = sums.entry(sold.ticket_type_id).or_insert((0, Amounts::ZERO));
            *n += sold.quantity;
            sum.price_minor += sold.unit.price_minor * sold.quantity;
            sum.fee_minor += sold.unit.fee_minor * sold.quantity;
            sum.tax_minor += sold.unit.tax_minor * sold.quantity;
        }
        let mean = |(n, sum): (i64, Amounts)| Amounts {
            price_minor: sum.price_minor / n.max(1),
            fee_minor: sum.fee_minor / n.max(1),
            tax_minor: sum.tax_minor / n.max(1),
        };
        sums.into_iter().map(|(id, of)| (id, mean(of))).collect()
    }
}

/// What the tickets cost, no more of anything than is left of it.
fn shares(units: &HashMap<Uuid, Amounts>, chosen: &[Left], left: Amounts) -> Amounts {
    let sum = chosen.iter().filter_map(|t| units.get(&t.ticket_type_id)).fold(Amounts::ZERO, plus);
    Amounts {
        price_minor: sum.price_minor.min(left.price_minor),
        fee_minor: sum.fee_minor.min(left.fee_minor),
        tax_minor: sum.tax_minor.min(left.tax_minor),
    }
}

fn plus(a: Amounts, b: &Amounts) -> Amounts {
    Amounts {
        price_minor: a.price_minor + b.price_minor,
        fee_minor: a.fee_minor + b.fee_minor,
        tax_minor: a.tax_minor + b.tax_minor,
    }
}

fn minus(a: Amounts, b: Amounts) -> Amounts {
    Amounts {
        price_minor: a.price_minor - b.price_minor,
        fee_minor: a.fee_minor - b.fee_minor,
        tax_minor: a.tax_minor - b.tax_minor,
    }
}

/// Splits `amount` in the proportions of `left`, of which it is a part.
fn split(amount: i64, left: Amounts) -> Amounts {
    let given = divided(amount, &[left.price_minor, left.fee_minor, left.tax_minor]);
    Amounts { price_minor: given[0], fee_minor: given[1], tax_minor: given[2] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn amounts(price_minor: i64, fee_minor: i64, tax_minor: i64) -> Amounts {
        Amounts { price_minor, fee_minor, tax_minor }
    }

    fn id(n: u32) -> Uuid {
        Uuid::from_u128(n.into())
    }

    /// `types[i]` tickets of a type whose unit is given; `extra` is in the total and in no unit.
    fn facts(types: &[(u32, Amounts)], extra: Amounts) -> Facts {
        let mut total = extra;
        let (mut sold, mut left, mut next) = (Vec::new(), Vec::new(), 1_000);
        for (number, (quantity, unit)) in (1..).zip(types) {
            let n = i64::from(*quantity);
            total = amounts(
                total.price_minor + unit.price_minor * n,
                total.fee_minor + unit.fee_minor * n,
                total.tax_minor + unit.tax_minor * n,
            );
            sold.push(Sold { ticket_type_id: id(number), quantity: n, unit: *unit });
            for _ in 0..*quantity {
                left.push(Left { ticket_id: id(next), ticket_type_id: id(number), theirs: true });
                next += 1;
            }
        }
        Facts { total, refunded: Amounts::ZERO, sold, left }
    }

    fn apply(facts: &mut Facts, plan: &Plan) {
        facts.refunded = plus(facts.refunded, &plan.amounts);
        facts.left.retain(|t| !plan.tickets.contains(&t.ticket_id));
    }

    #[test]
    fn tickets_go_back_for_what_they_cost() {
        let facts = facts(&[(2, amounts(2_336, 140, 174)), (1, amounts(5_000, 0, 350))], Amounts::ZERO);
        let plan =
            facts.plan(&What::Tickets(vec![Wish::OfType { ticket_type_id: id(1), quantity: 1 }])).unwrap();
        assert_eq!(plan, Plan { amounts: amounts(2_336, 140, 174), tickets: vec![id(1_000)] });
        let both = What::Tickets(vec![
            Wish::OfType { ticket_type_id: id(1), quantity: 1 },
            Wish::One { ticket_id: id(1_000) },
        ]);
        assert_eq!(
            facts.plan(&both).unwrap().tickets,
            [id(1_000), id(1_001)],
            "named ones are not counted twice"
        );
        let plan = facts.plan(&What::Amount(1_000)).unwrap();
        assert_eq!((plan.amounts.total(), plan.tickets.len()), (1_000, 0));
        assert_eq!(facts.plan(&What::Whole).unwrap().amounts, facts.total);
    }

    #[test]
    fn what_cannot_go_back_is_named_by_its_place() {
        let mut facts = facts(&[(2, amounts(100, 0, 0)), (1, Amounts::ZERO)], Amounts::ZERO);
        let tickets = |wishes: &[Wish]| What::Tickets(wishes.to_vec());
        let one = Wish::One { ticket_id: id(1_000) };
        let of_type = |n, quantity| Wish::OfType { ticket_type_id: id(n), quantity };
        for (what, expected) in [
            (tickets(&[one, Wish::One { ticket_id: id(9) }]), NotRefundable::NoSuchTicket { item: 1 }),
            (tickets(&[one, one]), NotRefundable::Repeated { item: 1 }),
            (tickets(&[one, of_type(1, 2)]), NotRefundable::NotSoMany { item: 1 }),
            (tickets(&[of_type(7, 1)]), NotRefundable::NotSoMany { item: 0 }),
            (tickets(&[of_type(1, 0)]), NotRefundable::NotSoMany { item: 0 }),
            (tickets(&[of_type(2, 1)]), NotRefundable::Free),
            (What::Amount(200), NotRefundable::TooMuch { left_minor: 200 }),
        ] {
            assert_eq!(facts.plan(&what), Err(expected), "{what:?}");
        }
        facts.refunded = amounts(150, 0, 0);
        assert_eq!(
            facts.plan(&tickets(&[one])),
            Err(NotRefundable::TooMuch { left_minor: 50 }),
            "the other ticket would be valid and unpaid"
        );
        let both = facts.plan(&tickets(&[of_type(1, 2)])).unwrap();
        assert_eq!(both.amounts.total(), 50);
        facts.left[0].theirs = false;
        assert_eq!(facts.plan(&What::Whole), Err(NotRefundable::HandedOn));
        assert_eq!(facts.plan(&tickets(&[one])), Err(NotRefundable::NoSuchTicket { item: 0 }));
        facts.refunded = facts.total;
        assert_eq!(facts.plan(&What::Whole), Err(NotRefundable::NothingLeft));
    }

    proptest! {
        #[test]
        fn any_sequence_of_partial_refunds_adds_up_to_what_was_paid(
            types in proptest::collection::vec((1..6_u32, (1..9_000_i64, 0..400_i64, 0..1_000_i64)), 1..4),
            extra in (0..3_i64, 0..3_i64, 0..3_i64),
            steps in proptest::collection::vec((0..3_u8, any::<prop::sample::Index>(), 1..20_000_i64), 0..25),
        ) {
            let types: Vec<(u32, Amounts)> = types.into_iter().map(|(n, (p, f, t))| (n, amounts(p, f, t))).collect();
            let mut facts = facts(&types, amounts(extra.0, extra.1, extra.2));
            for (kind, which, amount) in steps {
                if facts.left.is_empty() { break }
                let what = match kind {
                    0 => What::Amount(amount),
                    _ => What::Tickets(vec![Wish::One { ticket_id: which.get(&facts.left).ticket_id }]),
                };
                if let Ok(plan) = facts.plan(&what) {
                    prop_assert!(plan.amounts.total() > 0);
                    prop_assert!(plan.amounts.price_minor >= 0 && plan.amounts.fee_minor >= 0 && plan.amounts.tax_minor >= 0);
                    if let What::Amount(amount) = what { prop_assert_eq!(plan.amounts.total(), amount) }
                    apply(&mut facts, &plan);
                }
                let left = minus(facts.total, facts.refunded);
                prop_assert!(left.price_minor >= 0 && left.fee_minor >= 0 && left.tax_minor >= 0);
            }
            if let Ok(rest) = facts.plan(&What::Whole) { apply(&mut facts, &rest); }
            prop_assert_eq!(facts.refunded, facts.total);
        }
    }
}
