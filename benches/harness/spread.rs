//! Median and ends of a few figures: how a result of several rounds is shown.

use std::fmt;

use serde::Serialize;

/// Digits after the point, unless more are asked for.
const DIGITS: usize = 2;

/// Median and ends of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// The spread of `figures`; `None` for no figures.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures = Vec::from_iter(figures);
        figures.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self { median, min, max })
    }

    /// The spread of the ratios of figures that were measured in pairs; `None` for no pair.
    pub fn of_ratios(figures: &[f64], others: &[f64]) -> Option<Self> {
        Self::of(figures.iter().zip(others).map(|(figure, other)| figure / other))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(DIGITS);
        write!(f, "{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_median_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        let two = Spread::of([4.0, 1.0]).unwrap();
        assert_eq!(two.to_string(), "2.50 (1.00-4.00)");
        assert_eq!(format!("{two:.3}"), "2.500 (1.000-4.000)");
    }

    #[test]
    fn a_spread_of_ratios_takes_figures_pair_by_pair() {
        let slow_then_fast = Spread::of_ratios(&[1.0, 2.0, 9.0], &[1.0, 4.0, 10.0]).unwrap();
        assert_eq!(slow_then_fast, Spread { median: 0.9, min: 0.5, max: 1.0 });
        assert_eq!(Spread::of_ratios(&[], &[]), None);
    }
}
