//! A list in pieces of the same length, for what there is a lot of: it grows without being moved, so nobody waits for
//! that, and leaves no holes of its former sizes in memory.

/// Rows in a piece.
const PIECE: usize = 64;

/// The list. All pieces but the last are full, and none is empty.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Rows<T> {
    pub(super) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pieces.get_mut(at / PIECE)?.get_mut(at % PIECE)
    }

    pub(super) fn push(&mut self, row: T) {
        match self.pieces.last_mut() {
            Some(last) if last.len() < PIECE => {
                grow(last);
                last.push(row);
            }
            _ => self.pieces.push(vec![row]),
        }
    }

    /// Takes out the row at `at`; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: usize) -> Option<T> {
        let last = self.pieces.last_mut()?;
        let row = last.pop()?;
        if last.is_empty() {
            self.pieces.pop();
        }
        match self.get_mut(at) {
            Some(place) => Some(std::mem::replace(place, row)),
            // It was the last itself.
            None => Some(row),
        }
    }

    /// The rows from `at` on.
    pub(super) fn from(&self, at: usize) -> impl Iterator<Item = &T> {
        let (first, skipped) = (at / PIECE, at % PIECE);
        self.pieces.iter().skip(first).flatten().skip(skipped)
    }
}

/// Makes room for one more: a quarter at a time, since a shard of a small tracker has few rows.
fn grow<T>(piece: &mut Vec<T>) {
    if piece.len() == piece.capacity() {
        let more = (piece.len() / 2).clamp(1, PIECE - piece.len());
        piece.reserve_exact(more);
    }
}

impl<T> std::ops::Index<usize> for Rows<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.pieces[at / PIECE][at % PIECE]
    }
}

impl<T> std::ops::IndexMut<usize> for Rows<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pieces[at / PIECE][at % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list(steps in prop::collection::vec(prop::option::weighted(0.6, any::<u16>()), 0..600)) {
            let (mut rows, mut model) = (Rows::default(), Vec::new());
            for step in steps {
                match step {
                    Some(row) => {
                        rows.push(row);
                        model.push(row);
                    }
                    None if model.is_empty() => prop_assert_eq!(rows.swap_remove(0), None),
                    None => {
                        let at = model.len() * 7 / 13;
                        prop_assert_eq!(rows.swap_remove(at), Some(model.swap_remove(at)));
                    }
                }
                prop_assert_eq!(rows.len(), model.len());
            }
            prop_assert!(rows.from(0).eq(&model));
            for at in 0..model.len() {
                prop_assert_eq!((rows[at], rows.get(at)), (model[at], model.get(at)));
                prop_assert!(rows.from(at).eq(&model[at..]));
            }
            prop_assert_eq!(rows.get(model.len()), None);
            prop_assert!(rows.from(model.len() + 100).next().is_none());
        }
    }
}
