//! Things that a later message must claim by key, such as the end of a call whose answer may come on any stream.
//!
//! Bounded in number and time: what nobody claims is given back by [`Claims::overdue`]. This module never decides
//! what becomes of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most things that wait at a time.
const CLAIMS_MAX: usize = 4_096;
/// The most of them that are of one, so that who leaves things behind takes no other his place.
const CLAIMS_OF_ONE_MAX: usize = 1_024;

/// A thing, and until when it waits; without end as long as somebody sees to it.
type Waiting<V> = (Option<Instant>, V);

/// What waits to be claimed.
#[derive(Debug)]
pub(crate) struct Claims<K, V> {
    /// Held only for map work.
    waiting: Mutex<HashMap<K, Waiting<V>>>,
}

impl<K, V> Default for Claims<K, V> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, V> Claims<K, V> {
    /// Keeps a thing for a while, or until somebody says how long. It comes back at once if there is no room, none for more of
    /// the same one's, or if the key is taken.
    pub(crate) fn keep(&self, key: K, value: V, wait: Option<Duration>, is_same: impl Fn(&K) -> bool) -> Result<(), V> {
        let mut waiting = self.lock();
        if is_full(&waiting, is_same) || waiting.contains_key(&key) {
            return Err(value);
        }
        waiting.insert(key, (wait.map(|wait| Instant::now() + wait), value));
        Ok(())
    }

    /// Whether one more of the same one's would be kept.
    pub(crate) fn has_room(&self, is_same: impl Fn(&K) -> bool) -> bool {
        !is_full(&self.lock(), is_same)
    }

    /// From now on a thing is kept for a while.
    pub(crate) fn waits(&self, key: &K, wait: Duration) {
        if let Some((until, _)) = self.lock().get_mut(key) {
            *until = Some(Instant::now() + wait);
        }
    }

    /// Claims a thing.
    pub(crate) fn take(&self, key: &K) -> Option<V> {
        self.lock().remove(key).map(|(_, value)| value)
    }

    /// What nobody claimed in time.
    pub(crate) fn overdue(&self) -> Vec<V> {
        self.drain(|until| until.is_some_and(|until| until <= Instant::now()))
    }

    /// Everything, because nobody will claim any more.
    pub(crate) fn all(&self) -> Vec<V> {
        self.drain(|_| true)
    }

    fn drain(&self, ends: impl Fn(Option<Instant>) -> bool) -> Vec<V> {
        let mut waiting = self.lock();
        let keys: Vec<K> = waiting.iter().filter(|(_, (until, _))| ends(*until)).map(|(key, _)| key.clone()).collect();
        keys.iter().filter_map(|key| Some(waiting.remove(key)?.1)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Waiting<V>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted only where it can be too many: mostly few things wait.
fn is_full<K, V>(waiting: &HashMap<K, Waiting<V>>, is_same: impl Fn(&K) -> bool) -> bool {
    let has_share = || waiting.keys().filter(|&other| is_same(other)).count() >= CLAIMS_OF_ONE_MAX;
    waiting.len() >= CLAIMS_MAX || (waiting.len() >= CLAIMS_OF_ONE_MAX && has_share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_claimed_once_or_comes_back() {
        let claims = Claims::default();
        assert_eq!(claims.keep(1, 'a', Some(Duration::from_secs(600)), |_| true), Ok(()));
        assert_eq!(claims.keep(1, 'b', None, |_| true), Err('b'));
        assert_eq!(claims.keep(2, 'c', None, |_| true), Ok(()));
        assert_eq!((claims.take(&1), claims.take(&1)), (Some('a'), None));
        assert!(claims.overdue().is_empty());
        claims.waits(&2, Duration::ZERO);
        assert_eq!(claims.overdue(), ['c']);
        for key in 0..CLAIMS_MAX {
            assert_eq!(claims.keep(key, 'd', None, |_| false), Ok(()));
        }
        assert_eq!(claims.keep(CLAIMS_MAX, 'e', None, |_| false), Err('e'));
        assert_eq!(claims.all().len(), CLAIMS_MAX);
    }

    #[test]
    fn who_leaves_things_behind_takes_no_other_his_place() {
        let claims = Claims::default();
        let keep = |who: &'static str, key: usize| claims.keep((who, key), (), None, |(of, _)| *of == who);
        for key in 0..CLAIMS_OF_ONE_MAX {
            assert_eq!(keep("loud", key), Ok(()));
        }
        assert_eq!(keep("loud", CLAIMS_OF_ONE_MAX), Err(()));
        assert!(!claims.has_room(|(of, _)| *of == "loud") && claims.has_room(|(of, _)| *of == "quiet"));
        assert_eq!(keep("quiet", 0), Ok(()));
        assert_eq!(claims.take(&("loud", 7)), Some(()));
        assert_eq!(keep("loud", CLAIMS_OF_ONE_MAX), Ok(()));
    }
}
