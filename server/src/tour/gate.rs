//! The gate as a process, as a steward's machine would run it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Nothing that a gate is asked here takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary: `HVFLVSPOT_GATE`, else the sibling of this program (or of the folder of tests it stands in).
///
/// # Errors
/// If neither exists; says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HVFLVSPOT_GATE") {
        return Ok(path.into());
    }
    let exe = std::env::current_exe()?;
    let mut folders = exe.ancestors().skip(1).take(2);
    match folders.find(|folder| folder.join("gate").is_file()) {
        Some(folder) => Ok(folder.join("gate")),
        None => bail!(
            "there is no `gate` beside {}: build it with `cargo build -p gate-core`, or set HVFLVSPOT_GATE",
            exe.display()
        ),
    }
}

/// One gate with a data folder of its own, dialling one address whatever the origin's name.
#[derive(Debug, Clone)]
pub struct Gate {
    pub name: String,
    pub data: PathBuf,
    envs: Vec<(String, String)>,
}

/// An enrolment that waits for the organizer.
#[derive(Debug)]
pub struct Enrolling {
    child: Child,
    /// The six digits that the device shows.
    pub digits: String,
}

impl Gate {
    /// A gate named `name` with its data in a folder of that name below `data`.
    #[must_use]
    pub fn new(name: &str, data: &Path, dial: SocketAddr) -> Self {
        let envs = vec![("HVFLVSPOT_GATE_CONNECT".to_owned(), dial.to_string())];
        Self { name: name.to_owned(), data: data.join(name), envs }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command of it, ready to be run.
    ///
    /// # Errors
    /// If there is no binary.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.arg("--data").arg(&self.data).args(args);
        command.envs(self.envs.iter().map(|(k, v)| (k, v))).kill_on_drop(true);
        Ok(command)
    }

    /// Starts `gate enroll` and reads the digits that it prints.
    ///
    /// # Errors
    /// If it ends before it shows any.
    pub async fn enroll(&self, invitation: &[&str]) -> Result<Enrolling> {
        let mut args = vec!["enroll"];
        args.extend_from_slice(invitation);
        let mut child = self.command(&args)?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let digits = async {
            while let Some(line) = lines.next_line().await? {
                let digits: String = line.chars().filter(char::is_ascii_digit).collect();
                if digits.len() == 6 {
                    return Ok(digits);
                }
            }
            bail!("gate enroll ended without showing digits")
        };
        let digits = tokio::time::timeout(PATIENCE, digits).await.context("gate enroll is silent")??;
        // Reading on keeps the pipe open until the process has said all it has to say.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Enrolling { child, digits })
    }

    /// Runs a command with `--json` to its end; whether it succeeded, and the lines it printed.
    ///
    /// # Errors
    /// If it cannot be run, hangs, or prints no JSON.
    pub async fn try_json(&self, args: &[&str]) -> Result<(bool, Vec<Value>)> {
        let mut with_json = args.to_vec();
        with_json.push("--json");
        let output = tokio::time::timeout(PATIENCE, self.command(&with_json)?.output())
            .await
            .with_context(|| format!("gate {args:?} hangs"))??;
        let text = String::from_utf8(output.stdout)?;
        let lines = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        let lines = lines.with_context(|| {
            format!("gate {args:?} printed: {text}{}", String::from_utf8_lossy(&output.stderr))
        })?;
        Ok((output.status.success(), lines))
    }

    /// As [`Self::try_json`] for a command that must succeed.
    ///
    /// # Errors
    /// As [`Self::try_json`], and if it fails.
    pub async fn json(&self, args: &[&str]) -> Result<Vec<Value>> {
        let (ok, lines) = self.try_json(args).await?;
        if !ok {
            bail!("gate {args:?} failed at {}: {lines:?}", self.name);
        }
        Ok(lines)
    }

    /// Scans one code; the one answer.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn scan(&self, flags: &[&str], code: &str) -> Result<Value> {
        let mut args = vec!["scan"];
        args.extend_from_slice(flags);
        args.push(code);
        self.json(&args).await?.into_iter().next().context("the gate did not answer")
    }

    /// `gate status`.
    ///
    /// # Errors
    /// As [`Self::json`].
    pub async fn status(&self) -> Result<Value> {
        self.json(&["status"]).await?.into_iter().next().context("no status")
    }

    /// Starts `gate scan`, which then reads codes from its standard input.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn scanning(&self, flags: &[&str]) -> Result<Scanning> {
        let mut args = vec!["scan"];
        args.extend_from_slice(flags);
        args.push("--json");
        let mut child = self.command(&args)?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        Ok(Scanning { child, stdin, lines })
    }
}

impl Enrolling {
    /// Waits until the gate knows that it was confirmed.
    ///
    /// # Errors
    /// If it fails or takes too long.
    pub async fn finish(mut self) -> Result<()> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.context("never confirmed")??;
        if !status.success() {
            bail!("gate enroll: {status}");
        }
        Ok(())
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
    /// Process id, while it lives.
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
    pub async fn answer(&mut self) -> Result<Option<Value>> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.context("no answer")??;
        line.map(|l| serde_json::from_str(&l).with_context(|| format!("not JSON: {l}"))).transpose()
    }

    /// Sends one code and waits for its answer.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::answer`], and if the process ends instead.
    pub async fn scan(&mut self, code: &str) -> Result<Value> {
        self.send(code).await?;
        self.answer().await?.context("the gate ended instead of answering")
    }

    /// SIGKILL, and waits for the end. What it had answered can still be read.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Closes standard input and waits for the end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn finish(mut self) -> Result<ExitStatus> {
        self.stdin = None;
        let ended =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the gate does not end")?;
        Ok(ended?)
    }
}
