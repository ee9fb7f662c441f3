//! The register tile of integers: a few rows by [`NR`] columns of sums, each begun at a number of its own.
//!
//! ```text
//! S[r][j] = init[j] + sum over steps k, and i < 4, of A[r][k + i] B[k][j][i]        r < rows, j < NR
//! ```
//!
//! A step multiplies four bytes of a row, read where they are, with four weights of each column. The weights are a panel, 4 bytes for each column
//! of a step, in the order of the steps. A panel may have fewer columns than the tile, which takes what follows for the others: the weights of the next
//! step. Their sums mean nothing.

pub use crate::kernels::tile::NR;

use crate::kernels::panel::Rows;

/// The bytes that a step takes of a row, and the weights that it takes of a column.
pub const GROUP: usize = 4;
/// The weights that a step reads.
pub const STEP: usize = NR * GROUP;

/// The sums of a row.
pub type Sums = [i32; NR];

/// Where the steps of a row are: a nest of three loops, outermost first. The last moves by [`GROUP`] bytes.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    pub(super) count: [usize; 3],
    /// How many bytes a step of the two outer loops moves.
    pub(super) strides: [usize; 2],
    /// How many weights a step moves in the panel, at most [`STEP`]: [`GROUP`] for each column that the panel has.
    pub(super) panel: usize,
}

impl Steps {
    /// How many there are.
    pub(super) fn total(&self) -> usize {
        self.count.iter().product()
    }

    /// The bytes from the start of a row to the end of its last step.
    fn reach(&self) -> usize {
        let [outer, middle, inner] = self.count.map(|count| count - 1);
        outer * self.strides[0] + middle * self.strides[1] + (inner + 1) * GROUP
    }
}

/// A register tile for one kind of CPU.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// What the CPU must have.
    pub name: &'static str,
    pub(super) column: ColumnFn,
}

/// Computes any number of rows, tile by tile: overwrites `sums`, or, when `join`, replaces them by the larger of what they are and
/// what is computed.
///
/// # Safety
/// For each row and each step, [`GROUP`] bytes must be readable at the start of the row in `a` plus the step's offset; for each step, `panel` must
/// be readable for [`STEP`] bytes from those of the step on; `init` must be readable for [`NR`] numbers; `sums` must be readable and writable for [`NR`] numbers for each row, and overlap nothing
/// else. The CPU must have the features of the kernel.
pub type ColumnFn = unsafe fn(
    rows: usize,
    a: (*const u8, usize),
    steps: &Steps,
    panel: *const i8,
    init: *const i32,
    sums: *mut i32,
    join: bool,
);

impl Tile {
    /// The fastest that this CPU can run.
    pub fn new() -> Self {
        Tile::all().next().expect("every CPU runs the portable tile")
    }

    /// Those that this CPU can run, the fastest first. Their results are the same.
    pub fn all() -> impl Iterator<Item = Tile> {
        #[cfg(target_arch = "x86_64")]
        let of_the_cpu = [
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni"))
                .then_some(super::avx512_vnni::TILE),
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni")).then_some(super::avx_vnni::TILE),
            is_x86_feature_detected!("avx2").then_some(super::avx2::TILE),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let of_the_cpu = [];
        of_the_cpu.into_iter().flatten().chain([super::portable::TILE])
    }

    /// The rows of a product; see [`ColumnFn`]. `sums` has an element for each row.
    ///
    /// # Panics
    /// When there is no step, or a row or a step lies outside its slice. Behind a panel of fewer columns than [`NR`] must be as many weights of any value as
    /// one more step of all columns reads.
    pub(super) fn multiply(self, a: Rows<u8>, steps: &Steps, panel: &[i8], init: &Sums, sums: &mut [Sums], join: bool) {
        assert!(a.count > 0 && steps.count.iter().all(|&count| count > 0), "rows and steps");
        let last_row = (a.count - 1).checked_mul(a.stride).expect("a row within memory");
        assert!(last_row.checked_add(steps.reach()).is_some_and(|end| end <= a.data.len()), "A is too short");
        let last_step = (steps.total() - 1) * steps.panel;
        assert!(steps.panel <= STEP && panel.len() >= last_step + STEP, "the panel is too short");
        assert!(sums.len() >= a.count, "there are too few sums");
        let (a_rows, sums) = ((a.data.as_ptr(), a.stride), sums.as_mut_ptr().cast());
        // SAFETY: the assertions: the last step of the last row is in A and in the panel, and there are sums for each row. They are
        // borrowed mutably, so they overlap nothing else. `all` gives a tile only where the CPU has its features.
        unsafe { (self.column)(a.count, a_rows, steps, panel.as_ptr(), init.as_ptr(), sums, join) }
    }
}

impl Default for Tile {
    fn default() -> Self {
        Tile::new()
    }
}
