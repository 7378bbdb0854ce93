//! What this processor has for several messages at once. Driven by the lanes of [`super`].

use std::array;

use super::unit::ShaUnit;
use super::vectors::{VECTOR_LANES, Vectors};
use super::{Chunk, INITIAL_STATE, State};

/// Lanes of the SHA unit: a fifth finds no idle slot of it, only fewer registers.
pub const UNIT_LANES: usize = 4;
/// Most lanes that any has.
pub(super) const MAX_LANES: usize = VECTOR_LANES;

/// One of the two, or both.
#[derive(Debug, Clone, Copy)]
pub(super) enum Engine {
    Unit(ShaUnit),
    Vectors(Vectors),
    Both(ShaUnit, Vectors),
}

impl Engine {
    /// What there is, if anything.
    pub(super) fn detect() -> Option<Self> {
        match (ShaUnit::detect(), Vectors::detect()) {
            (Some(unit), Some(vectors)) => Some(Self::Both(unit, vectors)),
            (unit, vectors) => unit.map(Self::Unit).or(vectors.map(Self::Vectors)),
        }
    }

    /// How many lanes it has.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Unit(_) => UNIT_LANES,
            Self::Vectors(_) | Self::Both(..) => VECTOR_LANES,
        }
    }

    /// Takes a run of chunks into the state of each lane. There are no more than `lanes`; the runs are of one length.
    pub(super) fn compress(self, states: &mut [State], runs: &[&[Chunk]]) {
        match self {
            // Vectors that are half empty are slower than the unit.
            Self::Both(unit, _) if runs.len() <= UNIT_LANES => in_unit(unit, states, runs),
            Self::Both(_, vectors) | Self::Vectors(vectors) => in_vectors(vectors, states, runs),
            Self::Unit(unit) => in_unit(unit, states, runs),
        }
    }
}

fn in_unit(unit: ShaUnit, states: &mut [State], runs: &[&[Chunk]]) {
    match (states, runs) {
        ([a, b], [w, x]) => unit.compress([a, b], [w, x]),
        ([a, b, c], [w, x, y]) => unit.compress([a, b, c], [w, x, y]),
        ([a, b, c, d], [w, x, y, z]) => unit.compress([a, b, c, d], [w, x, y, z]),
        (states, runs) => states.iter_mut().zip(runs).for_each(|(state, run)| unit.compress([state], [run])),
    }
}

/// Lanes that are missing do what the last one does, for nothing.
fn in_vectors(vectors: Vectors, states: &mut [State], runs: &[&[Chunk]]) {
    let Some(last) = runs.len().checked_sub(1) else { return };
    let mut all = [INITIAL_STATE; VECTOR_LANES];
    all[..states.len()].copy_from_slice(states);
    vectors.compress(&mut all, array::from_fn(|lane| runs[lane.min(last)]));
    states.copy_from_slice(&all[..states.len()]);
}
