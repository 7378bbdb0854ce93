//! How much is said, and to whom.

use serde::{Deserialize, Serialize};

/// How much is said: each level includes those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// What goes on.
    #[default]
    Info,
    /// What happens to connections.
    Debug,
    /// Everything.
    Trace,
}

/// To whom it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogTarget {
    /// To journald where systemd connected stderr with it, else to stderr.
    #[default]
    Auto,
    /// To journald.
    Journald,
    /// To stderr.
    Stderr,
}

/// The table `[log]` of a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogTable {
    /// How much is said.
    pub level: LogLevel,
    /// To whom.
    pub target: LogTarget,
}

/// Options of every command that takes its time.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct LogArgs {
    /// Print nothing but results and errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for every connection.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What is said, how much of it and to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// How much.
    pub level: LogLevel,
    /// To whom.
    pub target: LogTarget,
    /// Whether lines from one place in the sources are left out when there are too many: for what runs for months.
    pub is_limited: bool,
}

impl LogLevel {
    const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level that `args` ask for, where they ask for another than this one.
    pub fn changed_by(self, args: LogArgs) -> Self {
        if args.quiet {
            return Self::Error;
        }
        let more = Self::ALL.into_iter().filter(|level| *level >= self);
        more.take(usize::from(args.verbose) + 1).last().unwrap_or(self)
    }
}

impl LogConfig {
    /// For a command that somebody waits for: warnings, on the terminal.
    pub fn of_command(args: Option<&LogArgs>) -> Self {
        let level = LogLevel::Warn.changed_by(args.copied().unwrap_or_default());
        Self { level, target: LogTarget::Stderr, is_limited: false }
    }

    /// For a daemon whose configuration has `table`.
    pub fn of_service(table: LogTable) -> Self {
        Self { level: table.level, target: table.target, is_limited: true }
    }

    /// For a daemon that could not read its configuration.
    pub fn of_failure() -> Self {
        Self::of_service(LogTable::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_go_above_the_level() {
        let level = |level: LogLevel, quiet, verbose| level.changed_by(LogArgs { quiet, verbose });
        assert_eq!(level(LogLevel::Info, false, 0), LogLevel::Info);
        assert_eq!(level(LogLevel::Info, false, 1), LogLevel::Debug);
        assert_eq!(level(LogLevel::Warn, false, 3), LogLevel::Trace);
        assert_eq!(level(LogLevel::Warn, false, 200), LogLevel::Trace);
        assert_eq!(level(LogLevel::Trace, true, 0), LogLevel::Error);
    }
}
