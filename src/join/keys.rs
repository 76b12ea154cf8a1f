//! Which keys every host is to hold while they are changed, and whose turn it is: pure decisions over what the hosts report.
//!
//! One control plane is the pattern: its files change first. The others with a control plane follow one after the other, because
//! each starts its components anew and the datastore needs more than half of them; then all other hosts. Nothing is changed again
//! before every host of the cluster has reported that its components run with what was changed before: so nobody who is away can
//! meet a key that it neither has nor trusts.

use crate::config::place::Host;
use crate::pki::rotation::Phase;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a host's components run with, as sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Of the authorities that it trusts, the signing one first.
    pub trust: String,
    /// Of the keys of secrets at rest; empty on a host without a control plane.
    #[serde(default)]
    pub secrets: String,
}

/// What is being changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The key of secrets at rest.
    Secrets,
    /// The authority.
    Authority,
}

impl Change {
    /// The command that does it.
    pub fn command(self) -> &'static str {
        match self {
            Change::Secrets => "antihate rotate-secrets",
            Change::Authority => "antihate rotate-authority",
        }
    }
}

/// What every host is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The control plane that is the pattern.
    pub from: String,
    /// What is being changed; nothing between two changes.
    pub open: Option<Change>,
    /// What the pattern holds.
    pub held: Held,
}

/// What the hosts report, by name.
pub type Reports = BTreeMap<String, Held>;

impl Wanted {
    /// Whether a host that holds `held` has followed.
    pub fn is_met(&self, control: bool, held: &Held) -> bool {
        held.trust == self.held.trust && (!control || held.secrets == self.held.secrets)
    }

    /// Hosts that have not reported what is wanted, so that `change` must not go on. Keys of secrets concern only control planes.
    pub fn lagging(&self, change: Change, hosts: &[Host], reports: &Reports) -> Vec<String> {
        let met = |h: &Host| reports.get(&h.name).is_some_and(|held| self.is_met(h.control, held));
        let concerned = |h: &&Host| h.control || change == Change::Authority;
        hosts.iter().filter(concerned).filter(|h| !met(h)).map(|h| h.name.clone()).collect()
    }
}

/// What a host does about what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: it has followed, or is the pattern.
    Nothing,
    /// It is the turn of this one.
    Wait(String),
    /// Gets the files of control planes.
    Share,
    /// Gets certificates anew.
    Renew,
    /// It is the pattern and its keys are others now, without a change that somebody asked for: tells the others.
    Tell,
}

/// Decides it for the host `own`, whose files are `files`.
pub fn turn(own: &str, hosts: &[Host], reports: &Reports, wanted: &Wanted, files: &Held) -> Turn {
    let Some(host) = hosts.iter().find(|h| h.name == own) else { return Turn::Nothing };
    if wanted.is_met(host.control, files) {
        return Turn::Nothing;
    }
    if wanted.from == own {
        return if wanted.open.is_none() { Turn::Tell } else { Turn::Nothing };
    }
    let how = if host.control { Turn::Share } else { Turn::Renew };
    if wanted.held.trust == files.trust {
        return how; // Keys of secrets are read while the API server runs.
    }
    let place = |h: &Host| (h.name != wanted.from, h.index);
    let before = hosts.iter().filter(|h| h.control && (!host.control || place(h) < place(host)));
    let late = before.filter(|h| reports.get(&h.name).is_none_or(|held| held.trust != wanted.held.trust)).min_by_key(|h| place(h));
    late.map_or(how, |h| Turn::Wait(h.name.clone()))
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<S> {
    /// These hosts have not followed yet.
    Wait(Vec<String>),
    /// The pattern takes this step.
    Take(S),
    /// All is done.
    Done,
}

/// A step to another authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The next one is trusted.
    Announce,
    /// It signs.
    Promote,
    /// The old one is forgotten.
    Forget,
}

/// Which step to another authority may come next; `begun`: this change is open.
pub fn authority(phase: Phase, begun: bool, lagging: Vec<String>) -> Next<Authority> {
    match (phase, begun) {
        _ if !lagging.is_empty() => Next::Wait(lagging),
        (Phase::Idle, false) => Next::Take(Authority::Announce),
        (Phase::Announced, _) => Next::Take(Authority::Promote),
        (Phase::Signing, _) => Next::Take(Authority::Forget),
        (Phase::Idle, true) => Next::Done,
    }
}

/// How far another key of secrets is, in the order of the pattern's keys: the first one writes, all of them read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// There is one.
    One,
    /// The new one reads.
    Reads,
    /// The new one writes.
    Writes,
}

/// A step to another key of secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// The new key reads, on every control plane, before anything is written with it.
    Read,
    /// It writes.
    Write,
    /// Every secret is written with it, and the old one goes.
    Rewrite,
}

/// Which step to another key may come next. One control plane alone needs no step in which the new key only reads.
pub fn secrets(keys: Keys, controls: usize, begun: bool, lagging: Vec<String>) -> Next<Secrets> {
    match (keys, begun) {
        _ if !lagging.is_empty() => Next::Wait(lagging),
        (Keys::One, false) if controls > 1 => Next::Take(Secrets::Read),
        (Keys::One, false) | (Keys::Reads, _) => Next::Take(Secrets::Write),
        (Keys::Writes, _) => Next::Take(Secrets::Rewrite),
        (Keys::One, true) => Next::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, index: u8, control: bool) -> Host {
        Host { name: name.into(), index, address: [192, 0, 2, index].into(), pools: [].into(), control, mesh_key: String::new(), version: String::new() }
    }

    /// Three control planes and a host without one; the second one is the pattern.
    fn hosts() -> [Host; 4] {
        [host("a", 0, true), host("b", 1, true), host("c", 2, true), host("w", 3, false)]
    }

    fn held(trust: &str, secrets: &str) -> Held {
        Held { trust: trust.into(), secrets: secrets.into() }
    }

    fn all(now: [(&str, &str); 4]) -> Reports {
        ["a", "b", "c", "w"].into_iter().zip(now).map(|(name, (trust, secrets))| (name.into(), held(trust, secrets))).collect()
    }

    fn wanted(trust: &str, secrets: &str) -> Wanted {
        Wanted { from: "b".into(), open: Some(Change::Authority), held: held(trust, secrets) }
    }

    #[test]
    fn control_planes_follow_the_pattern_one_after_the_other_and_all_others_after_them() {
        let (hosts, wanted) = (hosts(), wanted("2", "s"));
        let old = ("1", "s");
        let turns = |reports: &Reports| ["a", "b", "c", "w"].map(|own| turn(own, &hosts, reports, &wanted, &reports[own]));
        let wait = |name: &str| Turn::Wait(name.into());
        assert_eq!(turns(&all([old, old, old, ("1", "")])), [wait("b"), Turn::Nothing, wait("b"), wait("b")]);
        assert_eq!(turns(&all([old, ("2", "s"), old, ("1", "")])), [Turn::Share, Turn::Nothing, wait("a"), wait("a")]);
        assert_eq!(turns(&all([("2", "s"), ("2", "s"), old, ("1", "")])), [Turn::Nothing, Turn::Nothing, Turn::Share, wait("c")]);
        assert_eq!(turns(&all([("2", "s"), ("2", "s"), ("2", "s"), ("1", "")])), [Turn::Nothing, Turn::Nothing, Turn::Nothing, Turn::Renew]);
        // One that has the files and does not run with them yet is not asked again; the others wait for it.
        let running = all([old, ("2", "s"), old, ("1", "")]);
        assert_eq!(turn("a", &hosts, &running, &wanted, &held("2", "s")), Turn::Nothing);
        assert_eq!(turn("stranger", &hosts, &running, &wanted, &held("1", "s")), Turn::Nothing);
    }

    #[test]
    fn keys_of_secrets_are_got_by_all_control_planes_at_once_and_by_no_other_host() {
        let (hosts, wanted) = (hosts(), Wanted { open: Some(Change::Secrets), ..wanted("1", "t") });
        let reports = all([("1", "s"), ("1", "t"), ("1", "s"), ("1", "")]);
        let turns = ["a", "b", "c", "w"].map(|own| turn(own, &hosts, &reports, &wanted, &reports[own]));
        assert_eq!(turns, [Turn::Share, Turn::Nothing, Turn::Share, Turn::Nothing]);
        assert_eq!(wanted.lagging(Change::Secrets, &hosts, &reports), ["a", "c"]);
        let away = Reports::from([("a".into(), held("1", "t")), ("b".into(), held("1", "t")), ("c".into(), held("1", "t"))]);
        assert_eq!(wanted.lagging(Change::Secrets, &hosts, &away), Vec::<String>::new(), "no matter of a host without a control plane");
        assert_eq!(wanted.lagging(Change::Authority, &hosts, &away), ["w"]);
    }

    #[test]
    fn a_pattern_whose_keys_were_made_anew_tells_it_and_changes_nothing_while_a_change_is_open() {
        let (hosts, reports) = (hosts(), Reports::new());
        let closed = Wanted { open: None, ..wanted("1", "s") };
        assert_eq!(turn("b", &hosts, &reports, &closed, &held("3", "s")), Turn::Tell);
        assert_eq!(turn("b", &hosts, &reports, &wanted("1", "s"), &held("3", "s")), Turn::Nothing);
    }

    #[test]
    fn no_step_is_taken_while_a_host_has_not_followed_the_one_before() {
        let late = || vec!["w".to_string()];
        for phase in [Phase::Idle, Phase::Announced, Phase::Signing] {
            for begun in [false, true] {
                assert_eq!(authority(phase, begun, late()), Next::Wait(late()));
            }
        }
        let steps = [(Phase::Idle, false), (Phase::Announced, true), (Phase::Signing, true), (Phase::Idle, true)].map(|(phase, begun)| authority(phase, begun, Vec::new()));
        assert_eq!(steps, [Next::Take(Authority::Announce), Next::Take(Authority::Promote), Next::Take(Authority::Forget), Next::Done]);
        assert_eq!(authority(Phase::Announced, false, Vec::new()), Next::Take(Authority::Promote), "killed before it was told");
        assert_eq!(secrets(Keys::Writes, 3, true, late()), Next::Wait(late()));
        let steps = [(Keys::One, false), (Keys::Reads, true), (Keys::Writes, true), (Keys::One, true)].map(|(keys, begun)| secrets(keys, 3, begun, Vec::new()));
        assert_eq!(steps, [Next::Take(Secrets::Read), Next::Take(Secrets::Write), Next::Take(Secrets::Rewrite), Next::Done]);
        assert_eq!(secrets(Keys::One, 1, false, Vec::new()), Next::Take(Secrets::Write));
    }
}
