//! The list of peers beside a model that looks through everything.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::super::peer::V4;
use super::*;

/// What may happen to a list.
#[derive(Debug, Clone)]
enum Step {
    Put { host: u8, port: u8, key: u8, state: State },
    Remove { nth: usize },
    Shrink,
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![State::Seed, State::Leecher, State::Paused])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8, 0..40_u8, any::<u8>(), state())
            .prop_map(|(host, port, key, state)| Step::Put { host, port, key, state }),
        3 => any::<usize>().prop_map(|nth| Step::Remove { nth }),
        1 => Just(Step::Shrink),
    ]
}

/// An identity of its own for each endpoint and key; none has a key where `key` is even.
fn identity(endpoint: Endpoint<V4>, key: u8) -> Identity {
    let mut id = [key; 20];
    id[..V4].copy_from_slice(&endpoint);
    let key = if key.is_multiple_of(2) { [0; 4] } else { [key, endpoint[3], endpoint[5], 1] };
    Identity { id, key }
}

fn put(peers: &mut Peers<V4>, endpoint: Endpoint<V4>, identity: Identity, state: State, seen_s: u32) {
    let at = match peers.find(&endpoint) {
        Some(at) => peers.renew(at, identity, state, seen_s),
        None => peers.insert(Peer::new(endpoint, identity, state, seen_s)),
    };
    assert_eq!(peers.list()[at].endpoint(), &endpoint, "it is where it is said to be");
}

/// Whether everything that can be asked of the list is as the model has it.
fn check(peers: &Peers<V4>, model: &BTreeMap<Endpoint<V4>, (Identity, State, u32)>) {
    assert_eq!(peers.len(), model.len());
    let number = |state| count(model.values().filter(|(_, of, _)| *of == state).count());
    assert_eq!(peers.seeds(), number(State::Seed));
    assert_eq!(peers.paused(), number(State::Paused));
    assert_eq!(peers.leechers(), number(State::Leecher) + number(State::Paused));
    let seeds = peers.seeds() as usize;
    assert!(peers.list()[..seeds].iter().all(|peer| peer.state() == State::Seed), "seeds come first");
    for (endpoint, (identity, state, seen_s)) in model {
        let peer = peers.list()[peers.find(endpoint).unwrap()];
        assert_eq!((peer.endpoint(), *peer.identity(), peer.state()), (endpoint, *identity, *state));
        assert_eq!(peer.seen_s(), *seen_s);
        if identity.has_key() {
            let found = peers.find_identity(identity).unwrap();
            assert_eq!(peers.list()[found].endpoint(), endpoint);
        }
        let home = home_of(endpoint);
        assert_eq!(peers.at_home(&home), count(model.keys().filter(|it| home_of(it) == home).count()));
    }
    assert_eq!(peers.find(&[9; V4]), None);
    assert_eq!(peers.find_identity(&Identity { id: [9; 20], key: [9; 4] }), None);
    assert_eq!(peers.at_home(&home_of(&[9; V4])), 0);
}

fn home_of(endpoint: &Endpoint<V4>) -> Home {
    super::super::peer::home_of(endpoint)
}

proptest! {
    #[test]
    fn the_list_is_what_its_history_says(steps in prop::collection::vec(step(), 0..400)) {
        let (mut peers, mut model) = (Peers::<V4>::default(), BTreeMap::new());
        for (seen_s, step) in (1..).zip(steps) {
            match step {
                Step::Put { host, port, key, state } => {
                    let endpoint = [10, 0, 0, host, 0, port];
                    let identity = identity(endpoint, key);
                    put(&mut peers, endpoint, identity, state, seen_s);
                    model.insert(endpoint, (identity, state, seen_s));
                }
                Step::Remove { nth } => {
                    let nth = nth % model.len().max(1);
                    let Some(endpoint) = model.keys().nth(nth).copied() else { continue };
                    let at = peers.find(&endpoint).unwrap();
                    prop_assert_eq!(*peers.remove(at).endpoint(), endpoint);
                    model.remove(&endpoint);
                }
                Step::Shrink => peers.shrink(),
            }
            check(&peers, &model);
        }
    }

    #[test]
    fn whoever_asks_is_told_of_others_only(
        states in prop::collection::vec(state(), 1..80), asker: prop::sample::Index, wanted in 0..100_usize,
        is_for_seed: bool, seed: u64,
    ) {
        let mut peers = Peers::<V4>::default();
        for (port, state) in (0..).zip(&states) {
            put(&mut peers, [10, 0, 0, 1, 0, port], identity([0; V4], port), *state, 1);
        }
        let asker = peers.find(&[10, 0, 0, 1, 0, u8::try_from(asker.index(states.len())).unwrap()]).unwrap();
        let asker_endpoint = *peers.list()[asker].endpoint();
        let mut told = Vec::new();
        let mut rng = SmallRng::seed_from_u64(seed);
        peers.choose(&mut rng, Some(asker), is_for_seed, wanted, |peer| told.push(*peer));
        let is_right = |peer: &Peer<V4>| {
            *peer.endpoint() != asker_endpoint && !(is_for_seed && peer.state() == State::Seed)
        };
        let choices = peers.list().iter().filter(|peer| is_right(peer)).count();
        prop_assert_eq!(peers.choices(Some(asker), is_for_seed) as usize, choices);
        prop_assert_eq!(told.len(), wanted.min(choices));
        prop_assert!(told.iter().all(is_right));
        let mut endpoints: Vec<_> = told.iter().map(|peer| *peer.endpoint()).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        prop_assert_eq!(endpoints.len(), told.len(), "each once");
    }
}

#[test]
fn two_peers_take_no_room_of_their_own_and_three_that_of_three() {
    let mut peers = Peers::<V4>::default();
    for (port, bytes) in [(0, 0), (1, 0), (2, 3 * size_of::<Peer<V4>>())] {
        put(&mut peers, [1, 1, 1, 1, 0, port], identity([0; V4], port), State::Leecher, 1);
        assert_eq!(peers.heap_bytes(), bytes);
    }
    peers.remove(0);
    assert!(size_of::<Peers<V4>>() <= 96, "{}", size_of::<Peers<V4>>());
}

#[test]
fn a_list_that_was_long_gives_back_its_memory() {
    let mut peers = Peers::<V4>::default();
    for port in 0..1_000_u16 {
        let [high, low] = port.to_be_bytes();
        let endpoint = [1, 1, 1, 1, high, low];
        put(&mut peers, endpoint, identity(endpoint, 1), State::Seed, 1);
    }
    let most = peers.heap_bytes();
    while peers.len() > 10 {
        peers.remove(0);
    }
    peers.shrink();
    assert!(peers.heap_bytes() < most / 50 && peers.index.is_none());
}
