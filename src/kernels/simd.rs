//! Loops in safe code, compiled for the widest vectors that the CPU has.

/// Calls `f`, compiled for AVX-512 or AVX2 where the CPU has it: the loops of `f`, and of what is inlined into it, then run on vectors
/// of 64 or 32 bytes instead of 16. The results are the same bits, since the compiler may not reorder or fuse the arithmetic.
///
/// `f` must be inlined to profit, so mark the closure, and the functions that it calls, `#[inline(always)]`.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn with_avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx2")]
        fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the CPU has these parts of AVX-512.
            return unsafe { with_avx512(f) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2.
            return unsafe { with_avx2(f) };
        }
    }
    f()
}
