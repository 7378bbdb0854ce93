//! Scrapes over HTTP: hashes are in order, each once, not too many, and read the same when they are asked for again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::{MAX_SCRAPE_HASHES, ScrapeQuery};

fuzz_target!(|query: &[u8]| {
    let Ok(read) = ScrapeQuery::parse(query) else { return };
    assert!((1..=MAX_SCRAPE_HASHES).contains(&read.hashes.len()));
    assert!(read.hashes.is_sorted_by(|a, b| a < b));
    let escape = |byte: &u8| format!("%{byte:02x}");
    let asked = |hash: &[u8; 20]| format!("&info_hash={}", hash.iter().map(escape).collect::<String>());
    let again: String = read.hashes.iter().map(|hash| asked(hash.as_bytes())).collect();
    let again = ScrapeQuery::parse(again.as_bytes()).expect("what is asked can be read");
    assert_eq!(again.hashes, read.hashes);
});
