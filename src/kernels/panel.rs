//! The matrix product on packed panels: what the register tile computes, with its bounds checked.

use num_traits::Float;

use super::tile::{MAX_ROWS, NR, Steps, Strided, Tile};

/// The left side of a product: row `r` begins `r * stride` elements after the first of `data`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// What the steps walk through.
    pub data: &'a [T],
    /// How many there are.
    pub count: usize,
    /// How far they are apart.
    pub stride: usize,
}

/// `C = init + A B`, or `C += A B` without `init`: `columns <= NR` columns of a product. `panel` holds the columns of B,
/// [`NR`] elements a step; those beyond `columns` are not written. Row `r` of C begins `r * stride` elements after the first of `c`.
///
/// # Panics
/// When a row or a step lies outside its slice, or rows of C overlap.
pub fn multiply<T: Float>(
    tile: Tile<T>,
    a: Rows<T>,
    steps: &Steps,
    panel: &[T],
    init: Option<&[T; NR]>,
    (c, stride): (&mut [T], usize),
    columns: usize,
) {
    if a.count == 0 {
        return;
    }
    let last_row = |stride: usize| (a.count - 1).checked_mul(stride).expect("a row within memory");
    if let Some([reach_a, reach_b]) = steps.reach {
        assert!(last_row(a.stride).checked_add(reach_a).is_some_and(|last| last < a.data.len()), "A is too short");
        assert!(reach_b < panel.len() && panel.len() - reach_b >= NR, "the panel is too short");
    }
    assert!(columns <= NR && (a.count == 1 || stride >= columns), "the rows of C overlap");
    assert!(last_row(stride).checked_add(columns).is_some_and(|end| end <= c.len()), "C is too short");
    // Without a step nothing of A is read, and there need not be any.
    let a_stride = if steps.reach.is_some() { a.stride } else { 0 };
    let rows = |first: usize| Strided { start: a.data.as_ptr().wrapping_add(first * a_stride), stride: a_stride };
    let start = init.map_or(std::ptr::null(), |init| init.as_ptr());
    if columns == NR {
        let c = Strided { start: c.as_mut_ptr(), stride };
        // SAFETY: the assertions: the last step of the last row is in A and in the panel, the last row in C; rows of C do not
        // overlap. C is borrowed mutably, so it overlaps neither of the others.
        return unsafe { (tile.column)(a.count, rows(0), steps, panel.as_ptr(), start, c) };
    }
    for first in (0..a.count).step_by(tile.rows) {
        let count = tile.rows.min(a.count - first);
        let mut part = [[T::zero(); NR]; MAX_ROWS];
        for (r, row) in part.iter_mut().enumerate().take(count) {
            row[..columns].copy_from_slice(&c[(first + r) * stride..][..columns]);
        }
        let whole = Strided { start: part.as_mut_ptr().cast::<T>(), stride: NR };
        // SAFETY: as above, and `part` has NR elements for each of the `count <= tile.rows <= MAX_ROWS` rows.
        unsafe { (tile.column)(count, rows(first), steps, panel.as_ptr(), start, whole) };
        for (r, row) in part.iter().enumerate().take(count) {
            c[(first + r) * stride..][..columns].copy_from_slice(&row[..columns]);
        }
    }
}
