//! The real binaries as processes: started, spoken to, killed, and always gone at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hvflvspot::tour::gate::Gate;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long anything here may take before the test is told.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Path of a workspace binary beside the running test.
///
/// # Errors
/// If it was not built; says how.
pub fn binary(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // target/<profile>/deps/<test> → target/<profile>/<name>
    let dir = exe.parent().and_then(Path::parent).context("the test binary stands in no target folder")?;
    let path = dir.join(name);
    if !path.exists() {
        bail!("{} is not built: run `cargo build --workspace --bins` first", path.display());
    }
    Ok(path)
}

/// A temporary folder that PostgreSQL's unprivileged user can reach too.
///
/// # Errors
/// If the system's temporary folder cannot be written.
pub fn reachable_dir() -> io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("hvflvspot-test-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// `hvflvspot serve --dev` with a data folder of its own, or a given one.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Base address, `http://127.0.0.1:PORT`.
    pub url: String,
}

impl ServerProcess {
    /// Starts it on a free port and waits until it answers.
    ///
    /// # Errors
    /// If it ends or stays silent instead.
    pub async fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_logging(data_dir, settings, Stdio::inherit()).await
    }

    /// The same, with its log going to `log`.
    ///
    /// # Errors
    /// As [`ServerProcess::start`].
    pub async fn start_logging(
        data_dir: &Path,
        settings: &[(&str, &str)],
        log: impl Into<Stdio>,
    ) -> Result<Self> {
        let mut command = Command::new(binary("hvflvspot")?);
        command
            .args(["serve", "--dev"])
            .env("HVFLVSPOT_DATA_DIR", data_dir)
            .env("HVFLVSPOT_LISTEN", "127.0.0.1:0")
            .env_remove("DATABASE_URL")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn().context("starting hvflvspot")?;
        let mut stdout = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let first = tokio::time::timeout(PATIENCE, stdout.next_line())
            .await
            .context("the server stays silent")??
            .context("the server ended before it answered")?;
        let url = first
            .strip_prefix("listening on ")
            .with_context(|| format!("unexpected first line: {first}"))?
            .to_owned();
        Ok(Self { child, stdout, url })
    }

    /// Host and port.
    ///
    /// # Errors
    /// If the printed address is none.
    pub fn address(&self) -> Result<std::net::SocketAddr> {
        Ok(self.url.trim_start_matches("http://").parse()?)
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Waits for an end that it finds by itself.
    ///
    /// # Errors
    /// If it lives on.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(tokio::time::timeout(PATIENCE, self.child.wait()).await.context("lives on")??)
    }

    /// SIGTERM, and waits for a graceful end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        let pid = self.child.id().context("already ended")?;
        terminate(pid)?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("does not stop")??;
        while let Ok(Some(_)) = self.stdout.next_line().await {}
        Ok(status)
    }
}

fn terminate(pid: u32) -> Result<()> {
    let status = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
    if !status.success() {
        bail!("cannot signal process {pid}");
    }
    Ok(())
}

/// A gate whose wall clock is wrong by `secs` (libfaketime); its boot clock is not.
#[must_use]
pub fn skewed(gate: Gate, secs: i64) -> Gate {
    gate.env("LD_PRELOAD", "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
        .env("FAKETIME", &format!("{secs:+}s"))
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}
