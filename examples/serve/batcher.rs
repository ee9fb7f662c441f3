//! [`Batcher`]: one thread predicts for all requests that wait.
//!
//! Whoever asks first is predicted for at once. What comes meanwhile waits, and is the next batch: the busier the server is, the
//! larger its batches are, and a lone request never waits for company.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use cornu::Tensor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::Limits;

pub struct Batcher {
    jobs: mpsc::Sender<Job>,
    /// A permit for each sample that may wait.
    room: Arc<Semaphore>,
}

struct Job {
    samples: Tensor,
    answer: oneshot::Sender<Result<Tensor, String>>,
    room: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Debug, PartialEq)]
pub enum Refusal {
    /// As many samples wait as may.
    Full,
    /// The model failed on them.
    Failed(String),
}

impl Batcher {
    /// Starts the thread, which ends with the batcher.
    pub fn new(limits: &Limits, predict: impl Fn(&Tensor) -> cornu::Result<Tensor> + Send + 'static) -> Self {
        let (jobs, queue) = mpsc::channel();
        let largest = limits.batch;
        thread::spawn(move || work(&queue, largest, predict));
        Batcher { jobs, room: Arc::new(Semaphore::new(limits.queue)) }
    }

    /// What the model makes of samples.
    pub async fn predict(&self, samples: Tensor) -> Result<Tensor, Refusal> {
        let n = samples.shape().dims()[0] as u32;
        let room = self.room.clone().try_acquire_many_owned(n).map_err(|_| Refusal::Full)?;
        let (answer, answered) = oneshot::channel();
        let gone = || Refusal::Failed("its thread has ended".to_owned());
        self.jobs.send(Job { samples, answer, room }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?.map_err(Refusal::Failed)
    }
}

fn work(queue: &mpsc::Receiver<Job>, largest: usize, predict: impl Fn(&Tensor) -> cornu::Result<Tensor>) {
    // What did not fit into the batch before.
    let mut next = None;
    while let Some(first) = next.take().or_else(|| queue.recv().ok()) {
        let (mut n, mut batch) = (samples(&first), vec![first]);
        while n < largest
            && let Ok(job) = queue.try_recv()
        {
            n += samples(&job);
            if n > largest {
                next = Some(job);
            } else {
                batch.push(job);
            }
        }
        // Whoever was impatient has left.
        batch.retain(|job| !job.answer.is_closed());
        if !batch.is_empty() {
            answer(batch, &predict);
        }
    }
}

fn samples(job: &Job) -> usize {
    job.samples.shape().dims()[0]
}

fn answer(batch: Vec<Job>, predict: &impl Fn(&Tensor) -> cornu::Result<Tensor>) {
    let sample = batch[0].samples.shape().sample();
    let n: usize = batch.iter().map(samples).sum();
    let x: Vec<f32> = batch.iter().flat_map(|job| job.samples.data()).copied().collect();
    let x = Tensor::new(sample.batch(n), x).expect("all samples have the shape of the model's input");
    // A panic would be a bug of the model; those who ask later shall not suffer from it.
    let y = catch_unwind(AssertUnwindSafe(|| predict(&x)));
    let y = match y {
        Ok(y) => y.map_err(|error| error.to_string()),
        Err(_) => Err("it panicked".to_owned()),
    };
    let mut start = 0;
    for job in batch {
        let range = start..start + samples(&job);
        start = range.end;
        let rows = y.as_ref().map(|y| y.slice(range).expect("an answer for each sample").to_tensor());
        // First the room: whoever has an answer may ask again.
        drop(job.room);
        // Whoever has left since does not take it.
        let _ = job.answer.send(rows.map_err(String::clone));
    }
}
