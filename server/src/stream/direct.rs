//! A stream that has its socket to itself, without the buffers of an HTTP connection: frames are shared by all streams and
//! written as they are.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::http::{HeaderValue, header, response};
use bytes::{Buf, Bytes};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Live;
use crate::limits::{DIRECT_FRAMES_KEPT, DIRECT_IGNORED_MAX};

/// Most frames in one call of the kernel.
const VECTORED_MAX: usize = 64;

/// Writes a stream to a socket until either ends. Ready when the socket is shut down.
pub struct Direct<S> {
    socket: S,
    live: Live,
    /// What is being written; those before `at` are.
    frames: Vec<Bytes>,
    at: usize,
    /// Something was written since the last flush.
    unflushed: bool,
    /// Bytes that came from the reader, which has nothing to say.
    ignored: usize,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Direct<S> {
    /// Begins with the head of a response.
    pub fn new(socket: S, head: response::Parts, live: Live) -> Self {
        let frames = vec![head_bytes(head)];
        Self { socket, live, frames, at: 0, unflushed: false, ignored: 0, is_over: false }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at < self.frames.len() {
            let left = &self.frames[self.at..];
            let socket = Pin::new(&mut self.socket);
            let mut written = if let [one] = left {
                ready!(socket.poll_write(cx, one))?
            } else {
                let mut slices = [IoSlice::new(&[]); VECTORED_MAX];
                slices.iter_mut().zip(left).for_each(|(slice, frame)| *slice = IoSlice::new(frame));
                ready!(socket.poll_write_vectored(cx, &slices[..left.len().min(VECTORED_MAX)]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            while written > 0 {
                let frame = &mut self.frames[self.at];
                let part = written.min(frame.len());
                frame.advance(part);
                written -= part;
                self.at += usize::from(frame.is_empty());
            }
        }
        self.at = 0;
        self.frames.clear();
        // One frame at a time is the rule; what a replay took is given back.
        self.frames.shrink_to(DIRECT_FRAMES_KEPT);
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reader is gone. It has nothing to say, so what it says is passed over.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 256];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
            self.ignored += buffer.filled().len();
            if buffer.filled().is_empty() || self.ignored > DIRECT_IGNORED_MAX {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Direct<S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.poll_write(cx)?.is_pending() {
                if this.poll_gone(cx)?.is_ready() || this.live.poll_stalled(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                return Poll::Pending;
            }
            if this.is_over {
                ready!(this.poll_flush(cx))?;
                return Pin::new(&mut this.socket).poll_shutdown(cx);
            }
            if this.live.poll_frames(cx, &mut this.frames).is_pending() {
                if this.poll_gone(cx)?.is_ready() {
                    return Poll::Ready(Ok(()));
                }
                // It goes on by itself when the socket takes more.
                let _ = this.poll_flush(cx)?;
                return Poll::Pending;
            }
            this.is_over = this.frames.is_empty();
        }
    }
}

/// The head of a response whose body ends with the connection (RFC 9112, 6.3): a stream is the last that its connection
/// carries, and shared frames need no chunk around them. A reader tells an end from a cut by `bye`.
fn head_bytes(mut head: response::Parts) -> Bytes {
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    if let Some(date) = date.ok().and_then(|it| it.parse().ok()) {
        head.headers.insert(header::DATE, date);
    }
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.into()
}
