//! A step of training allocates nothing, once its buffers have grown.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cornu::prelude::*;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both methods pass their contract on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from the system's allocator with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The tests count one after the other.
static TURN: Mutex<()> = Mutex::new(());

#[global_allocator]
static COUNTING: Counting = Counting;

/// The allocations of an epoch of `steps` steps, after one that has grown the buffers.
fn allocations(steps: usize, optimizer: impl Optimizer) -> usize {
    let x = Tensor::random_uniform([steps * 64, 12, 12, 3], 0.0, 1.0, 1);
    let y = Labels::try_from((0..steps * 64).map(|i| i % 4).collect::<Vec<_>>()).unwrap();
    let mut model = Sequential::new([12, 12, 3])
        .add(Conv2D::new(16, 3).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(MaxPooling2D::new(2))
        .add(Dropout::new(0.2))
        .add(Conv2D::new(16, 3).padding(Padding::Same).activation(Activation::Silu))
        .add(SeparableConv2D::new(32, 3).depth_multiplier(2).padding(Padding::Same).activation(Activation::Relu))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(
            Dense::new(40)
                .activation(Activation::Relu)
                .kernel_regularizer(Regularizer::l2(1e-4))
                .kernel_constraint(Constraint::max_norm(3.0)),
        )
        .add(Dense::new(4).activation(Activation::Softmax))
        .compile(optimizer, SparseCategoricalCrossentropy::default(), metrics())
        .unwrap();
    let options = || Fit::new().batch_size(64).verbose(0);
    model.fit(&x, &y, options()).unwrap();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    model.fit(&x, &y, options()).unwrap();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn metrics() -> [Metric; 6] {
    let f1 = F1Score::new(Averaging::Macro).into();
    let precision = Precision::new().top_k(2).into();
    [Metric::Accuracy, precision, Recall::new().into(), f1, AUC::new().into(), MeanIoU::new(4).into()]
}

#[test]
fn a_step_allocates_nothing() {
    let _turn = TURN.lock();
    let schedule = CosineDecay::new(0.0, 100).warmup_target(1e-3).warmup_steps(10);
    let everything = AdamW::new(schedule).amsgrad(true).global_clipnorm(1.0).use_ema(true).ema_overwrite_frequency(5);
    few_allocations(Adam::default());
    few_allocations(everything.gradient_accumulation_steps(2));
    few_allocations(RMSprop::default().momentum(0.9).centered(true).clipnorm(1.0));
}

/// What an epoch allocates, it allocates whatever its length; the queues of rayon's threads may grow now and then.
fn few_allocations(optimizer: impl Optimizer) {
    let (few, many) = (allocations(10, optimizer.clone()), allocations(80, optimizer));
    assert!(many < few + 35, "{few} allocations in 10 steps, {many} in 80");
}

#[test]
fn a_prediction_allocates_its_result() {
    let _turn = TURN.lock();
    let model = Sequential::new([12, 12, 3])
        .add(Conv2D::new(16, 3).activation(Activation::Relu))
        .add(Conv2D::new(16, 3))
        .add(MaxPooling2D::new(2))
        .add(Flatten::new())
        .add(Dense::new(20).activation(Activation::Relu))
        .add(Dense::new(4).activation(Activation::Softmax))
        .build()
        .unwrap();
    let bytes = Tensor::<u8>::zeros([100, 12, 12, 3]);
    let quantized = model.quantize(&bytes).unwrap();
    for n in [1, 100] {
        let x = Tensor::random_uniform([n, 12, 12, 3], 0.0, 1.0, 1);
        model.predict(&x).unwrap();
        model.predict(&bytes).unwrap();
        quantized.predict(&x).unwrap();
        quantized.predict(&bytes).unwrap();
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..100).for_each(|_| drop(model.predict(&x).unwrap()));
        (0..100).for_each(|_| drop(model.predict(&bytes).unwrap()));
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert!((200..230).contains(&count), "{count} allocations in 200 predictions, the larger ones of {n}");
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..100).for_each(|_| drop(quantized.predict(&x).unwrap()));
        (0..100).for_each(|_| drop(quantized.predict(&bytes).unwrap()));
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert!((200..230).contains(&count), "{count} allocations in 200 predictions in integers");
    }
}
