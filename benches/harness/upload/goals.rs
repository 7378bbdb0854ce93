//! What is wanted of uploads, read off the rows that were measured.

use super::cold::{HOT, ORDERS};
use super::connections::case;
use super::many::{AMONG_IDLE, BUSY, MANY_TORRENTS, MEMORY, ONE_TORRENT, WORKER_SHARES, WORKERS};
use super::result::{Figure, Outcome, Round};
use super::{Part, stall, verify};
use crate::contender::Contender;
use crate::goal::Goal;

/// At so many connections: the least part of the bound, and how many times the best of the others.
const CONNECTIONS: [(usize, f64, f64); 2] = [(16, 0.9, 2.5), (128, 0.9, 2.0)];
/// Those that btd is compared with.
const PEERS: [Contender; 3] = [Contender::Libtorrent, Contender::Rtorrent, Contender::Rqbit];
/// What must be left of a rate where something else goes on, and of speed, the inverse of a latency.
const KEPT: f64 = 0.9;

/// The goals of all parts that were measured.
pub(super) fn of(outcome: &Outcome) -> Vec<Goal> {
    outcome.settings.parts.iter().flat_map(|part| of_part(outcome, *part)).collect()
}

fn of_part(outcome: &Outcome, part: Part) -> Vec<Goal> {
    let btd = |case: &str, figure: Figure| outcome.median(part, case, Contender::Btd, figure);
    let ratio = |case: &str, other: &str, figure: Figure| outcome.kept(part, case, other, figure);
    let kept = |what: &str, case: &str, alone: &str| {
        vec![
            Goal::at_least(format!("{what}: rate kept"), ratio(case, alone, Round::gb_per_s), KEPT),
            Goal::at_most(format!("{what}: p99"), ratio(case, alone, Round::p99_ms), 1.0 / KEPT),
        ]
    };
    match part {
        Part::Connections => CONNECTIONS.iter().flat_map(|goal| of_connections(outcome, *goal)).collect(),
        Part::Crowd => of_crowd(outcome),
        Part::Idle => {
            let kept = ratio(AMONG_IDLE, BUSY, Round::gb_per_cpu_s);
            vec![Goal::at_least("upload among idle connections / without them", kept, 0.85)]
        }
        Part::Workers => {
            let [(one, _), (two, _)] = WORKERS;
            let efficiency = ratio(two, one, Round::gb_per_cpu_s);
            let [least, most] = WORKER_SHARES;
            vec![
                Goal::at_least("two workers / one, GB per CPU s", efficiency, KEPT),
                Goal::at_least(
                    "connections of the worker with fewest",
                    btd_figure(outcome, part, two, least),
                    0.3,
                ),
                Goal::at_most(
                    "connections of the worker with most",
                    btd_figure(outcome, part, two, most),
                    0.7,
                ),
            ]
        }
        Part::Cold => {
            let [in_order, at_random] = ORDERS.map(|(case, _)| btd(case, Round::disk_share));
            let [(alone, _), (beside, _)] = HOT;
            let mut goals = vec![
                Goal::at_most("cold, in order: read from disk / sent", in_order, 1.1),
                Goal::at_most("cold, at random: read from disk / sent", at_random, 1.3),
            ];
            goals.extend(kept("hot torrent beside a cold one", beside, alone));
            goals
        }
        Part::Stall => {
            let [(alone, _), (beside, _)] = stall::CASES;
            let mut goals = kept("hot torrent beside one that stalls", beside, alone);
            let answer = btd_figure(outcome, part, beside, stall::API[0]);
            goals.push(Goal::at_most("control API beside one that stalls, longest ms", answer, 50.0));
            goals
        }
        Part::Verify => {
            let [(alone, _), (verifying, _)] = verify::CASES;
            let kept = ratio(verifying, alone, Round::gb_per_s);
            vec![Goal::at_least("seeding while another torrent is verified: rate kept", kept, KEPT)]
        }
    }
}

fn of_connections(outcome: &Outcome, (connections, of_bound, of_peers): (usize, f64, f64)) -> Vec<Goal> {
    if !outcome.settings.connections.contains(&connections) {
        return Vec::new();
    }
    let case = case(connections);
    let median = |contender| outcome.median(Part::Connections, &case, contender, Round::gb_per_cpu_s);
    let ours = median(Contender::Btd);
    let bound = median(Contender::Reference);
    // One that is missing could have been the best.
    let peers: Option<Vec<f64>> = PEERS.into_iter().map(median).collect();
    let best = peers.and_then(|peers| peers.into_iter().reduce(f64::max));
    let over = |other: Option<f64>| Some(ours? / other?);
    vec![
        Goal::at_least(format!("upload, {case}: btd / bound"), over(bound), of_bound),
        Goal::at_least(format!("upload, {case}: btd / best peer"), over(best), of_peers),
    ]
}

fn of_crowd(outcome: &Outcome) -> Vec<Goal> {
    let part = Part::Crowd;
    let (connections, torrents) = outcome.settings.crowd;
    let name = format!("upload, {connections} connections over {torrents} torrents");
    let ours = outcome.median(part, MANY_TORRENTS, Contender::Btd, Round::gb_per_cpu_s);
    let bound = outcome.median(part, ONE_TORRENT, Contender::Reference, Round::gb_per_cpu_s);
    let ratio = ours.zip(bound).map(|(ours, bound)| ours / bound);
    let slowest = outcome.median(part, MANY_TORRENTS, Contender::Btd, Round::slowest_share);
    let memory = outcome.median(part, MEMORY, Contender::Btd, Round::anon_kib_per_connection);
    vec![
        Goal::at_least(format!("{name}: btd / bound"), ratio, 0.85),
        Goal::at_least(format!("{name}: slowest / mean"), slowest, 0.5),
        Goal::at_most(format!("{name}: RssAnon KiB each"), memory, 12.0),
    ]
}

fn btd_figure(outcome: &Outcome, part: Part, case: &str, name: &str) -> Option<f64> {
    let row = outcome.row(part, case, Contender::Btd)?;
    Some(row.spread(|round| round.figure(name))?.median)
}
