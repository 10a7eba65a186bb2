//! From paid to tickets, many bookings of an event in one transaction.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rush::{self, Done, Step};
use super::{Actor, StepError, keys};
use crate::app::AppState;
use crate::domain::keys::Purpose;
use crate::domain::ledger::{self, Amounts};
use crate::domain::ticket::{CodeFacts, Window};
use crate::store::issue::{self, NewIssue, NewLedgerLine, NewTicket};
use crate::store::outbox;
use crate::store::ticket::{ChangedTicket, manifest_rows};
use crate::store::{booking, change, webhook};
use crate::webhooks::facts;
use shared::bytes::Kid;
use shared::ids::TicketId;

/// Tickets of one kind in a booking.
#[derive(Debug, Clone, Copy)]
pub struct Lot {
    pub ticket_type_id: Uuid,
    pub type_no: u16,
    pub window: Window,
    pub quantity: u32,
}

/// The money of a booking.
#[derive(Debug, Clone)]
pub struct Paid {
    pub transaction_id: Uuid,
    pub provider: String,
    pub provider_ref: String,
    pub amounts: Amounts,
}

/// A booking to issue.
#[derive(Debug, Clone)]
pub struct IssueOrder {
    pub organizer_id: Uuid,
    pub event_id: Uuid,
    pub booking_id: Uuid,
    /// None: it is free.
    pub paid: Option<Paid>,
    pub lots: Vec<Lot>,
    pub actor: Actor,
    /// The tickets go to the buyer by mail.
    pub mail: bool,
}

/// An issued ticket: what its code says, and of which type it is.
#[derive(Debug, Clone, Copy)]
pub struct IssuedTicket {
    pub ticket_type_id: Uuid,
    pub facts: CodeFacts,
}

/// `None`: the booking was not held any more, or its payment not pending.
pub type Issued = Option<Vec<IssuedTicket>>;

/// Issues a booking, together with others of its event that wait.
///
/// # Errors
/// [`StepError`]; nothing was issued then.
pub async fn issue(app: &AppState, order: IssueOrder) -> Result<Issued, StepError> {
    match rush::submit(app, order.event_id, Step::Issue(Arc::new(order))).await? {
        Done::Issued(issued) => Ok(issued),
        _ => Err(StepError::Died),
    }
}

/// Bookings about to be issued, and the key that will sign their codes.
pub(super) struct Prepared {
    kid: Kid,
    issues: Vec<NewIssue>,
    /// (mail, booking) of those that are written to.
    mails: Vec<(Uuid, Uuid)>,
}

/// What issuing needs beside the transaction. `None` if there is nothing to issue.
pub(super) async fn prepare(
    app: &AppState,
    organizer_id: Uuid,
    event_id: Uuid,
    orders: &[Arc<IssueOrder>],
) -> Result<Option<Prepared>, StepError> {
    if orders.is_empty() {
        return Ok(None);
    }
    let opened =
        keys::opened(app, organizer_id, Purpose::Ticket, Some(event_id)).await.map_err(StepError::Key)?;
    let (key, _) = opened.active().ok_or_else(|| StepError::Key(anyhow::anyhow!("none is active")))?;
    let issues = orders.iter().map(|order| new_issue(app, order)).collect();
    let written = orders.iter().filter(|order| order.mail);
    let mails = written.map(|order| (app.rng.uuid(&*app.clock), order.booking_id)).collect();
    Ok(Some(Prepared { kid: key.kid, issues, mails }))
}

/// Issues; the transaction's last statements. Also says whether gates have something to learn.
pub(super) async fn issue_all(
    app: &AppState,
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    Prepared { kid, issues, mails }: Prepared,
) -> Result<(Vec<Issued>, bool), StepError> {
    let done = issue::issue(conn, organizer_id, event_id, &kid.0, &issues, app.clock.now()).await?;
    let mails: Vec<_> = mails.into_iter().filter(|(_, booking)| done.bookings.contains(booking)).collect();
    outbox::enqueue_bookings(conn, organizer_id, "booking.paid", &mails, &json!({}), app.clock.now()).await?;
    let ours = |i: &&NewIssue| done.bookings.contains(&i.booking_id);
    let changed: Vec<ChangedTicket> =
        issues.iter().filter(ours).flat_map(|i| &i.tickets).map(as_changed).collect();
    if done.has_listeners {
        tell(app, conn, (organizer_id, event_id), &issues, &done).await?;
    }
    if !changed.is_empty() {
        // The last statement: see `change`.
        let rows = manifest_rows(&changed);
        change::record(conn, organizer_id, event_id, &rows, Some(done.issued_at)).await?;
    }
    let answer = |i: &NewIssue| {
        ours(&i).then(|| i.tickets.iter().map(|t| as_issued(t, kid, done.issued_at)).collect())
    };
    Ok((issues.iter().map(answer).collect(), !changed.is_empty()))
}

/// Tells the organizer's webhooks what was sold.
async fn tell(
    app: &AppState,
    conn: &mut PgConnection,
    (organizer_id, event_id): (Uuid, Uuid),
    issues: &[NewIssue],
    done: &issue::Issued,
) -> Result<(), sqlx::Error> {
    let mut told = Vec::new();
    for of in issues.iter().filter(|i| done.bookings.contains(&i.booking_id)) {
        if let Some(paid) = booking::find(conn, organizer_id, of.booking_id).await? {
            told.push(facts::booking_paid(app, &paid, &of.tickets));
        }
    }
    if !done.sold_out.is_empty() {
        let quotas = webhook::quotas(conn, organizer_id, &done.sold_out).await?;
        told.extend(quotas.iter().map(|of| facts::tickets_sold_out(app, event_id, of)));
    }
    facts::tell(conn, organizer_id, &told, app.clock.now()).await
}

fn new_issue(app: &AppState, order: &IssueOrder) -> NewIssue {
    let booking_id = order.booking_id;
    let ticket = |lot: &Lot, place: u32| NewTicket {
        ticket_id: app.rng.uuid(&*app.clock),
        booking_id,
        ticket_type_id: lot.ticket_type_id,
        type_no: lot.type_no.into(),
        place: i32::try_from(place).expect("a quote bounds quantities"),
        not_before: lot.window.not_before,
        expires_at: lot.window.expires_at,
    };
    let mut tickets: Vec<NewTicket> =
        order.lots.iter().flat_map(|lot| (0..lot.quantity).map(move |place| ticket(lot, place))).collect();
    // As they are read back.
    tickets.sort_by_key(|t| (t.type_no, t.ticket_id));
    NewIssue {
        booking_id,
        transaction_id: order.paid.as_ref().map(|p| p.transaction_id),
        provider_ref: order.paid.as_ref().map(|p| p.provider_ref.clone()),
        audit_id: app.rng.uuid(&*app.clock),
        actor_kind: order.actor.kind,
        actor_id: order.actor.id,
        request_id: order.actor.request_id.clone(),
        tickets,
        ledger: order.paid.as_ref().map(|p| payment_entry(booking_id, p)).unwrap_or_default(),
    }
}

/// The ledger lines of a payment.
pub(super) fn payment_entry(booking_id: Uuid, paid: &Paid) -> Vec<NewLedgerLine> {
    entry(paid.transaction_id, booking_id, ledger::payment(&paid.provider, paid.amounts))
}

/// The ledger lines of an entry, numbered.
pub(super) fn entry(entry_id: Uuid, booking_id: Uuid, lines: Vec<ledger::LedgerLine>) -> Vec<NewLedgerLine> {
    let numbered = (1..).zip(lines);
    numbered
        .map(|(line, l)| NewLedgerLine {
            entry_id,
            line,
            booking_id,
            account: l.account,
            amount_minor: l.amount_minor,
        })
        .collect()
}

fn as_changed(ticket: &NewTicket) -> ChangedTicket {
    ChangedTicket {
        ticket_id: ticket.ticket_id,
        type_no: ticket.type_no,
        generation: 0,
        state: "valid".to_owned(),
    }
}

fn as_issued(ticket: &NewTicket, kid: Kid, issued_at: OffsetDateTime) -> IssuedTicket {
    IssuedTicket {
        ticket_type_id: ticket.ticket_type_id,
        facts: CodeFacts {
            ticket_id: TicketId(ticket.ticket_id),
            type_no: u16::try_from(ticket.type_no).expect("it was a u16"),
            generation: 0,
            kid,
            issued_at,
            not_before: ticket.not_before,
            expires_at: ticket.expires_at,
        },
    }
}
