//! The real binaries as processes: started, spoken to, killed, and always gone at the end.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

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
        let mut command = Command::new(binary("hvflvspot")?);
        command
            .args(["serve", "--dev"])
            .env("HVFLVSPOT_DATA_DIR", data_dir)
            .env("HVFLVSPOT_LISTEN", "127.0.0.1:0")
            .env_remove("DATABASE_URL")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
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

/// The headless gate on one data folder.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Its data folder.
    pub data: PathBuf,
    envs: Vec<(String, String)>,
}

impl Gate {
    /// A gate whose connections go to `dial` instead of the origin's address.
    #[must_use]
    pub fn new(data: &Path, dial: Option<std::net::SocketAddr>) -> Self {
        let mut envs = Vec::new();
        if let Some(address) = dial {
            envs.push(("HVFLVSPOT_GATE_CONNECT".to_owned(), address.to_string()));
        }
        Self { data: data.to_owned(), envs }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its wall clock is wrong by `secs` (libfaketime); the boot clock is not.
    #[must_use]
    pub fn skewed(self, secs: i64) -> Self {
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
        self.env("LD_PRELOAD", library)
            .env("FAKETIME", &format!("{secs:+}s"))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// A command of it, ready to be run.
    ///
    /// # Errors
    /// If the binary was not built.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary("gate")?);
        command.arg("--data").arg(&self.data).args(args);
        command.envs(self.envs.iter().map(|(k, v)| (k, v))).kill_on_drop(true);
        Ok(command)
    }

    /// Runs it to its end and returns what it printed.
    ///
    /// # Errors
    /// If it fails; carries its standard error.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let output = tokio::time::timeout(PATIENCE, self.command(args)?.output())
            .await
            .context("the gate hangs")??;
        if !output.status.success() {
            bail!("gate {args:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Runs it with `--json` and parses the lines it printed.
    ///
    /// # Errors
    /// If it fails or prints something else.
    pub async fn json(&self, args: &[&str]) -> Result<Vec<serde_json::Value>> {
        let mut with_json = args.to_vec();
        with_json.push("--json");
        let text = self.run(&with_json).await?;
        text.lines().map(|l| serde_json::from_str(l).with_context(|| format!("not JSON: {l}"))).collect()
    }

    /// Starts `gate scan` reading codes from its standard input.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn scanning(&self, args: &[&str]) -> Result<Scanning> {
        let mut all = vec!["scan"];
        all.extend_from_slice(args);
        let mut child = self.command(&all)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        Ok(Scanning { child, stdin, lines })
    }
}

/// A `gate scan` that waits for codes.
#[derive(Debug)]
pub struct Scanning {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Scanning {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends one code without waiting for the answer.
    ///
    /// # Errors
    /// If the process is gone.
    pub async fn send(&mut self, code: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is closed")?;
        stdin.write_all(format!("{code}\n").as_bytes()).await?;
        stdin.flush().await?;
        Ok(())
    }

    /// The next answer, or `None` at the end.
    ///
    /// # Errors
    /// If it is silent for too long or prints something else than JSON.
    pub async fn answer(&mut self) -> Result<Option<serde_json::Value>> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.context("no answer")??;
        line.map(|l| serde_json::from_str(&l).with_context(|| format!("not JSON: {l}"))).transpose()
    }

    /// Sends one code and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::answer`], and if the process ends instead.
    pub async fn scan(&mut self, code: &str) -> Result<serde_json::Value> {
        self.send(code).await?;
        self.answer().await?.context("the gate ended instead of answering")
    }

    /// SIGKILL, and waits for the end. Answers that were already written can still be read.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Closes standard input and waits for a clean end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn finish(mut self) -> Result<ExitStatus> {
        self.stdin = None;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("the gate does not end")?
            .map_err(Into::into)
    }
}
