//! Guest records for a device: the page after its cursor, sealed for everybody, in plain beside that for the box office.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use shared::bytes::{Kid, Nonce24, sha256};
use shared::guest::seal::{SealedTo, seal};
use shared::guest::{AnswerValue, GuestAnswer, GuestRecord};
use shared::ids::{EventId, OrganizerId, TicketId};
use shared::ticket::foreign::is_foreign;
use shared::wire::guests::{GuestPage, GuestRow, MAX_PAGE_RECORDS, MAX_REFERENCE, PlainGuest};

use super::issue::IssueError;
use crate::app::AppState;
use crate::domain::guest_cursor::{Cursor, Ground};
use crate::domain::keys::Purpose;
use crate::domain::ticket::{CodeFacts, code_of};
use crate::selling::keys::{self, Opened};
use crate::store::guests::{self, DoorQuestion, GuestTicket};
use crate::store::manifests;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum GuestsError {
    #[error(transparent)]
    Manifest(#[from] IssueError),
    #[error("opening the ticket keys")]
    Keys(#[source] anyhow::Error),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The records after `cursor`, as one snapshot shows them. `names`: the device is one of the box office.
pub async fn page(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
    names: bool,
    cursor: &[u8],
) -> Result<GuestPage, GuestsError> {
    // Before the snapshot, which holds a connection.
    let mut opened = ticket_keys(app, organizer, event).await?;
    let mut tx = app.db.tenant_snapshot(organizer.0).await?;
    let position = manifests::position(&mut tx, organizer.0, event.0).await?.ok_or(IssueError::NoEvent)?;
    let lineage = position.lineage.ok_or(IssueError::NotReady("it has no manifest yet"))?;
    let questions = guests::questions(&mut tx, organizer.0, event.0).await?;
    let ground = Ground { epoch: lineage.epoch, names, questions: fingerprint(&questions) };
    let to = position.change_seq;
    let (at, anew) = match Cursor::resumed(cursor, ground, to) {
        Some(at) => (at, false),
        None => (Cursor::start(ground, to), true),
    };
    let (at, asked, found) = match at.walk {
        Some(walk) => {
            let after = walk.after.map(|t| t.0);
            let limit = i64::try_from(MAX_PAGE_RECORDS).unwrap_or(i64::MAX);
            let found = guests::after(&mut tx, organizer.0, event.0, after, names, limit).await?;
            let full = found.len() == MAX_PAGE_RECORDS;
            let last = found.last().filter(|_| full).map(|t| TicketId(t.ticket_id));
            (at.walked(last), Vec::new(), found)
        }
        None => {
            let max = MAX_PAGE_RECORDS;
            let changes = guests::changes(&mut tx, organizer.0, event.0, &at, to, max).await?;
            let (at, asked) = at.take(&changes, max);
            let found = guests::of(&mut tx, organizer.0, event.0, &asked).await?;
            (at, asked, found)
        }
    };
    tx.commit().await?;

    let kid_known =
        |t: &GuestTicket| opened.of_kid(kid_of(t)).is_some() || is_foreign(&TicketId(t.ticket_id));
    if !found.iter().all(kid_known) {
        // Another server may have made a key a moment ago.
        keys::forget(app, organizer.0, Purpose::Ticket, Some(event.0));
        opened = ticket_keys(app, organizer, event).await?;
    }
    let rng = app.rng.clone();
    let walked = asked.is_empty();
    let rows = tokio::task::spawn_blocking(move || {
        let maker = Maker { organizer, event, names, questions, opened };
        let mut made: HashMap<TicketId, GuestRow> = HashMap::with_capacity(found.len());
        let mut order = asked;
        for ticket in &found {
            let row = maker.row(ticket, &Nonce24(rng.bytes()));
            if walked && (row.sealed.is_some() || row.plain.is_some()) {
                order.push(row.ticket);
            }
            made.insert(row.ticket, row);
        }
        // A ticket that is not there any more, or says nothing, takes its record back.
        let gone = |ticket| GuestRow { ticket, generation: 0, sealed: None, plain: None };
        order.into_iter().map(|t| made.remove(&t).unwrap_or_else(|| gone(t))).collect()
    })
    .await
    .expect("sealing bounded records does not panic");
    Ok(GuestPage {
        rows,
        cursor: at.to_bytes().into(),
        more: !at.is_done(to),
        anew,
        names,
        epoch: ground.epoch,
        change_seq: at.change_seq,
    })
}

async fn ticket_keys(
    app: &AppState,
    organizer: OrganizerId,
    event: EventId,
) -> Result<Arc<Opened>, GuestsError> {
    keys::opened(app, organizer.0, Purpose::Ticket, Some(event.0)).await.map_err(GuestsError::Keys)
}

fn kid_of(ticket: &GuestTicket) -> Kid {
    Kid::from_slice(&ticket.kid).expect("a CHECK bounds kids")
}

/// Which questions the door sees, and how they are worded: another hash, and all records are told again.
fn fingerprint(questions: &[DoorQuestion]) -> u64 {
    let mut parts = Vec::new();
    for q in questions {
        parts.extend_from_slice(q.question_id.as_bytes());
        parts.extend_from_slice(&sha256(b"", &[q.label.as_bytes()]).0);
    }
    let hash = sha256(b"hvflvspot/door-questions/v1\0", &[&parts]);
    hash.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Makes rows of tickets.
struct Maker {
    organizer: OrganizerId,
    event: EventId,
    names: bool,
    questions: Vec<DoorQuestion>,
    opened: Arc<Opened>,
}

impl Maker {
    fn row(&self, ticket: &GuestTicket, nonce: &Nonce24) -> GuestRow {
        let id = TicketId(ticket.ticket_id);
        let generation = u8::try_from(ticket.generation).expect("a CHECK bounds generations");
        if !ticket.may_come() {
            return GuestRow { ticket: id, generation, sealed: None, plain: None };
        }
        let record = self.record(ticket);
        let plain = self.names.then(|| PlainGuest {
            type_no: u16::try_from(ticket.type_no).expect("a CHECK bounds type numbers"),
            booking: ticket
                .reference
                .as_ref()
                .filter(|r| !r.is_empty())
                .map_or_else(|| ticket.booking_id.to_string(), |r| r.chars().take(MAX_REFERENCE).collect()),
            name: record.name.clone(),
            note: record.note.clone(),
        });
        let sealed = if record.is_empty() || is_foreign(&id) {
            None
        } else {
            self.sealed(ticket, generation, &record, nonce).map(Into::into)
        };
        GuestRow { ticket: id, generation, sealed, plain }
    }

    /// What its guest's record says, within all bounds.
    fn record(&self, ticket: &GuestTicket) -> GuestRecord {
        let mut answers = ticket.answers();
        let at_door = self.questions.iter().filter_map(|q| {
            let value = match answers.remove(&q.question_id)? {
                Value::String(text) => AnswerValue::Text(text),
                Value::Bool(yes) => AnswerValue::YesNo(yes),
                // No kind of question is answered so.
                _ => return None,
            };
            Some(GuestAnswer { label: q.label.clone(), value })
        });
        GuestRecord {
            name: ticket.attendee_name.clone(),
            note: None,
            born_on: None,
            answers: at_door.collect(),
        }
        .bounded()
    }

    /// `None` if its key is gone: the others have their records all the same.
    fn sealed(
        &self,
        ticket: &GuestTicket,
        generation: u8,
        record: &GuestRecord,
        nonce: &Nonce24,
    ) -> Option<Vec<u8>> {
        let kid = kid_of(ticket);
        let Some(key) = self.opened.of_kid(kid) else {
            tracing::error!(ticket_id = %ticket.ticket_id, %kid, "a ticket's key is gone: its guest record is left out");
            return None;
        };
        let ticket_id = TicketId(ticket.ticket_id);
        let facts = CodeFacts {
            ticket_id,
            type_no: u16::try_from(ticket.type_no).expect("a CHECK bounds type numbers"),
            generation,
            kid,
            issued_at: ticket.issued_at,
            not_before: ticket.not_before,
            expires_at: ticket.expires_at,
        };
        let signature = code_of(key, self.organizer, self.event, &facts).signature();
        let to = SealedTo { signature, event: self.event, ticket: ticket_id, generation };
        match seal(record, &to, nonce) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                tracing::error!(ticket_id = %ticket.ticket_id, %error, "a guest record is left out");
                None
            }
        }
    }
}
