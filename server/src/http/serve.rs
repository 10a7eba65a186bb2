//! The serve loop: hyper by hand, because axum's own has no header timeout and no connection cap.
//!
//! HTTP/1.1 and HTTP/2 on one port. A stop takes what the kernel has already accepted, tells every
//! connection to finish, and waits for the requests in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::HttpConfig;

/// Serves until `stopping` is cancelled and the requests in flight are answered, or the shutdown
/// timeout is over. True if nothing had to be cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    stopping: CancellationToken,
) -> bool {
    let places = Arc::new(Semaphore::new(config.max_connections));
    let graceful = GracefulShutdown::new();
    let connection = Connections { builder: builder(config), router, header_timeout: config.header_timeout };
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
        connection.spawn(stream, peer, place, &graceful);
    }
    // Whoever the kernel has let in already may have sent a request: serve it before closing the door.
    while let Ok(place) = Arc::clone(&places).try_acquire_owned() {
        match tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, peer))) => connection.spawn(stream, peer, place, &graceful),
            _ => break,
        }
    }
    drop(listener);
    tokio::time::timeout(config.shutdown_timeout, graceful.shutdown()).await.is_ok()
}

struct Connections {
    builder: Builder<TokioExecutor>,
    router: Router,
    header_timeout: Duration,
}

impl Connections {
    fn spawn(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        graceful: &GracefulShutdown,
    ) {
        // Answers are small and somebody waits for them.
        let _ = stream.set_nodelay(true);
        let router = self.router.clone();
        let spoke = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoke);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let connection =
            self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        let patience = self.header_timeout;
        tokio::spawn(async move {
            tokio::pin!(connection);
            // hyper's header timeout starts when the protocol is known; who says nothing, or not
            // enough to tell it, would stay for ever.
            let first_request = tokio::time::sleep(patience);
            tokio::pin!(first_request);
            let mut waiting = true;
            loop {
                tokio::select! {
                    ended = connection.as_mut() => {
                        if let Err(e) = ended {
                            tracing::debug!("a connection ended early: {e}");
                        }
                        break;
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
            drop(place);
        });
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
