//! Scans that the server decides: what it knows of a ticket, and what it answered before.

use shared::bytes::Hash32;
use shared::ids::{EventId, TicketId};
use shared::log::entry::EntryPlace;
use shared::manifest::rows::{TicketRow, TicketState};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::signed;
use crate::store::devices::{corrupt, hash, number};

/// A ticket as the server knows it, in the form that gates know.
pub async fn ticket_row(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    ticket: TicketId,
) -> Result<Option<TicketRow>, sqlx::Error> {
    let row = sqlx::query!(
        "select type_no, generation, state from tickets where organizer_id = $1 and event_id = $2 and ticket_id = $3",
        organizer,
        event,
        ticket.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(TicketRow {
            ticket_id: ticket,
            type_no: number(i64::from(r.type_no))?,
            generation: number(i64::from(r.generation))?,
            state: (0..=u8::MAX)
                .map_while(TicketState::from_u8)
                .find(|s| s.as_str() == r.state)
                .ok_or_else(|| corrupt("tickets.state"))?,
        })
    })
    .transpose()
}

/// The event of a ticket, or of the only event that signs with such a key.
pub async fn event_of_code(
    conn: &mut PgConnection,
    organizer: Uuid,
    ticket: Uuid,
    kid: &[u8; 4],
) -> Result<Option<EventId>, sqlx::Error> {
    let event = sqlx::query_scalar!(
        r#"select coalesce(
             (select event_id from tickets where organizer_id = $1 and ticket_id = $2),
             (select min(event_id::text)::uuid from organizer_keys
               where organizer_id = $1 and purpose = 'ticket' and kid = $3 having count(distinct event_id) = 1)) as event_id"#,
        organizer,
        ticket,
        &kid[..],
    )
    .fetch_one(conn)
    .await?;
    Ok(event.map(EventId))
}

/// A check-in that was decided here before.
#[derive(Debug)]
pub struct OnlineScan {
    pub request_hash: Hash32,
    pub answer: serde_json::Value,
}

pub async fn online_scan(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    nonce: &[u8; 16],
) -> Result<Option<OnlineScan>, sqlx::Error> {
    let row = sqlx::query!(
        "select request_hash, answer from online_scans where organizer_id = $1 and event_id = $2 and nonce = $3",
        organizer,
        event,
        &nonce[..],
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(OnlineScan { request_hash: hash(&r.request_hash, "online_scans.request_hash")?, answer: r.answer })
    })
    .transpose()
}

/// A check-in to remember.
#[derive(Debug)]
pub struct NewOnlineScan<'a> {
    pub nonce: &'a [u8; 16],
    pub request_hash: &'a Hash32,
    pub place: EntryPlace,
    pub answer: &'a serde_json::Value,
    pub requested_by: Uuid,
    pub created_at: OffsetDateTime,
}

pub async fn remember_online_scan(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    scan: &NewOnlineScan<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into online_scans (organizer_id, event_id, nonce, request_hash, device_id, log_no, seq, answer, requested_by,
                                   created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer,
        event,
        &scan.nonce[..],
        &scan.request_hash.0[..],
        scan.place.device.0,
        i64::from(scan.place.log_no),
        signed(scan.place.seq)?,
        scan.answer,
        scan.requested_by,
        scan.created_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
