//! A convolution, plain or depthwise, and its gradients on one core, by the algorithm that is chosen, and the same by the others.
//! Throughput is in FLOP of the direct algorithm, whatever computes them.

use std::{hint::black_box, time::Duration};

use cornu::{
    Tensor,
    kernels::{
        Pass, Window,
        conv::{self, Conv},
        conv_direct::DirectConv,
        conv_im2col,
        conv_winograd::Winograd,
        depthwise::Depthwise,
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn benches(c: &mut Criterion) {
    for (name, size, channels, filters, padding) in [
        ("28x28x1->32", 28, 1, 32, 0),
        ("13x13x32->64", 13, 32, 64, 0),
        ("32x32x64->128", 32, 64, 128, 1),
        ("56x56x64->64", 56, 64, 64, 1),
    ] {
        let window = Window {
            input: [size; 2],
            output: [size + 2 * padding - 2; 2],
            kernel: [3; 2],
            strides: [1; 2],
            dilation: [1; 2],
            padding: [padding; 2],
        };
        for n in [1, 64] {
            bench(c, &format!("conv {name}, batch {n}"), &Conv { window, channels, filters, groups: 1 }, n);
        }
    }
    // As in MobileNet: windows of 3x3, padded.
    for (name, size, channels, stride, multiplier) in [
        ("112x112x32", 112, 32, 1, 1),
        ("112x112x64, stride 2", 112, 64, 2, 1),
        ("14x14x512", 14, 512, 1, 1),
        ("7x7x1024", 7, 1024, 1, 1),
        ("28x28x32, multiplier 2", 28, 32, 1, 2),
    ] {
        let output = [size / stride; 2];
        let window = Window {
            input: [size; 2],
            output,
            kernel: [3; 2],
            strides: [stride; 2],
            dilation: [1; 2],
            padding: [1; 2],
        };
        let conv = Conv { window, channels, filters: channels * multiplier, groups: channels };
        bench(c, &format!("depthwise {name}"), &conv, 1);
    }
}

fn bench(c: &mut Criterion, name: &str, conv: &Conv, n: usize) {
    let direct = DirectConv::<f32>::new(conv).expect("f32 has a tile");
    let random = |len: usize, seed| Tensor::<f32>::random_uniform([len], -1.0, 1.0, seed).into_data();
    let (mut x, mut y) = (random(n * conv.input_len(), 0), random(n * conv.output_len(), 1));
    let (kernel, bias) = (random(conv.kernel_len(), 2), random(conv.filters, 3));
    let mut dkernel = vec![0.0; kernel.len()];
    let scratch_len = [conv.scratch_len::<f32>(), direct.scratch_len(), conv_im2col::scratch_len::<f32>(conv)];
    let mut scratch = vec![0.0; scratch_len.into_iter().max().unwrap_or(0)];
    let [forward, backward] = [Pass::Forward, Pass::Backward].map(|pass| {
        let mut packed = vec![0.0; conv.packed_len::<f32>(pass)];
        conv.pack(&kernel, pass, &mut packed);
        packed
    });
    let shard = shard(conv).min(n);
    let (inputs, outputs) = (shard * conv.input_len(), shard * conv.output_len());

    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    // Calls `f` for each shard, with x, which it may overwrite, and y.
    let mut run = |name: &str, products: usize, f: &mut dyn FnMut(&mut [f32], &mut [f32])| {
        group.throughput(Throughput::Elements((products * n * conv.flops()) as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let shards = black_box(&mut x).chunks_mut(inputs).zip(black_box(&mut y).chunks_mut(outputs));
                shards.for_each(|(x, y)| f(x, y));
            });
        });
    };
    run("forward", 1, &mut |x, y| conv::forward(conv, x, &forward, Some(&bias), y, &mut scratch, |_| {}));
    run("kernel gradient", 1, &mut |x, dy| conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch));
    run("input gradient", 1, &mut |dx, dy| conv::input_gradient(conv, &backward, dy, dx, &mut scratch));
    let mut dx = vec![0.0; inputs];
    run("both gradients", 2, &mut |x, dy| {
        let dx = &mut dx[..x.len()];
        conv::gradients(conv, (x, &mut dkernel), dy, (&backward, dx), &mut scratch);
    });

    if Winograd::<f32>::new(conv).is_some() || Depthwise::new(conv).is_some() {
        let (mut panels, mut transposed) = (vec![0.0; direct.packed_len()], vec![0.0; direct.transposed_len()]);
        direct.pack(&kernel, &mut panels);
        direct.pack_transposed(&kernel, &mut transposed);
        run("forward, direct", 1, &mut |x, y| direct.forward(x, &panels, Some(&bias), y, &mut scratch, |_| {}));
        run("kernel gradient, direct", 1, &mut |x, dy| direct.kernel_gradient(x, dy, &mut dkernel, &mut scratch));
        run("input gradient, direct", 1, &mut |dx, dy| direct.input_gradient(&transposed, dy, dx, &mut scratch));
    }

    run("forward, im2col", 1, &mut |x, y| {
        conv_im2col::forward(conv, x, &kernel, Some(&bias), y, &mut scratch, |_| {});
    });
    run("kernel gradient, im2col", 1, &mut |x, dy| {
        conv_im2col::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch);
    });
    run("input gradient, im2col", 1, &mut |dx, dy| {
        conv_im2col::input_gradient(conv, &kernel, dy, dx, &mut scratch);
    });
    group.finish();
}

/// How many samples the executor takes at a time, if the convolution is the model.
fn shard(conv: &Conv) -> usize {
    (640 * 1024 / (4 * conv.output_len())).clamp(1, 16)
}

criterion_group!(conv_benches, benches);
criterion_main!(conv_benches);
