//! Packets from UDP trackers, over both families: what was read and written again is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::announce::{Family, UdpResponse};

fuzz_target!(|packet: &[u8]| {
    for family in Family::ALL {
        let Ok(mut read) = UdpResponse::decode(packet, family) else { continue };
        if let UdpResponse::Announce { answer, .. } = &mut read {
            // An IPv4 address in the clothes of IPv6 is taken off them, and not sent again over IPv6.
            answer.peers.retain(|peer| Family::of(peer.ip()) == family);
        }
        assert_eq!(UdpResponse::decode(&read.encode(family), family), Ok(read));
    }
});
