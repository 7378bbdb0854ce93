//! Tests of the schedule: who is asked when, with which event, and what a failure changes.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// A schedule with its clock and its dice.
struct Bench {
    schedule: Schedule,
    now: Instant,
    rng: StdRng,
}

impl Bench {
    /// Trackers that have only IPv4, so that each is asked once.
    fn new(tiers: &[&[u8]]) -> Self {
        let url = |n: &u8| format!("http://10.0.0.{n}/").parse().unwrap();
        Self::of(tiers.iter().map(|tier| tier.iter().map(url).collect()).collect())
    }

    fn of(tiers: Vec<Vec<TrackerUrl>>) -> Self {
        let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(7));
        let trackers = Arc::new(TrackerSet::new(tiers));
        Self { schedule: Schedule::new(trackers, now, now, &mut rng), now, rng }
    }

    fn due(&mut self) -> Vec<Ask> {
        let asks = self.schedule.due(self.now);
        asks.iter().for_each(|ask| self.schedule.sent(ask, self.now));
        asks
    }

    /// The only announce that is due.
    fn ask(&mut self) -> Ask {
        let [ask] = self.due().try_into().unwrap_or_else(|asks| panic!("{asks:?}"));
        ask
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn answer(&mut self, ask: &Ask, interval: u64, min: Option<u64>) {
        let interval = Some(Duration::from_secs(interval));
        let answer = Answer { interval, min_interval: min.map(Duration::from_secs), ..Answer::default() };
        self.schedule.answered(ask, &answer, self.now, &mut self.rng);
    }

    fn fail(&mut self, ask: &Ask) {
        self.schedule.failed(ask, Failure::Other("dead".into()), self.now, &mut self.rng);
    }

    fn refuse(&mut self, ask: &Ask, retry_in: RetryIn) {
        let refusal = Refusal { retry_in: Some(retry_in), ..Refusal::default() };
        self.schedule.failed(ask, Failure::Refused(refusal), self.now, &mut self.rng);
    }

    fn stop(&mut self) -> Vec<Ask> {
        self.schedule.stop(self.now)
    }

    /// Seconds until something is due.
    fn until_due(&self) -> u64 {
        self.schedule.next_due().unwrap().saturating_duration_since(self.now).as_secs()
    }
}

#[test]
fn started_comes_first_and_again_until_it_was_answered() {
    let mut bench = Bench::new(&[&[1]]);
    let ask = bench.ask();
    assert_eq!(ask.event, Event::Started);
    assert!(bench.due().is_empty() && bench.schedule.next_due().is_none(), "asked once at a time");
    bench.fail(&ask);
    let pause = bench.until_due();
    assert!((14..19).contains(&pause), "{pause}");
    bench.wait(pause + 1);
    let ask = bench.ask();
    assert_eq!(ask.event, Event::Started);
    bench.answer(&ask, 1800, None);
    bench.wait(2000);
    assert_eq!(bench.ask().event, Event::None);
}

#[test]
fn intervals_are_the_trackers_within_reason() {
    let until_due = |interval, min| {
        let mut bench = Bench::new(&[&[1]]);
        let ask = bench.ask();
        bench.answer(&ask, interval, min);
        bench.until_due()
    };
    let within =
        |seconds: u64, least: u64| assert!((least..=least * 11 / 10).contains(&seconds), "{seconds}");
    within(until_due(1800, Some(900)), 1800);
    within(until_due(5, None), 60);
    within(until_due(0, Some(0)), 1);
    within(until_due(10, Some(2)), 10);
    within(until_due(10, Some(300)), 300);
    within(until_due(1_000_000, None), 3 * 3600);
    within(until_due(60, Some(1_000_000)), 3 * 3600);
}

#[test]
fn a_hungry_swarm_is_served_early_but_not_before_the_minimum_interval() {
    let mut bench = Bench::new(&[&[1]]);
    let ask = bench.ask();
    bench.answer(&ask, 1800, Some(300));
    bench.wait(10);
    bench.schedule.want_peers(bench.now);
    assert_eq!(bench.until_due(), 290);
    bench.wait(290);
    let ask = bench.ask();
    bench.fail(&ask);
    bench.schedule.want_peers(bench.now);
    assert!(bench.until_due() >= 14, "a failing tracker is left alone");
}

#[test]
fn the_next_tier_is_asked_when_the_first_failed_and_the_first_again_later() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let first = bench.ask();
    assert_eq!(first.tracker, 0);
    bench.fail(&first);
    let second = bench.ask();
    assert_eq!((second.tracker, second.event), (1, Event::Started));
    bench.answer(&second, 1800, None);
    bench.wait(20);
    let again = bench.ask();
    assert_eq!(again.tracker, 0);
    bench.answer(&again, 1800, None);
    bench.wait(2000);
    assert_eq!(bench.ask().tracker, 0, "it is in charge again, and the second is left alone");
    assert_eq!(bench.stop().len(), 2, "both know of the torrent");
}

#[test]
fn within_a_tier_the_one_that_answered_moves_to_the_front() {
    let mut bench = Bench::new(&[&[1, 2, 3]]);
    let first = bench.ask();
    bench.fail(&first);
    let second = bench.ask();
    bench.answer(&second, 60, Some(60));
    assert_eq!(bench.schedule.order[..2], [second.tracker, first.tracker]);
    assert_eq!(
        bench.schedule.order[3..5],
        [first.tracker, second.tracker],
        "the other family has its own order"
    );
    bench.wait(70);
    assert_eq!(bench.ask().tracker, second.tracker);
}

#[test]
fn a_tier_is_shuffled() {
    let tier = (1..=3).map(|n| format!("http://10.0.0.{n}/").parse().unwrap()).collect();
    let trackers = Arc::new(TrackerSet::new(vec![tier]));
    let mut firsts: Vec<u8> = (0..100)
        .map(|seed| {
            let (now, mut rng) = (Instant::now(), StdRng::seed_from_u64(seed));
            Schedule::new(Arc::clone(&trackers), now, now, &mut rng).due(now)[0].tracker
        })
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts, [0, 1, 2]);
}

#[test]
fn a_tracker_that_keeps_silent_does_not_hold_up_the_next() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let asks = bench.schedule.due(bench.now);
    bench.wait(100);
    assert!(
        bench.due().is_empty() && bench.schedule.next_due().is_none(),
        "what waits in our queue is not silent"
    );
    bench.schedule.sent(&asks[0], bench.now);
    assert_eq!(bench.until_due(), PATIENCE.as_secs());
    bench.wait(PATIENCE.as_secs());
    let second = bench.ask();
    assert_eq!(second.tracker, 1);
    bench.answer(&second, 1800, None);
    bench.answer(&asks[0], 1800, None);
    bench.wait(2000);
    assert_eq!(bench.ask().tracker, 0);
}

#[test]
fn completed_is_told_once_at_once_and_only_to_whom_it_concerns() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let ask = bench.ask();
    bench.schedule.completed(bench.now);
    bench.answer(&ask, 1800, Some(1800));
    let ask = bench.ask();
    assert_eq!(
        ask.event,
        Event::Completed,
        "not before started, and without waiting for the minimum interval"
    );
    bench.fail(&ask);
    let other = bench.ask();
    assert_eq!((other.tracker, other.event), (1, Event::Started), "to the second it starts as a seed");
    bench.answer(&other, 1800, None);
    bench.wait(30);
    let ask = bench.ask();
    assert_eq!((ask.tracker, ask.event), (0, Event::Completed));
    bench.answer(&ask, 1800, None);
    bench.schedule.completed(bench.now);
    bench.wait(2000);
    assert_eq!(bench.ask().event, Event::None);
}

#[test]
fn only_trackers_that_were_told_started_are_told_stopped() {
    let mut bench = Bench::new(&[&[1], &[2], &[3]]);
    let first = bench.ask();
    bench.fail(&first);
    let second = bench.ask();
    let answer = Answer { tracker_id: Some(b"id".to_vec()), ..Answer::default() };
    bench.schedule.answered(&second, &answer, bench.now, &mut bench.rng);
    bench.wait(10_000);
    let expected =
        Ask { tracker: 1, family: Family::V4, event: Event::Stopped, tracker_id: Some(b"id".to_vec()) };
    assert_eq!(bench.stop(), [expected]);
    assert!(bench.due().is_empty() && bench.schedule.next_due().is_none() && bench.stop().is_empty());
}

#[test]
fn a_tracker_that_may_be_hearing_of_the_start_is_told_of_the_end_unless_it_is_silent() {
    let told = |waits_s: Option<u64>| {
        let mut bench = Bench::new(&[&[1]]);
        let asks = bench.schedule.due(bench.now);
        if let Some(waits_s) = waits_s {
            bench.schedule.sent(&asks[0], bench.now);
            bench.wait(waits_s);
        }
        let told = bench.stop();
        assert!(told.iter().all(|ask| (ask.tracker, ask.event) == (0, Event::Stopped)));
        assert!(bench.stop().is_empty(), "once");
        told.len()
    };
    assert_eq!(told(Some(0)), 1);
    assert_eq!(told(Some(PATIENCE.as_secs() - 1)), 1);
    assert_eq!(told(Some(PATIENCE.as_secs())), 0, "the end does not wait for one that keeps silent");
    assert_eq!(told(None), 0, "what waits in our queue was heard by nobody");
}

#[test]
fn pauses_double_up_to_half_an_hour_and_retry_in_is_honoured() {
    let mut bench = Bench::new(&[&[1]]);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let ask = bench.ask();
        bench.fail(&ask);
        pauses.push(bench.until_due());
        bench.wait(pauses.last().unwrap() + 1);
    }
    assert!(pauses.windows(2).take(6).all(|pair| pair[1] > pair[0] * 3 / 2), "{pauses:?}");
    assert!(pauses[11] >= 1800 && pauses[11] <= 1800 * 5 / 4, "{pauses:?}");
    let ask = bench.ask();
    bench.refuse(&ask, RetryIn::After(Duration::from_secs(4 * 3600)));
    assert_eq!(bench.until_due(), 4 * 3600);
    bench.wait(4 * 3600);
    let ask = bench.ask();
    bench.refuse(&ask, RetryIn::Never);
    assert_eq!(bench.schedule.next_due(), None);
    assert_eq!(bench.schedule.status()[0].state, TrackerState::Silenced);
}

#[test]
fn families_are_kept_apart() {
    let mut bench = Bench::of(vec![vec!["http://t/".parse().unwrap()]]);
    let asks = bench.due();
    assert_eq!(asks.iter().map(|ask| ask.family).collect::<Vec<_>>(), Family::ALL);
    bench.answer(&asks[0], 1800, None);
    bench.schedule.failed(&asks[1], Failure::NoAddress, bench.now, &mut bench.rng);
    let states: Vec<_> = bench.schedule.status().iter().map(|status| status.state).collect();
    assert_eq!(states, [TrackerState::Working, TrackerState::NoAddress]);
    assert!(bench.until_due() >= 60);
    assert_eq!(bench.stop().len(), 1);
}

#[test]
fn a_status_tells_what_happened() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let ask = bench.ask();
    bench.fail(&ask);
    let answer =
        Answer { seeds: Some(3), leechers: Some(4), warning: Some("w".to_owned()), ..Answer::default() };
    let ask = bench.ask();
    bench.schedule.answered(&ask, &answer, bench.now, &mut bench.rng);
    let [failing, working] = bench.schedule.status().try_into().unwrap();
    assert_eq!((failing.state, failing.failures, failing.tier), (TrackerState::Failing, 1, 0));
    assert_eq!((failing.last_error.as_deref(), failing.last_answer), (Some("dead"), None));
    assert_eq!(
        (working.state, working.last_answer, working.tier),
        (TrackerState::Working, Some(bench.now), 1)
    );
    assert_eq!((working.seeds, working.leechers, working.warning.as_deref()), (Some(3), Some(4), Some("w")));
    assert!(working.next.is_some_and(|next| next > bench.now));
}

#[test]
fn a_torrent_that_was_announced_before_waits_for_its_time() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let first = bench.now + Duration::from_secs(600);
    bench.schedule = Schedule::new(Arc::clone(bench.schedule.trackers()), first, bench.now, &mut bench.rng);
    assert!(bench.due().is_empty());
    assert_eq!(bench.schedule.status()[0].next, Some(first));
    assert_eq!(bench.until_due(), 600);
    assert!(bench.stop().is_empty(), "nobody was told anything");
    bench.schedule = Schedule::new(Arc::clone(bench.schedule.trackers()), first, bench.now, &mut bench.rng);
    bench.schedule.want_peers(bench.now);
    let ask = bench.ask();
    assert_eq!((ask.tracker, ask.event), (0, Event::Started), "unless it is needed");
    bench.answer(&ask, 1800, None);
    assert!(bench.schedule.next_of(&ask) >= Some(bench.now + Duration::from_secs(1800)));
}

#[test]
fn who_is_turned_away_comes_again_when_told_and_the_next_tracker_is_asked() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    let asks = bench.schedule.due(bench.now);
    let again = bench.now + Duration::from_secs(100);
    bench.schedule.turned_away(&asks[0], Failure::Other("dead".into()), bench.now, again);
    let status = &bench.schedule.status()[0];
    assert_eq!((status.state, status.next), (TrackerState::Failing, Some(again)));
    assert_eq!(status.last_error.as_deref(), Some("dead"));
    let second = bench.ask();
    assert_eq!(second.tracker, 1);
    bench.answer(&second, 1800, None);
    bench.wait(100);
    assert_eq!(bench.ask().tracker, 0);
}

#[test]
fn a_user_is_obeyed_as_soon_as_the_tracker_allows_and_one_that_fails_is_tried_again() {
    let mut bench = Bench::new(&[&[1], &[2]]);
    for _ in 0..6 {
        let ask = bench.ask();
        bench.fail(&ask);
        let second = bench.due();
        second.iter().for_each(|ask| bench.answer(ask, 100_000, Some(7000)));
        let until_due = bench.until_due();
        bench.wait(until_due + 1);
    }
    let ask = bench.ask();
    bench.fail(&ask);
    assert!(bench.until_due() > 900);
    bench.schedule.reannounce(bench.now);
    assert!((14..=15).contains(&bench.until_due()), "not at once");
    bench.wait(16);
    bench.schedule.reannounce(bench.now);
    let ask = bench.ask();
    assert_eq!(ask.tracker, 0, "and the second not before its minimum interval");
    bench.refuse(&ask, RetryIn::After(Duration::from_secs(5000)));
    bench.schedule.reannounce(bench.now);
    assert!(bench.until_due() > 1000, "{}", bench.until_due());
}

#[test]
fn a_schedule_is_small() {
    assert!(size_of::<Schedule>() <= 80, "{} bytes", size_of::<Schedule>());
    let mut bench = Bench::new(&[&[1], &[2]]);
    assert_eq!(bench.schedule.endpoints.capacity(), 0);
    let ask = bench.ask();
    bench.answer(&ask, 1800, None);
    assert_eq!(bench.schedule.endpoints.capacity(), 1, "only who was asked");
}

proptest! {
    /// Whatever happens, a tracker is asked once at a time and not too often, and time never passes in vain.
    #[test]
    fn no_tracker_is_asked_too_often(steps in prop::collection::vec((0..4_u8, 0..120_u64), 1..200)) {
        let mut bench = Bench::new(&[&[1, 2], &[3]]);
        let mut open: Vec<Ask> = Vec::new();
        let mut last = [None::<Instant>; 3];
        for (step, seconds) in steps {
            bench.wait(seconds);
            for ask in bench.due() {
                prop_assert!(open.iter().all(|other| other.tracker != ask.tracker));
                let since = last[usize::from(ask.tracker)].map(|last| bench.now - last);
                prop_assert!(since.is_none_or(|since| since >= Duration::from_secs(14)), "{:?}", since);
                open.push(ask);
            }
            prop_assert!(bench.schedule.next_due().is_none_or(|at| at > bench.now));
            prop_assert!(bench.schedule.next_due().is_some() || !open.is_empty());
            match (step, open.is_empty()) {
                (0 | 1, false) => {
                    let ask = open.swap_remove(0);
                    last[usize::from(ask.tracker)] = Some(bench.now);
                    if step == 0 { bench.answer(&ask, 30, Some(20)) } else { bench.fail(&ask) }
                }
                (2, _) => bench.schedule.want_peers(bench.now),
                _ => {}
            }
        }
    }
}
