//! The fast kernels against their definitions in [`naive`], on random sizes.

pub(super) mod cases;
mod depthwise;
mod winograd;

use std::{array, ops::Range};

use proptest::{prelude::*, sample::Index};
use rand::RngExt;

use self::cases::{Axis, Border, convs, pools, size, window};
use super::{
    Pass, Window,
    conv::{self, Conv},
    conv_direct::DirectConv,
    conv_im2col, dense,
    gemm::Matrix,
    im2col::{Channels, col2im, im2col},
    naive,
    pool::{self, Pool},
};
use crate::{Scalar, rng};

proptest! {
    #[test]
    fn convolutions_follow_their_definition((conv, n) in convs()) {
        check_conv::<f32>(&conv, n);
        check_conv::<f64>(&conv, n);
    }

    #[test]
    fn the_batch_can_be_cut((conv, n) in convs()) {
        check_cut::<f32>(&conv, n);
        check_cut::<f64>(&conv, n);
    }

    #[test]
    fn the_epilogue_gets_each_row_of_the_output_once((conv, n) in convs()) {
        check_epilogue::<f32>(&conv, n);
        check_epilogue::<f64>(&conv, n);
    }

    #[test]
    fn what_is_not_finite_reaches_the_outputs_that_see_it(
        (conv, n) in convs(),
        at in any::<Index>(),
        value in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ) {
        check_not_finite::<f32>(&conv, n, at, value);
        check_not_finite::<f64>(&conv, n, at, value);
    }

    #[test]
    fn im2col_copies_pixels_and_col2im_is_its_adjoint((conv, n) in convs(), lines in any::<[Index; 2]>()) {
        let total = n * conv.window.output[0] + 1;
        let [start, end] = lines.map(|line| line.index(total));
        check_columns(&conv, n, start.min(end)..start.max(end));
    }

    #[test]
    fn poolings_follow_their_definition((pool, n) in pools(), nan in any::<Option<Index>>()) {
        check_pool::<f32>(&pool, n, nan);
        check_pool::<f64>(&pool, n, nan);
    }

    #[test]
    fn products_follow_their_definition(
        sizes in [size(), size(), size()],
        gaps in [0..4_usize, 0..4, 0..4],
        transposed in any::<[bool; 2]>(),
        add in any::<bool>(),
    ) {
        check_gemm::<f32>(sizes, gaps, transposed, add);
        check_gemm::<f64>(sizes, gaps, transposed, add);
    }

    #[test]
    fn dense_layers_follow_their_definition(rows in 1..100_usize, sizes in [size(), size()], bias in any::<bool>()) {
        check_dense::<f32>(rows, sizes, bias);
        check_dense::<f64>(rows, sizes, bias);
    }
}

#[test]
fn convolutions_of_many_blocks() {
    let same = |[h, w]: [usize; 2], kernel: [usize; 2], strides, dilation| {
        window(array::from_fn(|i| Axis::new(kernel[i], strides, dilation, Border::Same { input: [h, w][i] })))
    };
    for (window, [channels, filters, groups, n]) in [
        (same([13, 13], [3, 3], 1, 1), [32, 40, 1, 3]),
        (same([32, 32], [5, 5], 1, 2), [6, 10, 2, 4]),
        (same([99, 99], [3, 3], 2, 1), [16, 8, 8, 4]),
        (same([70, 70], [3, 3], 1, 1), [3, 16, 1, 3]),
        (same([2, 90], [3, 3], 1, 1), [192, 5, 1, 2]),
        (same([64, 64], [3, 1], 1, 1), [9, 12, 3, 4]),
    ] {
        let conv = Conv { window, channels, filters, groups };
        let columns = n * window.outputs() * conv.patch();
        assert!(columns > 2 * conv_im2col::scratch_len::<f32>(&conv), "{conv:?} of {n} samples is one block");
        check_conv::<f32>(&conv, n);
        check_conv::<f64>(&conv, n);
        check_cut::<f32>(&conv, n);
        check_cut::<f64>(&conv, n);
        check_epilogue::<f32>(&conv, n);
    }
}

#[test]
fn windows_that_no_layer_makes() {
    let plain =
        Window { input: [4, 3], output: [3, 2], kernel: [2, 2], strides: [1, 1], dilation: [1, 1], padding: [0, 0] };
    for window in [
        Window { strides: [0, 0], ..plain },
        Window { strides: [1, 0], ..plain },
        Window { dilation: [1 << 40, 1 << 20], padding: [1 << 39, 1 << 19], ..plain },
        Window { dilation: [1 << 40, 1], ..plain },
        Window { strides: [1 << 40, 1 << 22], ..plain },
        Window { padding: [1 << 40, 0], ..plain },
    ] {
        let conv = Conv { window, channels: 3, filters: 16, groups: 1 };
        check_conv::<f32>(&conv, 2);
        check_conv::<f64>(&conv, 2);
    }
}

#[test]
fn sizes_that_overflow_are_not_computed_directly() {
    let one =
        Window { input: [1, 1], output: [1, 1], kernel: [1, 1], strides: [1, 1], dilation: [1, 1], padding: [0, 0] };
    let inverse_of_3 = usize::MAX / 3 * 2 + 1;
    assert_eq!(3_usize.wrapping_mul(inverse_of_3), 1);
    for window in [
        // Wrapped, the image has 2 pixels, the frame none, and the kernel one.
        Window { input: [(1 << 63) + 1, 2], output: [2, 1], strides: [1 << 40, 1], ..one },
        Window { output: [2, 2], strides: [(1 << 33) - 1, (1 << 31) - 1], ..one },
        Window { kernel: [3, inverse_of_3], dilation: [0, 0], ..one },
        Window { output: [usize::MAX, 1], strides: [2, 1], ..one },
        Window { strides: [usize::MAX, 1], ..one },
        Window { dilation: [1, usize::MAX], ..one },
        Window { input: [0, 1], ..one },
        Window { output: [1, 0], ..one },
        Window { kernel: [0, 1], ..one },
    ] {
        assert!(DirectConv::<f32>::new(&Conv { window, channels: 1, filters: 1, groups: 1 }).is_none(), "{window:?}");
    }
    for [channels, filters, groups] in [[0, 1, 1], [1, 0, 1], [1, 1, 0], [1, usize::MAX, 1]] {
        assert!(DirectConv::<f32>::new(&Conv { window: one, channels, filters, groups }).is_none());
    }
}

#[test]
fn the_maximum_of_minus_infinities_is_one_of_them() {
    let pool = Pool { window: window([Axis::new(3, 2, 1, Border::Same { input: 3 }); 2]), channels: 1 };
    let mut winners = [0; 4];
    pool::max(&pool, &[f32::NEG_INFINITY; 9], &mut [0.0; 4], Some(&mut winners));
    let mut dx = [0.0; 9];
    pool::max_gradient(&pool, &[1.0, 2.0, 3.0, 4.0], &winners, &mut dx);
    assert_eq!(dx, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
}

fn check_conv<T: Scalar>(conv: &Conv, n: usize) {
    let Data { x, kernel, bias, dy, .. } = &Data::<T>::new(conv, n);
    let (fx, fkernel, fbias, fdy) = (&f64s(x), &f64s(kernel), &f64s(bias), &f64s(dy));
    let (ax, akernel, abias, ady) = (&abs(fx), &abs(fkernel), &abs(fbias), &abs(fdy));

    let expected = naive::forward(conv, n, fx, fkernel, Some(fbias));
    let magnitude = naive::forward(conv, n, ax, akernel, Some(abias));
    assert_close(&forward(conv, n, x, kernel, Some(bias)), &expected, &magnitude, conv.patch() + 1);

    let expected = naive::forward(conv, n, fx, fkernel, None);
    let magnitude = naive::forward(conv, n, ax, akernel, None);
    assert_close(&forward(conv, n, x, kernel, None), &expected, &magnitude, conv.patch());

    let before = random::<T>(4, conv.kernel_len());
    let (mut expected, mut magnitude, mut dkernel) = (f64s(&before), abs(&f64s(&before)), before);
    naive::kernel_gradient(conv, n, fx, fdy, &mut expected);
    naive::kernel_gradient(conv, n, ax, ady, &mut magnitude);
    conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch(conv));
    assert_close(&dkernel, &expected, &magnitude, n * conv.window.outputs() + 1);

    let expected = naive::input_gradient(conv, n, fkernel, fdy);
    let magnitude = naive::input_gradient(conv, n, akernel, ady);
    let terms = conv.window.taps() * conv.filters / conv.groups;
    assert_close(&input_gradient(conv, n, kernel, dy), &expected, &magnitude, terms);
}

/// A batch at once gives the bits that its samples give one by one; only the kernel's gradient, a sum over the samples,
/// may round differently.
fn check_cut<T: Scalar>(conv: &Conv, n: usize) {
    let Data { x, kernel, bias, dy, .. } = &Data::<T>::new(conv, n);
    let y = forward(conv, n, x, kernel, Some(bias));
    let dx = input_gradient(conv, n, kernel, dy);
    let mut dkernel = vec![T::zero(); conv.kernel_len()];
    for sample in 0..n {
        let inputs = sample * conv.input_len()..(sample + 1) * conv.input_len();
        let outputs = sample * conv.output_len()..(sample + 1) * conv.output_len();
        let (x, dy) = (&x[inputs.clone()], &dy[outputs.clone()]);
        assert_eq!(bits(&forward(conv, 1, x, kernel, Some(bias))), bits(&y[outputs]), "y of sample {sample}");
        assert_eq!(bits(&input_gradient(conv, 1, kernel, dy)), bits(&dx[inputs]), "dx of sample {sample}");
        conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch(conv));
    }
    let (mut expected, mut magnitude) = (vec![0.0; dkernel.len()], vec![0.0; dkernel.len()]);
    let (x, dy) = (f64s(x), f64s(dy));
    naive::kernel_gradient(conv, n, &x, &dy, &mut expected);
    naive::kernel_gradient(conv, n, &abs(&x), &abs(&dy), &mut magnitude);
    assert_close(&dkernel, &expected, &magnitude, n * conv.window.outputs());
}

/// The epilogue may depend on the filter, as softmax does, so it must get whole rows; and what it gets is finished.
fn check_epilogue<T: Scalar>(conv: &Conv, n: usize) {
    let Data { x, kernel, bias, .. } = &Data::<T>::new(conv, n);
    let epilogue = |y: &mut [T]| {
        assert_eq!(y.len() % conv.filters, 0, "a part of a row");
        for row in y.chunks_exact_mut(conv.filters) {
            for (f, y) in row.iter_mut().enumerate() {
                *y = *y + *y + T::of(3.0 + f as f64);
            }
        }
    };
    let mut expected = forward(conv, n, x, kernel, Some(bias));
    epilogue(&mut expected);
    let mut y = vec![T::nan(); expected.len()];
    conv::forward(conv, x, &packed(conv, kernel, Pass::Forward), Some(bias), &mut y, &mut scratch(conv), epilogue);
    assert_eq!(bits(&y), bits(&expected));
}

/// One value of `x`, and one of `dy`, is not finite: so are the results that it is a term of, and no others.
fn check_not_finite<T: Scalar>(conv: &Conv, n: usize, at: Index, value: f64) {
    let Data { mut x, kernel, bias, mut dy } = Data::<T>::new(conv, n);
    let (ax, ay) = (at.index(x.len()), at.index(dy.len()));
    x[ax] = T::of(value);
    dy[ay] = T::of(value);
    let (mut reached_y, mut reached_x) = (vec![false; dy.len()], vec![false; x.len()]);
    naive::for_each_product(conv, n, |ix, _, iy| {
        reached_y[iy] |= ix == ax;
        reached_x[ix] |= iy == ay;
    });
    let not_finite = |values: &[T]| values.iter().map(|value| !value.is_finite()).collect::<Vec<_>>();
    assert_eq!(not_finite(&forward(conv, n, &x, &kernel, Some(&bias))), reached_y);
    assert_eq!(not_finite(&input_gradient(conv, n, &kernel, &dy)), reached_x);
}

/// On small integers, so that no sum is rounded: `<im2col(x), c> = <x, col2im(c)>`, exactly.
fn check_columns(conv: &Conv, n: usize, lines: Range<usize>) {
    let window = &conv.window;
    let count = conv.channels / conv.groups;
    let group = conv.groups - 1;
    let channels = Channels { total: conv.channels, first: group * count, count };
    let (x, before) = (integers::<f64>(0, n * conv.input_len()), integers::<f64>(1, n * conv.input_len()));
    let c: Vec<f64> = integers(2, lines.len() * window.output[1] * conv.patch());

    // A convolution with as many filters as its patch has elements, each of which picks one, gives the columns.
    let each = Conv { filters: conv.patch() * conv.groups, ..*conv };
    let mut picks = vec![0.0; each.kernel_len()];
    (0..conv.patch()).for_each(|i| picks[i * each.filters + group * conv.patch() + i] = 1.0);
    let picked = naive::forward(&each, n, &x, &picks, None);
    let rows = picked.chunks_exact(each.filters).map(|row| &row[group * conv.patch()..]);
    let expected: Vec<f64> = rows.flatten().copied().collect();
    let line = window.output[1] * conv.patch();

    let mut columns = vec![f64::NAN; c.len()];
    im2col(window, channels, &x, lines.clone(), &mut columns);
    assert_eq!(columns, expected[lines.start * line..lines.end * line]);

    let mut dx = before.clone();
    col2im(window, channels, &c, lines, &mut dx);
    assert_eq!(dot(&columns, &c) + dot(&x, &before), dot(&x, &dx));
}

/// The maxima on small integers, so that there are ties, and perhaps a NaN.
fn check_pool<T: Scalar>(pool: &Pool, n: usize, nan: Option<Index>) {
    let inputs = n * pool.window.pixels() * pool.channels;
    let outputs = n * pool.window.outputs() * pool.channels;
    let (mut x, dy) = (integers::<T>(0, inputs), integers::<T>(1, outputs));
    if let Some(nan) = nan {
        x[nan.index(inputs)] = T::nan();
    }
    let (mut y, mut winners, mut dx) = (vec![T::nan(); outputs], vec![u32::MAX; outputs], vec![T::nan(); inputs]);
    let (expected, expected_winners) = naive::max(pool, n, &f64s(&x));
    pool::max(pool, &x, &mut y, Some(&mut winners));
    assert_eq!((bits(&y), &winners), (bits(&expected), &expected_winners));
    y.fill(T::zero());
    pool::max(pool, &x, &mut y, None);
    assert_eq!(bits(&y), bits(&expected), "without winners");
    pool::max_gradient(pool, &dy, &winners, &mut dx);
    assert_eq!(f64s(&dx), naive::max_gradient(pool, n, &f64s(&dy), &winners));

    let (x, dy) = (random::<T>(0, inputs), random::<T>(1, outputs));
    let (fx, fdy) = (f64s(&x), f64s(&dy));
    // Each term is rounded twice more, when the reciprocal of the number of taps is taken and when it multiplies.
    let terms = pool.window.taps() + 2;
    pool::average(pool, &x, &mut y);
    assert_close(&y, &naive::average(pool, n, &fx), &naive::average(pool, n, &abs(&fx)), terms);
    pool::average_gradient(pool, &dy, &mut dx);
    let magnitude = naive::average_gradient(pool, n, &abs(&fdy));
    assert_close(&dx, &naive::average_gradient(pool, n, &fdy), &magnitude, terms);
}

/// A product of matrices whose rows are `gaps` further apart than they are long.
fn check_gemm<T: Scalar>([m, k, n]: [usize; 3], gaps: [usize; 3], transposed: [bool; 2], add: bool) {
    let (a, b, c) = (random::<T>(0, m * k), random::<T>(1, k * n), random::<T>(2, m * n));
    let spread = |rows: &[T], len: usize, gap: usize| -> Vec<T> {
        rows.chunks(len).flat_map(|row| row.iter().copied().chain(vec![T::nan(); gap])).collect()
    };
    let (at, bt) = (naive::transpose(&a, [m, k]), naive::transpose(&b, [k, n]));
    let stored_a = if transposed[0] { spread(&at, m, gaps[0]) } else { spread(&a, k, gaps[0]) };
    let stored_b = if transposed[1] { spread(&bt, k, gaps[1]) } else { spread(&b, n, gaps[1]) };
    let matrix_a = match transposed[0] {
        true => Matrix::with_stride(&stored_a, k, m, m + gaps[0]).t(),
        false => Matrix::with_stride(&stored_a, m, k, k + gaps[0]),
    };
    let matrix_b = match transposed[1] {
        true => Matrix::with_stride(&stored_b, n, k, k + gaps[1]).t(),
        false => Matrix::with_stride(&stored_b, k, n, n + gaps[1]),
    };
    let start = if !add { vec![T::nan(); m * n] } else { c.clone() };
    let mut result = spread(&start, n, gaps[2]);
    T::gemm(matrix_a, matrix_b, add, &mut result, n + gaps[2]);

    let plus_c = |product: Vec<f64>, c: &[f64]| -> Vec<f64> {
        product.iter().zip(c).map(|(product, c)| if add { product + c } else { *product }).collect()
    };
    let (a, b, c) = (f64s(&a), f64s(&b), f64s(&c));
    let expected = plus_c(naive::product(&a, &b, [m, k, n]), &c);
    let magnitude = plus_c(naive::product(&abs(&a), &abs(&b), [m, k, n]), &abs(&c));
    let rows = result.chunks(n + gaps[2]);
    assert!(rows.clone().all(|row| row[n..].iter().all(|gap| gap.is_nan())), "between the rows nothing is written");
    let result: Vec<T> = rows.flat_map(|row| row[..n].to_vec()).collect();
    assert_close(&result, &expected, &magnitude, k + 1);
}

fn check_dense<T: Scalar>(rows: usize, sizes: [usize; 2], with_bias: bool) {
    let [features, units] = sizes;
    let (x, kernel) = (random::<T>(0, rows * features), random::<T>(1, features * units));
    let bias = if with_bias { random::<T>(2, units) } else { vec![T::zero(); units] };
    let dy = random::<T>(3, rows * units);
    let before = random::<T>(4, features * units);

    let mut y = vec![T::nan(); rows * units];
    dense::forward(&x, &kernel, with_bias.then_some(&*bias), sizes, &mut y, |y| {
        assert_eq!(y.len() % units, 0, "a part of a row");
        y.iter_mut().for_each(|y| *y = *y + *y);
    });
    let mut dkernel = before.clone();
    dense::kernel_gradient(&x, &dy, sizes, &mut dkernel);
    let mut dx = vec![T::nan(); rows * features];
    dense::input_gradient(&kernel, &dy, sizes, &mut dx);

    let expected = |x: &[f64], kernel: &[f64], bias: &[f64], dy: &[f64], before: &[f64]| {
        let mut y = naive::product(x, kernel, [rows, features, units]);
        y.iter_mut().enumerate().for_each(|(i, y)| *y = 2.0 * (*y + bias[i % units]));
        let mut dkernel = naive::product(&naive::transpose(x, [rows, features]), dy, [features, rows, units]);
        dkernel.iter_mut().zip(before).for_each(|(dkernel, before)| *dkernel += before);
        let dx = naive::product(dy, &naive::transpose(kernel, sizes), [rows, units, features]);
        [y, dkernel, dx]
    };
    let inputs = [&x, &kernel, &bias, &dy, &before].map(|values| f64s(values));
    let [ax, akernel, abias, ady, abefore] = inputs.each_ref().map(|values| abs(values));
    let [x, kernel, bias, dy, before] = inputs;
    let exact = expected(&x, &kernel, &bias, &dy, &before);
    let magnitude = expected(&ax, &akernel, &abias, &ady, &abefore);
    assert_close(&y, &exact[0], &magnitude[0], features + 1);
    assert_close(&dkernel, &exact[1], &magnitude[1], rows + 1);
    assert_close(&dx, &exact[2], &magnitude[2], units);
}

/// What a convolution reads.
struct Data<T> {
    x: Vec<T>,
    kernel: Vec<T>,
    bias: Vec<T>,
    dy: Vec<T>,
}

impl<T: Scalar> Data<T> {
    fn new(conv: &Conv, n: usize) -> Self {
        Data {
            x: random(0, n * conv.input_len()),
            kernel: random(1, conv.kernel_len()),
            bias: random(2, conv.filters),
            dy: random(3, n * conv.output_len()),
        }
    }
}

fn forward<T: Scalar>(conv: &Conv, n: usize, x: &[T], kernel: &[T], bias: Option<&[T]>) -> Vec<T> {
    let mut y = vec![T::nan(); n * conv.output_len()];
    conv::forward(conv, x, &packed(conv, kernel, Pass::Forward), bias, &mut y, &mut scratch(conv), |_| {});
    y
}

fn input_gradient<T: Scalar>(conv: &Conv, n: usize, kernel: &[T], dy: &[T]) -> Vec<T> {
    let mut dx = vec![T::nan(); n * conv.input_len()];
    conv::input_gradient(conv, &packed(conv, kernel, Pass::Backward), dy, &mut dx, &mut scratch(conv));
    dx
}

fn packed<T: Scalar>(conv: &Conv, kernel: &[T], pass: Pass) -> Vec<T> {
    let mut packed = vec![T::nan(); conv.packed_len::<T>(pass)];
    conv.pack(kernel, pass, &mut packed);
    packed
}

/// Of NaN, so that reading what was not written shows.
fn scratch<T: Scalar>(conv: &Conv) -> Vec<T> {
    vec![T::nan(); conv.scratch_len::<T>()]
}

/// Numbers between -1 and 1, others for each stream.
fn random<T: Scalar>(stream: u64, len: usize) -> Vec<T> {
    let mut rng = rng::stream(0, stream, 0, 0);
    (0..len).map(|_| T::of(rng.random_range(-1.0..1.0))).collect()
}

/// Integers from -3 to 3.
fn integers<T: Scalar>(stream: u64, len: usize) -> Vec<T> {
    let mut rng = rng::stream(0, stream, 1, 0);
    (0..len).map(|_| T::of(rng.random_range(-3..=3).into())).collect()
}

fn f64s<T: Scalar>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.as_f64()).collect()
}

fn abs(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

fn bits<T: Scalar>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.as_f64().to_bits()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Asserts that `actual` differs from `expected` by no more than rounding.
///
/// A sum of `terms` products, added in any order, fused or not, is off by at most `terms u / (1 - terms u)` times the sum
/// of their absolute values, `magnitude`, where `u` is half of epsilon (N. Higham: Accuracy and Stability of Numerical
/// Algorithms, 2002, section 3.1). The referee may be off as much: together `terms` epsilons, for fewer than some 10⁵ terms
/// in `f32`.
fn assert_close<T: Scalar>(actual: &[T], expected: &[f64], magnitude: &[f64], terms: usize) {
    assert_eq!(actual.len(), expected.len());
    let tolerance = terms as f64 * T::epsilon().as_f64();
    for (i, actual) in actual.iter().enumerate() {
        let (actual, expected) = (actual.as_f64(), expected[i]);
        let bound = tolerance * magnitude[i];
        assert!((actual - expected).abs() <= bound, "at {i}: {actual} is not {expected} within {bound}");
    }
}
