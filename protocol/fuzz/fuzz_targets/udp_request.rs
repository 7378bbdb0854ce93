//! Packets to UDP trackers: what was read and written again is read the same, and a header is there where one was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::{Event, UdpHeader, UdpRequest};

fuzz_target!(|packet: &[u8]| {
    assert_eq!(UdpHeader::decode(packet).is_some(), packet.len() >= 16);
    let Ok(mut read) = UdpRequest::decode(packet) else { return };
    assert_eq!(UdpHeader::decode(packet).map(|header| header.transaction), Some(read.transaction()));
    if let UdpRequest::Announce { announce, .. } = &mut read
        && announce.event == Event::Paused
    {
        // It has a number that is read but never written.
        announce.event = Event::None;
    }
    assert_eq!(UdpRequest::decode(&read.encode()), Ok(read));
});
