//! Bodies that are written while they are read: the channel's bound is how far the writer may be ahead.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// Ends when the writer drops its end; an error breaks it off, so that the client sees that it is not whole.
#[derive(Debug)]
pub(super) struct Streamed<E>(pub mpsc::Receiver<Result<Bytes, E>>);

impl<E> Body for Streamed<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.0.poll_recv(context).map(|part| part.map(|part| part.map(Frame::data)))
    }
}
