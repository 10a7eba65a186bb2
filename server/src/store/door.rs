//! Check-in lists, gates and stewards of an event: what the door needs.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A check-in list as stored.
#[derive(Debug, Clone)]
pub struct CheckinList {
    pub list_id: Uuid,
    pub event_id: Uuid,
    pub name: String,
    pub attendance: bool,
    /// `None`: every type, also later ones.
    pub type_numbers: Option<Vec<i32>>,
    pub multiple_entry: bool,
    pub reentry_after_exit: bool,
    pub rule: Option<serde_json::Value>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
}

/// The event's lists, attendance first, without archived ones.
pub async fn lists(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<CheckinList>, sqlx::Error> {
    sqlx::query_as!(
        CheckinList,
        "select list_id, event_id, name, attendance, type_numbers, multiple_entry, reentry_after_exit, rule, created_at,
                updated_at, archived_at
           from checkin_lists where organizer_id = $1 and event_id = $2 and archived_at is null
          order by attendance desc, created_at, list_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Takes `attendance` from the list that has it, before another gets it. The list that the event began
/// with is archived then, if nobody ever changed it or scanned on it.
pub async fn end_attendance(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update checkin_lists l
            set attendance = false, updated_at = $3,
                archived_at = case when l.created_at = e.created_at and l.updated_at = l.created_at and not exists (
                  select from scans s where s.organizer_id = $1 and s.event_id = $2 and s.list_id = l.list_id
                ) then $3::timestamptz end
           from events e
          where l.organizer_id = $1 and l.event_id = $2 and l.attendance
            and e.organizer_id = $1 and e.event_id = $2",
        organizer_id,
        event_id,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a list or writes what may change of it. Two attendance lists of an event are a unique violation
/// `checkin_lists_attendance`: [`end_attendance`] comes first.
pub async fn put_list(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    list: &CheckinList,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into checkin_lists (organizer_id, list_id, event_id, name, attendance, type_numbers, multiple_entry,
                                    reentry_after_exit, rule, created_at, updated_at, archived_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (organizer_id, list_id) do update set
           name = excluded.name, attendance = excluded.attendance, type_numbers = excluded.type_numbers, multiple_entry = excluded.multiple_entry,
           reentry_after_exit = excluded.reentry_after_exit, rule = excluded.rule, updated_at = excluded.updated_at,
           archived_at = excluded.archived_at",
        organizer_id,
        list.list_id,
        list.event_id,
        list.name,
        list.attendance,
        list.type_numbers.as_deref(),
        list.multiple_entry,
        list.reentry_after_exit,
        list.rule,
        list.created_at,
        list.updated_at,
        list.archived_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A gate as stored.
#[derive(Debug, Clone)]
pub struct Gate {
    pub gate_id: Uuid,
    pub event_id: Uuid,
    pub name: String,
    pub created_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
}

/// The event's gates, without archived ones.
pub async fn gates(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<Gate>, sqlx::Error> {
    sqlx::query_as!(
        Gate,
        "select gate_id, event_id, name, created_at, archived_at from gates
          where organizer_id = $1 and event_id = $2 and archived_at is null order by created_at, gate_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Adds a gate or changes its name or end.
pub async fn put_gate(conn: &mut PgConnection, organizer_id: Uuid, gate: &Gate) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into gates (organizer_id, gate_id, event_id, name, created_at, archived_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (organizer_id, gate_id) do update set name = excluded.name, archived_at = excluded.archived_at",
        organizer_id,
        gate.gate_id,
        gate.event_id,
        gate.name,
        gate.created_at,
        gate.archived_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A steward as stored.
#[derive(Debug, Clone)]
pub struct Steward {
    pub steward_id: Uuid,
    pub event_id: Uuid,
    pub label: String,
    pub supervisor: bool,
    /// argon2id, PHC string.
    pub pin_hash: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub archived_at: Option<OffsetDateTime>,
}

/// The event's stewards, without archived ones.
pub async fn stewards(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    event_id: Uuid,
) -> Result<Vec<Steward>, sqlx::Error> {
    sqlx::query_as!(
        Steward,
        "select steward_id, event_id, label, supervisor, pin_hash, created_at, updated_at, archived_at from stewards
          where organizer_id = $1 and event_id = $2 and archived_at is null order by created_at, steward_id",
        organizer_id,
        event_id,
    )
    .fetch_all(conn)
    .await
}

/// Adds a steward or writes what may change.
pub async fn put_steward(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    steward: &Steward,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into stewards (organizer_id, steward_id, event_id, label, supervisor, pin_hash, created_at, updated_at,
                               archived_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (organizer_id, steward_id) do update set
           label = excluded.label, supervisor = excluded.supervisor, pin_hash = excluded.pin_hash,
           updated_at = excluded.updated_at, archived_at = excluded.archived_at",
        organizer_id,
        steward.steward_id,
        steward.event_id,
        steward.label,
        steward.supervisor,
        steward.pin_hash,
        steward.created_at,
        steward.updated_at,
        steward.archived_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
