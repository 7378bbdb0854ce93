//! Targets of requests: the parts are parts of what came, and mean the same when they are put together again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::{MAX_PASSKEY_LENGTH, What, split_target};

fuzz_target!(|target: &[u8]| {
    let Some(split) = split_target(target) else { return };
    let _ = split.find_passkey();
    let key = split.passkey.unwrap_or_default();
    assert!(key.len() <= MAX_PASSKEY_LENGTH && !key.contains(&b'/') && !key.contains(&b'?'));
    assert!(target.ends_with(split.query));
    let word: &[u8] = match split.what {
        What::Announce => b"/announce",
        What::Scrape => b"/scrape",
    };
    let slash: &[u8] = if split.passkey.is_some() { b"/" } else { b"" };
    let again = [slash, key, word, b"?", split.query].concat();
    assert_eq!(split_target(&again), Some(split));
});
