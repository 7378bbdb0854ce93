//! The end-to-end tests: each starts the release btd or bttracker and uses it from outside.
//!
//! A test whose needs the machine does not meet is reported as ignored, with a line `skipped NAME: REASON` that
//! `tests/run` repeats at its end. It never counts as passed.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed test is a panic")]

mod announce;
mod benches;
mod clients;
mod commands;
mod corrupt;
mod daemon_add;
mod daemon_change;
mod daemon_clients;
mod daemon_faults;
mod daemon_kill;
mod daemon_life;
mod daemon_limits;
mod daemon_look;
mod daemon_moves;
mod daemon_reload;
mod daemon_seed;
mod daemon_settings;
mod daemon_stop;
mod daemon_subject;
mod daemon_trackers;
mod fetch;
mod get;
mod inspect;
mod kill;
mod mixed;
mod offer;
mod peers;
mod rates;
mod refusals;
mod resume;
mod ring;
mod serving;
mod signals;
mod swarm;
mod tracked;
mod tracker_access;
mod tracker_answers;
mod tracker_choice;
mod tracker_clients;
mod tracker_config;
mod tracker_events;
mod tracker_garbage;
mod tracker_heartbeat;
mod tracker_limits;
mod tracker_npm;
mod tracker_parameters;
mod tracker_proxies;
mod tracker_query;
mod tracker_requests;
mod tracker_restart;
mod tracker_scrape;
mod tracker_soak;
mod tracker_udp;
mod tracker_udp_ids;
mod truncate;
mod units;
mod unwilling;
mod verify;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use tests::needs::Need;
use tests::{folders, netns};

/// Tests that run at a time: most of them wait for btd most of the time.
const PARALLEL_TESTS: usize = 8;

/// One test.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    name: &'static str,
    needs: &'static [Need],
    run: fn(),
}

impl Case {
    /// A test that needs nothing but btd.
    const fn new(name: &'static str, run: fn()) -> Self {
        Self { name, needs: &[], run }
    }

    /// The same test, which `needs` something of the machine.
    const fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    fn into_trial(self, arguments: &Arguments) -> Trial {
        let reason = self.needs.iter().find_map(|need| need.missing());
        let is_wanted = arguments.filter.as_ref().is_none_or(|filter| self.name.contains(filter));
        if let Some(reason) = reason.as_ref().filter(|_| is_wanted && !arguments.list) {
            println!("skipped {}: {reason}", self.name);
        }
        let run = move || {
            (self.run)();
            Ok(())
        };
        Trial::test(self.name, run).with_ignored_flag(reason.is_some())
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(PARALLEL_TESTS);
    folders::sweep();
    netns::sweep();
    let cases = [
        // The longest first.
        benches::CASES,
        clients::CASES,
        mixed::CASES,
        tracker_clients::CASES,
        tracker_garbage::CASES,
        tracker_soak::CASES,
        peers::CASES,
        daemon_kill::CASES,
        kill::CASES,
        rates::CASES,
        fetch::CASES,
        truncate::CASES,
        announce::CASES,
        commands::CASES,
        corrupt::CASES,
        daemon_add::CASES,
        daemon_change::CASES,
        daemon_clients::CASES,
        daemon_faults::CASES,
        daemon_life::CASES,
        daemon_limits::CASES,
        daemon_look::CASES,
        daemon_moves::CASES,
        daemon_reload::CASES,
        daemon_seed::CASES,
        daemon_settings::CASES,
        daemon_stop::CASES,
        daemon_trackers::CASES,
        get::CASES,
        inspect::CASES,
        refusals::CASES,
        resume::CASES,
        ring::CASES,
        serving::CASES,
        signals::CASES,
        tracked::CASES,
        tracker_access::CASES,
        tracker_answers::CASES,
        tracker_choice::CASES,
        tracker_config::CASES,
        tracker_events::CASES,
        tracker_heartbeat::CASES,
        tracker_limits::CASES,
        tracker_npm::CASES,
        tracker_parameters::CASES,
        tracker_proxies::CASES,
        tracker_query::CASES,
        tracker_requests::CASES,
        tracker_restart::CASES,
        tracker_scrape::CASES,
        tracker_udp::CASES,
        tracker_udp_ids::CASES,
        units::CASES,
        unwilling::CASES,
        verify::CASES,
    ];
    let trials = cases.concat().into_iter().map(|case| case.into_trial(&arguments)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    clients::clean();
    conclusion.exit_code()
}
