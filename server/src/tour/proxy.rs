//! A TCP proxy that stands between gates and server and breaks the line on purpose: closed for real (nothing
//! listens), slow, cut in mid-answer, half-closed, or repeating what was sent. The tour and the end-to-end tests
//! use it; which connection suffers what follows from a seed.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How often each fault strikes a connection, in percent; the rest pass untouched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The connection is cut after a random number of bytes of the answer.
    pub cut_percent: u8,
    /// The server's side is closed for writing after the request: the answer never comes.
    pub half_close_percent: u8,
    /// Everything the client sent is sent once more on a second connection, whose answer is thrown away.
    pub duplicate_percent: u8,
    /// Each piece is held back by a random time up to this.
    pub max_delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    CutAfter(usize),
    HalfClose,
    Duplicate,
}

/// A proxy on a port of its own. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: Mutex<SocketAddr>,
    rng: Mutex<StdRng>,
    faults: Mutex<Faults>,
    connections: Mutex<u64>,
    answered_bytes: AtomicU64,
}

impl Shared {
    fn draw(&self) -> (Fate, Faults) {
        let faults = *self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let roll: u8 = rng.random_range(0..100);
        let cut = faults.cut_percent;
        let half = cut.saturating_add(faults.half_close_percent);
        let twice = half.saturating_add(faults.duplicate_percent);
        let fate = if roll < cut {
            Fate::CutAfter(rng.random_range(0..2_000))
        } else if roll < half {
            Fate::HalfClose
        } else if roll < twice {
            Fate::Duplicate
        } else {
            Fate::Pass
        };
        (fate, faults)
    }

    async fn hold_back(&self, faults: &Faults) {
        let max = u64::try_from(faults.max_delay.as_millis()).unwrap_or(u64::MAX);
        // Even no time at all would be a turn of the timer, a millisecond for every piece.
        if max > 0 {
            let delay = self.rng.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=max);
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }
}

impl Proxy {
    /// Opens a proxy on a free loopback port in front of `upstream`.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn open(upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            faults: Mutex::new(Faults::default()),
            connections: Mutex::new(0),
            answered_bytes: AtomicU64::new(0),
        });
        let address = listener.local_addr()?;
        let accepting = Some(tokio::spawn(accept(listener, Arc::clone(&shared))));
        Ok(Self { address, shared, accepting })
    }

    /// Where gates dial.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which faults strike connections from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        *self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that went from the server to clients so far.
    #[must_use]
    pub fn answered_bytes(&self) -> u64 {
        self.shared.answered_bytes.load(Ordering::Relaxed)
    }

    /// Cuts the network: the port is closed, connections die where they are.
    pub async fn close(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
            // The listener is dropped only when the aborted task has really ended.
            drop(task.await);
        }
    }

    /// Leads to another server from now on, as when a name is given another address.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Mends the network: the same port listens again.
    ///
    /// # Errors
    /// If the port was taken in the meantime.
    pub async fn reopen(&mut self) -> io::Result<()> {
        if self.accepting.is_none() {
            // tokio sets SO_REUSEADDR, so connections in TIME_WAIT do not hold the port.
            let listener = TcpListener::bind(self.address).await?;
            self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        }
        Ok(())
    }
}

impl Shared {
    fn upstream(&self) -> SocketAddr {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    *shared.connections.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    connections.spawn(serve(client, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let (fate, faults) = shared.draw();
    let Ok(server) = TcpStream::connect(shared.upstream()).await else { return };
    // A piece is passed on as it comes, not kept until the one before it is acknowledged.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    // A failing line is what this proxy is for: errors end the connection and nothing else.
    let _ = carry(client, server, fate, faults, &shared).await;
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    fate: Fate,
    faults: Faults,
    shared: &Shared,
) -> io::Result<()> {
    let (mut from_client, mut from_server) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut sent = Vec::new();
    let mut answered = 0usize;
    let mut client_open = true;
    loop {
        tokio::select! {
            read = client.read(&mut from_client), if client_open => {
                let n = read?;
                if n == 0 {
                    client_open = false;
                    server.shutdown().await?;
                    continue;
                }
                shared.hold_back(&faults).await;
                server.write_all(&from_client[..n]).await?;
                if fate == Fate::Duplicate {
                    sent.extend_from_slice(&from_client[..n]);
                }
                if fate == Fate::HalfClose {
                    // The server reads to the end and acts; its answer meets a closed door.
                    client.shutdown().await?;
                }
            }
            read = server.read(&mut from_server) => {
                let n = read?;
                if n == 0 {
                    break;
                }
                shared.hold_back(&faults).await;
                if fate == Fate::HalfClose {
                    break;
                }
                if let Fate::CutAfter(limit) = fate
                    && answered + n > limit
                {
                    let _ = client.write_all(&from_server[..limit.saturating_sub(answered)]).await;
                    break;
                }
                client.write_all(&from_server[..n]).await?;
                answered += n;
                shared.answered_bytes.fetch_add(n as u64, Ordering::Relaxed);
                if fate == Fate::Duplicate && !sent.is_empty() {
                    repeat(shared.upstream(), &std::mem::take(&mut sent)).await;
                }
            }
        }
    }
    Ok(())
}

/// Sends bytes on a connection of their own and reads the answer to its end or for a moment.
async fn repeat(upstream: SocketAddr, bytes: &[u8]) {
    let again = async {
        let mut stream = TcpStream::connect(upstream).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut sink = vec![0; 16 * 1024];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), again).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that answers each line with the number of lines it has read so far.
    async fn counting_upstream() -> (SocketAddr, Arc<Mutex<u64>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&lines);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let counter = Arc::clone(&counter);
                tokio::spawn(async move {
                    let mut byte = [0];
                    while matches!(stream.read(&mut byte).await, Ok(1)) {
                        if byte[0] == b'\n' {
                            let n = {
                                let mut n = counter.lock().unwrap();
                                *n += 1;
                                *n
                            };
                            let _ = stream.write_all(format!("{n}\n").as_bytes()).await;
                        }
                    }
                });
            }
        });
        (address, lines)
    }

    async fn ask(address: SocketAddr) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"hello\n").await?;
        let mut answer = vec![0; 64];
        let n = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..n]).into_owned())
    }

    #[tokio::test]
    async fn a_closed_proxy_refuses_and_a_reopened_one_serves_on_the_same_port() {
        let (upstream, _) = counting_upstream().await;
        let mut proxy = Proxy::open(upstream, 1).await.unwrap();
        assert_eq!(ask(proxy.address()).await.unwrap(), "1\n");
        proxy.close().await;
        assert_eq!(ask(proxy.address()).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        proxy.reopen().await.unwrap();
        assert_eq!(ask(proxy.address()).await.unwrap(), "2\n");
        assert_eq!(proxy.connections(), 2);
    }

    #[tokio::test]
    async fn faults_lose_answers_or_repeat_requests() {
        let (upstream, lines) = counting_upstream().await;
        let proxy = Proxy::open(upstream, 2).await.unwrap();
        proxy.set_faults(Faults { half_close_percent: 100, ..Faults::default() });
        assert_eq!(ask(proxy.address()).await.unwrap(), "", "the answer never comes");
        proxy.set_faults(Faults { duplicate_percent: 100, ..Faults::default() });
        assert!(!ask(proxy.address()).await.unwrap().is_empty());
        let twice = async {
            while *lines.lock().unwrap() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), twice).await.expect("the request arrives a second time");
    }
}
