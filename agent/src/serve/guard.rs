//! What a client may cost: a frame is bounded in size and in time, a client that does not read is not read from, and one
//! that does nothing is let go.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use rmcp::{RoleServer, transport::async_rw::AsyncRwTransport};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, Sleep, sleep},
};

use super::frame::Frame;

/// Most bytes of one frame (one line of JSON), its newline not among them.
pub const FRAME_BYTES: usize = 1 << 20;
/// A frame that was begun must be whole within this, and an answer must be taken within this.
pub const FRAME_WITHIN: Duration = Duration::from_secs(10);
/// A client that asks nothing for so long is let go.
pub const IDLE_FOR: Duration = Duration::from_secs(600);

/// The two ways of one guarded client.
pub(super) fn transport(stream: UnixStream) -> AsyncRwTransport<RoleServer, Reading, Writing> {
    let (read, write) = stream.into_split();
    let jam = Arc::new(Mutex::new(Jam::default()));
    let deadline = Box::pin(sleep(FRAME_WITHIN));
    let reading = Reading { inner: read, frame: Frame::new(FRAME_BYTES), deadline, jam: Arc::clone(&jam) };
    let writing = Writing { inner: write, deadline: None, jam };
    // It counts the newline, too, and says nothing to whoever sends one byte more.
    AsyncRwTransport::new_server(reading, writing).with_max_line_length(FRAME_BYTES + 1)
}

/// Whether the client takes its answers; shared by both ways.
#[derive(Debug, Default)]
struct Jam {
    jammed: bool,
    gone: bool,
    reader: Option<Waker>,
}

impl Jam {
    fn set(&mut self, jammed: bool) {
        self.jammed = jammed;
        if !jammed && let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[derive(Debug)]
pub(super) struct Reading {
    inner: OwnedReadHalf,
    frame: Frame,
    deadline: Pin<Box<Sleep>>,
    jam: Arc<Mutex<Jam>>,
}

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let jammed = {
            let mut jam = lock(&self.jam);
            if jam.gone {
                return Poll::Ready(Err(late("the client did not take its answers")));
            }
            if jam.jammed {
                jam.reader = Some(context.waker().clone());
            }
            jam.jammed
        };
        if jammed {
            return self.expire(context);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.measure(buffer.filled().get(before..).unwrap_or_default())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.expire(context),
        }
    }
}

impl Reading {
    fn expire(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.deadline.as_mut().poll(context));
        let what = if self.frame.begun() > 0 { "a frame was not finished in time" } else { "the client was idle" };
        Poll::Ready(Err(late(what)))
    }

    /// Keeps count of the frame, and moves the deadline when one begins or ends.
    fn measure(&mut self, read: &[u8]) -> io::Result<()> {
        let begun_before = self.frame.begun() > 0;
        let ended = self.frame.take(read).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if ended || !begun_before {
            let within = if self.frame.begun() > 0 { FRAME_WITHIN } else { IDLE_FOR };
            self.deadline.as_mut().reset(Instant::now() + within);
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct Writing {
    inner: OwnedWriteHalf,
    deadline: Option<Pin<Box<Sleep>>>,
    jam: Arc<Mutex<Jam>>,
}

impl AsyncWrite for Writing {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(written) => {
                self.deadline = None;
                lock(&self.jam).set(false);
                Poll::Ready(written)
            }
            Poll::Pending => {
                lock(&self.jam).set(true);
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(FRAME_WITHIN)));
                ready!(deadline.as_mut().poll(context));
                self.deadline = None;
                let mut jam = lock(&self.jam);
                jam.gone = true;
                jam.set(false);
                Poll::Ready(Err(late("the client did not take its answers")))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

fn lock(jam: &Mutex<Jam>) -> MutexGuard<'_, Jam> {
    jam.lock().unwrap_or_else(PoisonError::into_inner)
}
