//! The loops of the tile of integers, written once for all kinds of vectors.

use super::tile::{GROUP, NR, STEP, Steps};

/// [`NR`] sums in vector registers.
pub trait Row: Copy {
    /// # Safety
    /// `from` must be readable for [`NR`] numbers. The CPU must have the vectors.
    unsafe fn load(from: *const i32) -> Self;

    /// # Safety
    /// `to` must be writable for [`NR`] numbers. The CPU must have the vectors.
    unsafe fn store(self, to: *mut i32);

    /// Adds to each sum the products of four bytes with the four weights of its column. `weights` is a row as [`load`](Row::load) has read it.
    ///
    /// # Safety
    /// The CPU must have the vectors.
    unsafe fn add_products(self, bytes: i32, weights: Self) -> Self;

    /// The larger of the two, sum by sum.
    ///
    /// # Safety
    /// The CPU must have the vectors.
    unsafe fn max(self, other: Self) -> Self;
}

/// A [`ColumnFn`](super::tile::ColumnFn) made of tiles of up to `MOST` rows.
///
/// # Safety
/// The contract of the type; the CPU must have the vectors of `R`.
#[inline(always)]
pub unsafe fn column<R: Row, const MOST: usize>(
    rows: usize,
    (a, stride): (*const u8, usize),
    steps: &Steps,
    panel: *const i8,
    init: *const i32,
    sums: *mut i32,
    join: bool,
) {
    // Tiles as equal as can be: a small last one would waste its time waiting for itself.
    let tiles = rows.div_ceil(MOST);
    let (least, larger) = (rows / tiles.max(1), rows % tiles.max(1));
    let mut done = 0;
    for i in 0..tiles {
        let take = least + usize::from(i < larger);
        // SAFETY: rows `done..done + take` are among those of the contract, which are readable, and so within one allocation.
        unsafe {
            let a = (a.add(done * stride), stride);
            let sums = sums.add(done * NR);
            // Most panels have all columns, and with a constant the compiler makes faster loops.
            if steps.panel == STEP {
                dispatch::<R, MOST>(take, a, steps, (panel, STEP), init, sums, join);
            } else {
                dispatch::<R, MOST>(take, a, steps, (panel, steps.panel), init, sums, join);
            }
        }
        done += take;
    }
}

/// Computes one tile of `rows` rows. A step moves by `step` in the panel, which is `steps.panel`.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
unsafe fn dispatch<R: Row, const MOST: usize>(
    rows: usize,
    a: (*const u8, usize),
    steps: &Steps,
    (panel, step): (*const i8, usize),
    init: *const i32,
    sums: *mut i32,
    join: bool,
) {
    const { assert!(MOST <= 10) };
    // So that tiles of more rows are not compiled.
    assert!(rows <= MOST);
    // SAFETY: the contract is passed on for as many rows as there are.
    unsafe {
        match rows {
            1 => tile::<R, 1>(a, steps, (panel, step), init, sums, join),
            2 => tile::<R, 2>(a, steps, (panel, step), init, sums, join),
            3 => tile::<R, 3>(a, steps, (panel, step), init, sums, join),
            4 => tile::<R, 4>(a, steps, (panel, step), init, sums, join),
            5 => tile::<R, 5>(a, steps, (panel, step), init, sums, join),
            6 => tile::<R, 6>(a, steps, (panel, step), init, sums, join),
            7 => tile::<R, 7>(a, steps, (panel, step), init, sums, join),
            8 => tile::<R, 8>(a, steps, (panel, step), init, sums, join),
            9 => tile::<R, 9>(a, steps, (panel, step), init, sums, join),
            10 => tile::<R, 10>(a, steps, (panel, step), init, sums, join),
            _ => {}
        }
    }
}

/// Computes one tile. A step moves by `step` in the panel, which is `steps.panel`.
///
/// # Safety
/// The contract of [`ColumnFn`](super::tile::ColumnFn) for `ROWS` rows.
#[inline(always)]
unsafe fn tile<R: Row, const ROWS: usize>(
    (a, stride): (*const u8, usize),
    steps: &Steps,
    (mut panel, step): (*const i8, usize),
    init: *const i32,
    sums: *mut i32,
    join: bool,
) {
    // SAFETY: `init` is readable for NR numbers, says the contract.
    let mut rows = unsafe { [R::load(init); ROWS] };
    let [outer, middle, inner] = steps.count;
    for i in 0..outer {
        for j in 0..middle {
            let mut at = i * steps.strides[0] + j * steps.strides[1];
            for _ in 0..inner {
                // SAFETY: this is a step, for which the contract says that 4 bytes of each row and 64 of the panel, which are 16
                // numbers, are readable. The pointer to the panel ends at most 64 bytes behind the start of its last step.
                unsafe {
                    let weights = R::load(panel.cast());
                    for (r, row) in rows.iter_mut().enumerate() {
                        let bytes = a.add(at + r * stride).cast::<i32>().read_unaligned();
                        *row = row.add_products(bytes, weights);
                    }
                    panel = panel.add(step);
                }
                at += GROUP;
            }
        }
    }
    for (r, row) in rows.into_iter().enumerate() {
        // SAFETY: there are NR sums for each row, which can be read and written, says the contract.
        unsafe {
            let to = sums.add(r * NR);
            let row = if join { row.max(R::load(to)) } else { row };
            row.store(to);
        }
    }
}
