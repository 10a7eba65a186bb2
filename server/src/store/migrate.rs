//! Brings a database to this binary's schema: roles, then migrations, under locks, so that many
//! servers may start at once. Everything is owned by `hvflvspot_owner`.

use anyhow::{Context as _, bail};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

use super::Endpoint;
use crate::keys::sealed_key_id;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
const ROLES: &str = include_str!("roles.sql");

/// Names this binary's schema: the same migrations give the same text.
pub fn fingerprint() -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    hash.update(ROLES);
    for migration in MIGRATIONS.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Makes the roles and applies what is missing.
///
/// # Errors
/// The roles are missing and the connected user may not create them; a migration fails; the database
/// was migrated by a newer binary, or by one whose migrations had other contents.
pub async fn run(endpoint: &Endpoint) -> anyhow::Result<()> {
    let mut conn = with_roles(endpoint).await?;
    if let Some(ours) = endpoint.key_id() {
        require_master_key(&mut conn, endpoint, ours).await?;
    }
    set_passwords(&mut conn, endpoint).await?;
    conn.execute(AssertSqlSafe(format!("set role {}", endpoint.owner_role()))).await?;
    // sqlx's own bookkeeping stays out of `public`, where every table is under row level security.
    let mut migrations = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    migrations.create_schema("hvflvspot_meta");
    migrations.dangerous_set_table_name("hvflvspot_meta.migrations");
    // The migrator holds a database-wide advisory lock while it runs.
    migrations.run(&mut conn).await.context("cannot migrate the database")?;
    super::identity::remember(&mut conn).await.context("cannot record the server's identity")?;
    conn.close().await?;
    Ok(())
}

/// Connects as whoever may create roles, and makes those that are missing.
///
/// # Errors
/// As [`run`].
pub async fn with_roles(endpoint: &Endpoint) -> anyhow::Result<PgConnection> {
    let mut conn = PgConnection::connect_with(&endpoint.admin())
        .await
        .with_context(|| format!("cannot connect to the database {}", endpoint.describe()))?;
    conn.execute(ROLES).await.context(
        "cannot make the roles hvflvspot_owner, hvflvspot_app and hvflvspot_worker: let DATABASE_URL name a user \
         with CREATEROLE, or make them beforehand as docs/OPERATIONS.md shows",
    )?;
    Ok(conn)
}

/// A server with another master key must not change the passwords that the others log in with: it
/// could read none of the secrets anyway.
///
/// # Errors
/// The database's secrets are sealed under another key than `ours`.
pub async fn require_master_key(
    conn: &mut PgConnection,
    endpoint: &Endpoint,
    ours: [u8; 4],
) -> anyhow::Result<()> {
    conn.execute(AssertSqlSafe(format!("set role {}", endpoint.owner_role()))).await?;
    // Unchecked: on an empty database there is no such table yet.
    let known: bool = sqlx::query_scalar("select to_regclass('public.signing_keys') is not null")
        .fetch_one(&mut *conn)
        .await?;
    let sealed: Option<Vec<u8>> = match known {
        true => {
            sqlx::query_scalar(
                "select private_key_sealed from public.signing_keys order by created_at limit 1",
            )
            .fetch_optional(&mut *conn)
            .await?
        }
        false => None,
    };
    conn.execute("reset role").await?;
    sealed.map_or(Ok(()), |sealed| require_sealed_under(&sealed, ours))
}

/// # Errors
/// `sealed` does not open with our master key.
pub fn require_sealed_under(sealed: &[u8], ours: [u8; 4]) -> anyhow::Result<()> {
    match sealed_key_id(sealed) {
        Some(theirs) if theirs != ours => bail!(
            "the secrets of this database are sealed under the master key {}, and ours is {}",
            hex::encode(theirs),
            hex::encode(ours),
        ),
        _ => Ok(()),
    }
}

/// Gives app and worker their derived passwords, if they do not already work: a careful
/// administrator may have set them, and our user then needs no right to.
async fn set_passwords(conn: &mut PgConnection, endpoint: &Endpoint) -> anyhow::Result<()> {
    for ((role, password), options) in
        endpoint.role_passwords().into_iter().zip([endpoint.app(), endpoint.worker()])
    {
        if let Ok(probe) = PgConnection::connect_with(&options).await {
            probe.close().await?;
            continue;
        }
        // The password is hex digits: nothing in it needs quoting.
        conn.execute(AssertSqlSafe(format!("alter role {role} password '{password}'")))
            .await
            .with_context(|| format!("cannot set the password of the role {role}"))?;
    }
    Ok(())
}

/// A role that row level security does not bind would make every policy void: refuse to serve so.
pub(super) async fn refuse_unbound_role(pool: &PgPool) -> anyhow::Result<()> {
    let role = sqlx::query!(
        r#"select rolname::text as "name!", rolsuper as "superuser!", rolbypassrls as "bypasses!"
           from pg_roles where rolname = current_user"#
    )
    .fetch_one(pool)
    .await?;
    if role.superuser || role.bypasses {
        bail!(
            "the role {} is {}: row level security would not bind it; run `alter role {} nosuperuser nobypassrls`",
            role.name,
            if role.superuser { "a superuser" } else { "allowed to bypass row level security" },
            role.name,
        );
    }
    Ok(())
}
