//! One torrent: what announces do to it, rule by rule.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;

const RULES: Rules = Rules { min_interval_s: 300, peers_per_home: 0 };

/// A torrent, its surroundings and a clock.
struct World {
    swarm: Swarm,
    homes: Homes,
    rules: Rules,
    now_s: u32,
    rng: SmallRng,
}

impl World {
    fn new() -> Self {
        let swarm = Swarm::new(InfoHash::new([1; 20]), 0, 0);
        Self { swarm, homes: Homes::new(0), rules: RULES, now_s: 1_000, rng: SmallRng::seed_from_u64(1) }
    }

    fn announce(&mut self, asked: &Asked) -> (ScrapeEntry, Chosen) {
        self.try_announce(asked).unwrap()
    }

    fn try_announce(&mut self, asked: &Asked) -> Result<(ScrapeEntry, Chosen), Refused> {
        let around = Surroundings { now_s: self.now_s, rules: self.rules, homes: &self.homes };
        let mut chosen = Chosen::default();
        let numbers = self.swarm.announce(asked, around, &mut self.rng, &mut chosen)?;
        Ok((numbers, chosen))
    }

    /// Seeds, leechers, downloads.
    fn numbers(&self) -> (u32, u32, u32) {
        let numbers = self.swarm.numbers();
        (numbers.seeds, numbers.leechers, numbers.downloaded)
    }
}

/// A leecher that announces as usual.
fn asked(address: &str) -> Asked {
    let address: SocketAddr = address.parse().unwrap();
    let mut id = [b'p'; 20];
    id[..2].copy_from_slice(&address.port().to_be_bytes());
    Asked {
        info_hash: InfoHash::new([1; 20]),
        address,
        peer_id: PeerId::new(id),
        key: None,
        state: State::Leecher,
        event: Event::None,
        wanted: 50,
        family: None,
    }
}

fn seed(address: &str) -> Asked {
    Asked { state: State::Seed, ..asked(address) }
}

fn with(event: Event, asked: Asked) -> Asked {
    Asked { event, ..asked }
}

#[test]
fn peers_are_told_of_each_other_and_never_of_themselves() {
    let mut world = World::new();
    let (numbers, chosen) = world.announce(&asked("10.0.0.1:1"));
    assert_eq!((numbers.leechers, chosen), (1, Chosen::default()));
    let (_, chosen) = world.announce(&asked("10.0.0.2:2"));
    assert_eq!(chosen.v4, [10, 0, 0, 1, 0, 1]);
    let (_, chosen) = world.announce(&asked("[2001:db8::3]:3"));
    assert_eq!((chosen.v4.len(), chosen.v6.len()), (12, 0));
    world.now_s += 1_000;
    let (numbers, chosen) = world.announce(&asked("10.0.0.1:1"));
    assert_eq!((numbers.leechers, chosen.v4, chosen.v6.len()), (3, vec![10, 0, 0, 2, 0, 2], 18));
}

#[test]
fn seeds_are_told_of_leechers_and_leechers_of_all() {
    let mut world = World::new();
    for asked in [seed("10.0.0.1:1"), seed("10.0.0.2:2"), asked("10.0.0.3:3")] {
        world.announce(&with(Event::Started, asked));
    }
    let (_, chosen) = world.announce(&with(Event::Started, seed("10.0.0.1:1")));
    assert_eq!(chosen.v4, [10, 0, 0, 3, 0, 3]);
    let (numbers, chosen) = world.announce(&with(Event::Started, asked("10.0.0.3:3")));
    assert_eq!((numbers.seeds, numbers.leechers, chosen.v4.len()), (2, 1, 12));
    let paused = Asked { state: State::Paused, ..asked("10.0.0.4:4") };
    let (numbers, chosen) = world.announce(&paused);
    assert_eq!(chosen.v4, [10, 0, 0, 3, 0, 3], "a partial seed wants no seeds either");
    assert_eq!((numbers.leechers, numbers.downloaders), (2, Some(1)));
}

#[test]
fn who_stops_is_gone_and_told_of_nobody() {
    let mut world = World::new();
    world.announce(&asked("10.0.0.1:1"));
    world.announce(&asked("10.0.0.2:2"));
    let (numbers, chosen) = world.announce(&with(Event::Stopped, asked("10.0.0.2:2")));
    assert_eq!((numbers.leechers, chosen), (1, Chosen::default()));
    let (numbers, _) = world.announce(&with(Event::Stopped, asked("10.0.0.3:3")));
    assert_eq!(numbers.leechers, 1, "who was not here stays away");
}

#[test]
fn a_download_is_counted_once_and_only_of_who_was_here() {
    let mut world = World::new();
    world.announce(&with(Event::Completed, seed("10.0.0.1:1")));
    assert_eq!(world.numbers(), (1, 0, 0), "nobody saw it download");
    world.announce(&with(Event::Started, asked("10.0.0.2:2")));
    world.announce(&with(Event::Completed, asked("10.0.0.2:2")));
    assert_eq!(world.numbers(), (1, 1, 0), "something is left");
    world.announce(&with(Event::Completed, seed("10.0.0.2:2")));
    assert_eq!(world.numbers(), (2, 0, 1));
    world.announce(&with(Event::Completed, seed("10.0.0.2:2")));
    world.announce(&asked("10.0.0.2:2"));
    world.announce(&with(Event::Completed, seed("10.0.0.2:2")));
    assert_eq!(world.numbers(), (2, 0, 1));
}

#[test]
fn a_peer_with_a_key_may_move() {
    let mut world = World::new();
    let keyed =
        |address: &str, key| Asked { key: Some(key), peer_id: PeerId::new([7; 20]), ..asked(address) };
    world.announce(&keyed("10.0.0.1:1", 5));
    world.announce(&keyed("10.0.0.2:1", 5));
    assert_eq!(world.numbers(), (0, 1, 0));
    assert!(world.swarm.v4().find(&[10, 0, 0, 2, 0, 1]).is_some());
    world.announce(&keyed("10.0.0.3:1", 6));
    assert_eq!(world.numbers(), (0, 2, 0), "another key is another peer");
    world.announce(&Asked { key: None, ..keyed("10.0.0.4:1", 0) });
    world.announce(&Asked { key: None, ..keyed("10.0.0.5:1", 0) });
    assert_eq!(world.numbers(), (0, 4, 0), "without a key nobody moves");
    world.announce(&keyed("[2001:db8::1]:1", 5));
    assert_eq!(world.numbers(), (0, 5, 0), "one of each family is one peer with two addresses");
    world.announce(&keyed("10.0.0.3:1", 5));
    assert_eq!(world.numbers(), (0, 4, 0), "to where another was");
    let completed = Asked { state: State::Seed, event: Event::Completed, ..keyed("10.0.0.9:1", 5) };
    world.announce(&completed);
    world.announce(&completed);
    assert_eq!(world.numbers(), (1, 3, 1), "on the way it completed");
    world.announce(&Asked { event: Event::Stopped, ..keyed("10.0.0.8:1", 5) });
    assert_eq!(world.numbers(), (0, 3, 1));
}

#[test]
fn who_comes_too_early_is_told_of_few() {
    let mut world = World::new();
    for port in 1..=60 {
        world.announce(&asked(&format!("10.0.0.1:{port}")));
    }
    let told = |world: &mut World, event, after_s| {
        world.now_s += after_s;
        world.announce(&with(event, asked("10.0.0.1:1"))).1.v4.len() / 6
    };
    assert_eq!(told(&mut world, Event::None, 300), 50);
    assert_eq!(told(&mut world, Event::None, 298), EARLY_PEERS);
    assert_eq!(told(&mut world, Event::None, 299), 50, "a second is no time");
    assert_eq!(told(&mut world, Event::Started, 1), 50, "an event is always in time");
    assert_eq!(world.announce(&asked("10.0.0.2:1")).1.v4.len() / 6, 50, "so is who is new");
    world.rules.min_interval_s = 0;
    assert_eq!(told(&mut world, Event::None, 0), 50);
}

#[test]
fn one_home_has_so_many_peers_and_torrents() {
    let mut world = World::new();
    (world.rules.peers_per_home, world.homes) = (2, Homes::new(1));
    world.announce(&asked("10.0.0.1:1"));
    world.announce(&asked("10.0.0.1:2"));
    assert_eq!(world.try_announce(&asked("10.0.0.1:3")), Err(Refused::PeersPerAddress));
    world.announce(&asked("10.0.0.1:2"));
    world.announce(&asked("10.0.0.2:3"));
    world.announce(&asked("[2001:db8::1]:1"));
    world.announce(&asked("[2001:db8::2]:1"));
    assert_eq!(world.try_announce(&asked("[2001:db8::3]:1")), Err(Refused::PeersPerAddress), "one /64");
    world.announce(&asked("[2001:db8:0:1::3]:1"));
    let mut other = World { homes: world.homes, ..World::new() };
    assert_eq!(other.try_announce(&asked("10.0.0.1:1")), Err(Refused::TorrentsPerAddress));
    world.homes = other.homes;
    world.announce(&with(Event::Stopped, asked("10.0.0.1:1")));
    world.announce(&with(Event::Stopped, asked("10.0.0.1:2")));
    other.homes = world.homes;
    other.announce(&asked("10.0.0.1:1"));
}

#[test]
fn packets_of_one_family_name_peers_of_one() {
    let mut world = World::new();
    for port in 1..=3 {
        world.announce(&asked(&format!("10.0.0.1:{port}")));
        world.announce(&asked(&format!("[2001:db8::1]:{port}")));
    }
    let of = |world: &mut World, family| {
        let chosen = world.announce(&Asked { family, ..asked("10.0.0.9:9") }).1;
        (chosen.v4.len() / 6, chosen.v6.len() / 18)
    };
    assert_eq!(of(&mut world, Some(Family::V4)), (3, 0));
    assert_eq!(of(&mut world, Some(Family::V6)), (0, 3));
    assert_eq!(of(&mut world, None), (3, 3));
}

#[test]
fn both_families_have_a_fair_share() {
    let mut rng = SmallRng::seed_from_u64(3);
    let mut mean = |wanted, v4, v6| {
        let mut sum = (0, 0);
        for _ in 0..4_000 {
            let (of_v4, of_v6) = share(wanted, v4, v6, &mut rng);
            assert!(of_v4 + of_v6 == wanted.min((v4 + v6) as usize) || of_v4 >= v4 as usize);
            sum = (sum.0 + of_v4.min(v4 as usize), sum.1 + of_v6);
        }
        (sum.0 / 400, sum.1 / 400)
    };
    assert_eq!(mean(50, 100, 100), (250, 250));
    assert_eq!(mean(48, 10_000, 10), (380, 100), "ten are not twelve");
    assert_eq!(mean(48, 10_000, 100), (360, 120), "a quarter at least");
    assert_eq!(mean(48, 100, 10_000), (120, 360));
    assert_eq!(mean(50, 3, 1_000), (30, 470), "what one lacks the other has");
    assert_eq!(mean(50, 20, 20), (200, 200));
    assert_eq!(mean(50, 0, 80), (0, 500));
    assert_eq!(mean(50, 80, 0), (500, 0));
    let (v4, v6) = mean(1, 300, 100);
    assert!((7..=8).contains(&v4) && (2..=3).contains(&v6), "one is of either: {v4} {v6}");
}

#[test]
fn ids_come_with_peers_where_they_are_wanted() {
    let mut world = World::new();
    world.announce(&asked("10.0.0.1:1"));
    world.announce(&asked("[2001:db8::1]:2"));
    let mut chosen = Chosen { ids: Some(Vec::new()), ..Chosen::default() };
    let around = Surroundings { now_s: 1, rules: RULES, homes: &world.homes };
    world.swarm.announce(&asked("10.0.0.9:9"), around, &mut world.rng, &mut chosen).unwrap();
    let ids = [asked("10.0.0.1:1").peer_id, asked("[2001:db8::1]:2").peer_id];
    assert_eq!(chosen.ids.as_deref(), Some(&ids[..]));
    chosen.clear();
    assert_eq!(chosen, Chosen { ids: Some(Vec::new()), ..Chosen::default() });
}
