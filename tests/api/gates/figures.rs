//! Every figure recomputed from what the log and the books say, in Rust and from first principles: by rules written here
//! once more and by nothing that the server counts with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shared::admission::{Flag, Outcome};
use shared::ids::{DeviceId, TicketId};
use shared::log::entry::{Direction, EntryKind, LogEntry};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::device::TestDevice;
use crate::venue::{Sold, Venue};

const SECOND_TYPE: &str = "22222222-2222-7222-8222-222222222222";
const SLOT_MS: i64 = 300_000;
const LATE_MS: i64 = 120_000;

/// An entry and when it arrived.
struct Scan {
    entry: LogEntry,
    late: bool,
}

impl Scan {
    fn attempt(&self) -> bool {
        !self.entry.rehearsal && !matches!(self.entry.kind, EntryKind::Undo | EntryKind::Fork)
    }

    fn refused(&self) -> bool {
        self.attempt() && self.entry.kind == EntryKind::Refuse
    }

    fn admits(&self) -> bool {
        matches!(self.entry.kind, EntryKind::Entry | EntryKind::Override)
    }
}

/// The whole log, as it is stored.
async fn log(venue: &Venue) -> Result<Vec<Scan>> {
    let mut db = venue.server.db.owner().await?;
    let rows = sqlx::query("select entry, received_at from scans").fetch_all(&mut db).await?;
    rows.iter()
        .map(|row| {
            let entry = LogEntry::from_bytes(row.get("entry"))?;
            let received: OffsetDateTime = row.get("received_at");
            let received_ms = i64::try_from(received.unix_timestamp_nanos().div_euclid(1_000_000))?;
            let late = received_ms - entry.time.corrected.0 > LATE_MS;
            Ok(Scan { entry, late })
        })
        .collect()
}

/// Entries, overrides and exits that no undo took back, by list and ticket, in the order of the door.
fn histories(log: &[Scan]) -> BTreeMap<(Uuid, Uuid), Vec<&Scan>> {
    let undone: BTreeSet<_> = log
        .iter()
        .filter(|s| s.entry.kind == EntryKind::Undo && !s.entry.rehearsal)
        .filter_map(|s| Some((s.entry.target?, s.entry.list)))
        .collect();
    let mut all: BTreeMap<(Uuid, Uuid), Vec<&Scan>> = BTreeMap::new();
    for scan in log.iter().filter(|s| s.attempt() && !s.refused()) {
        let entry = &scan.entry;
        if let (Some(list), Some(ticket)) = (entry.list, entry.ticket)
            && !undone.contains(&(entry.place, entry.list))
        {
            all.entry((list.0, ticket.0)).or_default().push(scan);
        }
    }
    for history in all.values_mut() {
        history.sort_by_key(|s| (s.entry.time.corrected, s.entry.place));
    }
    all
}

/// How many of what.
type Counts = BTreeMap<String, u64>;

fn reasons<'a>(scans: impl Iterator<Item = &'a Scan>) -> Counts {
    let mut counts = Counts::new();
    for scan in scans.filter(|s| s.refused()) {
        *counts.entry(scan.entry.outcome.as_str().to_owned()).or_default() += 1;
    }
    counts
}

fn count<'a>(scans: impl Iterator<Item = &'a Scan>, of: impl Fn(&Scan) -> bool) -> usize {
    scans.filter(|s| of(s)).count()
}

/// Chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.roll(all.len() as u64);
        all[usize::try_from(at).expect("few")]
    }
}

/// A second type, a booking of both that was paid, and two refunds of it: of a ticket, and of an amount.
async fn books(venue: &Venue) -> Result<()> {
    let mut db = venue.server.db.owner().await?;
    for sql in [
        "insert into ticket_types (organizer_id, ticket_type_id, event_id, number, quota_id, name, price_minor, created_at, updated_at)
         select organizer_id, '22222222-2222-7222-8222-222222222222', event_id, 2, quota_id, 'Box', 5000, now(), now() from ticket_types",
        "insert into bookings (organizer_id, booking_id, event_id, booking_secret_hash, status, currency, price_minor, fee_minor,
                               tax_minor, total_minor, refunded_minor, held_until, created_at, paid_at)
         select organizer_id, '33333333-3333-7333-8333-333333333333', event_id, sha256('z'), 'partially_refunded', 'EUR', 7000, 100,
                710, 7810, 1255, now(), now(), now() from events",
        "insert into booking_lines (organizer_id, booking_id, line, ticket_type_id, quota_id, quantity, name, tax_rate_bp, unit_price_minor,
                                    unit_fee_minor, unit_tax_minor, list_price_minor, list_fee_minor)
         select organizer_id, '33333333-3333-7333-8333-333333333333', number, ticket_type_id, quota_id, 3 - number, name, 1000,
                price_minor, case number when 1 then 50 else 0 end, case number when 1 then 105 else 500 end, price_minor, 0
           from ticket_types",
        "insert into transactions (organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                                   created_at, completed_at)
         select organizer_id, '44444444-4444-7444-8444-444444444444', booking_id, event_id, 'payment', 'completed', total_minor, 'EUR',
                'simulated', now(), now() from bookings where total_minor > 0",
        "insert into transactions (organizer_id, transaction_id, booking_id, event_id, kind, status, amount_minor, currency, provider,
                                   refund_of, price_minor, fee_minor, tax_minor, created_at, completed_at)
         select organizer_id, v.id::uuid, booking_id, event_id, 'refund', v.status, p + f + t, 'EUR', 'simulated',
                '44444444-4444-7444-8444-444444444444', p, f, t, now(), case v.status when 'completed' then now() end
           from bookings cross join (values ('55555555-5555-7555-8555-555555555551', 'completed', 1000, 50, 105),
                                            ('55555555-5555-7555-8555-555555555552', 'completed', 85, 1, 14),
                                            ('55555555-5555-7555-8555-555555555553', 'pending', 9, 0, 1)) as v (id, status, p, f, t)
          where total_minor > 0",
        "insert into refund_tickets (organizer_id, refund_id, ticket_id)
         select organizer_id, '55555555-5555-7555-8555-555555555551', ticket_id from tickets where state = 'refunded'",
    ] {
        sqlx::query(sql).execute(&mut db).await.with_context(|| sql.to_owned())?;
    }
    Ok(())
}

/// Two devices and everything that may happen at a door.
async fn evening(venue: &Venue, sold: &[Sold], dice: &mut Dice) -> Result<[DeviceId; 2]> {
    let (mut a, mut b) = (venue.device("A").await?, venue.device("B").await?);
    for round in 0..3 {
        for _ in 0..40 {
            venue.clock.advance(Duration::from_secs(dice.roll(40)));
            let device = if dice.roll(2) == 0 { &mut a } else { &mut b };
            scan(venue, device, sold, dice);
        }
        // B is away for the first two rounds.
        a.push(venue).await?;
        if round == 2 {
            b.push(venue).await?;
        }
    }
    Ok([a.id, b.id])
}

fn scan(venue: &Venue, device: &mut TestDevice, sold: &[Sold], dice: &mut Dice) {
    let lists = [venue.list, venue.list, venue.list, venue.other_list];
    let earlier: Vec<_> = device
        .entries
        .iter()
        .filter(|(e, _)| e.kind != EntryKind::Undo)
        .map(|(e, _)| (e.place, e.list))
        .collect();
    let ticket = match dice.roll(12) {
        // One that nobody ever sold.
        0 => TicketId(Uuid::from_u128(7)),
        _ => sold[usize::try_from(dice.roll(sold.len() as u64)).expect("few")].id,
    };
    let (list, gate, number) = (dice.of(&lists), dice.of(&venue.gates), dice.of(&[1, 1, 2]));
    let (kind, rehearsal) = (dice.roll(10), dice.roll(8) == 0);
    let refusal = dice.of(&[Outcome::Revoked, Outcome::AlreadyAdmitted, Outcome::Rules]);
    if kind == 9 && !earlier.is_empty() {
        let (target, list) = dice.of(&earlier);
        device.undo(venue, target);
        let (entry, _) = device.entries.pop().expect("the undo");
        device.write(venue, |e| {
            let place = e.place;
            *e = LogEntry { list, ..entry };
            e.place = place;
        });
        return;
    }
    device.write(venue, |e| {
        e.ticket = Some(ticket);
        e.list = Some(list);
        e.gate = Some(gate);
        e.type_no = Some(number);
        e.rehearsal = rehearsal;
        if rehearsal {
            e.flags = e.flags.with(Flag::Rehearsal);
        }
        match kind {
            0..=4 => {}
            5 | 6 => {
                e.kind = EntryKind::Exit;
                e.direction = Direction::Out;
            }
            _ => {
                e.kind = EntryKind::Refuse;
                e.outcome = refusal;
            }
        }
    });
}

#[tokio::test]
async fn every_figure_follows_from_the_log_and_the_books() -> Result<()> {
    let mut venue = Venue::open().await?;
    let sold = venue.sell(80).await?;
    venue.refund(sold[79].id).await?;
    books(&venue).await?;
    let mut dice = Dice(5);
    let devices = evening(&venue, &sold, &mut dice).await?;
    venue.owner = venue.member("owner").await?;
    let stats = venue.get("/stats").await?.expect(200)?;
    let log = log(&venue).await?;
    assert!(log.len() > 100, "{} entries", log.len());

    door(&venue, &stats, &log)?;
    people(&venue, &stats, &log, 1).await?;
    for (device, name) in devices.iter().zip(["A", "B"]) {
        let all = stats["devices"].as_array().context("devices")?;
        let told = all.iter().find(|d| d["device_id"] == json!(device.0)).context("a device")?;
        let mine = || log.iter().filter(|s| s.entry.place.device == *device && s.attempt());
        assert_eq!(told["label"], name);
        assert_eq!(told["scans"], json!(mine().count()));
        assert_eq!(told["late"], json!(count(mine(), |s| s.late)));
        let newest = mine().map(|s| s.entry.time.corrected.0).max().context("scans")?;
        let shown = OffsetDateTime::parse(
            told["last_scan_at"].as_str().context("last_scan_at")?,
            &time::format_description::well_known::Rfc3339,
        )?;
        assert_eq!(shown.unix_timestamp_nanos() / 1_000_000, i128::from(newest));
    }
    assert!(log.iter().any(|s| s.late) && log.iter().any(|s| !s.late), "some were late, some were not");
    series(&venue, &log).await?;
    money(&stats);

    // Nobody is a no-show before the end, and everybody who never came is one after it.
    assert_eq!(
        (&stats["no_shows"], &stats["tickets"]["by_type"][0]["no_shows"]),
        (&Value::Null, &Value::Null)
    );
    venue.clock.advance(Duration::from_secs(7 * 3_600));
    venue.owner = venue.member("owner").await?;
    let after = venue.get("/stats").await?.expect(200)?;
    assert_eq!((&after["no_shows"], &after["expected"]), (&stats["expected"], &stats["expected"]));
    assert_eq!(after["tickets"]["by_type"][0]["no_shows"], stats["expected"]);

    // What was counted of the log is kept; of the tickets it is not, if one changes and nothing is scanned.
    let admitted = |h: &Vec<&Scan>| h.iter().any(|s| s.admits());
    let all = histories(&log);
    let came = |t: &&Sold| all.get(&(venue.list.0, t.id.0)).is_some_and(admitted);
    let inside = sold[..79].iter().find(came).context("somebody came")?;
    venue.refund(inside.id).await?;
    let refunded = venue.get("/stats").await?.expect(200)?;
    people(&venue, &refunded, &log, 2).await?;
    door(&venue, &refunded, &log)
}

fn door(venue: &Venue, stats: &Value, log: &[Scan]) -> Result<()> {
    let histories = histories(log);
    let attempts = || log.iter().filter(|s| s.attempt());
    assert_eq!(stats["scans"], json!(attempts().count()));
    assert_eq!(stats["late_scans"], json!(count(attempts(), |s| s.late)));
    for gate in venue.gates {
        let all = stats["gates"].as_array().context("gates")?;
        let told = all.iter().find(|g| g["gate_id"] == json!(gate.0)).context("a gate")?;
        let here = |s: &&Scan| s.entry.gate == Some(gate);
        let through = |of: fn(&Scan) -> bool| {
            histories.values().flatten().copied().filter(here).filter(|s| of(s)).count()
        };
        assert_eq!(told["scans"], json!(attempts().filter(here).count()));
        assert_eq!(told["late"], json!(count(attempts().filter(here), |s| s.late)));
        assert_eq!(told["refusals"], json!(count(attempts().filter(here), Scan::refused)));
        assert_eq!(told["reasons"], json!(reasons(attempts().filter(here))));
        assert_eq!(told["admissions"], json!(through(Scan::admits)));
        assert_eq!(told["exits"], json!(through(|s| !s.admits())));
    }
    for list in [venue.list, venue.other_list] {
        let all = stats["lists"].as_array().context("lists")?;
        let told = all.iter().find(|l| l["list_id"] == json!(list.0)).context("a list")?;
        let here = || histories.iter().filter(|((of, _), _)| *of == list.0).map(|(_, history)| history);
        let admitted = here().filter(|h| h.iter().any(|s| s.admits())).count();
        let inside = here().filter(|h| h.last().is_some_and(|s| s.admits())).count();
        let entries: usize = here().map(|h| count(h.iter().copied(), Scan::admits)).sum();
        let refused = reasons(log.iter().filter(|s| s.entry.list == Some(list)));
        assert_eq!(told["admitted"], json!(admitted));
        assert_eq!(told["on_site"], json!(inside));
        assert_eq!(told["entries"], json!(entries));
        assert_eq!(told["refusals"], json!(refused));
        if told["attendance"] == json!(true) {
            assert_eq!(stats["admitted"], json!(admitted));
            assert_eq!(stats["on_site"], json!(inside));
            assert_eq!(stats["refusals"], json!(refused));
        }
    }
    Ok(())
}

async fn people(venue: &Venue, stats: &Value, log: &[Scan], refunded: usize) -> Result<()> {
    let mut db = venue.server.db.owner().await?;
    let tickets = sqlx::query("select ticket_id, type_no, state from tickets").fetch_all(&mut db).await?;
    let histories = histories(log);
    let came =
        |ticket: Uuid| histories.get(&(venue.list.0, ticket)).is_some_and(|h| h.iter().any(|s| s.admits()));
    for told in stats["tickets"]["by_type"].as_array().context("types")? {
        let number = told["number"].as_u64().context("number")?;
        let sold: Vec<Uuid> = tickets
            .iter()
            .filter(|t| u64::try_from(t.get::<i32, _>("type_no")) == Ok(number))
            .filter(|t| matches!(t.get::<&str, _>("state"), "valid" | "blocked"))
            .map(|t| t.get("ticket_id"))
            .collect();
        let admitted = sold.iter().filter(|t| came(**t)).count();
        assert_eq!(told["sold"], json!(sold.len()));
        assert_eq!(told["admitted"], json!(admitted));
        assert_eq!(told["expected"], json!(sold.len() - admitted));
        let mine = || log.iter().filter(|s| s.attempt() && s.entry.type_no.map(u64::from) == Some(number));
        assert_eq!(told["scans"], json!(mine().count()));
        assert_eq!(told["refusals"], json!(reasons(mine())));
        if number == 1 {
            assert_eq!(stats["expected"], json!(sold.len() - admitted), "only the first type was sold");
            assert!(admitted > 0 && admitted < sold.len(), "some came and some did not");
        }
    }
    assert_eq!(stats["tickets"]["refunded"], json!(refunded));
    Ok(())
}

/// (slot, list, gate, type)
type Cell = (i64, Uuid, Uuid, u64);

fn cell(scan: &Scan) -> Option<Cell> {
    let e = &scan.entry;
    Some((e.time.corrected.0.div_euclid(SLOT_MS), e.list?.0, e.gate?.0, u64::from(e.type_no?)))
}

fn told_cell(row: &Value) -> Option<Cell> {
    let at =
        OffsetDateTime::parse(row["at"].as_str()?, &time::format_description::well_known::Rfc3339).ok()?;
    let id = |name: &str| Uuid::parse_str(row[name].as_str()?).ok();
    let slot = at.unix_timestamp() * 1_000 / SLOT_MS;
    Some((slot, id("list_id")?, id("gate_id")?, row["type_number"].as_u64()?))
}

async fn series(venue: &Venue, log: &[Scan]) -> Result<()> {
    let series = venue.get("/stats/series").await?.expect(200)?;
    let mut arrivals: BTreeMap<Cell, (u64, u64)> = BTreeMap::new();
    let histories = histories(log);
    for scan in histories.values().flatten() {
        let of = arrivals.entry(cell(scan).context("a cell")?).or_default();
        if scan.admits() { of.0 += 1 } else { of.1 += 1 }
    }
    let mut attempts: BTreeMap<Cell, (u64, u64, Counts)> = BTreeMap::new();
    for scan in log.iter().filter(|s| s.attempt()) {
        let of = attempts.entry(cell(scan).context("a cell")?).or_default();
        *of = (of.0 + 1, of.1 + u64::from(scan.late), std::mem::take(&mut of.2));
        if scan.refused() {
            *of.2.entry(scan.entry.outcome.as_str().to_owned()).or_default() += 1;
        }
    }
    let rows = |name: &str| series[name].as_array().cloned().unwrap_or_default();
    let told: BTreeMap<Cell, (u64, u64)> = rows("arrivals")
        .iter()
        .map(|r| Some((told_cell(r)?, (r["entries"].as_u64()?, r["exits"].as_u64()?))))
        .collect::<Option<_>>()
        .context("arrivals")?;
    assert_eq!(told, arrivals);
    let told: BTreeMap<Cell, (u64, u64, Counts)> = rows("attempts")
        .iter()
        .map(|r| {
            let reasons = serde_json::from_value(r["refusals"].clone()).ok()?;
            Some((told_cell(r)?, (r["scans"].as_u64()?, r["late"].as_u64()?, reasons)))
        })
        .collect::<Option<_>>()
        .context("attempts")?;
    assert_eq!(told, attempts);
    Ok(())
}

/// Reckoned by hand. Sold: 2 × (10.00 + 0.50 + 1.05) and 1 × (50.00 + 5.00). Back: one of the first for 11.55; and an
/// amount of 0.85 + 0.01 + 0.14, of which the first type has 0.24 + 0.01 + 0.04 (2/7 of the price, all of the fee, 21/71 of
/// the tax) and the second the rest. What is pending has not moved.
fn money(stats: &Value) {
    let read = |of: &Value| {
        ["gross", "refunds", "net", "fees", "tax"].map(|name| of[name]["amount_minor"].as_i64().unwrap_or(-1))
    };
    assert_eq!(read(&stats["revenue"]), [7_810, 1_255, 6_555, 49, 591]);
    let types = stats["tickets"]["by_type"].as_array().cloned().unwrap_or_default();
    assert_eq!(read(&types[0]["revenue"]), [2_310, 1_184, 1_126, 49, 101]);
    assert_eq!(read(&types[1]["revenue"]), [5_500, 71, 5_429, 0, 490]);
    assert_eq!(types[1]["ticket_type_id"], SECOND_TYPE);
}
