//! What is wanted of btd, and whether a run got there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A figure of a run, and what it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What the figure is.
    pub what: String,
    /// The figure; none where a contender failed.
    pub got: Option<f64>,
    /// What it should be.
    pub wanted: Bound,
}

/// Where a figure should lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Here, or above.
    AtLeast(f64),
    /// Here, or below.
    AtMost(f64),
}

impl Goal {
    /// A figure that should be at least `wanted`.
    pub fn at_least(what: impl Into<String>, got: Option<f64>, wanted: f64) -> Self {
        Self { what: what.into(), got, wanted: Bound::AtLeast(wanted) }
    }

    /// A figure that should be at most `wanted`.
    pub fn at_most(what: impl Into<String>, got: Option<f64>, wanted: f64) -> Self {
        Self { what: what.into(), got, wanted: Bound::AtMost(wanted) }
    }

    /// Whether the run got there.
    pub fn is_met(&self) -> bool {
        self.got.is_some_and(|got| match self.wanted {
            Bound::AtLeast(wanted) => got >= wanted,
            Bound::AtMost(wanted) => got <= wanted,
        })
    }

    /// What became of it, in a word.
    pub fn verdict(&self) -> &'static str {
        match (self.got, self.is_met()) {
            (None, _) => "FAILED",
            (_, true) => "met",
            (_, false) => "MISSED",
        }
    }
}

/// Two digits after the point are enough to be read.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(wanted) => write!(f, "at least {}", round(*wanted)),
            Self::AtMost(wanted) => write!(f, "at most {}", round(*wanted)),
        }
    }
}

/// One line for each of `goals`.
pub fn render(goals: &[Goal]) -> String {
    let width = goals.iter().map(|goal| goal.what.chars().count()).max().unwrap_or(0);
    let line = |goal: &Goal| {
        let got = goal.got.map_or_else(|| "-".to_owned(), |got| format!("{got:.2}"));
        format!("{:width$}  {got:>8}  {:<14} {}\n", goal.what, goal.wanted.to_string(), goal.verdict())
    };
    goals.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_on_its_side_of_the_bound_and_never_without_a_figure() {
        assert_eq!(Goal::at_least("x", Some(0.9), 0.9).verdict(), "met");
        assert_eq!(Goal::at_least("x", Some(0.89), 0.9).verdict(), "MISSED");
        assert_eq!(Goal::at_most("x", Some(1.2), 1.1).verdict(), "MISSED");
        assert_eq!(Goal::at_most("x", Some(1.0), 1.1).verdict(), "met");
        assert_eq!(Goal::at_most("x", None, 1.1).verdict(), "FAILED");
        let text = render(&[Goal::at_most("a figure", Some(1.0), 1.1), Goal::at_least("b", None, 2.0)]);
        assert_eq!(
            text,
            "a figure      1.00  at most 1.1    met\nb                -  at least 2     FAILED\n"
        );
    }
}
