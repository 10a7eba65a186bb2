//! The serve loop: hyper by hand, because axum's own has no header timeout and no connection cap.
//!
//! HTTP/1.1 and HTTP/2 on one port, with or without TLS. A stop takes what the kernel has already
//! accepted, gives a request that is on its way the time to arrive, tells every connection to finish,
//! and waits for the requests in flight.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::config::{HttpConfig, Net};
use crate::network::Network;

/// At a stop: how long a connection that made no request yet may still make its first.
const LAST_CALL: Duration = Duration::from_millis(300);

/// Serves until `stopping` is cancelled and the requests in flight are answered, or the shutdown
/// timeout is over. True if nothing had to be cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    stopping: CancellationToken,
) -> bool {
    serve_tls(listener, router, config, None, stopping).await
}

/// The same, over TLS if there is an acceptor.
pub async fn serve_tls(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    tls: Option<TlsAcceptor>,
    stopping: CancellationToken,
) -> bool {
    let places = Arc::new(Semaphore::new(config.max_connections));
    let connections = TaskTracker::new();
    let crowd = Arc::new(Crowd::new(config));
    let door = Door {
        builder: builder(config),
        router,
        tls,
        patience: config.header_timeout,
        stopping: stopping.clone(),
    };
    loop {
        // Beyond the cap connections wait in the kernel's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("the semaphore is never closed"),
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Out of file descriptors, or a client that has gone already. Do not spin on it.
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            () = stopping.cancelled() => break,
        };
        // Beyond its share a client is sent away at once, so that others find a place.
        let Some(share) = crowd.enter(peer.ip()) else { continue };
        let door = door.clone();
        connections.spawn(async move {
            door.let_in(stream, peer, place).await;
            drop(share);
        });
    }
    // Whoever the kernel has let in already may have sent a request: serve it before closing the door.
    while let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        match tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, peer))) => drop(connections.spawn(door.clone().let_in(stream, peer, place))),
            _ => break,
        }
    }
    drop(listener);
    connections.close();
    tokio::time::timeout(config.shutdown_timeout, connections.wait()).await.is_ok()
}

/// How many connections each client has: one alone must not take all places. Trusted proxies speak for many.
#[derive(Debug)]
struct Crowd {
    most: usize,
    uncounted: Vec<Net>,
    of: Mutex<HashMap<Network, usize>>,
}

/// A connection's share, given back when it is dropped.
#[derive(Debug)]
struct Share(Option<(Arc<Crowd>, Network)>);

impl Crowd {
    fn new(config: &HttpConfig) -> Self {
        let (most, uncounted) = (config.max_connections_per_client, config.uncounted.clone());
        Self { most, uncounted, of: Mutex::default() }
    }

    /// None if the client has its share already.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Share> {
        let peer = peer.to_canonical();
        if self.uncounted.iter().any(|net| net.contains(peer)) {
            return Some(Share(None));
        }
        let client = Network::from(peer);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share(Some((Arc::clone(self), client))))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((crowd, client)) = self.0.take() else { return };
        let mut of = crowd.of.lock().unwrap_or_else(PoisonError::into_inner);
        match of.get_mut(&client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(of.remove(&client)),
        }
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Door {
    builder: Builder<TokioExecutor>,
    router: Router,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    stopping: CancellationToken,
}

impl Door {
    /// Serves one connection to its end; `place` is free again then.
    async fn let_in(self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are small and somebody waits for them.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.talk(TokioIo::new(stream), peer).await,
            Some(tls) => match tokio::time::timeout(self.patience, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(TokioIo::new(stream), peer).await,
                Ok(Err(e)) => tracing::debug!("a TLS handshake failed: {e}"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
        drop(place);
    }

    async fn talk<I: Read + Write + Unpin + Send + 'static>(&self, io: I, peer: SocketAddr) {
        let router = self.router.clone();
        let spoke = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoke);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(io, service));
        // hyper's header timeout starts when the protocol is known; who says nothing, or not enough to
        // tell it, would stay for ever.
        let mut first_request = pin!(tokio::time::sleep(self.patience));
        let mut last_call = pin!(tokio::time::sleep(LAST_CALL));
        let (mut waiting, mut stopping, mut told) = (true, false, false);
        loop {
            tokio::select! {
                // The connection first: what has arrived is read before anything is closed.
                biased;
                ended = connection.as_mut() => {
                    if let Err(e) = ended {
                        tracing::debug!("a connection ended early: {e}");
                    }
                    break;
                }
                () = self.stopping.cancelled(), if !stopping => {
                    stopping = true;
                    if spoke.load(Ordering::Relaxed) {
                        told = true;
                        connection.as_mut().graceful_shutdown();
                    } else {
                        last_call.as_mut().reset(tokio::time::Instant::now() + LAST_CALL);
                    }
                }
                () = last_call.as_mut(), if stopping && !told => {
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = first_request.as_mut(), if waiting => {
                    if !spoke.load(Ordering::Relaxed) {
                        tracing::debug!("closed a connection that made no request in time");
                        break;
                    }
                    waiting = false;
                }
            }
        }
    }
}

fn builder(config: &HttpConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(64 * 1024)
        .max_headers(64);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
