//! What is asked over UDP: all peers announce, some go on at a pace, all torrents are counted.

use std::io;
use std::time::Duration;

use protocol::announce::Event;

use super::checks::{self, Rule};
use super::population::Population;
use super::result::quantiles;
use super::udp_load::{LOST_AFTER, Op, Pace, Run, Said, Script, Udp};
use crate::latencies::Latencies;

/// Open questions of those that are to be over soon: what fits into a server's socket with the buffer that Linux gives.
const WINDOW: usize = 96;
/// Torrents in one scrape.
const SCRAPED_AT_A_TIME: u32 = 50;
/// Each question that was lost is asked again, but not more often than there are questions.
const MAX_LOST_SHARE: u32 = 1;
/// Of paced announces one in so many may be lost.
const MAX_LOST_ONE_IN: u64 = 50;
/// Peers do not announce in their order, but in steps of so many. A prime, so that all have their turn.
const STRIDE: u64 = 1_000_003;

/// A range of peers announces that it has started, each until it is answered.
#[derive(Debug)]
struct Put {
    who: Population,
    next: u32,
    end: u32,
    again: Vec<Op>,
    lost: u32,
}

/// All torrents are scraped, each until it is answered: everybody must be there.
#[derive(Debug)]
struct Count {
    who: Population,
    next: u32,
    again: Vec<Op>,
    lost: u32,
}

/// Peers go on announcing, and torrents are scraped in between; all peers are there.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) who: Population,
    pub(super) duration: Duration,
    /// One question in so many is a scrape; 0 for none.
    pub(super) scrape_one_in: u64,
    pub(super) rule: Rule,
    asked: u64,
}

/// Lets the peers announce whose numbers are in the range.
///
/// # Errors
/// When an answer is wrong, or too many are lost.
pub(super) fn put(udp: &mut Udp, who: Population, from: u32, end: u32) -> io::Result<Run> {
    let mut script = Put { who, next: from, end, again: Vec::new(), lost: 0 };
    let run = udp.run(Pace::Window(WINDOW), &mut script)?;
    all_answered(&script.again, script.lost).map(|()| run)
}

/// Checks the counts of all torrents.
///
/// # Errors
/// When one is wrong, or too many answers are lost.
pub(super) fn count(udp: &mut Udp, who: Population) -> io::Result<Run> {
    let mut script = Count { who, next: 0, again: Vec::new(), lost: 0 };
    let run = udp.run(Pace::Window(WINDOW), &mut script)?;
    all_answered(&script.again, script.lost).map(|()| run)
}

/// Quantiles of a paced run, in which what is lost took as long as we waited for it, and what was lost.
///
/// # Errors
/// When so much was lost that the tracker does not keep up, and quantiles say nothing but that.
pub(super) fn paced_figures(mut run: Run) -> io::Result<Vec<(&'static str, f64)>> {
    let answers = u64::try_from(run.latencies.len()).unwrap_or(u64::MAX);
    if run.lost > answers / MAX_LOST_ONE_IN {
        return Err(io::Error::other(format!(
            "it does not keep up: {answers} announces were answered, {} were not",
            run.lost
        )));
    }
    let lost = f64::from(u32::try_from(run.lost).unwrap_or(u32::MAX));
    let mut none = Latencies::default();
    (0..run.lost).for_each(|_| none.add(LOST_AFTER));
    run.latencies.append(none);
    let mut figures = Vec::from(quantiles(&mut run.latencies));
    figures.push(("lost", lost));
    figures.push(("lag_us", run.lag.as_secs_f64() * 1e6));
    Ok(figures)
}

fn all_answered(again: &[Op], lost: u32) -> io::Result<()> {
    match again.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{lost} questions were lost"))),
    }
}

impl Script for Put {
    fn next(&mut self, _: Duration) -> Option<Op> {
        if self.next < self.end {
            let peer = self.next;
            self.next += 1;
            return Some(Op::Announce { who: self.who, peer, event: Event::Started });
        }
        if self.lost > self.who.peers().saturating_mul(MAX_LOST_SHARE) { None } else { self.again.pop() }
    }

    fn check(&mut self, op: &Op, said: Said, _: Duration, _: Duration) -> Result<(), String> {
        check(op, &said, Rule::LOOSE)
    }

    fn lost(&mut self, op: Op, _: Duration) {
        self.lost += 1;
        self.again.push(op);
    }
}

impl Script for Count {
    fn next(&mut self, _: Duration) -> Option<Op> {
        let torrent = self.next;
        let count = SCRAPED_AT_A_TIME.min(self.who.torrents - torrent);
        self.next += count;
        match count {
            0 if self.lost > self.who.torrents => None,
            0 => self.again.pop(),
            _ => Some(Op::Scrape { who: self.who, torrent, count }),
        }
    }

    fn check(&mut self, op: &Op, said: Said, _: Duration, _: Duration) -> Result<(), String> {
        check(op, &said, Rule::STRICT)
    }

    fn lost(&mut self, op: Op, _: Duration) {
        self.lost += 1;
        self.again.push(op);
    }
}

impl Paced {
    pub(super) fn new(who: Population, duration: Duration) -> Self {
        Self { who, duration, scrape_one_in: 0, rule: Rule::STRICT, asked: 0 }
    }
}

impl Script for Paced {
    fn next(&mut self, now: Duration) -> Option<Op> {
        if now >= self.duration {
            return None;
        }
        self.asked += 1;
        let peer = u32::try_from(self.asked * STRIDE % u64::from(self.who.peers())).ok()?;
        if self.scrape_one_in > 0 && self.asked.is_multiple_of(self.scrape_one_in) {
            return Some(Op::Scrape { who: self.who, torrent: self.who.torrent_of(peer), count: 1 });
        }
        Some(Op::Announce { who: self.who, peer, event: Event::None })
    }

    fn check(&mut self, op: &Op, said: Said, _: Duration, _: Duration) -> Result<(), String> {
        check(op, &said, self.rule)
    }

    fn lost(&mut self, _: Op, _: Duration) {}
}

/// Checks the answer to `op`.
///
/// # Errors
/// What is wrong.
pub(super) fn check(op: &Op, said: &Said, rule: Rule) -> Result<(), String> {
    match (op, said) {
        (Op::Announce { who, peer, .. }, Said::Answer(answer)) => checks::answer(who, *peer, answer, rule),
        (Op::Scrape { who, torrent, count }, Said::Counts(counts)) => {
            let is_right = counts.len() == usize::try_from(*count).unwrap_or_default()
                && counts.iter().all(|it| (it.seeds, it.leechers) == (who.seeds_each(), who.leechers_each()));
            let wrong = || format!("a scrape of {count} torrents from number {torrent} on: {counts:?}");
            is_right.then_some(()).ok_or_else(wrong)
        }
        _ => Err(format!("not an answer to {op:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scrape::Counts;
    use super::*;

    const WHO: Population = Population { torrents: 120, peers_each: 5, sources: 10, salt: 0 };

    #[test]
    fn a_scrape_is_right_when_all_are_counted() {
        let op = Op::Scrape { who: WHO, torrent: 0, count: 2 };
        let right = Counts { seeds: 2, leechers: 3 };
        let is_right = |counts: &[Counts]| check(&op, &Said::Counts(counts.to_vec()), Rule::STRICT).is_ok();
        assert!(is_right(&[right, right]));
        assert!(!is_right(&[right]));
        assert!(!is_right(&[right, Counts { leechers: 2, ..right }]));
    }

    #[test]
    fn what_is_lost_is_asked_again_and_everything_once() {
        let mut script = Count { who: WHO, next: 0, again: Vec::new(), lost: 0 };
        let ops = Vec::from_iter(std::iter::from_fn(|| script.next(Duration::ZERO)));
        let scrape = |torrent, count| Op::Scrape { who: WHO, torrent, count };
        assert_eq!(ops, [scrape(0, 50), scrape(50, 50), scrape(100, 20)]);
        script.lost(ops[1], Duration::ZERO);
        assert_eq!(script.next(Duration::ZERO), Some(ops[1]));
        assert_eq!(script.next(Duration::ZERO), None);
        let mut put = Put { who: WHO, next: 598, end: 600, again: Vec::new(), lost: 0 };
        let ops = Vec::from_iter(std::iter::from_fn(|| put.next(Duration::ZERO)));
        assert!(matches!(ops[..], [Op::Announce { peer: 598, .. }, Op::Announce { peer: 599, .. }]));
    }

    #[test]
    fn what_is_lost_counts_as_slow() {
        let mut run = Run { lost: 1, ..Run::default() };
        (0..99).for_each(|_| run.latencies.add(Duration::from_micros(5)));
        let figures = paced_figures(run.clone()).unwrap();
        assert_eq!(figures[..4], [("p50_us", 5.0), ("p99_us", 5.0), ("p999_us", 2e6), ("lost", 1.0)]);
        run.lost = 2;
        assert!(paced_figures(run).unwrap_err().to_string().contains("keep up"));
    }
}
