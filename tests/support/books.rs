//! What must hold of every database at rest: invariants 12 to 16 of the design, each as a query that counts where it does
//! not, and the same money at the provider. "At rest": no request is at work. `settled`: the jobs have run, too.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use sqlx::{PgConnection, Row as _};

use crate::stripe_double::StripeDouble;

/// (number and words, a query that counts the exceptions)
const INVARIANTS: &[(&str, &str)] = &[
    (
        "12 held and sold stay within capacity",
        "select count(*) from quotas where held < 0 or sold < 0 or held + sold > capacity",
    ),
    (
        "12 sold = valid and blocked tickets",
        "select count(*) from quotas q where q.sold <> (
           select count(distinct t.ticket_id) from tickets t
             join booking_lines l on l.organizer_id = t.organizer_id and l.booking_id = t.booking_id
                                 and l.ticket_type_id = t.ticket_type_id
            where l.organizer_id = q.organizer_id and l.quota_id = q.quota_id and t.state in ('valid', 'blocked'))",
    ),
    (
        "12 held = what held bookings hold",
        "select count(*) from quotas q where q.held <> coalesce((
           select sum(l.quantity) from booking_lines l
             join bookings b on b.organizer_id = l.organizer_id and b.booking_id = l.booking_id
            where l.organizer_id = q.organizer_id and l.quota_id = q.quota_id and b.status = 'held'), 0)",
    ),
    (
        "13 the ledger sums to zero per booking and currency",
        "select count(*) from (select from ledger group by organizer_id, booking_id, currency having sum(amount_minor) <> 0) x",
    ),
    (
        "13 the ledger sums to zero per entry",
        "select count(*) from (select from ledger group by organizer_id, entry_id having sum(amount_minor) <> 0) x",
    ),
    (
        "13 every movement that is done has its entry, of its amount, and no other has one",
        "select count(*) from transactions t
          where (t.status in ('completed', 'refunded'))
                <> exists (select from ledger l where l.organizer_id = t.organizer_id and l.entry_id = t.transaction_id)
             or (t.status in ('completed', 'refunded')
                 and t.amount_minor * case t.kind when 'payment' then 1 else -1 end
                     is distinct from (select sum(l.amount_minor)::bigint from ledger l
                                        where l.organizer_id = t.organizer_id and l.entry_id = t.transaction_id
                                          and l.account = 'provider:' || t.provider))",
    ),
    (
        "13 an entry of a refund has the parts of its refund",
        "select count(*) from transactions t
           join lateral (
             select coalesce(sum(amount_minor) filter (where account = 'sales'), 0) as price,
                    coalesce(sum(amount_minor) filter (where account = 'fees'), 0) as fee,
                    coalesce(sum(amount_minor) filter (where account = 'tax'), 0) as tax
               from ledger l where l.organizer_id = t.organizer_id and l.entry_id = t.transaction_id) e on true
          where t.kind = 'refund' and t.status = 'completed'
            and (t.price_minor <> e.price or t.fee_minor <> e.fee or t.tax_minor <> e.tax)",
    ),
    (
        "13 nobody is charged twice, and refunds stay within what was captured",
        "select count(*) from (
           select from transactions where status in ('completed', 'refunded', 'pending') group by organizer_id, booking_id
           having count(*) filter (where kind = 'payment') > 1
               or sum(amount_minor) filter (where kind = 'refund')
                  > coalesce(sum(amount_minor) filter (where kind = 'payment'), 0)) x",
    ),
    (
        "13 what a booking reserves for refunds is the sum of its refunds, part by part within its parts",
        "select count(*) from bookings b
           join lateral (
             select coalesce(sum(amount_minor), 0) as all_of_it, coalesce(sum(price_minor), 0) as price,
                    coalesce(sum(fee_minor), 0) as fee, coalesce(sum(tax_minor), 0) as tax
               from transactions t
              where t.organizer_id = b.organizer_id and t.booking_id = b.booking_id and t.kind = 'refund'
                and t.status in ('pending', 'completed')) r on true
          where b.refunded_minor <> r.all_of_it or r.price > b.price_minor or r.fee > b.fee_minor or r.tax > b.tax_minor",
    ),
    (
        "13 a booking's words fit its money",
        "select count(*) from bookings b
           join lateral (
             select coalesce(sum(amount_minor) filter (where kind = 'refund' and status = 'completed'), 0) as back,
                    count(*) filter (where kind = 'payment' and status in ('completed', 'refunded')) as payments
               from transactions t where t.organizer_id = b.organizer_id and t.booking_id = b.booking_id) m on true
          where (b.status = 'refunded' and (m.back <> b.total_minor or b.total_minor = 0))
             or (b.status = 'partially_refunded' and m.back = 0)
             or (b.status = 'paid' and m.back <> 0)
             or (b.status in ('paid', 'partially_refunded', 'refunded') and b.total_minor > 0 and m.payments <> 1)",
    ),
    (
        "14 valid and blocked tickets are paid or free",
        "select count(*) from tickets t join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
          where t.state in ('valid', 'blocked') and b.status not in ('paid', 'partially_refunded')",
    ),
    (
        "14 what is paid has its tickets",
        "select count(*) from bookings b
          where b.status in ('paid', 'partially_refunded', 'refunded')
            and (select count(*) from tickets t where t.organizer_id = b.organizer_id and t.booking_id = b.booking_id)
                < (select coalesce(sum(quantity), 0) from booking_lines l
                    where l.organizer_id = b.organizer_id and l.booking_id = b.booking_id)",
    ),
    (
        "14 what is not paid has none, but canceled ones of a canceled event",
        "select count(*) from tickets t join bookings b on b.organizer_id = t.organizer_id and b.booking_id = t.booking_id
          where b.status in ('held', 'expired') or (b.status = 'canceled' and t.state <> 'canceled')",
    ),
    (
        "14 a ticket waits for a refund exactly while one is on its way, and is refunded exactly when one is done",
        "select count(*) from tickets t
           join lateral (
             select bool_or(x.status = 'pending') as pending, bool_or(x.status = 'completed') as done
               from refund_tickets r
               join transactions x on x.organizer_id = r.organizer_id and x.transaction_id = r.refund_id
              where r.organizer_id = t.organizer_id and r.ticket_id = t.ticket_id) r on true
          where (t.state = 'blocked' and t.block_reason = 'refund' and not coalesce(r.pending, false))
             or (t.state = 'valid' and coalesce(r.pending or r.done, false))
             or (t.state = 'refunded' and not coalesce(r.done, false))",
    ),
    (
        "14 the last manifest row of each ticket says its state",
        "select count(*) from tickets t
          where (select get_byte(substring(m.rows from position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) + 19 for 1), 0)
                   from manifest_changes m
                  where m.event_id = t.event_id and position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) > 0
                  order by m.change_seq desc limit 1)
             is distinct from array_position(array['valid', 'blocked', 'refunded', 'canceled', 'withdrawn'], t.state) - 1",
    ),
    (
        "14 the last manifest row of each ticket says its generation, so that older codes are dead",
        "select count(*) from tickets t
          where (select get_byte(substring(m.rows from position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) + 18 for 1), 0)
                   from manifest_changes m
                  where m.event_id = t.event_id and position(decode(replace(t.ticket_id::text, '-', ''), 'hex') in m.rows) > 0
                  order by m.change_seq desc limit 1)
             is distinct from t.generation",
    ),
    (
        "15 a provider's reference belongs to one movement",
        "select count(*) from (select from transactions where provider_ref is not null
                                group by organizer_id, provider, provider_ref having count(*) > 1) x",
    ),
    (
        "16 money of a booking that came to nothing goes back",
        "select count(*) from bookings b
          where b.status in ('expired', 'canceled')
            and exists (select from transactions t where t.organizer_id = b.organizer_id and t.booking_id = b.booking_id
                           and t.kind = 'payment' and t.status in ('completed', 'refunded'))
            and b.refunded_minor <> b.total_minor",
    ),
];

/// What holds besides once the jobs have run after every deadline.
const SETTLED: &[(&str, &str)] = &[
    ("13 no movement is open", "select count(*) from transactions where status = 'pending' and flag is null"),
    ("16 no hold is open", "select count(*) from bookings where status = 'held'"),
];

/// Invariants 12 to 16 of the database.
///
/// # Errors
/// The first that does not hold, by its words.
pub async fn check(owner: &mut PgConnection) -> Result<()> {
    count(owner, INVARIANTS).await
}

/// The same, and nothing is open any more.
///
/// # Errors
/// The first that does not hold, by its words.
pub async fn check_settled(owner: &mut PgConnection) -> Result<()> {
    count(owner, INVARIANTS).await?;
    count(owner, SETTLED).await
}

async fn count(owner: &mut PgConnection, all: &[(&str, &'static str)]) -> Result<()> {
    for (what, query) in all {
        let broken: i64 =
            sqlx::query_scalar(*query).fetch_one(&mut *owner).await.with_context(|| (*what).to_owned())?;
        ensure!(broken == 0, "{what}: {broken} times not so");
    }
    Ok(())
}

/// Provider and database know the same money: every capture and every refund there is a movement that is done here, of
/// the same amount, and the other way round. For what moved by Stripe, at rest and with nothing open.
///
/// # Errors
/// The first difference.
pub async fn check_against(owner: &mut PgConnection, provider: &StripeDouble) -> Result<()> {
    let rows = sqlx::query(
        "select transaction_id::text as id, kind, status, amount_minor from transactions where provider = 'stripe'",
    )
    .fetch_all(owner)
    .await?;
    let mut ours: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for row in rows {
        if matches!(row.get::<&str, _>("status"), "completed" | "refunded") {
            ours.insert(row.get("id"), (row.get("kind"), row.get("amount_minor")));
        }
    }
    let mut captured_by_booking: BTreeMap<String, i64> = BTreeMap::new();
    let mut theirs: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for payment in provider.moved().into_iter().filter(|m| m.status == "succeeded") {
        ensure!(payment.refunded <= payment.captured, "more went back than came: {payment:?}");
        *captured_by_booking.entry(payment.booking.clone()).or_default() += 1;
        let twice = theirs.insert(payment.transaction.clone(), ("payment".to_owned(), payment.captured));
        ensure!(twice.is_none(), "a payment was taken twice: {payment:?}");
    }
    for (transaction, status, amount) in provider.refunds() {
        if status == "succeeded" {
            let twice = theirs.insert(transaction.clone(), ("refund".to_owned(), amount));
            ensure!(twice.is_none(), "the refund {transaction} was made twice");
        }
    }
    ensure!(captured_by_booking.values().all(|n| *n == 1), "a booking was charged twice");
    ensure!(ours == theirs, "provider and books differ:\nours   {ours:#?}\ntheirs {theirs:#?}");
    Ok(())
}
