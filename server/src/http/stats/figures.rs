//! The figures of an event, read in one snapshot.

use std::collections::{BTreeMap, HashMap};

use shared::admission::Outcome;
use shared::admission::fold::EventFold;
use shared::ids::{EventId, ListId, OrganizerId};
use shared::log::entry::EntryKind;
use shared::time::UnixMillis;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::live::Position;
use super::{
    DeviceStats, FoldStats, GateStats, IncidentStats, ListStats, RevenueStats, Stats, TicketStats, TypeStats,
};
use crate::app::AppState;
use crate::domain::catalog::EventStatus;
use crate::domain::incident::Kind;
use crate::domain::ledger::{Amounts, spread};
use crate::gates::fold;
use crate::http::devices::{DeviceJson, incidents_of};
use crate::http::{ApiError, MoneyJson};
use crate::store::devices::{self, Device};
use crate::store::event::{self, Event};
use crate::store::stats::{self, Attempts, RefundShare, Revenue, States, Type};
use crate::store::{incidents, manifests, scans};

/// Incidents that stand in the statistics themselves.
const SHOWN_INCIDENTS: i64 = 10;
/// An event that names no end is over so long after its start.
const WITHOUT_END: Duration = Duration::days(1);

/// Figures, and where in the log they stand.
#[derive(Debug)]
pub(super) struct Figures {
    pub stats: Stats,
    pub position: Position,
}

/// Reads them.
pub(super) async fn read(app: &AppState, organizer: Uuid, event_id: Uuid) -> Result<Figures, ApiError> {
    let mut tx = app.db.tenant_snapshot(organizer).await?;
    let event = event::find(&mut tx, organizer, event_id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event"))?;
    let money = stats::revenue(&mut tx, organizer, event_id).await?;
    let paid = stats::payments_by_type(&mut tx, organizer, event_id).await?;
    let back = stats::refund_shares(&mut tx, organizer, event_id).await?;
    let places = stats::places(&mut tx, organizer, event_id).await?;
    let types = stats::types(&mut tx, organizer, event_id).await?;
    let gate_names = stats::gate_names(&mut tx, organizer, event_id).await?;
    let counts = incidents::counts(&mut tx, organizer, event_id).await?;
    let newest = incidents_of(&mut tx, organizer, event_id, false, None, SHOWN_INCIDENTS).await?;
    let lists = manifests::lists(&mut tx, organizer, event_id, true).await?;
    let devices = devices::of_event(&mut tx, organizer, event_id).await?;
    let manifest = manifests::position(&mut tx, organizer, event_id).await?;
    let cursor = scans::cursor(&mut tx, organizer, event_id).await?;
    let position = Position { cursor, mark: scans::mark(&mut tx, organizer, event_id, cursor).await? };
    let attendance_list = lists.iter().find(|l| l.attendance).map(|l| l.id);
    let of = (OrganizerId(organizer), EventId(event_id));
    let (fold, counted) = fold::counted(app, &mut tx, of.0, of.1, manifest.as_ref(), attendance_list).await?;
    let (attempts, inside) = (&counted.attempts, &counted.inside);
    tx.commit().await?;

    let now = app.clock.now();
    let over = over(&event, now);
    let amount = |amount_minor| MoneyJson { amount_minor, currency: event.currency.clone() };
    let moved = by_type_moved(paid, &back);
    let states = |t: &Type| counted.states.get(&t.ticket_type_id).copied().unwrap_or_default();
    let of_type = |t: &Type| {
        let admitted = inside.get(&t.ticket_type_id).copied().unwrap_or_default();
        type_stats(t, states(t), admitted, over, attempts, moved.get(&t.ticket_type_id), &amount)
    };
    let by_type: Vec<TypeStats> = types.iter().map(of_type).collect();
    let sum = |get: fn(States) -> u64| types.iter().map(states).map(get).sum::<u64>();
    let sold = sum(|s| s.sold());
    let expected: u64 = by_type.iter().map(|t| t.expected).sum();
    let attendance = fold.attendance();
    let mut by_kind = BTreeMap::new();
    for (kind, _, n) in &counts {
        *by_kind.entry(Kind::as_str(*kind)).or_default() += n;
    }
    let incidents_where = |open: bool| counts.iter().filter(|(_, o, _)| *o == open).map(|(.., n)| n).sum();
    let stats = Stats {
        event_id,
        at: now,
        tickets: TicketStats {
            sold,
            held: places.held,
            capacity: places.capacity,
            blocked: sum(|s| s.blocked),
            refunded: sum(|s| s.refunded),
            canceled: sum(|s| s.canceled),
            withdrawn: sum(|s| s.withdrawn),
            by_type,
        },
        revenue: of_event(money, moved.values(), &amount),
        admitted: attendance.admitted,
        on_site: attendance.on_site,
        expected,
        no_shows: over.then_some(expected),
        scans: attempts.iter().map(|a| a.scans).sum(),
        late_scans: attempts.iter().map(|a| a.late).sum(),
        refusals: attendance_list.map(|list| refusals(&fold, list)).unwrap_or_default(),
        incidents: IncidentStats {
            open: incidents_where(true),
            closed: incidents_where(false),
            by_kind,
            items: newest.items,
        },
        lists: lists
            .into_iter()
            .map(|l| {
                let counts = fold.counts(l.id);
                ListStats {
                    list_id: l.id.0,
                    name: l.name,
                    attendance: l.attendance,
                    admitted: counts.admitted,
                    on_site: counts.on_site,
                    entries: counts.entries,
                    refusals: refusals(&fold, l.id),
                }
            })
            .collect(),
        gates: of_gates(attempts, &through_gates(&fold), &gate_names.into_iter().collect()),
        devices: devices.iter().map(|d| of_device(d, attempts, manifest.as_ref(), now)).collect(),
        fold: FoldStats { hash: counted.hash, cursor, quarantined: fold.quarantined() },
    };
    Ok(Figures { stats, position })
}

/// Nobody is late any more.
fn over(event: &Event, now: OffsetDateTime) -> bool {
    let end = event.ends_at.unwrap_or(event.starts_at + WITHOUT_END);
    EventStatus::from_column(&event.status) == EventStatus::Published && now >= end
}

fn refusals(fold: &EventFold, list: ListId) -> BTreeMap<&'static str, u64> {
    fold.refusals(list).into_iter().map(|(outcome, n)| (Outcome::as_str(outcome), n)).collect()
}

/// What came in for a type, and what went back.
#[derive(Debug, Clone, Copy)]
struct Moved {
    paid: Amounts,
    back: Amounts,
}

fn by_type_moved(paid: Vec<(Uuid, Amounts)>, back: &[RefundShare]) -> BTreeMap<Uuid, Moved> {
    let mut moved: BTreeMap<Uuid, Moved> = BTreeMap::new();
    let nothing = Moved { paid: Amounts::ZERO, back: Amounts::ZERO };
    for (type_id, amounts) in paid {
        moved.entry(type_id).or_insert(nothing).paid = amounts;
    }
    for refund in back.chunk_by(|a, b| a.refund_id.is_some() && a.refund_id == b.refund_id) {
        let costs: Vec<Amounts> = refund.iter().map(|share| share.cost).collect();
        let whole = refund.first().map_or(Amounts::ZERO, |share| share.back);
        for (share, part) in refund.iter().zip(spread(whole, &costs)) {
            let of = &mut moved.entry(share.ticket_type_id).or_insert(nothing).back;
            *of = Amounts {
                price_minor: of.price_minor + part.price_minor,
                fee_minor: of.fee_minor + part.fee_minor,
                tax_minor: of.tax_minor + part.tax_minor,
            };
        }
    }
    moved
}

fn of_event<'a>(
    money: Revenue,
    types: impl Iterator<Item = &'a Moved> + Clone,
    amount: &impl Fn(i64) -> MoneyJson,
) -> RevenueStats {
    RevenueStats {
        gross: amount(money.payments_minor),
        refunds: amount(money.refunds_minor),
        net: amount(money.payments_minor - money.refunds_minor),
        fees: amount(types.clone().map(|m| m.paid.fee_minor - m.back.fee_minor).sum()),
        tax: amount(types.map(|m| m.paid.tax_minor - m.back.tax_minor).sum()),
    }
}

fn type_stats(
    t: &Type,
    states: States,
    admitted: u64,
    over: bool,
    attempts: &[Attempts],
    moved: Option<&Moved>,
    amount: &impl Fn(i64) -> MoneyJson,
) -> TypeStats {
    let (paid, back) = moved.map_or((Amounts::ZERO, Amounts::ZERO), |m| (m.paid, m.back));
    let sold = states.sold();
    let expected = sold.saturating_sub(admitted);
    let mine = || attempts.iter().filter(|a| a.type_no.is_some_and(|n| u32::try_from(n) == Ok(t.number)));
    TypeStats {
        ticket_type_id: t.ticket_type_id,
        number: t.number,
        name: t.name.clone(),
        sold,
        held: t.held,
        blocked: states.blocked,
        refunded: states.refunded,
        canceled: states.canceled,
        withdrawn: states.withdrawn,
        admitted,
        expected,
        no_shows: over.then_some(expected),
        scans: mine().map(|a| a.scans).sum(),
        refusals: reasons(mine()),
        revenue: RevenueStats {
            gross: amount(paid.total()),
            refunds: amount(back.total()),
            net: amount(paid.total() - back.total()),
            fees: amount(paid.fee_minor - back.fee_minor),
            tax: amount(paid.tax_minor - back.tax_minor),
        },
    }
}

/// Refused attempts by reason.
fn reasons<'a>(attempts: impl Iterator<Item = &'a Attempts>) -> BTreeMap<&'static str, u64> {
    let mut reasons = BTreeMap::new();
    for attempt in attempts {
        if let Some(outcome) = attempt.refused.and_then(|n| Outcome::ALL.get(usize::from(n))) {
            *reasons.entry(outcome.as_str()).or_default() += attempt.scans;
        }
    }
    reasons
}

/// (admissions, exits) that count, by gate.
fn through_gates(fold: &EventFold) -> BTreeMap<Option<Uuid>, (u64, u64)> {
    let mut gates: BTreeMap<Option<Uuid>, (u64, u64)> = BTreeMap::new();
    for record in fold.histories().flat_map(|(_, _, history)| history.records()) {
        let gate = gates.entry(record.gate.map(Uuid::from)).or_default();
        match record.kind {
            EntryKind::Exit => gate.1 += 1,
            _ => gate.0 += 1,
        }
    }
    gates
}

/// Gates where something was scanned: by name, those without one last.
fn of_gates(
    attempts: &[Attempts],
    through: &BTreeMap<Option<Uuid>, (u64, u64)>,
    names: &HashMap<Uuid, String>,
) -> Vec<GateStats> {
    let mut by_gate: BTreeMap<Option<Uuid>, Vec<&Attempts>> = BTreeMap::new();
    for attempt in attempts {
        by_gate.entry(attempt.gate_id).or_default().push(attempt);
    }
    let mut gates: Vec<GateStats> = by_gate
        .into_iter()
        .map(|(gate_id, here)| {
            let (admissions, exits) = through.get(&gate_id).copied().unwrap_or_default();
            GateStats {
                gate_id,
                name: gate_id.and_then(|id| names.get(&id).cloned()),
                admissions,
                exits,
                refusals: here.iter().filter(|a| a.refused.is_some()).map(|a| a.scans).sum(),
                reasons: reasons(here.iter().copied()),
                scans: here.iter().map(|a| a.scans).sum(),
                late: here.iter().map(|a| a.late).sum(),
            }
        })
        .collect();
    gates.sort_by(|a, b| (a.name.is_none(), &a.name, a.gate_id).cmp(&(b.name.is_none(), &b.name, b.gate_id)));
    gates
}

fn of_device(
    device: &Device,
    attempts: &[Attempts],
    manifest: Option<&manifests::Position>,
    now: OffsetDateTime,
) -> DeviceStats {
    let mine = || attempts.iter().filter(|a| a.device_id == device.device_id.0);
    let held = device.health.manifest;
    let behind = manifest.zip(held).and_then(|(newest, held)| {
        let same = newest.lineage.as_ref().is_some_and(|l| l.epoch == held.epoch);
        same.then(|| newest.change_seq.saturating_sub(held.change_seq))
    });
    DeviceStats {
        device: DeviceJson::of(device, now),
        manifest_behind: behind,
        scans: mine().map(|a| a.scans).sum(),
        late: mine().map(|a| a.late).sum(),
        last_scan_at: mine().map(|a| a.newest_ms).max().and_then(|ms| UnixMillis(ms).to_datetime()),
    }
}
