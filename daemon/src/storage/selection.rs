//! Which files of a torrent are fetched.

use std::ops::RangeInclusive;

use globset::{Glob, GlobMatcher};
use protocol::meta::{FileKind, Info};
use protocol::swarm::picker::Priority;

/// Why a selection names nothing.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// It is neither numbers nor a pattern.
    #[error("--select {text}: {reason}")]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It has a number that no file has.
    #[error("--select {text}: there is no file {number}; they are numbered from 0 to {last}")]
    Beyond {
        /// What was given.
        text: String,
        /// The number.
        number: usize,
        /// The greatest that a file has.
        last: usize,
    },
    /// It names no file.
    #[error("--select {text}: names none of the {count} files of {torrent}")]
    Nothing {
        /// What was given.
        text: String,
        /// How many files there are.
        count: usize,
        /// The name of the torrent.
        torrent: String,
    },
}

/// What names files: by number, or by pattern.
#[derive(Debug)]
enum Choice {
    Numbers(Vec<RangeInclusive<usize>>),
    Pattern(Box<GlobMatcher>),
}

/// Whether each file of `info` is wanted: those that `options` of the command line name, or else those that the magnet
/// link selects, or else all.
///
/// # Errors
/// When an option names no file.
pub fn wanted_files(
    info: &Info,
    options: &[String],
    link: Option<&[RangeInclusive<usize>]>,
) -> Result<Vec<bool>, SelectionError> {
    let count = info.files().len();
    if options.is_empty() {
        let selects =
            |file: usize| link.is_none_or(|ranges| ranges.iter().any(|range| range.contains(&file)));
        let wanted: Vec<bool> = (0..count).map(selects).collect();
        // A link that selects nothing of the torrent says nothing about it.
        return Ok(if wanted.contains(&true) { wanted } else { vec![true; count] });
    }
    let mut wanted = vec![false; count];
    for option in options {
        let choice = Choice::parse(option)?;
        if let Some(number) = choice.beyond(count) {
            let (text, last) = (option.clone(), count.saturating_sub(1));
            return Err(SelectionError::Beyond { text, number, last });
        }
        let mut is_met = false;
        for (file, entry) in info.files().iter().enumerate() {
            if entry.kind == FileKind::Regular && choice.names(file, &entry.path.to_string()) {
                (wanted[file], is_met) = (true, true);
            }
        }
        if !is_met {
            let (text, torrent) = (option.clone(), info.name().to_owned());
            return Err(SelectionError::Nothing { text, count, torrent });
        }
    }
    Ok(wanted)
}

impl Choice {
    fn parse(text: &str) -> Result<Self, SelectionError> {
        let malformed = |reason: &dyn ToString| SelectionError::Malformed {
            text: text.to_owned(),
            reason: reason.to_string(),
        };
        if text.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '-' | ' ')) {
            let ranges: Option<Vec<_>> = text.split(',').map(|part| range(part.trim())).collect();
            let ranges = ranges.ok_or_else(|| malformed(&"not a list of files such as 0,2,5-7"))?;
            return Ok(Self::Numbers(ranges));
        }
        let glob = Glob::new(text).map_err(|error| malformed(&error))?;
        Ok(Self::Pattern(Box::new(glob.compile_matcher())))
    }

    /// A number in it that none of `count` files has.
    fn beyond(&self, count: usize) -> Option<usize> {
        match self {
            Self::Numbers(ranges) => ranges.iter().map(|range| *range.end()).find(|number| *number >= count),
            Self::Pattern(_) => None,
        }
    }

    /// Whether it names file number `file` at `path`, which begins with the name of the torrent where that is a folder.
    fn names(&self, file: usize, path: &str) -> bool {
        match self {
            Self::Numbers(ranges) => ranges.iter().any(|range| range.contains(&file)),
            Self::Pattern(glob) => {
                let below = path.split_once('/').map_or(path, |(_, below)| below);
                glob.is_match(path) || glob.is_match(below)
            }
        }
    }
}

/// Reads `5` or `5-7`.
fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty()).then_some(range)
}

/// Refuses a selection that no torrent could be meant by, before it is known which files there are.
///
/// # Errors
/// When an option is neither numbers nor a pattern.
pub fn check(options: &[String]) -> Result<(), SelectionError> {
    options.iter().try_for_each(|option| Choice::parse(option).map(drop))
}

/// How much each piece is wanted when these files are; empty when all are.
pub fn priorities(info: &Info, wanted: &[bool]) -> Vec<Priority> {
    if wanted.iter().all(|is_wanted| *is_wanted) {
        return Vec::new();
    }
    let mut priorities = vec![Priority::Skip; info.geometry().piece_count() as usize];
    for (file, _) in wanted.iter().enumerate().filter(|(_, is_wanted)| **is_wanted) {
        for piece in info.geometry().pieces_of(info.layout().file_range(file)) {
            priorities[piece as usize] = Priority::Normal;
        }
    }
    priorities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(option: &str, file: usize, path: &str) -> bool {
        Choice::parse(option).unwrap().names(file, path)
    }

    #[test]
    fn a_number_that_no_file_has_is_told() {
        let beyond = |text: &str| Choice::parse(text).unwrap().beyond(3);
        assert_eq!(
            (beyond("0-2"), beyond("0,7"), beyond("1-3"), beyond("*")),
            (None, Some(7), Some(3), None)
        );
    }

    #[test]
    fn files_are_named_by_number_and_by_pattern() {
        assert!(names("0,2,5-7", 6, "x") && names("0, 2", 2, "x") && !names("0,2,5-7", 3, "x"));
        assert!(names("*.iso", 0, "disks/deep/a.iso") && names("deep/*", 0, "disks/deep/a.iso"));
        assert!(names("disks/deep/a.*", 0, "disks/deep/a.iso") && names("a.iso", 0, "a.iso"));
        assert!(!names("b*", 0, "disks/a.iso"));
        for bad in ["", "1-", "-", "3-1", "1,,2", "[", "99999999999999999999"] {
            assert!(Choice::parse(bad).is_err(), "{bad}");
        }
    }
}
