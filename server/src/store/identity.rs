//! Which database this is. After a restore the system identifier or the timeline differs; the epoch
//! then rises, and with it every gate learns that the history it knows may have lost its end.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::Endpoint;

/// Compares the database with what it remembers of itself, and starts a new epoch if it is another.
/// Runs as the owner.
pub(super) async fn remember(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        with here as (
          select (select system_identifier from pg_control_system())::text as system_identifier,
                 (select timeline_id from pg_control_checkpoint())::bigint as timeline
        ), last as (
          select epoch, system_identifier, timeline from server_identity order by epoch desc limit 1
        )
        insert into server_identity (epoch, system_identifier, timeline, seen_at)
        select coalesce((select epoch from last), 0) + 1, here.system_identifier, here.timeline, now()
          from here
         where not exists (
           select from last
            where last.system_identifier = here.system_identifier and last.timeline = here.timeline)
        on conflict (epoch) do nothing
        "#
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Starts a new epoch, whatever database this is: its contents are of another time. Runs as an administrator.
pub async fn restored(conn: &mut PgConnection, endpoint: &Endpoint) -> Result<i64, sqlx::Error> {
    conn.execute(AssertSqlSafe(format!("set role {}", endpoint.owner_role()))).await?;
    sqlx::query_scalar!(
        "insert into server_identity (epoch, system_identifier, timeline, seen_at)
         select greatest(epoch, (select coalesce(max(epoch), 0) from manifest_epochs)) + 1, system_identifier, timeline, now()
           from server_identity order by epoch desc limit 1
         returning epoch"
    )
    .fetch_one(conn)
    .await
}

/// The epoch of this database: no event's manifest may carry a lower one.
pub async fn epoch(conn: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select max(epoch) as "epoch!" from server_identity"#).fetch_one(conn).await
}
