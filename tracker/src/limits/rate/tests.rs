//! The table beside an exact model of token buckets, under a flood, and where its time wraps.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const KEY: [u8; 16] = [9; 16];
/// Ten a second, five at once.
const LIMIT: Rate = Rate { per_s: 10, burst: 5 };

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v4(number: u32) -> RateKey {
    RateKey::of(IpAddr::V4(number.into())).0
}

/// How many of 100 requests of `key` at `now_ms` are let through.
fn admitted(table: &RateTable, key: RateKey, now_ms: u64, limit: Rate) -> usize {
    (0..100).filter(|_| table.admit(key, now_ms, limit).is_ok()).count()
}

/// A bucket of tokens, as textbooks have it: filled as time goes by, up to the burst. A token is `per_s * 1000` parts.
struct Bucket {
    parts: u64,
    at_ms: u64,
}

impl Bucket {
    fn admit(&mut self, now_ms: u64, limit: Rate) -> bool {
        let full = u64::from(limit.burst) * 1_000;
        self.parts = full.min(self.parts + (now_ms - self.at_ms) * u64::from(limit.per_s));
        self.at_ms = now_ms;
        let is_enough = self.parts >= 1_000;
        self.parts -= if is_enough { 1_000 } else { 0 };
        is_enough
    }
}

proptest! {
    #[test]
    fn it_admits_what_buckets_of_tokens_do(
        // Rates whose spacing is whole microseconds, for the model knows no rounding.
        per_s in prop::sample::select(vec![1_u32, 4, 10, 100, 1_000, 8_000, 1_000_000]),
        burst in 1..50_u32,
        start_ms in prop::sample::select(vec![0, 1_000, (1 << 40) / 1_000 - 50, u64::MAX / 2_000]),
        requests in prop::collection::vec((0..4_u32, 0..100_u64), 1..400),
    ) {
        let (table, limit) = (RateTable::new(1_024, KEY), Rate { per_s, burst });
        let mut model = HashMap::new();
        let mut now_ms = start_ms;
        for (key, later_ms) in requests {
            now_ms += later_ms;
            let full = Bucket { parts: u64::from(burst) * 1_000, at_ms: now_ms };
            let bucket = model.entry(key).or_insert(full);
            let answer = table.admit(v4(key), now_ms, limit);
            prop_assert_eq!(answer.is_ok(), bucket.admit(now_ms, limit), "{} at {} ms", key, now_ms);
            if let Err(RetryAfter(wait)) = answer {
                let missing_parts = 1_000 - bucket.parts;
                let wait_us = missing_parts * 1_000 / u64::from(per_s);
                prop_assert_eq!(wait, Duration::from_micros(wait_us));
            }
        }
    }

    #[test]
    fn any_rate_lets_through_what_it_says_or_a_little_more(per_s in 1..u32::MAX, burst in 0..1_000_u32) {
        let (table, limit) = (RateTable::new(64, KEY), Rate { per_s, burst });
        let most = burst.max(1);
        let at_once = (0..=most).filter(|_| table.admit(v4(1), 7, limit).is_ok()).count();
        prop_assert_eq!(u64::try_from(at_once).unwrap(), u64::from(most));
        let RetryAfter(wait) = table.admit(v4(1), 7, limit).unwrap_err();
        prop_assert!(wait <= Duration::from_secs(1));
        prop_assert!(wait.as_micros() * u128::from(per_s) <= 1_000_000 || wait == Duration::from_micros(1));
    }
}

#[test]
fn a_rate_of_none_is_no_limit() {
    let table = RateTable::new(64, KEY);
    assert_eq!(admitted(&table, v4(1), 0, Rate { per_s: 0, burst: 5 }), 100);
}

#[test]
fn who_is_refused_is_told_when_to_come_again() {
    let table = RateTable::new(64, KEY);
    assert_eq!(admitted(&table, v4(1), 50, LIMIT), 5);
    let refused = table.admit(v4(1), 50, LIMIT).unwrap_err();
    assert_eq!(refused, RetryAfter(Duration::from_millis(100)));
    assert!(table.admit(v4(1), 149, LIMIT).is_err());
    assert_eq!(admitted(&table, v4(1), 150, LIMIT), 1);
    assert_eq!(admitted(&table, v4(2), 150, LIMIT), 5, "another has his own");
}

#[test]
fn ipv6_is_counted_by_network_too() {
    let table = RateTable::new(1_024, KEY);
    let ask = |address: &str| table.admit_address(ip(address), 0, LIMIT).is_ok();
    let hosts = (0..20).filter(|host| ask(&format!("2001:db8::{host}"))).count();
    assert_eq!(hosts, 5, "one /64");
    assert!(ask("2001:db8:0:1::1"), "the next one");
}

#[test]
fn an_address_is_the_same_as_v4_and_mapped() {
    assert_eq!(RateKey::of(ip("192.0.2.1")), RateKey::of(ip("::ffff:192.0.2.1")));
    assert_eq!(RateKey::of(ip("192.0.2.1")).1, None);
    let (address, network) = RateKey::of(ip("2001:db8::"));
    assert_ne!(Some(address), network, "a network is not its first address");
}

#[test]
fn a_flood_of_others_neither_grows_it_nor_frees_who_is_limited() {
    let table = RateTable::new(1 << 12, KEY);
    let limit = Rate { per_s: 1, burst: 100 };
    assert_eq!(admitted(&table, v4(0), 0, limit), 100);
    let bytes = size_of_val(&*table.sets);
    // Ten million in five seconds: each set is overrun 10,000 times.
    for number in 1..=10_000_000_u32 {
        assert!(table.admit(v4(number), u64::from(number) / 2_000, limit).is_ok());
    }
    assert_eq!((table.slots(), size_of_val(&*table.sets)), (1 << 12, bytes));
    assert_eq!(admitted(&table, v4(0), 5_000, limit), 5, "what five seconds have given it, and no more");
}

#[test]
fn a_slot_that_is_given_away_is_the_one_that_means_least() {
    // One set.
    let table = RateTable::new(1, KEY);
    assert_eq!(table.slots(), WAYS);
    for (key, requests) in [(1, 4), (2, 2), (3, 3), (4, 5)] {
        for _ in 0..requests {
            table.admit(v4(key), 0, LIMIT).unwrap();
        }
    }
    table.admit(v4(5), 0, LIMIT).unwrap();
    assert_eq!(admitted(&table, v4(4), 0, LIMIT), 0);
    assert_eq!(admitted(&table, v4(1), 0, LIMIT), 1);
    assert_eq!(admitted(&table, v4(3), 0, LIMIT), 2);
    assert_eq!(admitted(&table, v4(2), 0, LIMIT), 5, "it was 2 that had to go");
}

#[test]
fn what_is_long_past_is_not_taken_for_what_is_to_come() {
    let table = RateTable::new(64, KEY);
    let wrap_ms = (1 << TIME_BITS) / 1_000;
    for now_ms in [0, wrap_ms / 2, wrap_ms * 3 / 4, wrap_ms - 100_000, wrap_ms * 5] {
        let table = RateTable::new(64, KEY);
        assert_eq!(admitted(&table, v4(1), 1_000, LIMIT), 5);
        assert_eq!(admitted(&table, v4(1), 2_000 + now_ms, LIMIT), 5, "{now_ms}");
    }
    // Across the wrap itself.
    assert_eq!(admitted(&table, v4(1), wrap_ms - 1, LIMIT), 5);
    assert_eq!(admitted(&table, v4(1), wrap_ms + 199, LIMIT), 2);
}

#[test]
fn a_thread_whose_clock_is_behind_frees_nobody() {
    let table = RateTable::new(64, KEY);
    assert_eq!(admitted(&table, v4(1), 20_000, LIMIT), 5);
    assert_eq!(admitted(&table, v4(1), 19_000, LIMIT), 0);
    assert_eq!(admitted(&table, v4(1), 20_000, LIMIT), 0);
}

#[test]
fn a_lower_limit_is_not_held_against_who_used_the_higher() {
    let table = RateTable::new(64, KEY);
    let high = Rate { per_s: 1, burst: 100 };
    assert_eq!(admitted(&table, v4(1), 0, high), 100);
    assert_eq!(admitted(&table, v4(1), 0, LIMIT), 5);
}

#[test]
fn threads_that_race_let_through_hardly_more() {
    let (table, limit) = (RateTable::new(64, KEY), Rate { per_s: 1, burst: 1_000 });
    let ask = || (0..10_000).filter(|_| table.admit(v4(1), 0, limit).is_ok()).count();
    let all: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((1_000..10_000).contains(&all), "{all}");
}
