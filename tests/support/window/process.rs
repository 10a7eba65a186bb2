//! Processes that end with us, however we end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a program may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that is killed with the value, or by the system if we are killed.
#[derive(Debug)]
pub struct Kept(Child);

/// A command that the system kills when we end.
pub fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Kept {
    pub fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn().with_context(|| format!("starting {command:?}: run `scripts/setup third`"))?))
    }

    /// Starts it, for its lines to be read.
    pub fn start_telling(command: &mut Command) -> Result<(Self, Told)> {
        let mut kept = Self::start(command.stdout(Stdio::piped()))?;
        let stdout = kept.0.stdout.take().context("stdout is piped")?;
        Ok((kept, Told { lines: BufReader::new(stdout).lines(), by: format!("{command:?}") }))
    }

    /// Starts it and reads the first line that it prints.
    pub async fn start_speaking(command: &mut Command) -> Result<(Self, String)> {
        let (kept, mut told) = Self::start_telling(command)?;
        let first = told.line("").await?;
        // Reading on keeps the pipe open.
        tokio::spawn(async move { while let Ok(Some(_)) = told.lines.next_line().await {} });
        Ok((kept, first))
    }

    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// False once it has ended.
    pub fn lives(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

/// What a program prints.
#[derive(Debug)]
pub struct Told {
    lines: Lines<BufReader<ChildStdout>>,
    by: String,
}

impl Told {
    /// Reads on, up to a line that holds these words.
    pub async fn line(&mut self, words: &str) -> Result<String> {
        let reading = async {
            loop {
                let line = self.lines.next_line().await?;
                let line = line.with_context(|| format!("{} ended: run `scripts/setup third`", self.by))?;
                if line.contains(words) {
                    return anyhow::Ok(line);
                }
            }
        };
        let read = tokio::time::timeout(PATIENCE, reading).await;
        read.with_context(|| format!("{} does not say “{words}”", self.by))?
    }
}

fn parent_of(process: &Path) -> Option<u32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name stands in brackets and may hold anything; a dead process that nobody has waited for is none.
    let mut after = stat.rsplit_once(')')?.1.split_whitespace();
    let (state, parent) = (after.next()?, after.next()?);
    if state == "Z" { None } else { parent.parse().ok() }
}

/// A process and all that descend from it, itself first.
pub fn family(of: u32) -> Vec<u32> {
    let processes: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path: PathBuf = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, parent_of(&path)?))
        })
        .collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(processes.iter().filter(|(_, of)| *of == parent).map(|(id, _)| *id));
        at += 1;
    }
    found
}

/// True while it runs.
pub fn lives(process: u32) -> bool {
    parent_of(&Path::new("/proc").join(process.to_string())).is_some()
}

/// Sends a signal to a process that may have ended already.
pub fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}
