//! Tickets by the hundred thousand, put straight into the tables: a bench of gates does not want to wait for as many
//! purchases. What stands there afterwards is what selling them would have left.

use anyhow::{Context, Result};
use shared::ids::TicketId;
use shared::manifest::rows::{TicketRow, TicketState};
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::site::Site;
use crate::clock::{Clock as _, SystemClock};

/// Tickets of one statement.
const BATCH: usize = 10_000;

/// Puts `count` valid tickets into the site's show, all in one booking, as one change.
///
/// # Errors
/// If the tables refuse.
pub async fn tickets(site: &Site, count: usize) -> Result<()> {
    let event: Uuid = site.show.event.parse().context("an event's id")?;
    let type_id: Uuid = site.show.ticket_type.parse().context("a ticket type's id")?;
    let mut rng = site.rng.clone();
    let now = SystemClock.now_ms();
    let mut ids: Vec<TicketId> = (0..count).map(|_| TicketId::generate(now, &mut rng)).collect();
    ids.sort_unstable();

    let mut conn = PgConnection::connect_with(&site.endpoint().admin()).await?;
    let mut tx = conn.begin().await?;
    let of_type = sqlx::query(
        "select organizer_id, number, quota_id from ticket_types where event_id = $1 and ticket_type_id = $2",
    )
    .bind(event)
    .bind(type_id)
    .fetch_one(&mut *tx)
    .await?;
    let organizer: Uuid = of_type.get("organizer_id");
    let number: i32 = of_type.get("number");
    let kid: Vec<u8> =
        sqlx::query("select kid from organizer_keys where event_id = $1 and purpose = 'ticket'")
            .bind(event)
            .fetch_one(&mut *tx)
            .await?
            .get("kid");
    let booking = site.rng.uuid(&SystemClock);
    sqlx::query(
        "insert into bookings (organizer_id, booking_id, event_id, booking_secret_hash, status, currency, price_minor,
                               fee_minor, tax_minor, total_minor, held_until, created_at, paid_at)
         values ($1, $2, $3, decode(repeat('00', 32), 'hex'), 'paid', 'EUR', 0, 0, 0, 0, now(), now(), now())",
    )
    .bind(organizer)
    .bind(booking)
    .bind(event)
    .execute(&mut *tx)
    .await?;
    for batch in ids.chunks(BATCH) {
        let uuids: Vec<Uuid> = batch.iter().map(|id| id.0).collect();
        sqlx::query(
            "insert into tickets (organizer_id, ticket_id, event_id, booking_id, ticket_type_id, type_no,
                                  booking_secret_hash, kid, issued_at, expires_at)
             select $1, id, $2, $3, $4, $5, decode(repeat('00', 32), 'hex'), $6, date_trunc('second', now()),
                    date_trunc('second', now()) + interval '2 days'
             from unnest($7::uuid[]) as id",
        )
        .bind(organizer)
        .bind(event)
        .bind(booking)
        .bind(type_id)
        .bind(number)
        .bind(&kid)
        .bind(&uuids)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("update quotas set sold = sold + $3 where organizer_id = $1 and quota_id = $2")
        .bind(organizer)
        .bind(of_type.get::<Uuid, _>("quota_id"))
        .bind(i32::try_from(count)?)
        .execute(&mut *tx)
        .await?;
    let type_no = u16::try_from(number)?;
    let row =
        |ticket_id| TicketRow { ticket_id, type_no, generation: 0, state: TicketState::Valid }.to_bytes();
    let rows: Vec<u8> = ids.into_iter().flat_map(row).collect();
    sqlx::query(
        "with next as (update change_counters set change_seq = change_seq + 1
                       where organizer_id = $1 and event_id = $2 returning change_seq)
         insert into manifest_changes (organizer_id, event_id, change_seq, rows)
         select $1, $2, change_seq, $3 from next",
    )
    .bind(organizer)
    .bind(event)
    .bind(&rows)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
