//! A mail server of somebody else's as a process of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Python's aiosmtpd as a process: prints what it receives, one JSON object a line.
#[derive(Debug)]
pub struct MailServer {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub port: u16,
}

const RECEIVER: &str = r#"
import asyncio, email, email.policy, json, sys
from aiosmtpd.controller import UnthreadedController

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: mail.get_body((kind,)).get_content()
        print(json.dumps({
            "to": envelope.rcpt_tos, "from": mail["from"], "subject": mail["subject"],
            "message_id": mail["message-id"], "language": mail["content-language"],
            "text": part("plain"), "html": part("html"),
            "files": [{
                "name": file.get_filename(), "type": file.get_content_type(),
                "size": len(file.get_payload(decode=True)), "begins": file.get_payload(decode=True)[:15].decode("latin-1"),
            } for file in mail.iter_attachments()],
        }), flush=True)
        return "250 OK"

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
controller = UnthreadedController(Handler(), hostname="127.0.0.1", port=0, loop=loop)
controller.begin()
print(json.dumps({"port": controller.server.sockets[0].getsockname()[1]}), flush=True)
loop.run_forever()
"#;

impl MailServer {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// If Python or the package cannot be had.
    pub async fn start() -> Result<Self> {
        let python = python().await?;
        let mut child = Command::new(python)
            .args(["-c", RECEIVER])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the mail server")?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let first = next(&mut lines).await?;
        let port = first["port"].as_u64().and_then(|p| u16::try_from(p).ok()).context("it says its port")?;
        Ok(Self { _child: child, lines, port })
    }

    /// The next mail that it receives.
    ///
    /// # Errors
    /// If none comes.
    pub async fn next(&mut self) -> Result<Value> {
        next(&mut self.lines).await
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Value> {
    let line = tokio::time::timeout(crate::process::PATIENCE, lines.next_line())
        .await
        .context("the mail server stays silent")??
        .context("the mail server ended")?;
    Ok(serde_json::from_str(&line)?)
}

/// A Python with aiosmtpd, in a virtual environment beside the build, made by whoever comes first.
async fn python() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(3).context("the test stands in a target folder")?.to_owned();
    tokio::task::spawn_blocking(move || make_venv(&target)).await?
}

fn make_venv(target: &Path) -> Result<PathBuf> {
    let lock = std::fs::File::create(target.join("venv-aiosmtpd.lock"))?;
    lock.lock()?;
    let venv = target.join("venv-aiosmtpd");
    let python = venv.join("bin/python");
    let done = venv.join("ready");
    if done.exists() {
        return Ok(python);
    }
    let run = |program: &Path, args: &[&str]| -> Result<()> {
        let out = std::process::Command::new(program).args(args).output().context("python3 is missing")?;
        if !out.status.success() {
            bail!("{} {args:?}: {}", program.display(), String::from_utf8_lossy(&out.stderr));
        }
        Ok(())
    };
    let folder = venv.to_str().context("the target folder's path is UTF-8")?;
    run(Path::new("python3"), &["-m", "venv", "--clear", folder])?;
    run(&python, &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "aiosmtpd==1.4.6"])?;
    std::fs::File::create(done)?.write_all(b"1\n")?;
    Ok(python)
}
