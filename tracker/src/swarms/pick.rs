//! A uniform random subset, without a shuffle: Floyd's algorithm, with what was drawn in a small table on the stack.

use rand::{Rng, RngExt};

/// Most that can be drawn at once: more peers than that make an answer that nobody needs.
pub const MAX_PICKS: usize = 200;
/// Places for what was drawn: at most half of them are taken.
const PLACES: usize = (2 * MAX_PICKS).next_power_of_two();

/// Draws `count` of the numbers below `population`, each set of them as likely as any other, and tells each of them
/// once. All of them where there are no more; never more than [`MAX_PICKS`].
pub(super) fn pick(rng: &mut impl Rng, population: u32, count: usize, mut tell: impl FnMut(u32)) {
    let count = u32::try_from(count.min(MAX_PICKS)).unwrap_or(u32::MAX);
    if count >= population {
        return (0..population).for_each(tell);
    }
    let mut drawn = Drawn { places: [0; PLACES] };
    for last in population - count..population {
        let number = rng.random_range(0..=last);
        // What was drawn before makes room for the number that could not be drawn before.
        let number = if drawn.insert(number) { number } else { last };
        if number == last {
            drawn.insert(last);
        }
        tell(number);
    }
}

/// A set of numbers, with open addressing.
struct Drawn {
    /// Each number plus one; 0 is an empty place.
    places: [u32; PLACES],
}

impl Drawn {
    /// Whether `number` was not there before.
    fn insert(&mut self, number: u32) -> bool {
        // Knuth's multiplier spreads numbers that follow each other.
        let mut at = (number.wrapping_mul(0x9E37_79B1) >> 16) as usize % PLACES;
        loop {
            match self.places[at] {
                0 => {
                    self.places[at] = number + 1;
                    return true;
                }
                there if there == number + 1 => return false,
                _ => at = (at + 1) % PLACES,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn picked(rng: &mut SmallRng, population: u32, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        pick(rng, population, count, |number| numbers.push(number));
        numbers
    }

    #[test]
    fn as_many_are_drawn_as_there_are_or_are_wanted_each_once() {
        let mut rng = SmallRng::seed_from_u64(1);
        for population in [0, 1, 2, 3, 50, 199, 200, 201, 1_000, 3_000_000_000] {
            for count in [0, 1, 2, 49, 50, 51, 199, 200, 1_000] {
                let numbers = picked(&mut rng, population, count);
                let distinct: BTreeSet<u32> = numbers.iter().copied().collect();
                let expected = count.min(MAX_PICKS).min(usize::try_from(population).unwrap());
                assert_eq!((numbers.len(), distinct.len()), (expected, expected), "{count} of {population}");
                assert!(numbers.iter().all(|number| *number < population));
            }
        }
    }

    #[test]
    fn every_set_is_as_likely_as_any_other() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut sets = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for _ in 0..20_000 {
            let mut set = picked(&mut rng, 6, 3);
            set.sort_unstable();
            *sets.entry(set).or_default() += 1;
        }
        assert_eq!(sets.len(), 20, "three of six");
        // 1,000 each; the deviation of one is 31.
        assert!(sets.values().all(|times| times.abs_diff(1_000) < 160), "{sets:?}");
    }
}
