//! Small worlds of every sort, each drawn from one seed.

use std::time::Duration;

use protocol::geometry::BLOCK_LENGTH;
use protocol::swarm::Settings;
use protocol::swarm::choker::SeedRule;
use protocol::swarm::picker::PieceOrder;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Kind, Net, Plan, Torrent, World};

/// A world that holds an honest seed which stays, and up to eleven others.
pub(crate) fn world(seed: u64) -> World {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x0077_0a1d);
    let piece_length = BLOCK_LENGTH * rng.random_range(2..=4);
    let piece_count = rng.random_range(5..=60);
    let length = piece_count * piece_length - rng.random_range(0..piece_length);
    let torrent = Torrent::new(seed, length as usize, piece_length);
    let mut stayer = Plan { is_seed: true, lacks_extended: false, is_reachable: true, ..line(&mut rng) };
    stayer.settings.seed_slots = one_in(&mut rng, 2).then(|| rng.random_range(1..=4));
    let count = rng.random_range(1..12);
    let others: Vec<Plan> = (0..count).map(|_| other(&mut rng)).collect();
    World::new(seed, torrent, net(&mut rng), std::iter::once(stayer).chain(others).collect())
}

fn net(rng: &mut SmallRng) -> Net {
    Net {
        send_buffer: rng.random_range(1..64) * 1_024,
        window: rng.random_range(4..256) * 1_024,
        packet: rng.random_range(1_400..16_384),
        loss: if one_in(rng, 2) { rng.random_range(0.0..0.05) } else { 0.0 },
        mean_life: one_in(rng, 3).then(|| Duration::from_secs(rng.random_range(20..300))),
        dial_failures: if one_in(rng, 3) { 0.3 } else { 0.0 },
        max_read: one_in(rng, 2).then(|| rng.random_range(1_000..64_000)),
        bus: Duration::from_micros(rng.random_range(1..20_000)),
    }
}

/// A node that is not the seed that stays.
fn other(rng: &mut SmallRng) -> Plan {
    let mut plan = line(rng);
    plan.joins_at = Duration::from_millis(rng.random_range(0..30_000));
    match rng.random_range(0..20) {
        0 => plan.kind = Kind::Corrupt(1.0),
        1 => plan.kind = Kind::Corrupt(rng.random_range(0.05..0.5)),
        2 => plan.kind = Kind::Silent,
        3 => plan.kind = Kind::Rejecting,
        4 => plan.kind = Kind::Garbage,
        5 => plan.kind = Kind::FalseMetadata,
        6 => {
            plan.is_seed = true;
            plan.leaves_at = one_in(rng, 2).then(|| Duration::from_secs(rng.random_range(5..200)));
        }
        7 => plan.leaves_at = Some(Duration::from_secs(rng.random_range(5..200))),
        8 => plan.settings.leech_slots = Some(0),
        _ => plan.is_magnet = one_in(rng, 3),
    }
    let is_liar = !matches!(plan.kind, Kind::Honest);
    plan.is_seed |= is_liar && (plan.kind != Kind::Garbage || one_in(rng, 2));
    if !is_liar && !plan.is_seed {
        plan.stays = one_in(rng, 3).then(|| Duration::from_secs(rng.random_range(0..60)));
    }
    plan.lacks_extended &= !plan.is_magnet;
    plan
}

/// Somebody honest who lacks everything, with some line and some settings.
fn line(rng: &mut SmallRng) -> Plan {
    let upload: u64 = 20_000 << rng.random_range(0..8);
    let settings = Settings {
        piece_order: if one_in(rng, 5) { PieceOrder::Sequential } else { PieceOrder::RarestFirst },
        leech_slots: (!one_in(rng, 4)).then(|| rng.random_range(1..=8)),
        seed_slots: one_in(rng, 2).then(|| rng.random_range(1..=8)),
        seed_rule: match rng.random_range(0..3) {
            0 => SeedRule::RoundRobin,
            1 => SeedRule::FastestUpload,
            _ => SeedRule::AntiLeech,
        },
        ..Settings::default()
    };
    Plan {
        settings,
        download_bytes_per_s: upload * rng.random_range(1..=8),
        latency: Duration::from_millis(rng.random_range(1..150)),
        lacks_fast: one_in(rng, 5),
        lacks_extended: one_in(rng, 8),
        is_reachable: !one_in(rng, 6),
        ..Plan::leecher(upload)
    }
}

fn one_in(rng: &mut impl Rng, count: u32) -> bool {
    rng.random_ratio(1, count)
}
