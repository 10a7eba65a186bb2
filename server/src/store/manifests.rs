//! What a manifest is made of, the newest one of each event, and the keys that sign it.
//!
//! Issuing reads and writes in one repeatable-read snapshot ([`super::Db::tenant_snapshot`]): the change
//! counter, the changes up to it and the configuration are of one moment.

use std::collections::BTreeMap;

use shared::bytes::{Kid, PublicKey};
use shared::ids::EventId;
use shared::manifest::docs::{
    EventInfo, Gap, GateConfig, KeyStatus, ListConfig, ManifestVersion, RevokedDevice, SignedTrustRoot,
    Steward, TicketKey, TicketTypeConfig, TypeSet,
};
use shared::time::UnixSecs;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::{corrupt, number};
use crate::domain::manifest::{Cause, DatabaseId, Lineage, NewLineage, Standing, merge_gaps};
use crate::domain::ticket;
use shared::manifest::docs::LogPlace;

/// Where an event's manifest stands.
#[derive(Debug, Clone)]
pub struct Position {
    pub change_seq: u64,
    /// The newest lineage.
    pub lineage: Option<Lineage>,
    pub standing: Option<Standing>,
}

/// The database's clock.
pub async fn clock(conn: &mut PgConnection) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar!(r#"select db_clock() as "now!""#).fetch_one(conn).await
}

/// Which database this is, now.
pub async fn database_id(conn: &mut PgConnection) -> Result<DatabaseId, sqlx::Error> {
    let row = sqlx::query!(
        r#"select (select system_identifier from pg_control_system())::text as "system_identifier!",
                  (select timeline_id from pg_control_checkpoint())::bigint as "timeline!""#
    )
    .fetch_one(conn)
    .await?;
    Ok(DatabaseId { system_identifier: row.system_identifier, timeline: row.timeline })
}

/// The installation's epoch and since when it is that.
pub async fn server_epoch(conn: &mut PgConnection) -> Result<(u32, OffsetDateTime), sqlx::Error> {
    let row = sqlx::query!("select epoch, seen_at from server_identity order by epoch desc limit 1")
        .fetch_one(conn)
        .await?;
    Ok((number(row.epoch)?, row.seen_at))
}

/// Counter, lineage and header of an event; `None` if the organizer has no such event.
pub async fn position(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<Position>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select coalesce(c.change_seq, 0) as "change_seq!",
                  l.epoch as "lineage_epoch?", l.system_identifier as "system_identifier?", l.timeline as "timeline?",
                  h.epoch as "epoch?", h.change_seq as "header_seq?", h.as_of as "as_of?", h.issued_at as "issued_at?"
             from events e
             left join change_counters c on c.organizer_id = e.organizer_id and c.event_id = e.event_id
             left join manifest_headers h on h.organizer_id = e.organizer_id and h.event_id = e.event_id
             left join lateral (
               select epoch, system_identifier, timeline from manifest_epochs m
                where m.organizer_id = $1 and m.event_id = $2 order by epoch desc limit 1) l on true
            where e.organizer_id = $1 and e.event_id = $2"#,
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let lineage = match (row.lineage_epoch, row.system_identifier, row.timeline) {
        (Some(epoch), Some(system_identifier), Some(timeline)) => {
            Some(Lineage { epoch: number(epoch)?, database: DatabaseId { system_identifier, timeline } })
        }
        _ => None,
    };
    let standing = match (row.epoch, row.header_seq, row.as_of, row.issued_at) {
        (Some(epoch), Some(seq), Some(as_of), Some(issued_at)) => Some(Standing {
            version: ManifestVersion { epoch: number(epoch)?, change_seq: number(seq)?, as_of: as_of.into() },
            issued_at: issued_at.into(),
        }),
        _ => None,
    };
    Ok(Some(Position { change_seq: number(row.change_seq)?, lineage, standing }))
}

/// Begins a lineage. Fails with a unique violation if another server was quicker.
pub async fn begin_lineage(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    new: &NewLineage,
    database: &DatabaseId,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (cause, device) = match new.cause {
        Cause::First => ("first", None),
        Cause::Database => ("database", None),
        Cause::GateAhead(device) => ("gate_ahead", Some(device)),
    };
    let at = |s: UnixSecs| s.millis().to_datetime();
    sqlx::query!(
        "insert into manifest_epochs (organizer_id, event_id, epoch, cause, system_identifier, timeline, gap_from, gap_to,
                                      reported_by, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer,
        event,
        i64::from(new.epoch),
        cause,
        database.system_identifier,
        database.timeline,
        new.gap.and_then(|g| at(g.from)),
        new.gap.and_then(|g| at(g.to)),
        device,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The losses of the past, sorted and merged, so that repeated scares do not lengthen every header.
pub async fn gaps(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<Vec<Gap>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select gap_from as "gap_from!", gap_to as "gap_to!" from manifest_epochs
            where organizer_id = $1 and event_id = $2 and gap_from is not null order by epoch"#,
        organizer,
        event,
    )
    .fetch_all(conn)
    .await?;
    let gaps = rows.into_iter().map(|r| Gap { from: r.gap_from.into(), to: r.gap_to.into() }).collect();
    Ok(merge_gaps(gaps))
}

/// The newest header as it is served.
#[derive(Debug, Clone)]
pub struct Header {
    pub version: ManifestVersion,
    pub header: Vec<u8>,
    pub key_list: Vec<u8>,
    pub tickets: u64,
}

pub async fn header(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<Header>, sqlx::Error> {
    let row = sqlx::query!(
        "select epoch, change_seq, as_of, header, key_list, tickets from manifest_headers
          where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| {
        Ok(Header {
            version: ManifestVersion {
                epoch: number(r.epoch)?,
                change_seq: number(r.change_seq)?,
                as_of: r.as_of.into(),
            },
            header: r.header,
            key_list: r.key_list,
            tickets: number(r.tickets)?,
        })
    })
    .transpose()
}

/// The bucket hashes behind the newest header.
pub async fn bucket_hashes(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar!(
        "select bucket_hashes from manifest_headers where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await
}

/// A header to store.
#[derive(Debug)]
pub struct NewHeader<'a> {
    pub version: ManifestVersion,
    pub issued_at: OffsetDateTime,
    pub header: &'a [u8],
    pub key_list: &'a [u8],
    /// `None`: as before.
    pub bucket_hashes: Option<&'a [u8]>,
    pub tickets: u64,
}

/// Puts a header in place of an older one. False if the one that stands is not older.
pub async fn put_header(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    new: &NewHeader<'_>,
) -> Result<bool, sqlx::Error> {
    let as_of = new.version.as_of.millis().to_datetime().ok_or_else(|| corrupt("manifest_headers.as_of"))?;
    let done = sqlx::query!(
        "insert into manifest_headers as h (organizer_id, event_id, epoch, change_seq, as_of, issued_at, header, key_list,
                                            bucket_hashes, tickets)
         values ($1, $2, $3, $4, $5, $6, $7, $8,
                 coalesce($9, (select bucket_hashes from manifest_headers where organizer_id = $1 and event_id = $2)), $10)
         on conflict (organizer_id, event_id) do update
            set epoch = excluded.epoch, change_seq = excluded.change_seq, as_of = excluded.as_of,
                issued_at = excluded.issued_at, header = excluded.header, key_list = excluded.key_list,
                bucket_hashes = coalesce($9, h.bucket_hashes), tickets = excluded.tickets
          where (h.epoch, h.change_seq, h.as_of) < (excluded.epoch, excluded.change_seq, excluded.as_of)",
        organizer,
        event,
        i64::from(new.version.epoch),
        i64::try_from(new.version.change_seq).map_err(|e| sqlx::Error::Encode(e.into()))?,
        as_of,
        new.issued_at,
        new.header,
        new.key_list,
        new.bucket_hashes,
        i64::try_from(new.tickets).map_err(|e| sqlx::Error::Encode(e.into()))?,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The 20-byte rows of all changes in (from, to], in their order.
pub async fn changes(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    from: u64,
    to: u64,
) -> Result<Vec<u8>, sqlx::Error> {
    let bound = |n: u64| i64::try_from(n).map_err(|e| sqlx::Error::Encode(e.into()));
    sqlx::query_scalar!(
        r#"select coalesce(string_agg(rows, ''::bytea order by change_seq), ''::bytea) as "rows!" from manifest_changes
            where organizer_id = $1 and event_id = $2 and change_seq > $3 and change_seq <= $4"#,
        organizer,
        event,
        bound(from)?,
        bound(to)?,
    )
    .fetch_one(conn)
    .await
}

/// How many bytes of rows [`changes`] would give.
pub async fn changes_len(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    from: u64,
    to: u64,
) -> Result<u64, sqlx::Error> {
    let bound = |n: u64| i64::try_from(n).map_err(|e| sqlx::Error::Encode(e.into()));
    let bytes = sqlx::query_scalar!(
        r#"select coalesce(sum(length(rows)), 0)::bigint as "bytes!" from manifest_changes
            where organizer_id = $1 and event_id = $2 and change_seq > $3 and change_seq <= $4"#,
        organizer,
        event,
        bound(from)?,
        bound(to)?,
    )
    .fetch_one(conn)
    .await?;
    number(bytes)
}

/// Some buckets of the newest header; those without rows are absent.
pub async fn buckets(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    numbers: &[i32],
) -> Result<BTreeMap<u16, Vec<u8>>, sqlx::Error> {
    let rows = sqlx::query!(
        "select bucket, ticket_rows from manifest_buckets
          where organizer_id = $1 and event_id = $2 and bucket = any($3)",
        organizer,
        event,
        numbers,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|r| Ok((number(i64::from(r.bucket))?, r.ticket_rows))).collect()
}

/// All 20-byte rows of the newest header, bucket after bucket.
pub async fn all_rows(conn: &mut PgConnection, organizer: Uuid, event: Uuid) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(string_agg(ticket_rows, ''::bytea), ''::bytea) as "rows!" from manifest_buckets
            where organizer_id = $1 and event_id = $2"#,
        organizer,
        event,
    )
    .fetch_one(conn)
    .await
}

/// One ticket's bucket, as of the newest header.
pub async fn put_buckets(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    blobs: Vec<(i32, Vec<u8>)>,
) -> Result<(), sqlx::Error> {
    let (numbers, blobs): (Vec<i32>, Vec<Vec<u8>>) = blobs.into_iter().unzip();
    sqlx::query!(
        "insert into manifest_buckets (organizer_id, event_id, bucket, ticket_rows)
         select $1, $2, bucket, ticket_rows from unnest($3::integer[], $4::bytea[]) as b (bucket, ticket_rows)
         on conflict (organizer_id, event_id, bucket) do update set ticket_rows = excluded.ticket_rows",
        organizer,
        event,
        &numbers,
        &blobs,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The event's configuration as gates need it.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub created_at: OffsetDateTime,
    pub info: EventInfo,
    pub lists: Vec<ListConfig>,
    pub gates: Vec<GateConfig>,
    pub stewards: Vec<Steward>,
    pub ticket_types: Vec<TicketTypeConfig>,
}

/// Everything sorted as a header wants it; `None` if the organizer has no such event.
pub async fn configuration(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<Configuration>, sqlx::Error> {
    let e = sqlx::query!(
        "select title, time_zone, admission_at, starts_at, ends_at, created_at from events
          where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(e) = e else { return Ok(None) };
    let gates = sqlx::query!(
        "select gate_id, name from gates where organizer_id = $1 and event_id = $2 and archived_at is null order by gate_id",
        organizer,
        event,
    )
    .fetch_all(&mut *conn)
    .await?;
    let stewards = sqlx::query!(
        "select steward_id, label, supervisor, pin_hash from stewards
          where organizer_id = $1 and event_id = $2 and archived_at is null order by steward_id",
        organizer,
        event,
    )
    .fetch_all(&mut *conn)
    .await?;
    let types = sqlx::query!(
        "select number, ticket_type_id, name, valid_from, valid_until, grace_secs, attention from ticket_types
          where organizer_id = $1 and event_id = $2 order by number",
        organizer,
        event,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ticket_types = types
        .into_iter()
        .map(|t| {
            let window = ticket::window(t.valid_from, t.valid_until, e.starts_at, e.ends_at, t.grace_secs);
            Ok(TicketTypeConfig {
                number: number(i64::from(t.number))?,
                id: t.ticket_type_id.into(),
                name: t.name,
                not_before: window.not_before.map_or(UnixSecs(0), UnixSecs::from),
                expires_at: window.expires_at.into(),
                attention: t.attention,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(Some(Configuration {
        created_at: e.created_at,
        info: EventInfo {
            title: e.title,
            time_zone: e.time_zone,
            admission_at: e.admission_at.map(UnixSecs::from),
            starts_at: e.starts_at.into(),
            ends_at: e.ends_at.map(UnixSecs::from),
        },
        lists: lists(conn, organizer, event, false).await?,
        gates: gates.into_iter().map(|g| GateConfig { id: g.gate_id.into(), name: g.name }).collect(),
        stewards: stewards
            .into_iter()
            .map(|s| Steward {
                id: s.steward_id.into(),
                label: s.label,
                supervisor: s.supervisor,
                pin_hash: s.pin_hash,
            })
            .collect(),
        ticket_types,
    }))
}

/// The event's lists by id; `archived` ones too if asked: their log stays.
pub async fn lists(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
    archived: bool,
) -> Result<Vec<ListConfig>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select list_id, name, attendance, type_numbers, multiple_entry, reentry_after_exit, rule::text as rule
             from checkin_lists
            where organizer_id = $1 and event_id = $2 and (archived_at is null or $3)
            order by list_id"#,
        organizer,
        event,
        archived,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|l| {
            let ticket_types = match l.type_numbers {
                None => TypeSet::All,
                Some(numbers) => {
                    let mut numbers: Vec<u16> =
                        numbers.into_iter().map(|n| number(i64::from(n))).collect::<Result<_, _>>()?;
                    numbers.sort_unstable();
                    numbers.dedup();
                    TypeSet::Only(numbers)
                }
            };
            Ok(ListConfig {
                id: l.list_id.into(),
                name: l.name,
                ticket_types,
                multiple_entry: l.multiple_entry,
                reentry_after_exit: l.reentry_after_exit,
                attendance: l.attendance,
                rule: l.rule,
            })
        })
        .collect()
}

/// Title, start and end of an event, and since when it is.
#[derive(Debug, Clone)]
pub struct EventTimes {
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
}

pub async fn event_times(
    conn: &mut PgConnection,
    organizer: Uuid,
    event: Uuid,
) -> Result<Option<EventTimes>, sqlx::Error> {
    sqlx::query_as!(
        EventTimes,
        "select starts_at, ends_at from events where organizer_id = $1 and event_id = $2",
        organizer,
        event,
    )
    .fetch_optional(conn)
    .await
}

/// All ticket keys of the organizer, sorted by (kid, key).
pub async fn ticket_keys(conn: &mut PgConnection, organizer: Uuid) -> Result<Vec<TicketKey>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kid, public_key, event_id as "event_id!", status from organizer_keys
            where organizer_id = $1 and purpose = 'ticket' order by kid, public_key"#,
        organizer,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|k| {
            Ok(TicketKey {
                kid: Kid::from_slice(&k.kid).ok_or_else(|| corrupt("organizer_keys.kid"))?,
                public_key: PublicKey::from_slice(&k.public_key)
                    .ok_or_else(|| corrupt("organizer_keys.public_key"))?,
                event: EventId(k.event_id),
                status: match k.status.as_str() {
                    "active" => KeyStatus::Active,
                    "verify_only" => KeyStatus::VerifyOnly,
                    // What we do not understand lets nobody in.
                    _ => KeyStatus::Compromised,
                },
            })
        })
        .collect()
}

/// All revoked devices of the organizer, sorted.
pub async fn revoked_devices(
    conn: &mut PgConnection,
    organizer: Uuid,
) -> Result<Vec<RevokedDevice>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select device_id, cut_off_log_no as "cut_off_log_no!", cut_off_seq as "cut_off_seq!", accepted_log_no, accepted_seq
             from devices where organizer_id = $1 and status = 'revoked' order by device_id"#,
        organizer,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let accepted_to = match (r.accepted_log_no, r.accepted_seq) {
                (Some(log_no), Some(seq)) => Some(LogPlace { log_no: number(log_no)?, seq: number(seq)? }),
                _ => None,
            };
            Ok(RevokedDevice {
                device: r.device_id.into(),
                cut_off: LogPlace { log_no: number(r.cut_off_log_no)?, seq: number(r.cut_off_seq)? },
                accepted_to,
            })
        })
        .collect()
}

/// Trust roots after a version, in order.
pub async fn trust_roots(
    conn: &mut PgConnection,
    organizer: Uuid,
    after: u32,
) -> Result<Vec<SignedTrustRoot>, sqlx::Error> {
    let after = i32::try_from(after).unwrap_or(i32::MAX);
    let rows = sqlx::query!(
        "select document, succession from trust_roots where organizer_id = $1 and version > $2 order by version",
        organizer,
        after,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| SignedTrustRoot { document: r.document, succession: r.succession }).collect())
}

/// The sealed private half of the key that signs for this purpose ('manifest' or 'online') now.
pub async fn sealed_key(
    conn: &mut PgConnection,
    organizer: Uuid,
    purpose: &str,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let sealed = sqlx::query_scalar!(
        r#"select sealed as "sealed!" from organizer_keys
            where organizer_id = $1 and purpose = $2 and status = 'active' and sealed is not null
            order by created_at desc, key_id desc limit 1"#,
        organizer,
        purpose,
    )
    .fetch_optional(conn)
    .await?;
    Ok(sealed)
}
