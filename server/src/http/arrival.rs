//! Bodies on their way. A request whose body has not arrived whole gives its place among the working ones
//! back and takes one again when it is there: who sends slowly holds up nobody. What has arrived so far is
//! counted, of each client and of all, so that it cannot fill the memory either.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Error;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::edge::InFlight;
use crate::config::HttpConfig;
use crate::network::Network;

/// There is no place, or no memory, for one more body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server has all the work that it can take")]
pub struct Overloaded;

/// Bytes of unfinished bodies.
#[derive(Debug)]
pub struct Arrivals {
    most: usize,
    most_of_one: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    of: HashMap<Network, usize>,
}

impl Arrivals {
    /// As many bytes as a body for each place may have; an eighth of them for one client.
    #[must_use]
    pub fn new(config: &HttpConfig) -> Self {
        let most = config.max_in_flight.saturating_mul(config.body_limit);
        Self { most, most_of_one: (most / 8).max(config.body_limit * 4), held: Mutex::default() }
    }

    fn add(&self, client: Network, bytes: usize) -> Result<(), Overloaded> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = held.of.get(&client).copied().unwrap_or(0) + bytes;
        if held.total + bytes > self.most || of_one > self.most_of_one {
            return Err(Overloaded);
        }
        held.total += bytes;
        held.of.insert(client, of_one);
        Ok(())
    }

    fn remove(&self, client: Network, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total -= bytes;
        match held.of.get_mut(&client) {
            Some(of_one) if *of_one > bytes => *of_one -= bytes,
            _ => drop(held.of.remove(&client)),
        }
    }
}

/// A request's body that lends its place out while it waits.
pub(super) struct Arriving {
    inner: Body,
    place: InFlight,
    arrivals: Arc<Arrivals>,
    client: Network,
    /// What of it is counted.
    bytes: usize,
    waited: bool,
}

impl Arriving {
    pub(super) fn new(inner: Body, place: InFlight, arrivals: Arc<Arrivals>, client: Network) -> Self {
        Self { inner, place, arrivals, client, bytes: 0, waited: false }
    }

    /// It is there whole: back to work.
    fn arrived(&mut self) -> Result<(), Error> {
        self.forget();
        if self.waited && !self.place.take_again() { Err(Error::new(Overloaded)) } else { Ok(()) }
    }

    fn forget(&mut self) {
        if self.bytes > 0 {
            self.arrivals.remove(self.client, std::mem::take(&mut self.bytes));
        }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => {
                if !self.waited {
                    self.waited = true;
                    self.place.release();
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                if self.inner.is_end_stream() {
                    return Poll::Ready(Some(self.arrived().map(|()| frame)));
                }
                let more = frame.data_ref().map_or(0, Bytes::len);
                if let Err(full) = self.arrivals.add(self.client, more) {
                    return Poll::Ready(Some(Err(Error::new(full))));
                }
                self.bytes += more;
                Poll::Ready(Some(Ok(frame)))
            }
            // Told once: at the last frame, if that was known to be the last.
            Poll::Ready(None) if self.inner.is_end_stream() && self.bytes == 0 => Poll::Ready(None),
            Poll::Ready(None) => Poll::Ready(self.arrived().err().map(Err)),
            failed => failed,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn one_client_has_a_share_and_gives_it_back() {
        let mut config = Config::built_in().http;
        (config.max_in_flight, config.body_limit) = (80, 1_000);
        let arrivals = Arrivals::new(&config);
        let client = |n: u8| Network::from(std::net::IpAddr::from([10, 0, 0, n]));
        assert_eq!(arrivals.add(client(1), 10_000), Ok(()));
        assert_eq!(arrivals.add(client(1), 1), Err(Overloaded));
        for n in 2..=8 {
            assert_eq!(arrivals.add(client(n), 10_000), Ok(()));
        }
        assert_eq!(arrivals.add(client(9), 1), Err(Overloaded), "all of it is taken");
        arrivals.remove(client(1), 10_000);
        assert_eq!(arrivals.add(client(9), 10_000), Ok(()));
        assert_eq!(arrivals.held.lock().unwrap().of.len(), 8);
    }
}
