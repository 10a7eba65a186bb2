//! The gate as a process, as a steward's machine would run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Nothing in a tour takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The binary: `HVFLVSPOT_GATE`, else the sibling of this program.
///
/// # Errors
/// If neither exists; says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HVFLVSPOT_GATE") {
        return Ok(path.into());
    }
    let sibling = std::env::current_exe()?.with_file_name("gate");
    if !sibling.exists() {
        bail!(
            "{} is not there: build it with `cargo build -p gate-core`, or set HVFLVSPOT_GATE",
            sibling.display()
        );
    }
    Ok(sibling)
}

/// One gate with a data folder of its own, dialling through a proxy.
#[derive(Debug)]
pub struct Gate {
    pub name: &'static str,
    data: PathBuf,
    dial: std::net::SocketAddr,
}

/// An enrolment that waits for the organizer.
#[derive(Debug)]
pub struct Enrolling {
    child: Child,
    /// The six digits that the device shows.
    pub digits: String,
}

impl Gate {
    #[must_use]
    pub fn new(name: &'static str, data: &Path, dial: std::net::SocketAddr) -> Self {
        Self { name, data: data.join(name), dial }
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.arg("--data").arg(&self.data).args(args);
        command.env("HVFLVSPOT_GATE_CONNECT", self.dial.to_string()).kill_on_drop(true);
        Ok(command)
    }

    /// Starts `gate enroll` and reads the digits that it prints.
    ///
    /// # Errors
    /// If it ends before it shows any.
    pub async fn enroll(&self, link: &str) -> Result<Enrolling> {
        let mut child = self.command(&["enroll", link])?.stdout(Stdio::piped()).spawn()?;
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

    /// Runs a command with `--json` to its end; the exit status and the lines it printed.
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
        Ok((output.status.success(), lines.with_context(|| format!("gate {args:?} printed: {text}"))?))
    }

    /// As [`Self::try_json`] for a command that must succeed.
    ///
    /// # Errors
    /// As [`Self::try_json`], and if it fails.
    pub async fn json(&self, args: &[&str]) -> Result<Vec<Value>> {
        let (ok, lines) = self.try_json(args).await?;
        if !ok {
            bail!("gate {args:?} at {} failed", self.name);
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
