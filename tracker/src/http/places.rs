//! Places for connections: so many in all, and so many for one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Who has how many.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    count: u32,
    by_address: HashMap<IpAddr, u32, foldhash::quality::RandomState>,
}

/// A place that is taken; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Where it is counted for an address.
    address: Option<IpAddr>,
}

impl Places {
    /// A place for a connection from `address`, if there is one; 0 is no limit. Without an address it counts for nobody.
    pub(super) fn take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        max: u32,
        max_per_address: u32,
    ) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if max > 0 && taken.count >= max {
            return None;
        }
        let address = address.filter(|_| max_per_address > 0);
        if let Some(address) = address {
            let count = taken.by_address.entry(address).or_default();
            if *count >= max_per_address {
                return None;
            }
            *count += 1;
        }
        taken.count += 1;
        Some(Place { places: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.count -= 1;
        if let Some(address) = self.address
            && let Some(count) = taken.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_in_all_and_for_each() {
        let places = Arc::<Places>::default();
        let take = |last: u8| places.take(Some(IpAddr::from([10, 0, 0, last])), 3, 2);
        let first = take(1).unwrap();
        let second = take(1).unwrap();
        assert!(take(1).is_none());
        let third = take(2).unwrap();
        assert!(take(3).is_none());
        drop(first);
        let fourth = take(1).unwrap();
        assert!(take(1).is_none());
        drop((second, third, fourth));
        assert!(places.0.lock().unwrap().by_address.is_empty());
        let proxy: Vec<_> = (0..3).map_while(|_| places.take(None, 3, 1)).collect();
        assert_eq!(proxy.len(), 3, "who speaks for others counts in all alone");
        assert!((0..1_000).map(|_| places.take(None, 0, 0)).all(|place| place.is_some()));
    }
}
