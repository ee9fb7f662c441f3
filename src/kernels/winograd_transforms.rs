//! The transforms of [Winograd's algorithm](super::conv_winograd), a line of tiles or [`NR`] filters at a time.
//!
//! `B'`, `A'` and `G` are applied to the columns of a tile first and then to its rows. Where tiles of a line overlap, what is done to
//! columns is done once for both.

use std::array;

use num_traits::Float;

use super::tile::NR;

/// The products at the positions of a transformed tile.
pub const POSITIONS: usize = 16;

/// `V` of a line of tiles, from the four lines of the image that it reads. `lines` holds them transformed along the columns.
#[inline(always)]
pub fn input_line<T: Float>([d0, d1, d2, d3]: [&[T]; 4], left: usize, lines: &mut [T], v: &mut [T], line: Line) {
    let width = lines.len() / 4;
    let mut t = lines.chunks_exact_mut(width).map(|t| &mut t[left..][..d0.len()]);
    let mut next = || t.next().expect("four lines");
    combine(next(), d0, d2, |a, b| a - b);
    combine(next(), d1, d2, |a, b| a + b);
    combine(next(), d2, d1, |a, b| a - b);
    combine(next(), d1, d3, |a, b| a - b);
    let parts = width / (2 * line.count + 2) / NR;
    for (t, v) in lines.chunks_exact(width).zip(v.chunks_exact_mut(4 * parts * line.capacity * NR)) {
        for part in 0..parts {
            let [v0, v1, v2, v3] = columns_mut(v, [parts, part], line);
            let mut pixels = t.as_chunks::<NR>().0[part..].iter().step_by(parts);
            let mut next = || *pixels.next().expect("a line of pixels");
            let [mut c0, mut c1] = [next(), next()];
            for (((v0, v1), v2), v3) in v0.iter_mut().zip(v1).zip(v2).zip(v3) {
                let [c2, c3] = [next(), next()];
                *v0 = both(&c0, &c2, |a, b| a - b);
                *v1 = both(&c1, &c2, |a, b| a + b);
                *v2 = both(&c2, &c1, |a, b| a - b);
                *v3 = both(&c1, &c3, |a, b| a - b);
                [c0, c1] = [c2, c3];
            }
        }
    }
}

/// The two lines of `y` that a line of tiles makes, of which `m` holds a panel of filters.
#[inline(always)]
pub fn output_line<T: Float>(
    m: &[T],
    line: Line,
    rows: &mut [T],
    y: &mut [T],
    lines: [Option<usize>; 2],
    [ow, filters]: [usize; 2],
) {
    for (m, s) in m.chunks_exact(4 * line.capacity * NR).zip(rows.chunks_exact_mut(2 * line.count * NR)) {
        let [m0, m1, m2, m3] = columns(m, [1, 0], line);
        let pairs = s.as_chunks_mut::<NR>().0.as_chunks_mut::<2>().0;
        for ((((s, m0), m1), m2), m3) in pairs.iter_mut().zip(m0).zip(m1).zip(m2).zip(m3) {
            s[0] = array::from_fn(|l| m0[l] + m1[l] + m2[l]);
            s[1] = array::from_fn(|l| m1[l] - m2[l] - m3[l]);
        }
    }
    let s = |row: usize| rows[row * 2 * line.count * NR..][..ow * NR].as_chunks::<NR>().0;
    let [s0, s1, s2, s3] = [s(0), s(1), s(2), s(3)];
    if let Some(at) = lines[0] {
        for (((y, s0), s1), s2) in y[at..].chunks_mut(filters).zip(s0).zip(s1).zip(s2) {
            let y = y.first_chunk_mut::<NR>().expect("a panel of filters");
            *y = array::from_fn(|l| s0[l] + s1[l] + s2[l]);
        }
    }
    if let Some(at) = lines[1] {
        for (((y, s1), s2), s3) in y[at..].chunks_mut(filters).zip(s1).zip(s2).zip(s3) {
            let y = y.first_chunk_mut::<NR>().expect("a panel of filters");
            *y = array::from_fn(|l| s1[l] - s2[l] - s3[l]);
        }
    }
}

/// `dM` of a line of tiles, from the two lines of `dy` that it made.
#[inline(always)]
pub fn gradient_line<T: Float>([d0, d1]: [&[T]; 2], lines: &mut [T], dm: &mut [T], line: Line) {
    let width = lines.len() / 4;
    let mut r = lines.chunks_exact_mut(width).map(|r| &mut r[..d0.len()]);
    let mut next = || r.next().expect("four lines");
    next().copy_from_slice(d0);
    combine(next(), d0, d1, |a, b| a + b);
    combine(next(), d0, d1, |a, b| a - b);
    combine(next(), d1, d1, |a, _| -a);
    let panels = width / (2 * line.count) / NR;
    for (r, dm) in lines.chunks_exact(width).zip(dm.chunks_exact_mut(4 * panels * line.capacity * NR)) {
        for panel in 0..panels {
            let [m0, m1, m2, m3] = columns_mut(dm, [panels, panel], line);
            let mut pixels = r.as_chunks::<NR>().0[panel..].iter().step_by(panels);
            let mut next = || *pixels.next().expect("a line of pixels");
            for (((m0, m1), m2), m3) in m0.iter_mut().zip(m1).zip(m2).zip(m3) {
                let [c0, c1] = [next(), next()];
                *m0 = c0;
                *m1 = both(&c0, &c1, |a, b| a + b);
                *m2 = both(&c0, &c1, |a, b| a - b);
                *m3 = c1.map(|c| -c);
            }
        }
    }
}

/// Adds to the four lines of `dx` that a line of tiles reads.
#[inline(always)]
pub fn add_input_line<T: Float>(
    dv: &[T],
    line: Line,
    rows: &mut [T],
    left: usize,
    dx: &mut [T],
    lines: [Option<usize>; 4],
    [seen, channels]: [usize; 2],
) {
    let width = 2 * line.count + 2;
    for (dv, s) in dv.chunks_exact(4 * line.capacity * NR).zip(rows.chunks_exact_mut(width * NR)) {
        let [v0, v1, v2, v3] = columns(dv, [1, 0], line);
        let (pairs, _) = s.as_chunks_mut::<NR>().0.as_chunks_mut::<2>();
        // What the tile before adds to the first two pixels of this one.
        let [mut s0, mut s1] = [[T::zero(); NR]; 2];
        let (last, pairs) = pairs.split_last_mut().expect("a tile reads two pairs of pixels");
        for ((((s, v0), v1), v2), v3) in pairs.iter_mut().zip(v0).zip(v1).zip(v2).zip(v3) {
            s[0] = both(&s0, v0, |s, v| s + v);
            s[1] = array::from_fn(|l| s1[l] + (v1[l] - v2[l] + v3[l]));
            s0 = array::from_fn(|l| v1[l] + v2[l] - v0[l]);
            s1 = v3.map(|v| -v);
        }
        *last = [s0, s1];
    }
    let s = |row: usize| rows[(row * width + left) * NR..][..seen * NR].as_chunks::<NR>().0;
    let [s0, s1, s2, s3] = [s(0), s(1), s(2), s(3)];
    for (k, line) in lines.into_iter().enumerate() {
        let Some(at) = line else { continue };
        let pixels = dx[at..].chunks_mut(channels).zip(s0.iter().zip(s1).zip(s2).zip(s3));
        for (dx, (((s0, s1), s2), s3)) in pixels {
            let dx = dx.first_chunk_mut::<NR>().expect("a part of the channels");
            *dx = match k {
                0 => both(dx, s0, |dx, s| dx + s),
                1 => array::from_fn(|l| dx[l] + (s1[l] - s2[l] + s3[l])),
                2 => array::from_fn(|l| dx[l] + (s1[l] + s2[l] - s0[l])),
                _ => both(dx, s3, |dx, s| dx - s),
            };
        }
    }
}

/// A line of tiles in a block: its first tile, how many it has, and how many the block has.
#[derive(Clone, Copy)]
pub struct Line {
    pub first: usize,
    pub count: usize,
    pub capacity: usize,
}

/// The tiles of a line in a row of positions, `[4, parts, capacity, NR]`: one part of each of its four columns.
#[inline(always)]
fn columns<T>(row: &[T], [parts, part]: [usize; 2], line: Line) -> [&[[T; NR]]; 4] {
    let row = row.as_chunks::<NR>().0;
    let column = |i: usize| &row[(i * parts + part) * line.capacity + line.first..][..line.count];
    [column(0), column(1), column(2), column(3)]
}

/// [`columns`], to be written to.
#[inline(always)]
fn columns_mut<T>(row: &mut [T], [parts, part]: [usize; 2], line: Line) -> [&mut [[T; NR]]; 4] {
    let mut columns = row.as_chunks_mut::<NR>().0.chunks_exact_mut(parts * line.capacity);
    let mut column = || &mut columns.next().expect("four columns")[part * line.capacity + line.first..][..line.count];
    [column(), column(), column(), column()]
}

#[inline(always)]
fn both<T: Float>(a: &[T; NR], b: &[T; NR], f: impl Fn(T, T) -> T) -> [T; NR] {
    array::from_fn(
        #[inline(always)]
        |l| f(a[l], b[l]),
    )
}

/// `to[i] = f(a[i], b[i])`
#[inline(always)]
fn combine<T: Float>(to: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((to, &a), &b) in to.iter_mut().zip(a).zip(b) {
        *to = f(a, b);
    }
}

/// `U` of channel `c` and a panel of filters.
#[inline(always)]
pub fn transform_kernel<T: Float>(
    kernel: &[T],
    [channels, filters]: [usize; 2],
    c: usize,
    panel: usize,
) -> [[T; NR]; POSITIONS] {
    let tap = |ky: usize, kx: usize| lanes(kernel, ((3 * ky + kx) * channels + c) * filters + panel * NR);
    let half: T = half();
    let columns: [_; 3] = array::from_fn(|kx| transform_taps([tap(0, kx), tap(1, kx), tap(2, kx)], half));
    let mut u = [[T::zero(); NR]; POSITIONS];
    for (i, u) in u.chunks_exact_mut(4).enumerate() {
        u.copy_from_slice(&transform_taps(columns.each_ref().map(|column| &column[i]), half));
    }
    u
}

fn half<T: Float>() -> T {
    T::one() / (T::one() + T::one())
}

/// `G g` of three taps, for [`NR`] filters.
#[inline(always)]
fn transform_taps<T: Float>([g0, g1, g2]: [&[T; NR]; 3], half: T) -> [[T; NR]; 4] {
    let mut u = [[T::zero(); NR]; 4];
    for l in 0..NR {
        let (sum, middle) = (half * (g0[l] + g2[l]), half * g1[l]);
        u[0][l] = g0[l];
        u[1][l] = sum + middle;
        u[2][l] = sum - middle;
        u[3][l] = g2[l];
    }
    u
}

/// Adds `G' u G` for channel `c` and a panel of filters; the taps of `dkernel` are `stride` apart.
#[inline(always)]
pub fn add_inverse_kernel<T: Float>(du: &[T], channels: usize, c: usize, dkernel: &mut [T], stride: usize) {
    let mut columns = [[[T::zero(); NR]; 3]; 4];
    for (i, column) in columns.iter_mut().enumerate() {
        let u = |row: usize| lanes(du, ((4 * row + i) * channels + c) * NR);
        *column = inverse_taps(u(0), u(1), u(2), u(3));
    }
    let [c0, c1, c2, c3] = &columns;
    for ky in 0..3 {
        for (kx, g) in inverse_taps(&c0[ky], &c1[ky], &c2[ky], &c3[ky]).iter().enumerate() {
            let to = lanes_mut(dkernel, (3 * ky + kx) * stride);
            for l in 0..NR {
                to[l] = to[l] + g[l];
            }
        }
    }
}

/// `G' u` of four positions, for [`NR`] filters.
#[inline(always)]
fn inverse_taps<T: Float>(u0: &[T; NR], u1: &[T; NR], u2: &[T; NR], u3: &[T; NR]) -> [[T; NR]; 3] {
    let half: T = half();
    let mut g = [[T::zero(); NR]; 3];
    for l in 0..NR {
        let sum = half * (u1[l] + u2[l]);
        g[0][l] = u0[l] + sum;
        g[1][l] = half * (u1[l] - u2[l]);
        g[2][l] = u3[l] + sum;
    }
    g
}

#[inline(always)]
fn lanes<T>(from: &[T], at: usize) -> &[T; NR] {
    from[at..at + NR].try_into().expect("NR elements")
}

#[inline(always)]
pub fn lanes_mut<T>(from: &mut [T], at: usize) -> &mut [T; NR] {
    (&mut from[at..at + NR]).try_into().expect("NR elements")
}
