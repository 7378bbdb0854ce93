//! The SHA unit of an x86-64 processor: the rounds of SHA-1, in several lanes at once.
//!
//! Called by [`engine`](super::engine) alone, with whole chunks.
//!
//! What is hot is written with plain loops over lanes and arrays of vectors. A closure given to `map` or an iterator
//! over lanes of structs is compiled apart from the features or in another order, as the build has it: it is up to 25
//! times slower then.

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
            states: [&mut State; LANES],
            runs: [&[Chunk]; LANES],
        ) {
            // SAFETY: only `detect` makes a `ShaUnit`, and it has found the features that `compress` enables.
            unsafe { compress(states, runs) }
        }
    }

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress<const LANES: usize>(states: [&mut State; LANES], runs: [&[Chunk]; LANES]) {
        let zeros = _mm_setzero_si128();
        let mut lanes = Lanes {
            abcd: [zeros; LANES],
            e: [zeros; LANES],
            then: [zeros; LANES],
            words: [[zeros; LANES]; 4],
        };
        for (lane, state) in states.iter().enumerate() {
            lanes.enter(lane, **state);
        }
        for chunk in 0..runs.first().map_or(0, |run| run.len()) {
            lanes.compress(&runs, chunk);
        }
        for (lane, state) in states.into_iter().enumerate() {
            *state = lanes.state(lane);
        }
    }

    /// What the unit works on, in each lane: five words as it wants them, `a` in the highest place of its vector, and
    /// so is `e`.
    struct Lanes<const LANES: usize> {
        abcd: [__m128i; LANES],
        e: [__m128i; LANES],
        /// `abcd` of four rounds ago: its `a`, rotated, is what `e` has become.
        then: [__m128i; LANES],
        /// The last sixteen words of the message, as the rounds stretch it.
        words: [[__m128i; LANES]; 4],
    }

    impl<const LANES: usize> Lanes<LANES> {
        #[target_feature(enable = "sse2")]
        fn enter(&mut self, lane: usize, state: State) {
            let [a, b, c, d, e] = state.map(u32::cast_signed);
            self.abcd[lane] = _mm_set_epi32(a, b, c, d);
            self.e[lane] = _mm_set_epi32(e, 0, 0, 0);
        }

        #[target_feature(enable = "sse4.1")]
        fn state(&self, lane: usize) -> State {
            let (abcd, e) = (self.abcd[lane], self.e[lane]);
            let words = [
                _mm_extract_epi32::<3>(abcd),
                _mm_extract_epi32::<2>(abcd),
                _mm_extract_epi32::<1>(abcd),
                _mm_extract_epi32::<0>(abcd),
                _mm_extract_epi32::<3>(e),
            ];
            words.map(i32::cast_unsigned)
        }

        /// The 80 rounds, four at a time, of chunk number `chunk` in each lane. The compiler unrolls all of it.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn compress(&mut self, runs: &[&[Chunk]; LANES], chunk: usize) {
            let (abcd, e) = (self.abcd, self.e);
            for lane in 0..LANES {
                let chunk = &runs[lane][chunk];
                for quarter in 0..4 {
                    self.words[quarter][lane] = load(chunk, quarter);
                }
                self.then[lane] = abcd[lane];
                let e = _mm_add_epi32(e[lane], self.words[0][lane]);
                self.abcd[lane] = _mm_sha1rnds4_epu32::<0>(abcd[lane], e);
            }
            self.rounds::<0, 1>();
            self.rounds::<0, 2>();
            self.rounds::<0, 3>();
            // The function and constant of the rounds, and the places of their words.
            macro_rules! rounds {
                ($($function:literal: $($place:literal)*;)*) => {$($(
                    self.schedule::<$place>();
                    self.rounds::<$function, $place>();
                )*)*};
            }
            rounds! { 0: 0; 1: 1 2 3 0 1; 2: 2 3 0 1 2; 3: 3 0 1 2 3; }
            for lane in 0..LANES {
                self.e[lane] = _mm_sha1nexte_epu32(self.then[lane], e[lane]);
                self.abcd[lane] = _mm_add_epi32(self.abcd[lane], abcd[lane]);
            }
        }

        /// Four rounds in each lane, with the words at `PLACE`.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn rounds<const FUNCTION: i32, const PLACE: usize>(&mut self) {
            for lane in 0..LANES {
                let e = _mm_sha1nexte_epu32(self.then[lane], self.words[PLACE][lane]);
                self.then[lane] = self.abcd[lane];
                self.abcd[lane] = _mm_sha1rnds4_epu32::<FUNCTION>(self.abcd[lane], e);
            }
        }

        /// Puts the next four words of the message in place of the oldest four, which are at `PLACE`.
        #[inline]
        #[target_feature(enable = "sha,ssse3,sse4.1")]
        fn schedule<const PLACE: usize>(&mut self) {
            for lane in 0..LANES {
                let sum = _mm_sha1msg1_epu32(self.words[PLACE][lane], self.words[(PLACE + 1) % 4][lane]);
                let sum = _mm_xor_si128(sum, self.words[(PLACE + 2) % 4][lane]);
                self.words[PLACE][lane] = _mm_sha1msg2_epu32(sum, self.words[(PLACE + 3) % 4][lane]);
            }
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
            _: [&mut State; LANES],
            _: [&[Chunk]; LANES],
        ) {
            match self {}
        }
    }
}
