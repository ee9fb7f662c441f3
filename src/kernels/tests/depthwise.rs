//! Depthwise convolutions.

use proptest::{prelude::*, sample::Index};

use super::{
    Data,
    cases::{Axis, Border, depthwise, window},
    check_conv, check_cut, check_epilogue, check_not_finite, scratch,
};
use crate::kernels::{
    conv::{self, Conv},
    depthwise::Depthwise,
    naive,
};

proptest! {
    #[test]
    fn follow_their_definition((conv, n) in depthwise()) {
        is_depthwise(&conv);
        check_conv::<f32>(&conv, n);
        check_conv::<f64>(&conv, n);
    }

    #[test]
    fn samples_do_not_see_each_other((conv, n) in depthwise()) {
        check_cut::<f32>(&conv, n);
        check_epilogue::<f32>(&conv, n);
    }

    #[test]
    fn what_is_not_finite_reaches_the_outputs_that_see_it(
        (conv, n) in depthwise(),
        at in any::<Index>(),
        value in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ) {
        check_not_finite::<f32>(&conv, n, at, value);
        check_kernel_not_finite(&conv, n, at, value);
    }
}

#[test]
fn windows_of_many_taps_and_pixels_of_many_channels() {
    for (kernel, input, stride, dilation, channels, multiplier) in [
        (3, 30, 1, 1, 21, 2),
        (5, 29, 2, 1, 24, 1),
        (7, 40, 1, 2, 16, 1),
        (8, 33, 3, 3, 6, 3),
        (3, 9, 1, 1, 128, 1),
        (4, 9, 2, 1, 144, 2),
    ] {
        let axis = Axis::new(kernel, stride, dilation, Border::Same { input });
        let conv = Conv { window: window([axis; 2]), channels, filters: channels * multiplier, groups: channels };
        is_depthwise(&conv);
        check_conv::<f32>(&conv, 2);
        check_cut::<f32>(&conv, 2);
    }
}

#[test]
fn taps_far_apart() {
    let axis = Axis::new(2, 1, 1 << 40, Border::Same { input: 5 });
    let conv = Conv { window: window([axis; 2]), channels: 5, filters: 5, groups: 5 };
    check_conv::<f32>(&conv, 2);
}

/// One value of `x`, and then one of `dy`, is not finite: so are the gradients to the weights that it is a term of, and no others.
fn check_kernel_not_finite(conv: &Conv, n: usize, at: Index, value: f64) {
    let Data { x, dy, .. } = Data::<f32>::new(conv, n);
    let (ax, ay) = (at.index(x.len()), at.index(dy.len()));
    let (mut bad_x, mut bad_dy) = (x.clone(), dy.clone());
    bad_x[ax] = value as f32;
    bad_dy[ay] = value as f32;
    for (x, dy) in [(&bad_x, &dy), (&x, &bad_dy)] {
        let mut dkernel = vec![0.0; conv.kernel_len()];
        conv::kernel_gradient(conv, x, dy, &mut dkernel, &mut scratch(conv));
        let mut reached = vec![false; dkernel.len()];
        naive::for_each_product(conv, n, |ix, ik, iy| reached[ik] |= !x[ix].is_finite() || !dy[iy].is_finite());
        assert_eq!(dkernel.iter().map(|dkernel| !dkernel.is_finite()).collect::<Vec<_>>(), reached);
    }
}

fn is_depthwise(conv: &Conv) {
    assert!(Depthwise::new(conv).is_some(), "{conv:?} is computed in another way");
}
