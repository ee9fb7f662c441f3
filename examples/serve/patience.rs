//! [`Patience`]: a connection whose peer must take what is sent to it within a time, and which ends such that the peer can.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// A stream that fails when what is written between two flushes, an answer, is not taken within a time. Reading has its limits
/// elsewhere.
///
/// A socket that is closed while bytes of the peer are unread, of a body that was refused, takes from the peer also the answer that it
/// has not read yet. So a shutdown is followed by reading what still comes, within bounds, as nginx does (`lingering_close`).
pub struct Patience<S> {
    stream: S,
    time: Duration,
    /// Runs from the first write that waits to the flush.
    clock: Option<Pin<Box<Sleep>>>,
    end: Option<End>,
}

/// What is read after a shutdown.
struct End {
    /// How many bytes at most.
    bytes: usize,
    deadline: Instant,
    /// Rings at the deadline, or when nothing has come for a while.
    clock: Pin<Box<Sleep>>,
}

/// How many bytes are read after a shutdown at most.
pub const REST: usize = 16 << 20;

/// How long nothing may come after a shutdown.
const QUIET: Duration = Duration::from_secs(2);

impl<S> Patience<S> {
    pub fn new(stream: S, time: Duration) -> Self {
        Patience { stream, time, clock: None, end: None }
    }

    /// What a write gave, or an error when the answer has waited too long.
    fn limit<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if result.is_pending() {
            let time = self.time;
            ready!(self.clock.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> Patience<S> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = self.end.get_or_insert_with(|| End {
            bytes: REST,
            deadline: Instant::now() + self.time,
            clock: Box::pin(sleep(QUIET.min(self.time))),
        });
        let mut bytes = [0; 4096];
        while end.bytes > 0 {
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    end.bytes = end.bytes.saturating_sub(read.filled().len());
                    end.clock.as_mut().reset(end.deadline.min(Instant::now() + QUIET));
                }
                Poll::Ready(_) => break,
                Poll::Pending => return end.clock.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limit(result, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        ready!(self.limit(result, cx))?;
        self.clock = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.is_none() {
            let result = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.limit(result, cx))?;
        }
        self.poll_rest(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_left() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Patience::new(ours, Duration::from_millis(20));
        ours.write_all(b"1234").await.unwrap();
        assert_eq!(ours.write_all(b"5678").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        theirs.read_exact(&mut [0; 4]).await.unwrap();
        // Each answer has its own time.
        ours.flush().await.unwrap();
        ours.write_all(b"5678").await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_reads_byte_by_byte_is_left() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = Patience::new(ours, Duration::from_millis(100));
        tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(ours.write_all(&[0; 100]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn after_a_shutdown_the_rest_is_read_within_bounds() {
        let patient = Duration::from_secs(60);
        let (ours, mut theirs) = duplex(1 << 10);
        let mut ours = Patience::new(ours, patient);
        let end = tokio::spawn(async move { ours.shutdown().await });
        // All of it is taken, and so is the end.
        theirs.write_all(&[0; 1 << 20]).await.unwrap();
        drop(theirs);
        timeout(patient, end).await.unwrap().unwrap().unwrap();

        // Neither one who sends for ever is listened to for ever,
        let (ours, mut theirs) = duplex(1 << 20);
        let mut ours = Patience::new(ours, patient);
        let end = tokio::spawn(async move { ours.shutdown().await });
        assert!(theirs.write_all(&vec![0; 2 * REST]).await.is_err());
        timeout(patient, end).await.unwrap().unwrap().unwrap();

        // nor one who sends a byte now and then,
        let (ours, mut theirs) = duplex(1 << 10);
        let mut ours = Patience::new(ours, Duration::from_millis(100));
        let end = tokio::spawn(async move { ours.shutdown().await });
        let trickle = async {
            while theirs.write_u8(0).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(patient / 2, trickle).await.unwrap();
        timeout(patient, end).await.unwrap().unwrap().unwrap();

        // nor one who sends nothing.
        let (ours, _theirs) = duplex(1 << 10);
        let mut ours = Patience::new(ours, patient);
        timeout(patient / 2, ours.shutdown()).await.unwrap().unwrap();
    }
}
