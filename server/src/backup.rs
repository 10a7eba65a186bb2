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
    dump.args([
        "--role=hvflvspot_owner",
        "--format=custom",
        "--enable-row-security",
        "--no-unlogged-table-data",
        "--file",
    ])
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
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(std::fs::File::open(folder)?.sync_all()?)
}

/// Fills an empty database from a backup and starts a new epoch, so that every gate offers its log again.
///
/// # Errors
/// A server runs on the data folder; the database is not empty; the master key is missing or is not the backup's;
/// `pg_restore` is missing or fails. Nothing is changed then.
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
    let mut keys = program(config, endpoint, "pg_restore")?;
    keys.args(["--data-only", "--schema=public", "--table=signing_keys", "--file=-"]).arg(file);
    for sealed in sealed_keys(&finish(keys, "pg_restore").await?) {
        migrate::require_sealed_under(&sealed, database.master_key.id())?;
    }
    let mut restore = program(config, endpoint, "pg_restore")?;
    restore.args([
        "--role=hvflvspot_owner",
        "--no-owner",
        "--exit-on-error",
        "--single-transaction",
        "--dbname",
    ]);
    restore.arg(endpoint.database_name()).arg(file);
    finish(restore, "pg_restore").await?;
    // Before anything else can fail: a restored database that says it is the old one would mislead every gate.
    let epoch = identity::restored(&mut conn, endpoint).await?;
    conn.close().await?;
    migrate::run(endpoint).await.context("the backup is restored, but cannot be brought to this version")?;
    Ok(epoch)
}

/// The sealed keys in `pg_restore`'s text of the table `signing_keys`.
fn sealed_keys(text: &str) -> Vec<Vec<u8>> {
    let mut lines = text.lines();
    let Some(head) = lines.find(|l| l.starts_with("COPY public.signing_keys (")) else { return Vec::new() };
    let columns = head.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(all, _)| all);
    let Some(at) = columns.split(", ").position(|c| c == "private_key_sealed") else { return Vec::new() };
    let rows = lines.take_while(|l| *l != r"\.");
    rows.filter_map(|row| hex::decode(row.split('\t').nth(at)?.strip_prefix(r"\\x")?).ok()).collect()
}

/// One of PostgreSQL's client programs, told where to go by its environment: arguments can be seen by everybody.
fn program(config: &Config, endpoint: &Endpoint, name: &str) -> anyhow::Result<Command> {
    let made_by = std::fs::read_to_string(config.data_dir.join("postgres/PG_VERSION"))
        .ok()
        .filter(|_| config.database_url.is_none())
        .and_then(|version| version.trim().parse().ok());
    let path = match config.database_url {
        Some(_) => Binaries::client(config.pg_bin.as_deref(), name)?,
        None => Binaries::find(config.pg_bin.as_deref(), made_by)?.program(name),
    };
    anyhow::ensure!(
        path.is_file(),
        "{} is missing: it belongs to PostgreSQL's client programs",
        path.display()
    );
    let mut command = Command::new(path);
    // What stands in our own environment may lead elsewhere than our configuration (PGHOSTADDR, PGSERVICE, …).
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    let url = config.database_url.as_ref().map(|url| url.reveal());
    command.envs(endpoint.libpq(url)?).arg("--no-password");
    Ok(command)
}

async fn finish(mut command: Command, name: &str) -> anyhow::Result<String> {
    let done = command.kill_on_drop(true).output().await.with_context(|| format!("cannot run {name}"))?;
    if !done.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    String::from_utf8(done.stdout).with_context(|| format!("{name} does not answer in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_keys_are_read_from_the_text_of_a_backup() {
        let text = "--\nCOPY public.signing_keys (key_id, private_key_sealed, created_at) FROM stdin;\n\
                    1\t\\\\x0102ff\t2026-01-01\n2\t\\\\x03\t2026-01-02\n\\.\n\n-- the end\n";
        assert_eq!(sealed_keys(text), [vec![1, 2, 255], vec![3]]);
        assert!(sealed_keys("--\n").is_empty());
    }
}
