//! Decisions of the node as functions: what to do next, when to renew, how long to wait after a failure.

use super::identity::Identity;
use std::time::Duration;

/// Longest wait between attempts to enroll or renew.
pub(super) const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Longest wait between heartbeats over a broken link, so that a mended one is seen soon.
pub(super) const LONGEST_HEARTBEAT: Duration = Duration::from_secs(60);

/// What an enrolled node does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Tell the hub that the identity is on disk.
    Confirm,
    /// Ask for the next certificate.
    Renew,
    /// Say how the node fares.
    Heartbeat,
    /// The hub said no for good.
    Rest,
}

/// The next act at `hub_now`, seconds since 1970 by the hub's clock.
pub(super) fn next(identity: &Identity, hub_now: i64) -> Act {
    if identity.ended.is_some() {
        return Act::Rest;
    }
    if hub_now >= identity.not_after {
        return Act::Renew; // nothing but a renewal is accepted any more
    }
    match identity.confirmed {
        false => Act::Confirm,
        true if hub_now >= identity.renew_at => Act::Renew,
        true => Act::Heartbeat,
    }
}

/// When to renew: after two thirds of the life, 10 % earlier or later. `jitter` is from -1 to 1.
pub(super) fn renew_at(issued_at: i64, not_after: i64, jitter: f64) -> i64 {
    let life = not_after.saturating_sub(issued_at).max(0) as f64;
    issued_at + (life * 2.0 / 3.0 * (1.0 + 0.1 * jitter.clamp(-1.0, 1.0))) as i64
}

/// The wait after `failures` in a row: from 1 s, growing twofold to `longest`, spread over the whole range.
/// `spread` is from 0 to 1.
pub(super) fn back_off(failures: u32, longest: Duration, spread: f64) -> Duration {
    let top = Duration::from_secs(1u64 << failures.min(20)).min(longest);
    top.mul_f64(spread.clamp(0.0, 1.0)).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enroll::refusal::Refusal;

    fn identity() -> Identity {
        Identity { confirmed: true, renew_at: 500, not_after: 700, ..Identity::default() }
    }

    #[test]
    fn a_node_confirms_then_beats_then_renews_and_rests_when_it_was_told_no_for_good() {
        assert_eq!(next(&Identity { confirmed: false, ..identity() }, 100), Act::Confirm);
        assert_eq!(next(&identity(), 499), Act::Heartbeat);
        assert_eq!(next(&identity(), 500), Act::Renew);
        assert_eq!(next(&Identity { confirmed: false, ..identity() }, 700), Act::Renew);
        let ended = Identity { ended: Some(Refusal::Locked { node: "n".into() }), ..identity() };
        assert_eq!(next(&ended, 100), Act::Rest);
    }

    #[test]
    fn renewal_comes_at_two_thirds_of_the_life_within_ten_percent() {
        assert_eq!(renew_at(0, 900, 0.0), 600);
        assert_eq!(renew_at(0, 900, -1.0), 540);
        assert_eq!(renew_at(0, 900, 1.0), 660);
        assert_eq!(renew_at(1_000, 900, 1.0), 1_000);
    }

    #[test]
    fn waits_grow_from_one_second_to_the_longest_and_are_spread_over_the_range() {
        assert_eq!(back_off(0, LONGEST, 1.0), Duration::from_secs(1));
        assert_eq!(back_off(5, LONGEST, 1.0), Duration::from_secs(32));
        assert_eq!(back_off(5, LONGEST, 0.5), Duration::from_secs(16));
        assert_eq!(back_off(5, LONGEST, 0.0), Duration::from_secs(1));
        assert_eq!(back_off(u32::MAX, LONGEST, 1.0), LONGEST);
    }
}
