//! The loops of a register tile, written once for all kinds of vectors.

use std::{array, hint::black_box};

use super::tile::{MAX_ROWS, NR, Steps, Strided};

/// [`NR`] numbers in vector registers: a row of B, or the sums of a row of C.
pub trait Row: Copy {
    /// # Safety
    /// `from` must be readable for [`NR`] elements. The CPU must have the vectors.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `to` must be writable for [`NR`] elements. The CPU must have the vectors.
    unsafe fn store(self, to: *mut f32);

    /// `self + factor * row`
    ///
    /// # Safety
    /// The CPU must have the vectors.
    unsafe fn add_product(self, factor: f32, row: Self) -> Self;
}

/// A [`ColumnFn`](super::tile::ColumnFn) made of tiles of up to `MOST` rows.
///
/// # Safety
/// The contract of the type; the CPU must have the vectors of `R`.
#[inline(always)]
pub unsafe fn column<R: Row, const MOST: usize>(
    rows: usize,
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    // Tiles as equal as can be: a small last one would waste its time waiting for itself.
    let tiles = rows.div_ceil(MOST);
    let (least, larger) = (rows / tiles.max(1), rows % tiles.max(1));
    let mut done = 0;
    for i in 0..tiles {
        let take = least + usize::from(i < larger);
        // SAFETY: rows `done..done + take` are among those of the contract, which are readable, and so within one allocation.
        unsafe {
            let (a_start, c_start) = (a.start.add(done * a.stride), c.start.add(done * c.stride));
            dispatch::<R, MOST>(
                take,
                Strided { start: a_start, stride: a.stride },
                steps,
                b,
                init,
                Strided { start: c_start, stride: c.stride },
            );
        }
        done += take;
    }
}

/// Computes one tile of `rows` rows.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn dispatch<R: Row, const MOST: usize>(
    rows: usize,
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    const { assert!(MOST <= MAX_ROWS) };
    // So that tiles of more rows are not compiled.
    assert!(rows <= MOST);
    // SAFETY: the contract is passed on for as many rows as there are.
    unsafe {
        match rows {
            1 => tile::<R, 1>(a, steps, b, init, c),
            2 => tile::<R, 2>(a, steps, b, init, c),
            3 => tile::<R, 3>(a, steps, b, init, c),
            4 => tile::<R, 4>(a, steps, b, init, c),
            5 => tile::<R, 5>(a, steps, b, init, c),
            6 => tile::<R, 6>(a, steps, b, init, c),
            7 => tile::<R, 7>(a, steps, b, init, c),
            8 => tile::<R, 8>(a, steps, b, init, c),
            9 => tile::<R, 9>(a, steps, b, init, c),
            10 => tile::<R, 10>(a, steps, b, init, c),
            _ => {}
        }
    }
}

/// Computes one tile: `C = init + A B`, or `C += A B` when `init` is null.
///
/// # Safety
/// The contract of [`ColumnFn`](super::tile::ColumnFn) for `ROWS` rows.
#[inline(always)]
unsafe fn tile<R: Row, const ROWS: usize>(
    a: Strided<*const f32>,
    steps: &Steps,
    b: *const f32,
    init: *const f32,
    c: Strided<*mut f32>,
) {
    // SAFETY: `init` or the rows of C are readable for NR elements, says the contract.
    let mut sums = unsafe {
        if init.is_null() {
            array::from_fn::<_, ROWS, _>(|r| R::load(c.start.add(r * c.stride)))
        } else {
            [R::load(init); ROWS]
        }
    };
    let [outer, middle, inner] = steps.count;
    for i in 0..outer {
        for j in 0..middle {
            let mut at_a = i * steps.a[0] + j * steps.a[1];
            let mut at_b = i * steps.b[0] + j * steps.b[1];
            for _ in 0..inner {
                // SAFETY: these are the offsets of a step, which the contract says are readable: one element for each row
                // of A, NR for B.
                unsafe {
                    let row = R::load(b.add(at_b));
                    for (r, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add_product(*a.start.add(at_a + r * a.stride), row);
                    }
                }
                at_a += steps.a[2];
                at_b += steps.b[2];
            }
        }
    }
    for (r, sum) in sums.into_iter().enumerate() {
        // SAFETY: the rows of C are writable for NR elements, says the contract.
        unsafe { sum.store(c.start.add(r * c.stride)) };
    }
}

/// A [`PeakFn`](super::tile::PeakFn) on `ROWS` rows of sums.
///
/// # Safety
/// The CPU must have the vectors of `R`.
#[inline(always)]
pub unsafe fn peak<R: Row, const ROWS: usize>(steps: usize) -> usize {
    // Sums that differ, or the compiler would make one of them. They stay as they are: what is added to them is less than
    // half of their last bit.
    let mut numbers: [[f32; NR]; ROWS] = black_box(array::from_fn(|r| array::from_fn(|j| (1 + r * NR + j) as f32)));
    let factor = black_box(f32::EPSILON / 8.0);
    // SAFETY: a row of numbers is readable for NR elements.
    let mut sums = unsafe { [R::load(numbers[0].as_ptr()); ROWS] };
    for (sum, numbers) in sums.iter_mut().zip(&numbers) {
        // SAFETY: as above.
        *sum = unsafe { R::load(numbers.as_ptr()) };
    }
    for _ in 0..steps {
        for sum in &mut sums {
            // SAFETY: the CPU has the vectors, says the contract.
            *sum = unsafe { sum.add_product(factor, *sum) };
        }
    }
    for (sum, numbers) in sums.into_iter().zip(&mut numbers) {
        // SAFETY: a row of numbers is writable for NR elements.
        unsafe { sum.store(numbers.as_mut_ptr()) };
    }
    black_box(numbers);
    2 * steps * ROWS * NR
}
