//! Answers to scrapes over HTTP: what was read and written again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::ScrapeReply;

fuzz_target!(|body: &[u8]| {
    if let Ok(read) = ScrapeReply::decode(body) {
        assert_eq!(ScrapeReply::decode(&read.encode()), Ok(read));
    }
});
