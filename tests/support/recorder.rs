//! A server of somebody else's that keeps every request as it came, byte for byte, and answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `POST /path HTTP/1.1`
    pub line: String,
    /// In alphabetical order: `name: value`.
    pub headers: Vec<String>,
    pub body: String,
}

impl Recorded {
    /// Its form's field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("form:?{}", self.body)).ok()?;
        url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
    }

    /// Where it went.
    #[must_use]
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

#[derive(Debug)]
struct State {
    recorded: Vec<Recorded>,
    next: VecDeque<(u16, String)>,
    usual: (u16, String),
}

/// A running one; stops with the value.
#[derive(Debug)]
pub struct Recorder {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Listens on a free port; `usual` is its answer unless it is told another.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start(usual: (u16, &str)) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let usual = (usual.0, usual.1.to_owned());
        let state = Arc::new(Mutex::new(State { recorded: Vec::new(), next: VecDeque::new(), usual }));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // A caller that dies in the middle of a request has made none.
                tokio::spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Ok(Self { url, state, task })
    }

    /// The answer of the next request that has none yet.
    pub fn answer_next(&self, status: u16, body: &str) {
        self.lock().next.push_back((status, body.to_owned()));
    }

    /// What came, the eldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.lock().recorded.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let text = std::str::from_utf8(&bytes[..head])?.to_owned();
        let mut lines = text.split("\r\n").map(str::to_owned);
        let line = lines.next().context("a request line")?;
        let mut headers: Vec<String> = lines.collect();
        headers.sort_unstable();
        let length = headers.iter().find_map(|h| h.strip_prefix("content-length: "));
        let length: usize = length.map_or(Ok(0), str::parse)?;
        while bytes.len() < head + 4 + length {
            ensure!(stream.read_buf(&mut bytes).await? > 0, "half a request");
        }
        // What is encrypted is no text; of that only the length is asked for.
        let body = String::from_utf8_lossy(&bytes[head + 4..head + 4 + length]).into_owned();
        bytes.drain(..head + 4 + length);
        let (status, answer) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.recorded.push(Recorded { line, headers, body });
            state.next.pop_front().unwrap_or_else(|| state.usual.clone())
        };
        let reply = format!(
            "HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(reply.as_bytes()).await?;
    }
}
