//! Connection ids of the UDP protocol (BEP 15): who sends one back has received what was sent to its address. They are
//! keyed MACs over time and address, so nothing is remembered, and nodes that share a key honour each other's. Threads
//! of the UDP door issue and check them; time is an argument.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use super::Key;

/// How long an id is good for: clients may use one for a minute, and a tracker takes it for two (BEP 15).
const MAX_AGE_S: u16 = 120;
/// How far ahead the clock of a node may be that shares the key.
const MAX_AHEAD_S: u16 = 60;
/// Low bits of the time that stand in an id. They come again after 18 hours, when the MAC is another.
const TIME_BITS: u32 = 16;
/// Bits of an id that are MAC.
const MAC_BITS: u32 = 64 - TIME_BITS;
const MAC_MASK: u64 = (1 << MAC_BITS) - 1;

/// Issues connection ids, and knows its own again.
#[derive(Clone)]
pub struct ConnectionIds {
    key: Key,
}

impl ConnectionIds {
    /// Ids by `key`, 128 bits that nobody else knows.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// The id for `ip` at `unix_s`, seconds since 1970.
    pub fn issue(&self, ip: IpAddr, unix_s: u64) -> u64 {
        (unix_s << MAC_BITS) | self.mac(ip, unix_s)
    }

    /// Whether `id` was issued to `ip` no longer than two minutes before `unix_s`, and no later than one after it.
    pub fn is_valid(&self, id: u64, ip: IpAddr, unix_s: u64) -> bool {
        // All of these wrap in 16 bits: the time may have done so meanwhile.
        let age_s = low_bits(unix_s).wrapping_sub(low_bits(id >> MAC_BITS));
        let ahead_s = age_s.wrapping_neg();
        let issued_s = if age_s <= MAX_AGE_S {
            unix_s.checked_sub(age_s.into())
        } else if ahead_s <= MAX_AHEAD_S {
            unix_s.checked_add(ahead_s.into())
        } else {
            None
        };
        let Some(issued_s) = issued_s else { return false };
        // In constant time: how long it takes would tell how much of a guess was right.
        self.mac(ip, issued_s).ct_eq(&(id & MAC_MASK)).into()
    }

    fn mac(&self, ip: IpAddr, unix_s: u64) -> u64 {
        let address = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&unix_s.to_be_bytes());
        hasher.write(&address.octets());
        hasher.finish() & MAC_MASK
    }
}

impl fmt::Debug for ConnectionIds {
    /// Without the key, which is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionIds").finish_non_exhaustive()
    }
}

fn low_bits(time_s: u64) -> u16 {
    let [.., high, low] = time_s.to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = *b"0123456789abcdef";
    const NOW: u64 = 1_790_000_000;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_is_good_for_two_minutes_and_a_minute_ahead() {
        let ids = ConnectionIds::new(KEY);
        let id = ids.issue(ip("192.0.2.1"), NOW);
        let is_valid_after = |s: i64| ids.is_valid(id, ip("192.0.2.1"), NOW.checked_add_signed(s).unwrap());
        for s in [0, 1, 119, 120, -1, -60] {
            assert!(is_valid_after(s), "{s}");
        }
        for s in [121, -61, 1_000, 65_535, 65_536, 65_537, -65_536, 1 << 32] {
            assert!(!is_valid_after(s), "{s}");
        }
    }

    #[test]
    fn the_low_bits_of_the_time_may_wrap_meanwhile() {
        let ids = ConnectionIds::new(KEY);
        let wrap = (NOW >> 16) << 16;
        let early = ids.issue(ip("::1"), wrap - 10);
        assert!(ids.is_valid(early, ip("::1"), wrap + 10));
        let late = ids.issue(ip("::1"), wrap + 10);
        assert!(ids.is_valid(late, ip("::1"), wrap - 10));
        assert!(!ids.is_valid(early, ip("::1"), 5), "before the clock was set");
        assert!(!ids.is_valid(late, ip("::1"), u64::MAX));
    }

    #[test]
    fn an_id_is_for_one_address_and_one_key() {
        let ids = ConnectionIds::new(KEY);
        let id = ids.issue(ip("192.0.2.1"), NOW);
        assert!(!ids.is_valid(id, ip("192.0.2.2"), NOW));
        assert!(!ids.is_valid(id, ip("2001:db8::1"), NOW));
        assert!(
            ids.is_valid(id, ip("::ffff:192.0.2.1"), NOW),
            "the same address, as a socket for both tells it"
        );
        assert!(ConnectionIds::new(KEY).is_valid(id, ip("192.0.2.1"), NOW), "a node with the same key");
        assert!(!ConnectionIds::new([0; 16]).is_valid(id, ip("192.0.2.1"), NOW));
        assert!(!format!("{ids:?}").contains("48"), "the key is not shown");
    }

    #[test]
    fn the_time_stands_before_the_mac_of_siphash_2_4() {
        let key = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let id = ConnectionIds::new(key).issue(ip("1.2.3.4"), 0x1234_5678);
        assert_eq!(id >> 48, 0x5678);
        let mut bytes = [0; 24];
        bytes[4..8].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        bytes[18..].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4]);
        // Nodes of different versions share a key: what goes into the MAC stays as it is.
        assert_eq!(id & MAC_MASK, SipHasher24::new_with_key(&key).hash(&bytes) & MAC_MASK);
    }

    proptest! {
        #[test]
        fn one_bit_changed_is_no_id(bit in 0..64_u32, address: u32, unix_s in 1_000_000..u64::MAX / 2) {
            let (ids, ip) = (ConnectionIds::new(KEY), IpAddr::V4(address.into()));
            let id = ids.issue(ip, unix_s);
            prop_assert!(ids.is_valid(id, ip, unix_s));
            prop_assert!(!ids.is_valid(id ^ (1 << bit), ip, unix_s));
        }

        #[test]
        fn a_guess_is_no_id(id: u64, unix_s: u64) {
            // Right once in 2^48 guesses and less.
            prop_assert!(!ConnectionIds::new(KEY).is_valid(id, ip("192.0.2.1"), unix_s));
        }
    }
}
