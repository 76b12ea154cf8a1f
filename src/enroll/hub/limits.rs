//! Slows guessing down: failed attempts are counted by address and by token, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

/// Failed attempts that are let through before the brake.
const BURST: f64 = 20.0;
/// Seconds after which one more failure is forgiven.
const FORGIVE_S: f64 = 6.0;
/// Most counters that are kept; the oldest go first.
const MOST: usize = 8_192;

/// Who failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// An address.
    Address(IpAddr),
    /// A token's identifier.
    Token(String),
}

/// Failures by who and, as of the second, how many.
#[derive(Default)]
pub(super) struct Limits {
    failures: Mutex<HashMap<Who, (f64, i64)>>,
}

impl Limits {
    /// Seconds to wait before the next attempt; `None` if it may be made now.
    pub(super) fn wait(&self, who: &Who, now: i64) -> Option<u64> {
        let failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let over = failures.get(who).map(|f| forgiven(*f, now) - (BURST - 1.0)).unwrap_or(0.0);
        (over > 0.0).then(|| (over * FORGIVE_S).ceil() as u64)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, who: Who, now: i64) {
        let mut failures = self.failures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if failures.len() >= MOST && !failures.contains_key(&who) {
            failures.retain(|_, f| forgiven(*f, now) > 0.0);
            if failures.len() >= MOST {
                // Forget the older half at once, so that a flood does not search the map for each attempt.
                let mut ages: Vec<i64> = failures.values().map(|f| f.1).collect();
                ages.sort_unstable();
                let (middle, mut room) = (ages[MOST / 2], MOST / 2);
                failures.retain(|_, f| f.1 > middle || { room = room.saturating_sub(1); f.1 == middle && room > 0 });
                failures.shrink_to(MOST);
            }
        }
        let entry = failures.entry(who).or_insert((0.0, now));
        *entry = ((forgiven(*entry, now) + 1.0).min(BURST * 2.0), now);
    }
}

fn forgiven((count, at): (f64, i64), now: i64) -> f64 {
    (count - now.saturating_sub(at).max(0) as f64 / FORGIVE_S).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_failures_pass_then_a_wait_is_asked_and_time_forgives() {
        let limits = Limits::default();
        let who = Who::Token("ID".into());
        for _ in 0..20 {
            assert_eq!(limits.wait(&who, 100), None);
            limits.failed(who.clone(), 100);
        }
        assert_eq!(limits.wait(&who, 100), Some(6));
        assert_eq!(limits.wait(&who, 106), None);
        assert_eq!(limits.wait(&Who::Token("OTHER".into()), 100), None);
    }

    #[test]
    fn memory_stays_bounded_however_many_addresses_fail() {
        let limits = Limits::default();
        for n in 0..30_000u32 {
            limits.failed(Who::Address(IpAddr::from(n.to_be_bytes())), 100 + i64::from(n / 20_000));
        }
        let kept = limits.failures.lock().unwrap();
        assert!(kept.len() <= MOST);
        assert!(kept.contains_key(&Who::Address(IpAddr::from(29_999u32.to_be_bytes()))));
    }
}
