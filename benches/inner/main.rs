//! The inner loops of `protocol`, each measured alone: what a seeder, a leecher and a tracker do most.
//!
//! `cargo bench -p benches --bench inner` measures them; `-- NAME` those with this in their names, `-- --test` runs
//! each once. All randomness is of one seed, and whatever comes out is compared with what should, before it counts.

#![allow(clippy::unwrap_used, reason = "what does not fit the benchmark must end it")]

mod announce;
mod bencode;
mod clock;
mod crowd;
mod fetching;
mod lazy;
mod machine;
mod picker;
mod swarm;
mod torrent;
mod wire;

use std::time::Duration;

use criterion::Criterion;

/// How long each loop runs before it is measured.
const WARM_UP_TIME: Duration = Duration::from_secs(1);
/// How long it is measured, unless the command line says otherwise.
const MEASUREMENT_TIME: Duration = Duration::from_secs(3);
/// In how many samples: what is undone off the clock leaves no time for more.
const SAMPLES: usize = 50;

fn main() {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(SAMPLES)
        .warm_up_time(WARM_UP_TIME)
        .measurement_time(MEASUREMENT_TIME)
        .configure_from_args();
    wire::measure(&mut criterion);
    machine::measure(&mut criterion);
    picker::measure(&mut criterion);
    fetching::measure(&mut criterion);
    swarm::measure(&mut criterion);
    bencode::measure(&mut criterion);
    announce::measure(&mut criterion);
    criterion.final_summary();
}
