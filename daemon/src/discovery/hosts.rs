//! Who goes out when: few announces at a time to one host, not too many in all. The rest waits in order, as a few
//! bytes each, and is turned away while its host is known to be out of reach.
//!
//! The actor owns this. Hosts take turns, so a slow one takes no room from others. Nothing here sends.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use protocol::announce::{Failure, Family, Host, Scheme, TrackerUrl};

use super::trouble::{Trouble, Verdict};

/// Hosts that may be remembered without anyone waiting for them.
const MAX_IDLE_HOSTS: usize = 1024;
/// Most doors of one host whose troubles are remembered. Torrents name one or two.
const MAX_DOORS: usize = 32;
/// How many more may go out at a time to each host when everything ends: then there are seconds, and no later.
const MORE_AT_THE_END: usize = 28;

#[derive(Debug)]
pub(super) struct Hosts<J> {
    per_host: usize,
    overall: usize,
    under_way: usize,
    hosts: HashMap<Host, Queue<J>>,
    /// Hosts that may take one more; each once.
    ready: VecDeque<Host>,
}

#[derive(Debug)]
struct Queue<J> {
    waiting: VecDeque<(Door, J)>,
    under_way: usize,
    is_ready: bool,
    troubles: Vec<(Door, Trouble)>,
}

/// What fails as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Door {
    scheme: Scheme,
    port: u16,
    family: Family,
}

impl Door {
    pub(super) fn new(url: &TrackerUrl, family: Family) -> Self {
        Self { scheme: url.scheme(), port: url.port(), family }
    }
}

/// The right to send one announce. It is given back by [`Hosts::over`].
#[derive(Debug)]
#[must_use]
pub(super) struct Pass {
    pub(super) host: Host,
    door: Door,
    is_probe: bool,
}

/// Whose turn it is, and what for.
#[derive(Debug)]
pub(super) enum Turn<J> {
    /// To be sent.
    Go(J, Pass),
    /// Not to be sent: it would fail like this, and may come again then.
    Away { job: J, failure: Failure, again: Instant },
}

/// What an announce tells of the door it went to.
#[derive(Debug)]
pub(super) enum News {
    /// It is there.
    Reached,
    /// It is not.
    Unreachable(Failure),
    /// Nothing: it was given up.
    Unknown,
}

impl<J> Hosts<J> {
    pub(super) fn new(per_host: usize, overall: usize) -> Self {
        Self { per_host, overall, under_way: 0, hosts: HashMap::new(), ready: VecDeque::new() }
    }

    /// Whether [`Hosts::next`] has something.
    pub(super) fn has_turn(&self) -> bool {
        self.under_way < self.overall && !self.ready.is_empty()
    }

    /// Puts `job` into the queue of `host`.
    pub(super) fn push(&mut self, host: &Host, door: Door, job: J, now: Instant) {
        if !self.hosts.contains_key(host) {
            self.forget_idle(now);
        }
        // A host that is known costs no allocation.
        let queue = match self.hosts.get_mut(host) {
            Some(queue) => queue,
            None => self.hosts.entry(host.clone()).or_default(),
        };
        queue.waiting.push_back((door, job));
        self.invite(host);
    }

    /// The next that may go out, or that must go away.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn<J>> {
        if self.under_way >= self.overall {
            return None;
        }
        let host = self.ready.pop_front()?;
        let queue = self.hosts.get_mut(&host)?;
        queue.is_ready = false;
        let (door, job) = queue.waiting.pop_front()?;
        let verdict = queue.trouble(door).map(|trouble| trouble.judge(now));
        let turn = match verdict {
            Some(Verdict::Away { failure, again }) => Turn::Away { job, failure, again },
            verdict => {
                queue.under_way += 1;
                self.under_way += 1;
                let is_probe = verdict == Some(Verdict::Probe);
                Turn::Go(job, Pass { host: host.clone(), door, is_probe })
            }
        };
        self.invite(&host);
        Some(turn)
    }

    /// An announce is over.
    pub(super) fn over(&mut self, pass: Pass, news: News, now: Instant) {
        let Pass { host, door, is_probe } = pass;
        self.under_way = self.under_way.saturating_sub(1);
        let Some(queue) = self.hosts.get_mut(&host) else { return };
        queue.under_way = queue.under_way.saturating_sub(1);
        if let Some(trouble) = queue.trouble(door).filter(|_| is_probe) {
            trouble.probed();
        }
        match news {
            News::Reached => queue.troubles.retain(|(at, _)| *at != door),
            News::Unreachable(failure) => queue.failed(door, failure, now),
            News::Unknown => {}
        }
        self.invite(&host);
    }

    /// The user wants `host` to be tried: whatever trouble there is gets its probe soon.
    pub(super) fn doubt(&mut self, host: &Host) {
        if let Some(queue) = self.hosts.get_mut(host) {
            queue.troubles.iter_mut().for_each(|(_, trouble)| trouble.doubt());
        }
    }

    /// Drops what waits and is not wanted any more.
    pub(super) fn retain(&mut self, mut is_wanted: impl FnMut(&J) -> bool) {
        for queue in self.hosts.values_mut() {
            queue.waiting.retain(|(_, job)| is_wanted(job));
            queue.is_ready &= !queue.waiting.is_empty();
        }
        let Self { hosts, ready, .. } = self;
        ready.retain(|host| hosts.get(host).is_some_and(|queue| queue.is_ready));
    }

    /// Lets more pass for the rest of the time.
    pub(super) fn open_for_the_end(&mut self) {
        self.per_host += MORE_AT_THE_END;
        self.overall += MORE_AT_THE_END * self.hosts.len();
        let hosts: Vec<Host> = self.hosts.keys().cloned().collect();
        hosts.iter().for_each(|host| self.invite(host));
    }

    /// Has `host` take its turn, if something waits that may go out.
    fn invite(&mut self, host: &Host) {
        let Some(queue) = self.hosts.get_mut(host) else { return };
        let has_room = queue.under_way < self.per_host && !queue.waiting.is_empty();
        if has_room && !std::mem::replace(&mut queue.is_ready, true) {
            self.ready.push_back(host.clone());
        }
        if queue.waiting.is_empty() && queue.waiting.capacity() > 0 {
            queue.waiting = VecDeque::new();
        }
    }

    /// Makes room for one more host.
    fn forget_idle(&mut self, now: Instant) {
        if self.hosts.len() >= MAX_IDLE_HOSTS {
            self.hosts.retain(|_, queue| queue.is_busy() || queue.is_in_trouble(now));
        }
        if self.hosts.len() >= MAX_IDLE_HOSTS {
            self.hosts.retain(|_, queue| queue.is_busy());
        }
    }
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), under_way: 0, is_ready: false, troubles: Vec::new() }
    }
}

impl<J> Queue<J> {
    fn is_busy(&self) -> bool {
        self.under_way > 0 || !self.waiting.is_empty()
    }

    fn is_in_trouble(&self, now: Instant) -> bool {
        self.troubles.iter().any(|(_, trouble)| !trouble.is_over(now))
    }

    fn trouble(&mut self, door: Door) -> Option<&mut Trouble> {
        self.troubles.iter_mut().find(|(at, _)| *at == door).map(|(_, trouble)| trouble)
    }

    fn failed(&mut self, door: Door, failure: Failure, now: Instant) {
        if let Some(trouble) = self.trouble(door) {
            trouble.failed(failure, now);
        } else if self.troubles.len() < MAX_DOORS {
            self.troubles.push((door, Trouble::new(failure, now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Bench {
        hosts: Hosts<u32>,
        now: Instant,
    }

    impl Bench {
        fn new(per_host: usize, overall: usize) -> Self {
            Self { hosts: Hosts::new(per_host, overall), now: Instant::now() }
        }

        fn push(&mut self, url: &str, job: u32) {
            let url: TrackerUrl = url.parse().unwrap();
            self.hosts.push(url.host(), Door::new(&url, Family::V4), job, self.now);
        }

        /// All that may go out now, as numbers of jobs and their passes.
        fn go(&mut self) -> Vec<(u32, Pass)> {
            let turns = std::iter::from_fn(|| self.hosts.next(self.now));
            let go = |turn| if let Turn::Go(job, pass) = turn { (job, pass) } else { panic!("{turn:?}") };
            turns.map(go).collect()
        }

        fn fail(&mut self, pass: Pass) {
            let failure = Failure::Other("dead".into());
            self.hosts.over(pass, News::Unreachable(failure), self.now);
        }
    }

    fn jobs(went: &[(u32, Pass)]) -> Vec<u32> {
        went.iter().map(|(job, _)| *job).collect()
    }

    #[test]
    fn a_host_has_few_at_a_time_and_takes_no_room_from_others() {
        let mut bench = Bench::new(2, 3);
        (1..=4).for_each(|job| bench.push("http://a/", job));
        bench.push("http://b/", 5);
        bench.push("http://c/", 6);
        let mut went = bench.go();
        assert_eq!(jobs(&went), [1, 5, 6], "three in all, and hosts take turns");
        bench.hosts.over(went.remove(1).1, News::Reached, bench.now);
        went.extend(bench.go());
        assert_eq!(jobs(&went), [1, 6, 2]);
        bench.hosts.over(went.remove(1).1, News::Reached, bench.now);
        assert!(bench.go().is_empty(), "two to one host");
        bench.hosts.over(went.remove(0).1, News::Unknown, bench.now);
        assert_eq!(jobs(&bench.go()), [3]);
    }

    #[test]
    fn at_the_end_more_may_pass_and_what_is_not_wanted_is_dropped() {
        let mut bench = Bench::new(1, 1);
        (0..100).for_each(|job| bench.push("http://a/", job));
        assert_eq!(bench.go().len(), 1);
        bench.hosts.open_for_the_end();
        bench.hosts.retain(|job| *job % 2 == 0);
        let went = bench.go();
        assert_eq!(jobs(&went), (1..=28).map(|job| 2 * job).collect::<Vec<_>>());
        bench.hosts.retain(|_| false);
        went.into_iter().for_each(|(_, pass)| bench.hosts.over(pass, News::Reached, bench.now));
        assert!(!bench.hosts.has_turn() && bench.go().is_empty());
    }

    #[test]
    fn a_dead_host_is_tried_by_one_and_the_others_are_told() {
        let mut bench = Bench::new(4, 64);
        (0..1_000).for_each(|job| bench.push("http://a/", job));
        bench.go().into_iter().for_each(|(_, pass)| bench.fail(pass));
        let turns: Vec<_> = std::iter::from_fn(|| bench.hosts.next(bench.now)).collect();
        assert_eq!(turns.len(), 996);
        assert!(turns.iter().all(|turn| matches!(turn, Turn::Away { again, .. } if *again > bench.now)));
        bench.push("http://a:81/", 1);
        assert_eq!(jobs(&bench.go()), [1], "another port is another matter");
        bench.now += Duration::from_secs(15);
        bench.push("http://a/", 2);
        let (_, probe) = bench.go().pop().unwrap();
        bench.push("http://a/", 3);
        assert!(matches!(bench.hosts.next(bench.now), Some(Turn::Away { job: 3, .. })), "one probe");
        bench.hosts.over(probe, News::Reached, bench.now);
        (4..=6).for_each(|job| bench.push("http://a/", job));
        assert_eq!(bench.go().len(), 3, "all flows again");
    }

    #[test]
    fn hosts_that_nobody_waits_for_are_forgotten_and_dead_ones_last() {
        let mut bench = Bench::new(1, 9);
        bench.push("http://busy/", 0);
        let _busy = bench.go();
        bench.push("http://dead/", 1);
        let (_, pass) = bench.go().pop().unwrap();
        bench.fail(pass);
        for n in 0..3 * MAX_IDLE_HOSTS {
            bench.push(&format!("http://t{n}/"), 2);
            let (_, pass) = bench.go().pop().unwrap();
            bench.hosts.over(pass, News::Reached, bench.now);
        }
        assert!(bench.hosts.hosts.len() <= MAX_IDLE_HOSTS);
        bench.push("http://busy/", 3);
        assert!(bench.hosts.next(bench.now).is_none(), "one that is in use is not forgotten");
        bench.push("http://dead/", 4);
        assert!(matches!(bench.hosts.next(bench.now), Some(Turn::Away { .. })));
    }
}
