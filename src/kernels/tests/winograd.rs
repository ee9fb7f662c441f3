//! Winograd's convolution, whose sums are others than those of the definition.

use proptest::{prelude::*, sample::Index};

use super::{
    Data, bits,
    cases::{Axis, Border, border, window},
    f64s, forward, input_gradient, scratch,
};
use crate::kernels::{
    Pass,
    conv::{self, Conv},
    conv_winograd::Winograd,
    naive,
};

/// Convolutions that are computed so, and a number of samples: from less than a block of tiles to several.
fn convs() -> impl Strategy<Value = (Conv, usize)> {
    let axis = || border().prop_map(|border| Axis::new(3, 1, 1, border));
    ([axis(), axis()], [1..4_usize, 1..4], 1..6_usize).prop_map(|(axes, [channels, filters], n)| {
        (Conv { window: window(axes), channels: 16 * channels, filters: 16 * filters, groups: 1 }, n)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn follows_the_definition((conv, n) in convs()) {
        check_values(&conv, n);
    }

    #[test]
    fn samples_do_not_see_each_other((conv, n) in convs()) {
        check_cut(&conv, n);
    }

    #[test]
    fn what_is_not_finite_stays_in_its_tiles(
        (conv, n) in convs(),
        at in any::<Index>(),
        value in prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ) {
        check_not_finite(&conv, n, at, value);
    }
}

#[test]
fn images_of_many_blocks() {
    for (size, border) in [(40, Border::Valid { extra: 37 }), (29, Border::Same { input: 29 })] {
        let conv = Conv { window: window([Axis::new(3, 1, 1, border); 2]), channels: 32, filters: 16, groups: 1 };
        assert_eq!(conv.window.input, [size; 2]);
        check_values(&conv, 2);
        check_cut(&conv, 2);
    }
}

fn is_winograd(conv: &Conv) {
    assert!(Winograd::<f32>::new(conv).is_some(), "{conv:?} is computed in another way");
}

/// Within 1e-5 of the definition, relative to the largest of the values.
fn check_values(conv: &Conv, n: usize) {
    is_winograd(conv);
    let Data { x, kernel, bias, dy } = &Data::<f32>::new(conv, n);
    let (fx, fkernel, fbias, fdy) = (&f64s(x), &f64s(kernel), &f64s(bias), &f64s(dy));
    assert_near(&forward(conv, n, x, kernel, Some(bias)), &naive::forward(conv, n, fx, fkernel, Some(fbias)));
    assert_near(&forward(conv, n, x, kernel, None), &naive::forward(conv, n, fx, fkernel, None));
    let dx = input_gradient(conv, n, kernel, dy);
    assert_near(&dx, &naive::input_gradient(conv, n, fkernel, fdy));

    let (mut dkernel, mut expected) = (kernel.clone(), fkernel.clone());
    conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch(conv));
    naive::kernel_gradient(conv, n, fx, fdy, &mut expected);
    assert_near(&dkernel, &expected);

    // Together, the gradients are the same bits as alone.
    let (mut dkernel_too, mut dx_too) = (kernel.clone(), vec![f32::NAN; dx.len()]);
    let packed = super::packed(conv, kernel, Pass::Backward);
    conv::gradients(conv, (x, &mut dkernel_too), dy, (&packed, &mut dx_too), &mut scratch(conv));
    assert_eq!(bits(&dkernel_too), bits(&dkernel));
    assert_eq!(bits(&dx_too), bits(&dx));
}

fn assert_near(actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0.0, |largest, value| value.abs().max(largest));
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(error <= 1e-5 * largest, "at {i}: {actual} is not {expected}, and the largest is {largest}");
    }
}

/// A batch gives the bits that its samples give one by one.
fn check_cut(conv: &Conv, n: usize) {
    is_winograd(conv);
    let Data { x, kernel, bias, dy } = &Data::<f32>::new(conv, n);
    let (y, dx) = (forward(conv, n, x, kernel, Some(bias)), input_gradient(conv, n, kernel, dy));
    for sample in 0..n {
        let inputs = sample * conv.input_len()..(sample + 1) * conv.input_len();
        let outputs = sample * conv.output_len()..(sample + 1) * conv.output_len();
        let alone = forward(conv, 1, &x[inputs.clone()], kernel, Some(bias));
        assert_eq!(bits(&alone), bits(&y[outputs.clone()]), "y of sample {sample}");
        assert_eq!(bits(&input_gradient(conv, 1, kernel, &dy[outputs])), bits(&dx[inputs]), "dx of sample {sample}");
    }
}

/// One value of `x`, and then one of `dy`, is not finite: so are the outputs and the `dx` that it is a term of, and no others, and at
/// least those of the gradient to the kernel.
fn check_not_finite(conv: &Conv, n: usize, at: Index, value: f32) {
    is_winograd(conv);
    let Data { x, kernel, bias, dy } = Data::<f32>::new(conv, n);
    let (ax, ay) = (at.index(x.len()), at.index(dy.len()));
    let (mut bad_x, mut bad_dy) = (x.clone(), dy.clone());
    bad_x[ax] = value;
    bad_dy[ay] = value;
    let (mut sees_x, mut sees_dy) = (vec![false; dy.len()], vec![false; x.len()]);
    naive::for_each_product(conv, n, |ix, _, iy| {
        sees_x[iy] |= ix == ax;
        sees_dy[ix] |= iy == ay;
    });

    let not_finite = |values: &[f32]| values.iter().map(|value| !value.is_finite()).collect::<Vec<_>>();
    assert_eq!(not_finite(&forward(conv, n, &bad_x, &kernel, Some(&bias))), sees_x, "y");
    assert_eq!(not_finite(&input_gradient(conv, n, &kernel, &bad_dy)), sees_dy, "dx");
    let (mut of_x, mut of_dy) = (kernel.clone(), kernel.clone());
    conv::kernel_gradient(conv, &bad_x, &dy, &mut of_x, &mut scratch(conv));
    conv::kernel_gradient(conv, &x, &bad_dy, &mut of_dy, &mut scratch(conv));
    let (mut through_x, mut through_dy) = (vec![false; kernel.len()], vec![false; kernel.len()]);
    naive::for_each_product(conv, n, |ix, ik, iy| {
        through_x[ik] |= ix == ax;
        through_dy[ik] |= iy == ay;
    });
    for ik in 0..kernel.len() {
        let (c, f) = (ik / conv.filters % conv.channels, ik % conv.filters);
        assert!(!(through_x[ik] && of_x[ik].is_finite()), "{} at {ik}, which sees {value}", of_x[ik]);
        assert!(!(through_dy[ik] && of_dy[ik].is_finite()), "{} at {ik}, which sees {value}", of_dy[ik]);
        assert!(of_x[ik].is_finite() || c == ax % conv.channels, "{} at {ik}, another channel", of_x[ik]);
        assert!(of_dy[ik].is_finite() || f == ay % conv.filters, "{} at {ik}, another filter", of_dy[ik]);
    }
}
