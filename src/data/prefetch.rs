//! [`prefetch`]: the next batches are made while a step runs.

use std::{
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use super::{Batch, Dataset};
use crate::{Result, Scalar};

/// How many batches wait to be taken, besides the one that is being made.
const AHEAD: usize = 1;

/// How long a thread of rayon's pool waits before it looks for other work again.
const PATIENCE: Duration = Duration::from_millis(1);

/// Gives the batches of an epoch to `take` in turn, until it breaks, while a thread of its own makes the next ones. However that
/// ends, the thread has ended, too; its panic is passed on.
pub(crate) fn prefetch<T: Scalar>(
    dataset: &dyn Dataset<T>,
    epoch: usize,
    mut take: impl FnMut(Batch<T>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        let (running, ended) = sync_channel::<()>(0);
        let maker = scope.spawn(move || {
            let _running = running;
            // Sending fails when no more batches are wanted.
            dataset.batches(epoch).all(|batch| sender.send(batch).is_ok())
        });
        // Drops the receiver, also when `take` panics: the thread may be waiting to send.
        let taken = panic::catch_unwind(AssertUnwindSafe(move || {
            while let Some(batch) = receive(&receiver) {
                if take(batch?)?.is_break() {
                    break;
                }
            }
            Ok(())
        }));
        // Joining alone would not do the pool's work, which the batch that the thread is making may need.
        receive(&ended);
        maker.join().and(taken).unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// What is sent next, or nothing when the sender is gone. A thread of rayon's pool does other work of the pool meanwhile: a batch may be
/// made with its help, and it may have no other thread.
fn receive<M>(receiver: &Receiver<M>) -> Option<M> {
    loop {
        match receiver.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let waited = match rayon::yield_now() {
            None => return receiver.recv().ok(),
            Some(rayon::Yield::Executed) => continue,
            Some(rayon::Yield::Idle) => receiver.recv_timeout(PATIENCE),
        };
        match waited {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
