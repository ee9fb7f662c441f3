//! [`prefetch`]: the next batches are made while a step runs.

use std::{
    ops::ControlFlow,
    panic,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel},
    thread,
    time::Duration,
};

use super::{Batch, Dataset};
use crate::{Result, Scalar};

/// How many batches wait to be taken, besides the one that is being made.
const AHEAD: usize = 1;

/// How long a thread of rayon's pool waits for a batch before it looks for other work again.
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
        let maker = scope.spawn(move || {
            // Sending fails when no more batches are wanted.
            dataset.batches(epoch).all(|batch| sender.send(batch).is_ok())
        });
        // The receiver is dropped before the thread is waited for, also by a panic of `take`.
        let result = (move || {
            while let Some(batch) = receive(&receiver) {
                if take(batch?)?.is_break() {
                    break;
                }
            }
            Ok(())
        })();
        match maker.join() {
            Ok(_) => result,
            Err(panic) => panic::resume_unwind(panic),
        }
    })
}

/// The next batch, when there is one. A thread of rayon's pool does other work of the pool meanwhile: the batch itself may be made
/// with its help, and it may have no other thread.
fn receive<B>(receiver: &Receiver<B>) -> Option<B> {
    loop {
        match receiver.try_recv() {
            Ok(batch) => return Some(batch),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let waited = match rayon::yield_now() {
            None => return receiver.recv().ok(),
            Some(rayon::Yield::Executed) => continue,
            Some(rayon::Yield::Idle) => receiver.recv_timeout(PATIENCE),
        };
        match waited {
            Ok(batch) => return Some(batch),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
