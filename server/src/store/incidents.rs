//! Incidents: one row per subject, however often it is found.

use shared::ids::{DeviceId, EventId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::{corrupt, number};
use crate::domain::incident::{Evidence, Finding, Kind, MAX_SIDES, Subject};

/// Stores what was found. A double admission is replaced by its newest fold; evidence about a log is added
/// to what is known of it. True if it was opened, or closed, by this.
pub async fn put(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: EventId,
    finding: &Finding,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let id = finding.subject.id(event);
    let (kind, list, ticket, device, log_no) = match finding.subject {
        Subject::Admission { list, ticket } => {
            (Kind::DoubleAdmission, Some(list.0), Some(ticket.0), None, None)
        }
        Subject::Log { kind, device, log_no } => (kind, None, None, Some(device.0), Some(i64::from(log_no))),
    };
    let known = sqlx::query!(
        "select state, sides from incidents where organizer_id = $1 and event_id = $2 and incident_id = $3 for update",
        organizer,
        event.0,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let mut sides = finding.sides.clone();
    if let (Some(known), Subject::Log { .. }) = (&known, &finding.subject) {
        let mut all = evidence_of(known.sides.clone())?;
        for side in sides {
            if all.len() < MAX_SIDES
                && !all.iter().any(|a| a.entry_hash == side.entry_hash && a.note == side.note)
            {
                all.push(side);
            }
        }
        all.sort_by_key(|s| (s.seq, s.entry_hash));
        sides = all;
    }
    let state = if finding.open { "open" } else { "closed" };
    let sides = serde_json::to_value(&sides).map_err(|e| sqlx::Error::Encode(e.into()))?;
    let was = known.as_ref().map(|k| k.state.clone());
    if known.is_some_and(|k| k.state == state && k.sides == sides) {
        return Ok(false);
    }
    sqlx::query!(
        "insert into incidents as i (organizer_id, event_id, incident_id, kind, state, list_id, ticket_id, device_id, log_no,
                                     sides, opened_at, updated_at, closed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, case when $5 = 'closed' then $11::timestamptz end)
         on conflict (organizer_id, event_id, incident_id) do update
            set state = excluded.state, sides = excluded.sides, updated_at = excluded.updated_at,
                closed_at = case when excluded.state = 'closed' then coalesce(i.closed_at, excluded.closed_at) end",
        organizer,
        event.0,
        id,
        kind.as_str(),
        state,
        list,
        ticket,
        device,
        log_no,
        sides,
        now,
    )
    .execute(conn)
    .await?;
    Ok(was.as_deref() != Some(state) && (finding.open || was.is_some()))
}

/// Closes the incidents of subjects whose history no longer shows one (a device was revoked, say). Kept. Returns those that this closed.
pub async fn close(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: EventId,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "update incidents set state = 'closed', updated_at = $4, closed_at = $4
          where organizer_id = $1 and event_id = $2 and incident_id = any($3) and state = 'open'
         returning incident_id",
        organizer,
        event.0,
        ids,
        now,
    )
    .fetch_all(conn)
    .await
}

/// An incident as stored.
#[derive(Debug)]
pub struct Incident {
    pub incident_id: Uuid,
    pub kind: Kind,
    pub open: bool,
    pub list_id: Option<Uuid>,
    pub ticket_id: Option<Uuid>,
    pub device_id: Option<Uuid>,
    pub log_no: Option<u32>,
    pub sides: Vec<Evidence>,
    pub opened_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub closed_at: Option<OffsetDateTime>,
}

/// Incidents of an event, newest first, after a cursor (opened_at, id).
pub async fn list(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    open_only: bool,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Incident>, sqlx::Error> {
    let rows = sqlx::query!(
        "select incident_id, kind, state, list_id, ticket_id, device_id, log_no, sides, opened_at, updated_at, closed_at
           from incidents
          where organizer_id = $1 and event_id = $2 and (state = 'open' or not $3)
            and ($4::timestamptz is null or (opened_at, incident_id) < ($4, $5::uuid))
          order by opened_at desc, incident_id desc limit $6",
        organizer,
        event,
        open_only,
        before.map(|b| b.0),
        before.map(|b| b.1),
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Incident {
                incident_id: r.incident_id,
                kind: Kind::from_column(&r.kind).ok_or_else(|| corrupt("incidents.kind"))?,
                open: r.state == "open",
                list_id: r.list_id,
                ticket_id: r.ticket_id,
                device_id: r.device_id,
                log_no: r.log_no.map(number).transpose()?,
                sides: evidence_of(r.sides)?,
                opened_at: r.opened_at,
                updated_at: r.updated_at,
                closed_at: r.closed_at,
            })
        })
        .collect()
}

fn evidence_of(json: serde_json::Value) -> Result<Vec<Evidence>, sqlx::Error> {
    serde_json::from_value(json).map_err(|e| sqlx::Error::Decode(e.into()))
}

/// (kind, open, how many) of an event.
pub async fn counts(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<(Kind, bool, u64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kind, state = 'open' as "open!", count(*) as "n!" from incidents
            where organizer_id = $1 and event_id = $2 group by kind, state order by kind, state"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok((Kind::from_column(&r.kind).ok_or_else(|| corrupt("incidents.kind"))?, r.open, number(r.n)?))
        })
        .collect()
}

/// True if the device of `later`, when it wrote that entry, had seen the entry of `earlier`: its own seen
/// vector, or the same log, proves it.
pub async fn knew(
    conn: &mut PgConnection,
    organizer: Uuid,
    later: &Evidence,
    earlier: &Evidence,
) -> Result<bool, sqlx::Error> {
    if later.device == earlier.device {
        return Ok((later.log_no, later.seq) > (earlier.log_no, earlier.seq));
    }
    sqlx::query_scalar!(
        r#"select exists (
             select from scan_seen s
               join devices d on d.organizer_id = $1 and d.device_id = $5 and d.number = s.other_number
              where s.organizer_id = $1 and s.device_id = $2 and s.log_no = $3 and s.seq <= $4
                and s.other_log_no = $6 and s.other_seq >= $7) as "knew!""#,
        organizer,
        later.device,
        i64::from(later.log_no),
        i64::try_from(later.seq).unwrap_or(i64::MAX),
        earlier.device,
        i64::from(earlier.log_no),
        i64::try_from(earlier.seq).unwrap_or(i64::MAX),
    )
    .fetch_one(conn)
    .await
}

/// The devices that incidents name, with their labels.
pub async fn labels(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Vec<(DeviceId, u32, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select device_id, number, label from devices where organizer_id = $1 and event_id = $2 order by number",
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|r| Ok((r.device_id.into(), number(r.number)?, r.label))).collect()
}
