//! The SHA unit of an x86-64 processor: the rounds of SHA-1, in several lanes at once.
//!
//! Called by the lanes of [`super`] alone, with whole chunks. All that is unsafe about hashing is here.

pub(super) use arch::ShaUnit;

#[cfg(target_arch = "x86_64")]
mod arch {
    use std::arch::x86_64::*;

    use super::super::{Chunk, State};

    /// The SHA unit of this processor: proof that there is one.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) struct ShaUnit(());

    impl ShaUnit {
        pub(in super::super) fn detect() -> Option<Self> {
            let is_there = is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1");
            is_there.then_some(Self(()))
        }

        /// Takes a run of chunks into the state of each lane. The runs are of one length.
        pub(in super::super) fn compress<const LANES: usize>(
            self,
            states: &mut [State; LANES],
            runs: [&[Chunk]; LANES],
        ) {
            // SAFETY: only `detect` makes a `ShaUnit`, and it has found the features that `compress` enables.
            unsafe { compress(states, runs) }
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress<const LANES: usize>(states: &mut [State; LANES], runs: [&[Chunk]; LANES]) {
        let mut lanes = states.map(|state| Lane::new(state));
        for chunk in 0..runs.first().map_or(0, |run| run.len()) {
            compress_one(&mut lanes, runs.map(|run| &run[chunk]));
        }
        *states = lanes.map(|lane| lane.state());
    }

    /// What the unit works on, five words as it wants them: `a` in the highest place of its vector, and so is `e`.
    #[derive(Clone, Copy)]
    struct Lane {
        abcd: __m128i,
        e: __m128i,
        /// `abcd` of four rounds ago: its `a`, rotated, is what `e` has become.
        then: __m128i,
        /// The last sixteen words of the message, as the rounds stretch it.
        words: [__m128i; 4],
    }

    impl Lane {
        #[target_feature(enable = "sse2")]
        fn new(state: State) -> Self {
            let [a, b, c, d, e] = state.map(u32::cast_signed);
            let abcd = _mm_set_epi32(a, b, c, d);
            Self { abcd, e: _mm_set_epi32(e, 0, 0, 0), then: abcd, words: [abcd; 4] }
        }

        #[target_feature(enable = "sse4.1")]
        fn state(self) -> State {
            let words = [
                _mm_extract_epi32::<3>(self.abcd),
                _mm_extract_epi32::<2>(self.abcd),
                _mm_extract_epi32::<1>(self.abcd),
                _mm_extract_epi32::<0>(self.abcd),
                _mm_extract_epi32::<3>(self.e),
            ];
            words.map(i32::cast_unsigned)
        }
    }

    /// The 80 rounds, four at a time, of one chunk in each lane. The compiler unrolls all of it.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress_one<const LANES: usize>(lanes: &mut [Lane; LANES], chunks: [&Chunk; LANES]) {
        let before = *lanes;
        for (lane, chunk) in lanes.iter_mut().zip(chunks) {
            lane.words = [load(chunk, 0), load(chunk, 1), load(chunk, 2), load(chunk, 3)];
            lane.then = lane.abcd;
            let e = _mm_add_epi32(lane.e, lane.words[0]);
            lane.abcd = _mm_sha1rnds4_epu32::<0>(lane.abcd, e);
        }
        rounds::<0, 1, LANES>(lanes);
        rounds::<0, 2, LANES>(lanes);
        rounds::<0, 3, LANES>(lanes);
        // The function and constant of the rounds, and the places of their words.
        macro_rules! rounds {
            ($($function:literal: $($place:literal)*;)*) => {$($(
                schedule::<$place, LANES>(lanes);
                rounds::<$function, $place, LANES>(lanes);
            )*)*};
        }
        rounds! { 0: 0; 1: 1 2 3 0 1; 2: 2 3 0 1 2; 3: 3 0 1 2 3; }
        for (lane, before) in lanes.iter_mut().zip(before) {
            lane.e = _mm_sha1nexte_epu32(lane.then, before.e);
            lane.abcd = _mm_add_epi32(lane.abcd, before.abcd);
        }
    }

    /// Four rounds in each lane, with the words at `PLACE`.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn rounds<const FUNCTION: i32, const PLACE: usize, const LANES: usize>(lanes: &mut [Lane; LANES]) {
        for lane in lanes {
            let e = _mm_sha1nexte_epu32(lane.then, lane.words[PLACE]);
            lane.then = lane.abcd;
            lane.abcd = _mm_sha1rnds4_epu32::<FUNCTION>(lane.abcd, e);
        }
    }

    /// Puts the next four words of the message in place of the oldest four, which are at `PLACE`.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn schedule<const PLACE: usize, const LANES: usize>(lanes: &mut [Lane; LANES]) {
        for lane in lanes {
            let [a, b, c, d] = [0, 1, 2, 3].map(|age| lane.words[(PLACE + age) % 4]);
            let sum = _mm_xor_si128(_mm_sha1msg1_epu32(a, b), c);
            lane.words[PLACE] = _mm_sha1msg2_epu32(sum, d);
        }
    }

    /// Four words of a chunk, the first in the highest place.
    #[inline]
    #[target_feature(enable = "ssse3")]
    fn load(chunk: &Chunk, quarter: usize) -> __m128i {
        let bytes: &[u8; size_of::<__m128i>()] = &chunk.as_chunks().0[quarter];
        // SAFETY: reads the 16 bytes of `bytes`, and needs no alignment.
        let words = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
        _mm_shuffle_epi8(words, _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f))
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod arch {
    use super::super::{Chunk, State};

    /// There is none that we can drive.
    #[derive(Debug, Clone, Copy)]
    pub(in super::super) enum ShaUnit {}

    impl ShaUnit {
        pub(in super::super) fn detect() -> Option<Self> {
            None
        }

        pub(in super::super) fn compress<const LANES: usize>(
            self,
            _: &mut [State; LANES],
            _: [&[Chunk]; LANES],
        ) {
            match self {}
        }
    }
}
