//! Answers to announces over HTTP: what was read and written again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::{PeerForm, Reply};

fuzz_target!(|body: &[u8]| {
    let Ok(mut read) = Reply::decode(body) else { return };
    assert_eq!(Reply::decode(&read.encode(PeerForm::List)), Ok(read.clone()));
    if let Reply::Answer(answer) = &mut read {
        // Compact peers come one family after the other.
        answer.peers.sort_by_key(|peer| peer.is_ipv6());
    }
    assert_eq!(Reply::decode(&read.encode(PeerForm::Compact)), Ok(read));
});
