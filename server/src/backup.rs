//! `hvflvspot backup` and `hvflvspot restore`: the whole database in PostgreSQL's own archive format, by its own
//! programs. The master key is not in it, on purpose: whoever has both has everything.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use sqlx::Connection as _;
use tokio::process::Command;

use crate::clock::SharedRng;
use crate::config::Config;
use crate::pg::Binaries;
use crate::serve::Database;
use crate::store::{Endpoint, identity, migrate};

/// Writes a backup into `file`, from one moment, beside a running server too.
///
/// # Errors
/// `file` exists or cannot be written; the database cannot be reached; `pg_dump` is missing or fails. A broken
/// backup is not left under that name.
pub async fn backup(config: &Config, file: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(!file.exists(), "{} exists: a backup is never written over another", file.display());
    let database = Database::join_or_open(config, &SharedRng::from_system()).await?;
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    // Nobody else's to read, before there is anything in it; pg_dump keeps the mode.
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)
        .with_context(|| format!("cannot make {}", partial.display()))?;
    let mut dump = program(config, &database.endpoint, "pg_dump")?;
    // Row level security stays on, for the owner may not switch it off: its policy shows it every row.
    dump.args(["--format=custom", "--enable-row-security", "--no-unlogged-table-data", "--file"])
        .arg(partial);
    let outcome = finish(dump, "pg_dump").await;
    database.close().await?;
    if let Err(e) = outcome {
        // It may not even have begun.
        let _ = std::fs::remove_file(partial);
        return Err(e);
    }
    std::fs::File::open(partial)?.sync_all()?;
    std::fs::rename(partial, file).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// Fills an empty database from a backup and starts a new epoch, so that every gate offers its log again.
///
/// # Errors
/// A server runs on the data folder; the database is not empty; the master key is missing or is not the backup's;
/// `pg_restore` is missing or fails. The database is empty then as before.
pub async fn restore(config: &Config, file: &Path) -> anyhow::Result<i64> {
    anyhow::ensure!(file.is_file(), "there is no backup {}", file.display());
    let key_file = config.data_dir.join("master.key");
    if config.master_key.is_none() && !key_file.is_file() {
        bail!(
            "the backup's secrets open with its master key alone: put that into {}, or set HVFLVSPOT_MASTER_KEY",
            key_file.display()
        );
    }
    let database = Database::open(config, &SharedRng::from_system()).await?;
    let outcome = fill(config, &database, file).await;
    database.close().await?;
    outcome
}

async fn fill(config: &Config, database: &Database, file: &Path) -> anyhow::Result<i64> {
    let endpoint = &database.endpoint;
    let mut conn = migrate::with_roles(endpoint).await?;
    let tables: i64 = sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'")
        .fetch_one(&mut conn)
        .await?;
    anyhow::ensure!(
        tables == 0,
        "the database {} is not empty: restore into a new data folder or a new database",
        endpoint.describe()
    );
    let mut restore = program(config, endpoint, "pg_restore")?;
    restore.args(["--no-owner", "--exit-on-error", "--single-transaction", "--dbname"]);
    restore.arg(endpoint.database_name()).arg(file);
    finish(restore, "pg_restore").await?;
    if let Err(e) = migrate::require_master_key(&mut conn, endpoint, database.master_key.id()).await {
        migrate::empty(&mut conn, endpoint).await?;
        return Err(e);
    }
    // Before anything else can fail: a restored database that says it is the old one would mislead every gate.
    let epoch = identity::restored(&mut conn, endpoint).await?;
    conn.close().await?;
    migrate::run(endpoint).await.context("the backup is restored, but cannot be brought to this version")?;
    Ok(epoch)
}

/// One of PostgreSQL's client programs, told where to go by its environment: arguments can be seen by everybody.
fn program(config: &Config, endpoint: &Endpoint, name: &str) -> anyhow::Result<Command> {
    let made_by = std::fs::read_to_string(config.data_dir.join("postgres/PG_VERSION"))
        .ok()
        .filter(|_| config.database_url.is_none())
        .and_then(|version| version.trim().parse().ok());
    let path = Binaries::find(config.pg_bin.as_deref(), made_by)?.program(name);
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: it belongs to PostgreSQL's client programs",
        path.display()
    );
    let mut command = Command::new(path);
    let url = config.database_url.as_ref().map(|url| url.reveal());
    command.envs(endpoint.libpq(url)?).args(["--no-password", "--role=hvflvspot_owner"]);
    Ok(command)
}

async fn finish(mut command: Command, name: &str) -> anyhow::Result<()> {
    let done = command.kill_on_drop(true).output().await.with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
