//! Whether an answer is right: peers of the torrent that was asked for, the asker not among them, all of them there.

use std::net::SocketAddr;

use protocol::announce::{Answer, Reply};

use super::http_answer::HttpAnswer;
use super::population::Population;

/// What is asked of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// All peers are there since before the first question, so that all that an asker needs must be named.
    pub(super) is_complete: bool,
    /// The asker may be named, as by opentracker, or not be counted, as by aquatic.
    pub(super) is_lax_about_asker: bool,
}

impl Rule {
    /// Peers come and go.
    pub(super) const LOOSE: Self = Self { is_complete: false, is_lax_about_asker: false };
    /// Nobody comes or goes.
    pub(super) const STRICT: Self = Self { is_complete: true, is_lax_about_asker: false };
}

/// Checks the peers that `asker` got: seeds need not be told of seeds, everything else must be exact.
///
/// # Errors
/// What is wrong.
pub(super) fn peers(who: &Population, asker: u32, listed: &[SocketAddr], rule: Rule) -> Result<(), String> {
    let torrent = who.torrent_of(asker);
    let (mut leechers, mut seeds) = (0, 0);
    for address in listed {
        let peer = who.peer_at(*address).filter(|peer| who.torrent_of(*peer) == torrent);
        let peer = peer.ok_or_else(|| format!("peer {asker} got {address}, which is not in its torrent"))?;
        match (peer == asker, who.is_seed(peer)) {
            (true, _) if rule.is_lax_about_asker => {}
            (true, _) => return Err(format!("peer {asker} got itself, {address}")),
            (false, true) => seeds += 1,
            (false, false) => leechers += 1,
        }
    }
    let is_seed = who.is_seed(asker);
    let wanted_seeds = if is_seed { 0 } else { who.seeds_each() };
    let wanted_leechers = who.leechers_each() - u32::from(!is_seed);
    if rule.is_complete && (leechers < wanted_leechers || seeds < wanted_seeds) {
        return Err(format!(
            "peer {asker} got {seeds} seeds and {leechers} leechers instead of {wanted_seeds} and {wanted_leechers}"
        ));
    }
    Ok(())
}

/// Checks an answer with its counts: `peers`, and where all are there, seeds and leechers.
///
/// # Errors
/// What is wrong.
pub(super) fn answer(who: &Population, asker: u32, answer: &Answer, rule: Rule) -> Result<(), String> {
    let found = (answer.seeds, answer.leechers);
    let is_seed = who.is_seed(asker);
    let (seeds, leechers) = (who.seeds_each(), who.leechers_each());
    let wanted = (Some(seeds), Some(leechers));
    let without_asker = (Some(seeds - u32::from(is_seed)), Some(leechers - u32::from(!is_seed)));
    let is_right = found == wanted || rule.is_lax_about_asker && found == without_asker;
    if rule.is_complete && !is_right {
        return Err(format!("peer {asker} was told of {found:?} seeds and leechers instead of {wanted:?}"));
    }
    peers(who, asker, &answer.peers, rule)
}

/// A quick look at the answer to an announce over HTTP: its status, its ends, and that peers are in it.
///
/// # Errors
/// What is wrong.
pub(super) fn glance(http: &HttpAnswer<'_>) -> Result<(), String> {
    let body = http.body;
    let has_peers = || {
        let at = body.windows(7).position(|window| window.starts_with(b"5:peers"))?;
        let digits = &body[at + 7..];
        (digits.first()?.is_ascii_digit() && digits[0] != b'0').then_some(())
    };
    if http.status == 200 && body.starts_with(b"d") && body.ends_with(b"e") && has_peers().is_some() {
        return Ok(());
    }
    Err(format!("not an answer with peers: {http}"))
}

/// A full look at the answer to an announce over HTTP.
///
/// # Errors
/// What is wrong.
pub(super) fn announce(
    who: &Population,
    asker: u32,
    http: &HttpAnswer<'_>,
    rule: Rule,
) -> Result<(), String> {
    glance(http)?;
    match Reply::decode(http.body).map_err(|error| format!("{error}: {http}"))? {
        Reply::Answer(found) => answer(who, asker, &found, rule),
        Reply::Refusal(refusal) => Err(format!("refused: {}", refusal.reason)),
    }
}

/// The answer to a scrape of one torrent over HTTP, in which everybody has announced.
///
/// # Errors
/// What is wrong.
pub(super) fn scrape(who: &Population, http: &HttpAnswer<'_>) -> Result<(), String> {
    let complete = format!("8:completei{}e", who.seeds_each());
    let incomplete = format!("10:incompletei{}e", who.leechers_each());
    let has = |text: &str| http.body.windows(text.len()).any(|window| window == text.as_bytes());
    let is_right = http.status == 200 && has("5:files") && has(&complete) && has(&incomplete);
    is_right.then_some(()).ok_or_else(|| format!("a scrape without {complete} and {incomplete}: {http}"))
}

#[cfg(test)]
mod tests {
    use protocol::announce::PeerForm;

    use super::super::population::source_address;
    use super::*;

    const WHO: Population = Population { torrents: 2, peers_each: 5, sources: 10, salt: 0 };

    fn at(peer: u32) -> SocketAddr {
        SocketAddr::from((source_address(WHO.source_of(peer)), WHO.port(peer)))
    }

    #[test]
    fn a_leecher_must_get_all_others_and_a_seed_all_leechers() {
        let check = |asker, listed: &[u32], rule| {
            peers(&WHO, asker, &listed.iter().map(|peer| at(*peer)).collect::<Vec<_>>(), rule).is_ok()
        };
        // Seeds of the first torrent are 0 and 4.
        assert!(check(1, &[0, 2, 3, 4], Rule::STRICT));
        assert!(check(0, &[1, 2, 3], Rule::STRICT));
        assert!(check(0, &[1, 2, 3, 4], Rule::STRICT));
        assert!(!check(1, &[0, 2, 3], Rule::STRICT), "a seed is missing");
        assert!(!check(0, &[1, 2], Rule::STRICT), "a leecher is missing");
        assert!(check(1, &[0], Rule::LOOSE));
        assert!(!check(1, &[0, 1], Rule::LOOSE), "the asker itself");
        assert!(!check(1, &[0, 5], Rule::LOOSE), "one of the other torrent");
        assert!(check(1, &[0, 1], Rule { is_lax_about_asker: true, ..Rule::LOOSE }));
    }

    #[test]
    fn both_counts_must_be_right_but_for_the_asker_where_that_is_allowed() {
        let check = |seeds, leechers, rule| {
            let peers = [0, 2, 3, 4].map(at).to_vec();
            let found = Answer { seeds: Some(seeds), leechers: Some(leechers), peers, ..Answer::default() };
            answer(&WHO, 1, &found, rule).is_ok()
        };
        let lax = Rule { is_lax_about_asker: true, ..Rule::STRICT };
        assert!(check(2, 3, Rule::STRICT) && check(2, 3, lax) && check(2, 2, lax));
        assert!(!check(2, 2, Rule::STRICT) && !check(1, 3, lax) && !check(2, 4, lax));
        assert!(check(0, 0, Rule::LOOSE));
    }

    #[test]
    fn an_answer_counts_only_when_it_is_right() {
        let encode = |listed: &[u32], seeds| {
            let peers = listed.iter().map(|peer| at(*peer)).collect();
            let answer = Answer { seeds: Some(seeds), leechers: Some(3), peers, ..Answer::default() };
            Reply::Answer(answer).encode(PeerForm::Compact)
        };
        let check = |status, body: &[u8]| announce(&WHO, 1, &HttpAnswer { status, body }, Rule::STRICT);
        let right = encode(&[0, 2, 3, 4], 2);
        assert_eq!(check(200, &right), Ok(()));
        assert!(check(404, &right).is_err());
        assert!(check(200, &right[..right.len() - 1]).is_err());
        assert!(check(200, &encode(&[], 2)).unwrap_err().contains("not an answer with peers"));
        assert!(check(200, &encode(&[0, 2, 3, 4], 3)).unwrap_err().contains("seeds and leechers"));
        assert!(check(200, b"d14:failure reason2:no5:peers6:abcdefe").unwrap_err().contains("refused: no"));
        let files = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei2e10:downloadedi0e10:incompletei3eeee";
        assert_eq!(scrape(&WHO, &HttpAnswer { status: 200, body: files }), Ok(()));
        assert!(scrape(&WHO, &HttpAnswer { status: 200, body: b"d5:filesdee" }).is_err());
    }
}
