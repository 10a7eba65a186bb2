//! Who did what to what. Append only.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::devices::{corrupt, number};
use crate::domain::audit_chain::StoredAct;

/// Whose memberships were ended by acts with the id `from` or later ones, some of them more than once; under the
/// organizer's context.
pub async fn departed(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    from: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select object_id from audit where organizer_id = $1 and action = 'member.removed' and audit_id >= $2",
        organizer_id,
        from,
    )
    .fetch_all(conn)
    .await
}

/// One act.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    pub audit_id: Uuid,
    /// `user`, `guest`, `device`, `system` or `job`.
    pub actor_kind: &'static str,
    pub actor_id: Option<Uuid>,
    /// As `event.published`.
    pub action: &'static str,
    pub object_kind: &'static str,
    pub object_id: Uuid,
    pub request_id: Option<&'a str>,
    /// No secrets, no personal data.
    pub detail: serde_json::Value,
}

/// Writes it down, in the transaction of the act.
pub async fn record(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    act: &Act<'_>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into audit (organizer_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id,
                            request_id, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        organizer_id,
        act.audit_id,
        now,
        act.actor_kind,
        act.actor_id,
        act.action,
        act.object_kind,
        act.object_id,
        act.request_id,
        act.detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}

// The chain ---------------------------------------------------------------------------------------

/// The last link: its number, the act it holds, and itself. `None` before the first.
pub async fn head(
    conn: &mut PgConnection,
    organizer_id: Uuid,
) -> Result<Option<(u64, Uuid, [u8; 32])>, sqlx::Error> {
    let row = sqlx::query!(
        "select seq, audit_id, link from audit_chain where organizer_id = $1 order by seq desc limit 1",
        organizer_id,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|r| Ok((number(r.seq)?, r.audit_id, link_of(&r.link)?))).transpose()
}

/// Acts from `from` on (ids rise with time) that stand in no link yet, oldest first.
pub async fn unchained(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    from: Uuid,
    limit: i64,
) -> Result<Vec<StoredAct>, sqlx::Error> {
    sqlx::query_as!(
        StoredAct,
        r#"select audit_id, (extract(epoch from at) * 1000000)::bigint as "at_micros!", actor_kind, actor_id, action,
                  object_kind, object_id, request_id, detail::text as "detail!"
             from audit a
            where organizer_id = $1 and audit_id >= $2
              and not exists (select from audit_chain c where c.organizer_id = $1 and c.audit_id = a.audit_id)
            order by audit_id limit $3"#,
        organizer_id,
        from,
        limit,
    )
    .fetch_all(conn)
    .await
}

/// Writes links; fails as a unique violation if another server was quicker.
pub async fn chain(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    first: u64,
    links: &[(Uuid, [u8; 32])],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = links.iter().map(|(id, _)| *id).collect();
    let bytes: Vec<&[u8]> = links.iter().map(|(_, link)| &link[..]).collect();
    sqlx::query!(
        "insert into audit_chain (organizer_id, seq, audit_id, link)
         select $1, $2::bigint + l.at - 1, l.audit_id, l.link
           from unnest($3::uuid[], $4::bytea[]) with ordinality as l(audit_id, link, at)",
        organizer_id,
        i64::try_from(first).map_err(|e| sqlx::Error::Encode(e.into()))?,
        &ids,
        &bytes as &[&[u8]],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A link with the act that it names, if that is still there.
#[derive(Debug)]
pub struct Link {
    pub seq: u64,
    pub audit_id: Uuid,
    pub link: [u8; 32],
    pub act: Option<StoredAct>,
}

/// Links after a number, in order.
pub async fn links(
    conn: &mut PgConnection,
    organizer_id: Uuid,
    after: u64,
    limit: i64,
) -> Result<Vec<Link>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select c.seq, c.audit_id, c.link, (extract(epoch from a.at) * 1000000)::bigint as at_micros,
                  a.actor_kind as "actor_kind?", a.actor_id, a.action as "action?", a.object_kind as "object_kind?",
                  a.object_id as "object_id?", a.request_id, a.detail::text as detail
             from audit_chain c
             left join audit a on a.organizer_id = $1 and a.audit_id = c.audit_id
            where c.organizer_id = $1 and c.seq > $2
            order by c.seq limit $3"#,
        organizer_id,
        i64::try_from(after).map_err(|e| sqlx::Error::Encode(e.into()))?,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            let act = match (r.at_micros, r.actor_kind, r.action, r.object_kind, r.object_id, r.detail) {
                (
                    Some(at_micros),
                    Some(actor_kind),
                    Some(action),
                    Some(object_kind),
                    Some(object_id),
                    Some(detail),
                ) => Some(StoredAct {
                    audit_id: r.audit_id,
                    at_micros,
                    actor_kind,
                    actor_id: r.actor_id,
                    action,
                    object_kind,
                    object_id,
                    request_id: r.request_id,
                    detail,
                }),
                _ => None,
            };
            Ok(Link { seq: number(r.seq)?, audit_id: r.audit_id, link: link_of(&r.link)?, act })
        })
        .collect()
}

fn link_of(bytes: &[u8]) -> Result<[u8; 32], sqlx::Error> {
    bytes.try_into().map_err(|_| corrupt("audit_chain.link"))
}
