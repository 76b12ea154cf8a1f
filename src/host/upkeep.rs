//! Notices, beside everything else, that the world around a sound node has changed: its address, its clock, the age of its
//! certificates. The components are then started anew with what fits; pods go on meanwhile.

use super::distribution::Distribution;
use super::settings::API_PORT;
use super::up::Node;
use super::{check, facts, survey};
use crate::pki::{cluster, joined};
use chrono::{DateTime, TimeDelta, Utc};
use nix::time::{ClockId, clock_gettime};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(5);
/// Certificates are read at every so manieth look.
const CERTIFICATES: u32 = 6;
/// k3s renews, when it starts, what ends within 120 days; a start that did not help is not tried again on the same day.
const K3S_REST: time::Duration = time::Duration::days(90);
/// So many looks pass in a day.
const A_DAY: u32 = 24 * 3600 / EVERY.as_secs() as u32;
/// A clock that was set by more than this is a reason: tokens and leases name times.
const JUMP: TimeDelta = TimeDelta::seconds(60);
/// So many looks in a row have to agree on a new address: a link that comes back has its old one.
const SURE: u32 = 2;

/// What was seen at one look.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By how much the clock was set since the node began.
    pub set: TimeDelta,
    /// The clock says a time at which this program was not built yet.
    pub impossible: bool,
    /// The address that would be chosen now, where the node's own is gone; with the number of looks that agree.
    pub moved: Option<(Ipv4Addr, u32)>,
    /// A certificate is to be renewed.
    pub due: bool,
}

/// Why the components are to be started anew; nothing when they go on.
pub fn decide(seen: &Seen) -> Option<String> {
    if seen.impossible {
        return Some("the clock was set to a time that cannot be right: Kubernetes waits for the right one".into());
    }
    if seen.set.abs() > JUMP {
        return Some(format!("the clock was set by {} s", seen.set.num_seconds()));
    }
    if let Some((address, _)) = seen.moved.filter(|(_, looks)| *looks >= SURE) {
        return Some(format!("this host's address is now {address}"));
    }
    seen.due.then(|| "certificates or keys are to be made anew".into())
}

impl Node {
    /// Returns once the components are to be started anew.
    pub(super) async fn upkeep(&self) {
        let (began, mut moved, mut look) = (offset(), None, 0);
        loop {
            tokio::time::sleep(EVERY).await;
            look += 1;
            moved = self.moved(moved);
            let now = Utc::now();
            let seen = Seen { set: offset() - began, impossible: !possible(now), moved, due: look % CERTIFICATES == 0 && self.due(now, look) };
            // Before the keys are made there is nothing that a wrong clock could spoil.
            if let Some(why) = decide(&seen).filter(|_| self.has_keys()) {
                tracing::warn!(why, "the components are started anew; pods go on");
                return;
            }
        }
    }

    fn moved(&self, before: Option<(Ipv4Addr, u32)>) -> Option<(Ipv4Addr, u32)> {
        let s = &self.settings;
        if s.node_ip_given || facts::addresses().iter().any(|a| a.ip == s.node_ip) {
            return None;
        }
        let address = survey::address()?;
        let looks = before.filter(|(old, _)| *old == address).map_or(0, |(_, looks)| looks);
        Some((address, looks + 1))
    }

    fn due(&self, now: DateTime<Utc>, look: u32) -> bool {
        let Ok(now) = time::OffsetDateTime::from_unix_timestamp(now.timestamp()) else { return false };
        let s = &self.settings;
        match s.distribution {
            Distribution::Embedded if !s.place.control => joined::is_due(&s.layout.pki(), now),
            Distribution::Embedded => cluster::is_due(&s.layout.pki(), API_PORT, now),
            Distribution::K3s(_) => look > A_DAY && cluster::is_near_its_end(&s.distribution.credentials(&s.layout).certificate, K3S_REST, now),
        }
    }

    /// Whether the step that makes the keys is done in this run.
    fn has_keys(&self) -> bool {
        self.board.subscribe().borrow().steps.iter().any(|s| s.id == "keys" && s.state == crate::status::StepState::Done)
    }
}

fn possible(now: DateTime<Utc>) -> bool {
    check::clock(now, survey::built()).problem().is_none()
}

/// What the clock says beyond the time since boot, which nobody can set and which goes on while the host sleeps.
fn offset() -> TimeDelta {
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    Utc::now() - DateTime::UNIX_EPOCH - TimeDelta::from_std(boot).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_for_good_starts_the_components_anew() {
        let why = |seen: Seen| decide(&seen);
        assert_eq!(why(Seen::default()), None);
        assert_eq!(why(Seen { set: TimeDelta::seconds(-45), ..Seen::default() }), None, "a time server sets a clock by so much");
        for (set, told) in [(TimeDelta::days(400), "34560000"), (TimeDelta::days(-1), "-86400"), (TimeDelta::minutes(5), "300"), (TimeDelta::minutes(-5), "-300")] {
            assert_eq!(why(Seen { set, ..Seen::default() }).unwrap(), format!("the clock was set by {told} s"));
        }
        let at = |looks| Seen { moved: Some(([192, 0, 2, 9].into(), looks)), ..Seen::default() };
        assert_eq!(why(at(1)), None);
        assert_eq!(why(at(2)).unwrap(), "this host's address is now 192.0.2.9");
        assert!(why(Seen { due: true, ..Seen::default() }).unwrap().contains("certificates"));
        let back = Seen { impossible: true, set: TimeDelta::days(-20_000), ..Seen::default() };
        assert!(why(back).unwrap().contains("cannot be right"));
    }

    #[test]
    fn a_clock_that_nobody_sets_has_no_offset() {
        let began = offset();
        std::thread::sleep(Duration::from_millis(20));
        assert!((offset() - began).abs() < TimeDelta::seconds(1));
        assert!(possible(Utc::now()) && !possible(DateTime::UNIX_EPOCH));
    }
}
