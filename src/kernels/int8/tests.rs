//! The tiles and the convolution against the loops of their definition, on random sizes.

use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::{
    kernels::{
        Window, conv,
        conv_direct::DirectConv,
        pool::Pool,
        tests::cases::{convs, pools},
    },
    rng,
};

proptest! {
    #[test]
    fn convolutions_follow_their_definition((conv, n) in convs(), pool in [1..4_usize, 1..4], relu in any::<bool>()) {
        check(&conv::Conv { groups: 1, ..conv }, n, pool, relu);
    }

    #[test]
    fn poolings_follow_their_definition((pool, n) in pools()) {
        check_pool(&pool, n);
    }
}

/// Sizes beyond those above: many rows, many products, pixels at the limit of what is computed at a time.
#[test]
fn large_convolutions() {
    let dense = |features, filters| {
        let window = Window {
            input: [1; 2],
            output: [1; 2],
            kernel: [1; 2],
            strides: [1; 2],
            dilation: [1; 2],
            padding: [0; 2],
        };
        conv::Conv { window, channels: features, filters, groups: 1 }
    };
    check(&dense(1600, 10), 33, [1, 1], false);
    check(&dense(3, 70), 200, [1, 1], true);
    let window = Window {
        input: [6, 150],
        output: [6, 150],
        kernel: [3, 3],
        strides: [1, 1],
        dilation: [1, 1],
        padding: [1, 1],
    };
    for pool in [[1, 1], [2, 2], [6, 150], [1, 67]] {
        check(&conv::Conv { window, channels: 5, filters: 34, groups: 1 }, 2, pool, true);
    }
}

/// The sums of as many products as are allowed, each as large as can be, with and against the sign of what they begin at.
#[test]
fn the_largest_sums_do_not_overflow() {
    let window =
        Window { input: [1; 2], output: [1; 2], kernel: [1; 2], strides: [1; 2], dilation: [1; 2], padding: [0; 2] };
    let conv = conv::Conv { window, channels: MAX_PRODUCTS, filters: 2, groups: 1 };
    let kernel: Vec<i8> = (0..2 * MAX_PRODUCTS).map(|i| if i % 2 == 0 { i8::MIN } else { i8::MAX }).collect();
    for (byte, zero) in [(LEVELS, 0), (0, LEVELS), (LEVELS, LEVELS)] {
        let x = vec![byte; MAX_PRODUCTS + SLACK];
        for tile in Tile::all() {
            let sum = |weight: i32| (MAX_PRODUCTS as i32 * weight * (i32::from(byte) - i32::from(zero))) as f32;
            assert_eq!(
                run::<f32>(tile, &conv, [1, 1], &x, (&kernel, zero), &plain(2), 1),
                [sum(-128), sum(127)],
                "{}",
                tile.name
            );
        }
    }
    assert!(Conv::new(&conv::Conv { channels: MAX_PRODUCTS + 1, ..conv }, [1, 1]).is_none());
}

#[test]
fn what_no_convolution_of_integers_computes() {
    let window =
        Window { input: [4, 4], output: [2, 2], kernel: [3, 3], strides: [1; 2], dilation: [1; 2], padding: [0; 2] };
    let conv = conv::Conv { window, channels: 2, filters: 2, groups: 1 };
    assert!(Conv::new(&conv, [2, 2]).is_some());
    assert!(Conv::new(&conv, [3, 1]).is_none());
    assert!(Conv::new(&conv, [0, 1]).is_none());
    assert!(Conv::new(&conv::Conv { groups: 2, ..conv }, [1, 1]).is_none());
    assert!(Conv::new(&conv::Conv { filters: 0, ..conv }, [1, 1]).is_none());
    let far = Window { dilation: [1 << 40, 1], padding: [1 << 39, 0], ..window };
    assert!(Conv::new(&conv::Conv { window: far, ..conv }, [1, 1]).is_none());
}

fn plain(filters: usize) -> Finish {
    Finish::new(&vec![1.0; filters], &vec![0.0; filters], [f32::NEG_INFINITY, f32::INFINITY])
}

fn run<O: Output>(
    tile: Tile,
    conv: &conv::Conv,
    pool: [usize; 2],
    x: &[u8],
    (kernel, zero): (&[i8], u8),
    finish: &Finish,
    n: usize,
) -> Vec<O> {
    let conv = Conv::new(conv, pool).unwrap();
    let mut y = vec![O::default(); n * conv.output_len()];
    conv.forward(tile, x, &conv.pack(kernel, zero), finish, &mut y, &mut Scratch::default());
    y
}

/// All tiles give the bits of the definition, as numbers and as bytes.
fn check(conv: &conv::Conv, n: usize, pool: [usize; 2], relu: bool) {
    let pool = [0, 1].map(|axis| pool[axis].min(conv.window.output[axis]));
    if Conv::new(conv, pool).is_none() {
        return assert!(DirectConv::<f32>::new(conv).is_none(), "{conv:?} is computed in numbers only");
    }
    let mut rng = rng::stream(1, 0, 0, 0);
    let zero = rng.random_range(0..=LEVELS);
    let x: Vec<u8> = (0..n * conv.input_len()).map(|_| rng.random_range(0..=LEVELS)).collect();
    let kernel: Vec<i8> = (0..conv.kernel_len()).map(|_| rng.random()).collect();
    let mut random = |low: f32, high: f32| (0..conv.filters).map(|_| rng.random_range(low..high)).collect::<Vec<f32>>();
    let (scale, shift) = (random(0.0, 1e-3), random(-10.0, 130.0));
    let low = if relu { 9.0 } else { 0.0 };
    let bytes = Finish::new(&scale, &shift, [low, LEVELS.into()]);

    let sums = naive(conv, n, pool, &x, &kernel, zero);
    let expected_bytes: Vec<u8> = sums
        .iter()
        .enumerate()
        .map(|(i, &sum)| {
            let f = i % conv.filters;
            (sum as f32 * scale[f] + shift[f]).max(low).min(LEVELS.into()).round_ties_even() as u8
        })
        .collect();
    let expected: Vec<f32> = sums.iter().map(|&sum| sum as f32).collect();
    // What lies behind the image must not matter.
    for slack in [0, 255] {
        let x = [&x[..], &[slack; SLACK]].concat();
        for tile in Tile::all() {
            let name = tile.name;
            let numbers = run::<f32>(tile, conv, pool, &x, (&kernel, zero), &plain(conv.filters), n);
            assert_eq!(numbers, expected, "{name}: {conv:?}, pool {pool:?}");
            let stored = run::<u8>(tile, conv, pool, &x, (&kernel, zero), &bytes, n);
            assert_eq!(stored, expected_bytes, "{name}: {conv:?}, pool {pool:?}");
        }
    }
}

/// The largest sums of each window of the pooling.
fn naive(conv: &conv::Conv, n: usize, pool: [usize; 2], x: &[u8], kernel: &[i8], zero: u8) -> Vec<i32> {
    let (window, c) = (&conv.window, conv.channels);
    let ([kh, kw], [oh, ow]) = (window.kernel, window.output);
    let sum = |sample: usize, [oy, ox]: [usize; 2], f: usize| {
        let mut sum = 0;
        for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
            let (Some(y), Some(x_at)) = (window.pixel(0, oy, ky), window.pixel(1, ox, kx)) else { continue };
            for channel in 0..c {
                let byte = x[((sample * window.input[0] + y) * window.input[1] + x_at) * c + channel];
                let weight = kernel[((ky * kw + kx) * c + channel) * conv.filters + f];
                sum += (i32::from(byte) - i32::from(zero)) * i32::from(weight);
            }
        }
        sum
    };
    let mut sums = Vec::new();
    for sample in 0..n {
        for (py, px) in (0..oh / pool[0]).flat_map(|py| (0..ow / pool[1]).map(move |px| (py, px))) {
            for f in 0..conv.filters {
                let window =
                    (0..pool[0]).flat_map(|dy| (0..pool[1]).map(move |dx| [py * pool[0] + dy, px * pool[1] + dx]));
                sums.push(window.map(|pixel| sum(sample, pixel, f)).max().unwrap());
            }
        }
    }
    sums
}

fn check_pool(pool: &Pool, n: usize) {
    let mut rng = rng::stream(1, 0, 0, 0);
    let x: Vec<u8> = (0..n * pool.window.pixels() * pool.channels).map(|_| rng.random()).collect();
    let numbers: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    let (expected, _) = crate::kernels::naive::max(pool, n, &numbers);
    let mut y = vec![1; expected.len()];
    max_pool(pool, &x, &mut y);
    let expected: Vec<u8> = expected.into_iter().map(|x| x.max(0.0) as u8).collect();
    assert_eq!(y, expected, "{pool:?}");
}
