//! Starting, watching and stopping the private cluster.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::binaries::Binaries;
use super::user::User;
use crate::store::Endpoint;
use crate::store::endpoint::{CLUSTER_ADMIN, DATABASE, PORT};

/// Recovery after a crash may take a while; it tells so in its log meanwhile.
const START_DEADLINE: Duration = Duration::from_secs(300);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(15);
/// A unix socket's path may have 107 bytes; this leaves room for `.s.PGSQL.5432`.
const LONGEST_SOCKET_DIR: usize = 90;
/// A log larger than this starts anew with the cluster.
const LOG_LIMIT: u64 = 16 << 20;

/// What a cluster is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub pg_bin: Option<PathBuf>,
    pub max_connections: u32,
    /// Further `name=value` settings of PostgreSQL.
    pub options: Vec<String>,
    /// The cluster stops when the thread that started it ends, as when we are killed. Only a cluster
    /// that several processes share does without.
    pub dies_with_us: bool,
}

/// A running private PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    binaries: Binaries,
    user: Option<User>,
    socket_dir: PathBuf,
    child: Child,
    /// Held while we live; nobody else starts on this folder.
    _lock: File,
}

impl Cluster {
    /// Starts the cluster in the data folder, making both if need be, and waits until it answers.
    /// Call it from the main thread: the kernel ties the child to the thread that starts it.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let dir = &settings.data_dir;
        make_dir(dir, 0o711)?;
        let dir = dir.canonicalize().with_context(|| format!("cannot reach {}", dir.display()))?;
        let settings = Settings { data_dir: dir.clone(), ..settings };
        let lock = lock(&dir)?;
        let user = User::to_become()?;
        if let Some(user) = user {
            user.require_reach(&dir)?;
        }
        let data = dir.join("postgres");
        let made_by =
            fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|version| version.trim().parse().ok());
        let binaries = Binaries::find(settings.pg_bin.as_deref(), made_by)?;
        if made_by.is_none() {
            init(&binaries, user, &dir, &data)?;
        }
        end_leftover(&data).await?;
        let socket_dir = socket_dir(&dir, user)?;
        let child = spawn(&settings, &binaries, user, &socket_dir)?;
        let mut cluster = Self { settings, binaries, user, socket_dir, child, _lock: lock };
        cluster.wait_until_ready().await?;
        cluster.create_database().await?;
        Ok(cluster)
    }

    /// The cluster that another process of ours runs in the data folder, if one does.
    pub fn running(data_dir: &Path) -> Option<Endpoint> {
        let dir = data_dir.canonicalize().ok()?;
        let file = File::options().write(true).open(dir.join("lock")).ok()?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(rustix::io::Errno::WOULDBLOCK) => Some(Endpoint::private(&socket_path(&dir), DATABASE)),
            _ => None,
        }
    }

    /// Where to connect.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::private(&self.socket_dir, DATABASE)
    }

    /// The folder of its socket.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Never returns; starts the postmaster anew should it die under us. Poll it on the main thread.
    pub async fn keep_alive(&mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let status = match self.child.try_wait() {
                Ok(None) => continue,
                Ok(Some(status)) => status.to_string(),
                Err(e) => e.to_string(),
            };
            tracing::error!(
                "the private PostgreSQL ended ({status}): starting it again\n{}",
                self.log_tail()
            );
            match spawn(&self.settings, &self.binaries, self.user, &self.socket_dir) {
                Ok(child) => self.child = child,
                Err(e) => tracing::error!("cannot start it: {e:#}"),
            }
        }
    }

    /// Stops it cleanly: connections are ended, everything is written.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::INT);
        if !self.wait_for_end(STOP_DEADLINE).await {
            // Immediate: recovery will run at the next start.
            self.signal(Signal::QUIT);
            self.wait_for_end(Duration::from_secs(5)).await;
            bail!("the private PostgreSQL did not stop in {} s", STOP_DEADLINE.as_secs());
        }
        Ok(())
    }

    async fn wait_for_end(&mut self, deadline: Duration) -> bool {
        let ended = async {
            while let Ok(None) = self.child.try_wait() {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(deadline, ended).await.is_ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let options = Endpoint::private(&self.socket_dir, "postgres").admin();
        let ready = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the private PostgreSQL did not start ({status}):\n{}", self.log_tail());
                }
                match PgConnection::connect_with(&options).await {
                    Ok(connection) => {
                        connection.close().await?;
                        return Ok(());
                    }
                    Err(_) => tokio::time::sleep(POLL).await,
                }
            }
        };
        match tokio::time::timeout(START_DEADLINE, ready).await {
            Ok(outcome) => outcome,
            Err(_) => bail!(
                "the private PostgreSQL does not answer after {} s:\n{}",
                START_DEADLINE.as_secs(),
                self.log_tail()
            ),
        }
    }

    async fn create_database(&self) -> anyhow::Result<()> {
        let options = Endpoint::private(&self.socket_dir, "postgres").admin();
        let mut connection = PgConnection::connect_with(&options).await?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            sqlx::query(AssertSqlSafe(format!("create database {DATABASE}")))
                .execute(&mut connection)
                .await?;
        }
        connection.close().await?;
        Ok(())
    }

    /// The end of what PostgreSQL said.
    fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.settings.data_dir.join("postgres.log"))?;
            let from = file.metadata()?.len().saturating_sub(2_000);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // After `stop` there is nothing left to signal; on any other way out, ask it to end.
        if self.settings.dies_with_us && matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::INT);
        }
    }
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("another hvflvspot runs on the data folder {}", dir.display())
        }
        Err(e) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Makes the cluster beside its place and moves it there whole: a crash in between leaves nothing
/// that looks like one.
fn init(binaries: &Binaries, user: Option<User>, dir: &Path, data: &Path) -> anyhow::Result<()> {
    if data.exists() && fs::read_dir(data)?.next().is_some() {
        bail!("{} is not empty and no PostgreSQL cluster", data.display());
    }
    tracing::info!("making a PostgreSQL {} cluster in {}", binaries.major, data.display());
    let fresh = dir.join("postgres.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh)?;
    }
    make_dir(&fresh, 0o700)?;
    give(&fresh, user)?;
    let output = as_user(Command::new(binaries.program("initdb")), user)
        .arg("-D")
        .arg(&fresh)
        .args(["-U", CLUSTER_ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions"])
        .stdin(Stdio::null())
        .output()
        .context("cannot run initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    if data.exists() {
        fs::remove_dir(data)?;
    }
    fs::rename(&fresh, data)?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

/// After a kill the old postmaster may still be writing its last: end it and wait. A pid file whose
/// process is none of ours (after a reboot its number may belong to anybody) is removed, for
/// PostgreSQL itself would not dare.
async fn end_leftover(data: &Path) -> anyhow::Result<()> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
    // We hold the folder's lock: no server of ours owns a postmaster that works in it.
    let ours =
        |pid: Pid| fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == data);
    if let Some(pid) = pid.filter(|pid| ours(*pid)) {
        tracing::info!("waiting for the previous PostgreSQL to end");
        let _ = rustix::process::kill_process(pid, Signal::INT);
        let ended = async {
            while ours(pid) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(STOP_DEADLINE, ended).await.is_err() {
            bail!("the previous PostgreSQL (process {}) does not end", pid.as_raw_nonzero());
        }
    }
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove the stale {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn socket_path(dir: &Path) -> PathBuf {
    let run = dir.join("run");
    if run.as_os_str().len() <= LONGEST_SOCKET_DIR {
        return run;
    }
    use sha2::{Digest as _, Sha256};
    let name = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..8]);
    std::env::temp_dir().join(format!("hvflvspot-{name}"))
}

fn socket_dir(dir: &Path, user: Option<User>) -> anyhow::Result<PathBuf> {
    let run = socket_path(dir);
    make_dir(&run, 0o700)?;
    give(&run, user)?;
    Ok(run)
}

fn spawn(
    settings: &Settings,
    binaries: &Binaries,
    user: Option<User>,
    socket_dir: &Path,
) -> anyhow::Result<Child> {
    let log_path = settings.data_dir.join("postgres.log");
    let large = fs::metadata(&log_path).is_ok_and(|about| about.len() > LOG_LIMIT);
    let log = if large {
        File::create(&log_path)
    } else {
        File::options().create(true).append(true).open(&log_path)
    }
    .with_context(|| format!("cannot write {}", log_path.display()))?;
    let mut command = as_user(Command::new(binaries.program("postgres")), user);
    command
        .arg("-D")
        .arg(settings.data_dir.join("postgres"))
        .arg("-k")
        .arg(socket_dir)
        .args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c"])
        .arg(format!("port={PORT}"))
        .arg("-c")
        .arg(format!("max_connections={}", settings.max_connections))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C on our terminal is for us; we stop it when our own requests are done.
        .process_group(0);
    for option in &settings.options {
        command.arg("-c").arg(option);
    }
    if settings.dies_with_us {
        tie_to_us(&mut command);
    }
    command.spawn().context("cannot run postgres")
}

/// Has the kernel stop the child when the calling thread ends, however it ends.
#[expect(unsafe_code, reason = "pre_exec is unsafe; the closure makes two async-signal-safe system calls")]
fn tie_to_us(command: &mut Command) {
    let us = rustix::process::getpid();
    let tie = move || {
        // After the change of user, which would clear it.
        rustix::process::set_parent_process_death_signal(Some(Signal::INT))?;
        // We may have died in between; then no signal will come.
        if rustix::process::getppid() != Some(us) {
            return Err(std::io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure neither allocates nor locks.
    unsafe {
        command.pre_exec(tie);
    }
}

fn as_user(mut command: Command, user: Option<User>) -> Command {
    // Not our folder: that user may have no right to be there.
    command.current_dir("/");
    for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
        command.env_remove(name);
    }
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn make_dir(dir: &Path, mode: u32) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .with_context(|| format!("cannot make the folder {}", dir.display()))
}

fn give(path: &Path, user: Option<User>) -> anyhow::Result<()> {
    match user {
        Some(User { uid, gid }) => chown(path, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} to uid {uid}", path.display())),
        None => Ok(()),
    }
}
