//! The vectors of an x86-64 processor with AVX-512: the rounds of SHA-1 in eight lanes, one in each place of a vector of
//! 256 bits. AVX-512 has them rotate words, and combine three of them, in one instruction.
//!
//! Called by [`engine`](super::engine) alone, with whole chunks. Vectors of 512 bits, with twice the lanes, are slower on a
//! processor that does them in two halves (Zen 4: 5.7 GB/s, and 6.3 with these), and need more pieces at a time.

pub(super) use arch::Vectors;

/// Lanes that go in step.
pub(super) const VECTOR_LANES: usize = 8;

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::*;

    use super::super::{Chunk, State};
    use super::VECTOR_LANES;

    /// Words of half a chunk: as many as a vector holds when it is loaded.
    const HALF: usize = size_of::<Chunk>() / size_of::<u32>() / 2;

    /// The vectors of this processor: proof that there are such.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct Vectors(());

    impl Vectors {
        pub(in super::super) fn detect() -> Option<Self> {
            let are_there = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx2");
            are_there.then_some(Self(()))
        }

        /// Takes a run of chunks into the state of each lane. The runs are of one length.
        pub(in super::super) fn compress(
            self,
            states: &mut [State; VECTOR_LANES],
            runs: [&[Chunk]; VECTOR_LANES],
        ) {
            // SAFETY: only `detect` makes a `Vectors`, and it has found the features that `compress` enables.
            unsafe { compress(states, runs) }
        }
    }

    /// A word of each lane.
    type Words = __m256i;

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    fn compress(states: &mut [State; VECTOR_LANES], runs: [&[Chunk]; VECTOR_LANES]) {
        let mut state = [_mm256_setzero_si256(); 5];
        for (place, words) in state.iter_mut().enumerate() {
            *words = enter(&states.map(|state| state[place]));
        }
        for chunk in 0..runs.first().map_or(0, |run| run.len()) {
            state = rounds(state, words(&runs, chunk));
        }
        for (place, words) in state.into_iter().enumerate() {
            let words = leave(words);
            for lane in 0..VECTOR_LANES {
                states[lane][place] = words[lane];
            }
        }
    }

    /// The words of chunk number `chunk`, in two halves.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn words(runs: &[&[Chunk]; VECTOR_LANES], chunk: usize) -> [[Words; HALF]; 2] {
        let mut halves = [[_mm256_setzero_si256(); HALF]; 2];
        for (half, words) in halves.iter_mut().enumerate() {
            let mut rows = [_mm256_setzero_si256(); VECTOR_LANES];
            for lane in 0..VECTOR_LANES {
                rows[lane] = load(&runs[lane][chunk], half);
            }
            *words = turned(rows);
        }
        halves
    }

    /// The 80 rounds of a chunk in each lane, whose words are `first` and `second`.
    #[inline]
    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    fn rounds(state: [Words; 5], [first, second]: [[Words; HALF]; 2]) -> [Words; 5] {
        let mut words = [_mm256_setzero_si256(); 2 * HALF];
        words[..HALF].copy_from_slice(&first);
        words[HALF..].copy_from_slice(&second);
        let [mut a, mut b, mut c, mut d, mut e] = state;
        // The truth table of the function, the constant, and the round's number.
        macro_rules! round {
            ($table:literal, $constant:ident, $number:expr) => {
                const NUMBER: usize = $number;
                const PLACE: usize = NUMBER % 16;
                if NUMBER >= 16 {
                    let sum = _mm256_ternarylogic_epi32::<0x96>(
                        words[(NUMBER + 13) % 16],
                        words[(NUMBER + 8) % 16],
                        words[(NUMBER + 2) % 16],
                    );
                    words[PLACE] = _mm256_rol_epi32::<1>(_mm256_xor_si256(sum, words[PLACE]));
                }
                let function = _mm256_ternarylogic_epi32::<$table>(b, c, d);
                let word = _mm256_add_epi32(words[PLACE], $constant);
                let sum = _mm256_add_epi32(_mm256_add_epi32(e, word), function);
                (e, d, c, b) = (d, c, _mm256_rol_epi32::<30>(b), a);
                a = _mm256_add_epi32(_mm256_rol_epi32::<5>(a), sum);
            };
        }
        macro_rules! twenty {
            ($table:literal, $constant:literal, $first:literal: $($number:literal)*) => {
                let constant = _mm256_set1_epi32(u32::cast_signed($constant));
                $({ round!($table, constant, $first + $number); })*
            };
            ($table:literal, $constant:literal, $first:literal) => {
                twenty!($table, $constant, $first: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19)
            };
        }
        twenty!(0xca, 0x5a82_7999, 0);
        twenty!(0x96, 0x6ed9_eba1, 20);
        twenty!(0xe8, 0x8f1b_bcdc, 40);
        twenty!(0x96, 0xca62_c1d6, 60);
        let mut after = [a, b, c, d, e];
        for place in 0..5 {
            after[place] = _mm256_add_epi32(after[place], state[place]);
        }
        after
    }

    /// Eight words of a chunk, in the order of memory.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(chunk: &Chunk, half: usize) -> Words {
        let bytes: &[u8; size_of::<Words>()] = &chunk.as_chunks().0[half];
        // SAFETY: reads the 32 bytes of `bytes`, and needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    /// From a vector of words for each lane to a vector of lanes for each word. Their bytes are turned as well: RFC 3174 has
    /// the highest first.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn turned(rows: [Words; VECTOR_LANES]) -> [Words; HALF] {
        let bytes = _mm256_set_epi64x(
            0x0c0d_0e0f_0809_0a0b,
            0x0405_0607_0001_0203,
            0x0c0d_0e0f_0809_0a0b,
            0x0405_0607_0001_0203,
        );
        let zeros = _mm256_setzero_si256();
        let (mut pairs, mut fours, mut columns) = ([zeros; HALF], [zeros; HALF], [zeros; HALF]);
        for pair in 0..4 {
            pairs[2 * pair] = _mm256_unpacklo_epi32(rows[2 * pair], rows[2 * pair + 1]);
            pairs[2 * pair + 1] = _mm256_unpackhi_epi32(rows[2 * pair], rows[2 * pair + 1]);
        }
        for half in [0, 4] {
            for low in 0..2 {
                fours[half + 2 * low] = _mm256_unpacklo_epi64(pairs[half + low], pairs[half + 2 + low]);
                fours[half + 2 * low + 1] = _mm256_unpackhi_epi64(pairs[half + low], pairs[half + 2 + low]);
            }
        }
        for place in 0..4 {
            let (low, high) = (fours[place], fours[place + 4]);
            columns[place] = _mm256_shuffle_epi8(_mm256_permute2x128_si256::<0x20>(low, high), bytes);
            columns[place + 4] = _mm256_shuffle_epi8(_mm256_permute2x128_si256::<0x31>(low, high), bytes);
        }
        columns
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn enter(words: &[u32; VECTOR_LANES]) -> Words {
        // SAFETY: reads the 32 bytes of `words`, and needs no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn leave(vector: Words) -> [u32; VECTOR_LANES] {
        let mut words = [0; VECTOR_LANES];
        // SAFETY: writes the 32 bytes of `words`, and needs no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
        words
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod arch {
    use super::super::{Chunk, State};
    use super::VECTOR_LANES;

    /// There are none that we can drive.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) enum Vectors {}

    impl Vectors {
        pub(in super::super) fn detect() -> Option<Self> {
            None
        }

        pub(in super::super) fn compress(self, _: &mut [State; VECTOR_LANES], _: [&[Chunk]; VECTOR_LANES]) {
            match self {}
        }
    }
}
