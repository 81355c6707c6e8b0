//! Things that a later message must claim by key, such as the end of a call whose stream broke off.
//!
//! Bounded in number and time: what nobody claims is given back by [`Claims::overdue`]. This module never decides
//! what becomes of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most things that wait at a time.
const CLAIMS_MAX: usize = 4_096;

/// What waits to be claimed.
#[derive(Debug)]
pub(crate) struct Claims<K, V> {
    /// Held only for map work.
    waiting: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K, V> Default for Claims<K, V> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V> Claims<K, V> {
    /// Keeps a thing for a while. It comes back at once if there is no room, or if the key is taken.
    pub(crate) fn keep(&self, key: K, value: V, wait: Duration) -> Result<(), V> {
        let mut waiting = self.lock();
        if waiting.len() >= CLAIMS_MAX || waiting.contains_key(&key) {
            return Err(value);
        }
        waiting.insert(key, (Instant::now() + wait, value));
        Ok(())
    }

    /// Claims a thing.
    pub(crate) fn take(&self, key: &K) -> Option<V> {
        self.lock().remove(key).map(|(_, value)| value)
    }

    /// What nobody claimed in time.
    pub(crate) fn overdue(&self) -> Vec<V> {
        self.drain(|until| until <= Instant::now())
    }

    /// Everything, because nobody will claim any more.
    pub(crate) fn all(&self) -> Vec<V> {
        self.drain(|_| true)
    }

    fn drain(&self, ends: impl Fn(Instant) -> bool) -> Vec<V> {
        let mut waiting = self.lock();
        let keys: Vec<K> = waiting.iter().filter(|(_, (until, _))| ends(*until)).map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| Some(waiting.remove(key)?.1)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Instant, V)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_claimed_once_or_comes_back() {
        let claims = Claims::default();
        assert_eq!(claims.keep(1, 'a', Duration::from_secs(600)), Ok(()));
        assert_eq!(claims.keep(1, 'b', Duration::from_secs(600)), Err('b'));
        assert_eq!(claims.keep(2, 'c', Duration::ZERO), Ok(()));
        assert_eq!((claims.take(&1), claims.take(&1)), (Some('a'), None));
        assert_eq!(claims.overdue(), ['c']);
        for key in 0..CLAIMS_MAX {
            assert_eq!(claims.keep(key, 'd', Duration::ZERO), Ok(()));
        }
        assert_eq!(claims.keep(CLAIMS_MAX, 'e', Duration::ZERO), Err('e'));
        assert_eq!(claims.all().len(), CLAIMS_MAX);
    }
}
