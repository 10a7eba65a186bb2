//! A database per test, in one private PostgreSQL that all test processes of this target folder share.
//!
//! Whoever comes first starts the cluster; a small shell process stops it when nobody has used it for
//! a while. Databases are copies of a migrated template, some 60 ms each.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use hvflvspot::pg::{Cluster, Settings};
use hvflvspot::store::endpoint::DATABASE;
use hvflvspot::store::{Db, Endpoint, migrate};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::until;

/// Connections that one test's pools may open together.
pub const CONNECTIONS: u32 = 16;

/// A fresh, migrated, empty database; dropped with the value.
#[derive(Debug)]
pub struct TestDb {
    pub endpoint: Endpoint,
    name: String,
}

impl TestDb {
    /// Makes one.
    ///
    /// # Errors
    /// If PostgreSQL is not installed or does not start.
    pub async fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (cluster, template) = shared().await?;
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect_with(&cluster.with_database("postgres").admin()).await?;
        // An earlier process with our number may have been killed before it could drop its own.
        run(&mut admin, format!("drop database if exists {name} with (force)")).await?;
        run(&mut admin, format!("create database {name} template {template}")).await?;
        admin.close().await?;
        Ok(Self { endpoint: cluster.with_database(&name), name })
    }

    /// The app's and worker's pools.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn connect(&self) -> Result<Db> {
        Db::connect(&self.endpoint, CONNECTIONS).await
    }

    /// A connection as the owner of the tables, whom policies let do anything: to arrange and to look.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn owner(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.endpoint.owner()).await?)
    }

    /// All rows of some tables as text, to look for what must not be in them.
    ///
    /// # Errors
    /// If the database does not answer, or a table is empty: nothing could be found in it.
    pub async fn dump(&self, tables: &[&str]) -> Result<String> {
        let mut db = self.owner().await?;
        let mut stored = String::new();
        for table in tables {
            let rows: Vec<String> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select t::text from {table} t")))
                    .fetch_all(&mut db)
                    .await?;
            ensure!(!rows.is_empty(), "{table} is empty");
            stored.push_str(&rows.join("\n"));
        }
        Ok(stored)
    }

    /// A connection as the cluster's superuser.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn superuser(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.endpoint.admin()).await?)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let options = self.endpoint.with_database("postgres").admin();
        let statement = format!("drop database if exists {} with (force)", self.name);
        // Drop is not async and may run inside a runtime: a thread of its own may wait.
        let dropping = std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect_with(&options).await?;
                run(&mut admin, statement).await?;
                admin.close().await?;
                Ok(())
            })
        });
        // What remains goes with the cluster.
        drop(dropping.join());
    }
}

/// The cluster and the name of its migrated template.
async fn shared() -> Result<(Endpoint, String)> {
    let dir = folder()?;
    in_use(&dir)?;
    // One process at a time looks, starts and builds.
    let turn = open(&dir.join("turn"))?;
    rustix::fs::flock(&turn, rustix::fs::FlockOperation::LockExclusive)?;
    let data = dir.join("data");
    let endpoint = Endpoint::private(&data.join("run"), DATABASE);
    if let Ok(connection) = PgConnection::connect_with(&endpoint.admin()).await {
        connection.close().await?;
    } else {
        start(&dir, &data).await?;
    }
    let template = format!("template_{}", migrate::fingerprint());
    let mut admin = PgConnection::connect_with(&endpoint.with_database("postgres").admin()).await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&template)
        .fetch_one(&mut admin)
        .await?;
    if !exists {
        run(&mut admin, "drop database if exists building with (force)".to_owned()).await?;
        run(&mut admin, "create database building".to_owned()).await?;
        migrate::run(&endpoint.with_database("building")).await?;
        run(&mut admin, format!("alter database building rename to {template}")).await?;
    }
    admin.close().await?;
    Ok((endpoint, template))
}

async fn start(dir: &Path, data: &Path) -> Result<()> {
    // It keeps nothing safe, so what an earlier one left may be broken.
    if data.exists() {
        if let Ok(text) = fs::read_to_string(data.join("postgres/postmaster.pid")) {
            bail_if_alive(&text, data).await?;
        }
        fs::remove_dir_all(data).context("removing the last test cluster")?;
    }
    let cluster = Cluster::start(Settings {
        data_dir: data.to_path_buf(),
        pg_bin: std::env::var_os("HVFLVSPOT_PG_BIN").map(PathBuf::from),
        max_connections: 400,
        options: [
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "shared_buffers=64MB",
            "max_wal_size=4GB",
        ]
        .map(str::to_owned)
        .to_vec(),
        dies_with_us: false,
    })
    .await?;
    stop_when_unused(dir, cluster.pid())?;
    Ok(())
}

/// Waits for a cluster that is just being stopped.
async fn bail_if_alive(pid_file: &str, data: &Path) -> Result<()> {
    let Some(pid) = pid_file.lines().next().and_then(|l| l.trim().parse::<u32>().ok()) else { return Ok(()) };
    let cluster = data.join("postgres");
    let lives = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster);
    until("the test cluster that was stopped is gone", async || Ok(!lives())).await.with_context(|| {
        format!(
            "the test cluster (process {pid}) runs and does not answer: look at {}/postgres.log",
            data.display()
        )
    })
}

/// Stops the cluster once nobody holds the lock `users` for two looks in a row.
fn stop_when_unused(dir: &Path, postmaster: u32) -> Result<()> {
    let script = format!(
        "idle=0; while kill -0 {postmaster}; do sleep 10; \
           if flock --nonblock users true; then idle=$((idle + 1)); else idle=0; fi; \
           if [ $idle -ge 2 ]; then flock --nonblock users kill -INT {postmaster} && exit; fi; \
         done"
    );
    Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("starting the process that stops the test cluster")?;
    Ok(())
}

/// Says, until this process ends, that it uses the cluster.
fn in_use(dir: &Path) -> Result<()> {
    static HELD: OnceLock<File> = OnceLock::new();
    if HELD.get().is_none() {
        let users = open(&dir.join("users"))?;
        rustix::fs::flock(&users, rustix::fs::FlockOperation::LockShared)?;
        drop(HELD.set(users));
    }
    Ok(())
}

/// One folder per target folder, in a place that PostgreSQL's unprivileged user can reach.
fn folder() -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let exe = std::env::current_exe()?;
    let target = exe.parent().context("the test binary stands in no folder")?;
    let name = hex::encode(&Sha256::digest(target.as_os_str().as_encoded_bytes())[..6]);
    let dir = std::env::temp_dir().join(format!("hvflvspot-tests-{name}"));
    fs::create_dir_all(&dir)?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
    Ok(dir)
}

fn open(path: &Path) -> Result<File> {
    Ok(File::options().create(true).truncate(false).write(true).open(path)?)
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<()> {
    connection.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}
