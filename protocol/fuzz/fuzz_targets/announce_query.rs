//! Announces over HTTP: what was read and asked again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::AnnounceQuery;

fuzz_target!(|query: &[u8]| {
    let Ok(read) = AnnounceQuery::parse(query) else { return };
    assert_ne!(read.announce.port, 0);
    let target = read.announce.http_target("");
    let again = AnnounceQuery::parse(&target.as_bytes()[1..]).expect("what is asked can be read");
    assert_eq!(again.announce, read.announce);
});
