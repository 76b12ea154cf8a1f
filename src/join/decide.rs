//! Who may join, and as what: pure decisions over the codes that were made and the hosts that are there.

use super::problem;
use super::protocol::Facts;
use crate::config::place::{Host, Pool, mesh_address};
use crate::status::Problem;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Life of a code.
pub const CODE_LIFE: TimeDelta = TimeDelta::hours(1);
/// Hosts of a cluster at most: every one has two links to every other.
pub const MAX_HOSTS: usize = 32;

/// A code as the cluster keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its name.
    pub id: String,
    /// Its public half, hex.
    pub public: String,
    /// When it ends.
    pub expires: DateTime<Utc>,
    /// What the host will carry.
    pub pools: BTreeSet<Pool>,
    /// The host will run a control plane.
    pub control: bool,
    /// Who used it.
    #[serde(default)]
    pub used: Option<Used>,
}

/// The host that a code let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Name of its node.
    pub name: String,
    /// Its mesh key: it alone may ask again after a lost answer.
    pub mesh_key: String,
}

/// The code of this name, if it can still serve these facts.
pub fn code<'a>(codes: &'a [Issued], id: &str, facts: &Facts, now: DateTime<Utc>) -> Result<&'a Issued, Problem> {
    let another = "Make another with `antihate node add` on a control-plane host.";
    let known = codes.iter().find(|c| c.id == id).filter(|c| c.expires > now);
    let known = known.ok_or_else(|| problem(103, "the join code is not known, or its hour is over", format!("code {id} is not among the open ones"), another))?;
    match &known.used {
        Some(used) if used.name != facts.name || used.mesh_key != facts.mesh_key => {
            Err(problem(104, "the join code was used already", format!("host {} joined with it", used.name), another))
        }
        _ => Ok(known),
    }
}

/// The joining host among the hosts: as it will be, with a number of its own. The same host asking again keeps its number.
pub fn admit(hosts: &[Host], code: &Issued, facts: &Facts) -> Result<Host, Problem> {
    check_facts(facts)?;
    let same = hosts.iter().find(|h| h.name == facts.name);
    if let Some(there) = same.filter(|h| h.mesh_key != facts.mesh_key) {
        return Err(problem(105, "a host of this name is in the cluster already", format!("{} has the address {}", there.name, there.address), "Name this host otherwise with --name, or remove the old one with `antihate node remove` first."));
    }
    if let Some(there) = hosts.iter().find(|h| h.address == facts.address && h.name != facts.name) {
        return Err(problem(111, "another host of the cluster has this address", format!("{} has {}", there.name, there.address), "Give this host an address of its own, or name one with --node-ip."));
    }
    let free = |i: &u8| !hosts.iter().any(|h| h.index == *i);
    let index = same.map(|h| h.index).or_else(|| (0..MAX_HOSTS as u8).find(free));
    let index = index.ok_or_else(|| problem(107, "the cluster is full", format!("it has {} hosts", hosts.len()), "Remove a host that is not needed with `antihate node remove`."))?;
    Ok(Host { name: facts.name.clone(), index, address: facts.address, pools: code.pools.clone(), control: code.control, mesh_key: facts.mesh_key.clone(), version: facts.version.clone() })
}

fn check_facts(facts: &Facts) -> Result<(), Problem> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name = &facts.name;
    let named = (1..=63).contains(&name.len()) && name.chars().all(|c| plain(c) || c == '-') && name.starts_with(plain) && name.ends_with(plain);
    let keyed = data_encoding::BASE64.decode(facts.mesh_key.as_bytes()).is_ok_and(|raw| raw.len() == 32);
    let placed = !facts.address.is_loopback() && !facts.address.is_unspecified() && facts.address.octets()[..2] != mesh_address(0).octets()[..2];
    if named && keyed && placed {
        return Ok(());
    }
    Err(problem(112, "what the host says of itself cannot be used", format!("name {name:?}, address {}, mesh key of {} characters", facts.address, facts.mesh_key.len()), "Name the host with --name and its address with --node-ip."))
}

/// Refuses a host whose file is too far from ours: Kubernetes' parts work together while a host is at most one minor version
/// older than the control plane, and never when it is newer.
pub fn versions(ours: (&str, &str), facts: &Facts) -> Result<(), Problem> {
    for (what, own, theirs) in [("antihate", ours.0, facts.version.as_str()), ("Kubernetes", ours.1, facts.kubernetes.as_str())] {
        let (Some(own_minor), Some(minor)) = (minor(own), minor(theirs)) else {
            return Err(refused(format!("{what} {theirs} of this host and {own} of the cluster cannot be compared")));
        };
        if own_minor.0 != minor.0 || minor.1 > own_minor.1 {
            return Err(refused(format!("{what} {theirs} of this host is newer than {own} of the cluster, or of another family")));
        }
        if own_minor.1 - minor.1 > 1 {
            return Err(refused(format!("{what} {theirs} of this host is more than one version older than {own} of the cluster")));
        }
    }
    Ok(())
}

fn refused(cause: String) -> Problem {
    problem(106, "the versions of this host and the cluster do not fit", cause, "Use the same file on both: copy it from the control-plane host, or update the older one first.")
}

/// `v1.37.2` -> (1, 37).
fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str, address: [u8; 4], key: u8) -> Facts {
        Facts { name: name.into(), address: address.into(), mesh_key: data_encoding::BASE64.encode(&[key; 32]), version: "0.1.0".into(), kubernetes: "v1.37.2".into() }
    }

    fn issued(control: bool) -> Issued {
        Issued { id: "ABC".into(), public: String::new(), expires: DateTime::UNIX_EPOCH + CODE_LIFE, pools: [Pool::Analysis].into(), control, used: None }
    }

    fn first() -> Host {
        Host { name: "one".into(), index: 0, address: [192, 0, 2, 1].into(), pools: Pool::ALL.into(), control: true, mesh_key: data_encoding::BASE64.encode(&[1; 32]), version: "0.1.0".into() }
    }

    #[test]
    fn a_code_serves_one_host_within_its_hour_and_that_host_again() {
        let (mut codes, then) = (vec![issued(false)], DateTime::UNIX_EPOCH + TimeDelta::minutes(59));
        let two = facts("two", [192, 0, 2, 2], 2);
        assert!(code(&codes, "ABC", &two, then).is_ok());
        assert_eq!(code(&codes, "ABD", &two, then).unwrap_err().code, "JOI-103");
        assert_eq!(code(&codes, "ABC", &two, then + TimeDelta::minutes(1)).unwrap_err().code, "JOI-103");
        codes[0].used = Some(Used { name: "two".into(), mesh_key: two.mesh_key.clone() });
        assert!(code(&codes, "ABC", &two, then).is_ok(), "its answer was lost");
        assert_eq!(code(&codes, "ABC", &facts("three", [192, 0, 2, 3], 3), then).unwrap_err().code, "JOI-104");
        assert_eq!(code(&codes, "ABC", &facts("two", [192, 0, 2, 2], 3), then).unwrap_err().code, "JOI-104");
    }

    #[test]
    fn a_host_gets_the_lowest_free_number_and_keeps_it() {
        let mut hosts = vec![first()];
        let two = admit(&hosts, &issued(false), &facts("two", [192, 0, 2, 2], 2)).unwrap();
        assert_eq!((two.index, two.control, two.pools.len()), (1, false, 1));
        hosts.push(two.clone());
        assert_eq!(admit(&hosts, &issued(false), &facts("two", [192, 0, 2, 9], 2)).unwrap().index, 1);
        let three = admit(&hosts, &issued(true), &facts("three", [192, 0, 2, 3], 3)).unwrap();
        assert!(three.index == 2 && three.control);
        hosts = vec![first(), three];
        assert_eq!(admit(&hosts, &issued(false), &facts("four", [192, 0, 2, 4], 4)).unwrap().index, 1);
    }

    #[test]
    fn names_addresses_and_keys_that_clash_or_are_none_are_refused() {
        let hosts = [first()];
        let refused = |f: &Facts| admit(&hosts, &issued(false), f).unwrap_err().code;
        assert_eq!(refused(&facts("one", [192, 0, 2, 5], 5)), "JOI-105");
        assert_eq!(refused(&facts("two", [192, 0, 2, 1], 5)), "JOI-111");
        assert_eq!(refused(&facts("Two", [192, 0, 2, 5], 5)), "JOI-112");
        assert_eq!(refused(&facts("two", [10, 42, 3, 5], 5)), "JOI-112");
        assert_eq!(refused(&Facts { mesh_key: "?".into(), ..facts("two", [192, 0, 2, 5], 5) }), "JOI-112");
        let many: Vec<Host> = (0..32).map(|i| Host { name: format!("h{i}"), index: i, address: [192, 0, 3, i].into(), ..first() }).collect();
        assert_eq!(admit(&many, &issued(false), &facts("two", [192, 0, 2, 5], 5)).unwrap_err().code, "JOI-107");
    }

    #[test]
    fn versions_may_be_one_apart_and_the_joining_one_never_newer() {
        let with = |version: &str, kubernetes: &str| versions(("0.3.0", "v1.37.2"), &Facts { version: version.into(), kubernetes: kubernetes.into(), ..facts("two", [192, 0, 2, 2], 2) });
        assert!(with("0.3.9", "v1.37.0").is_ok() && with("0.2.0", "v1.36.5").is_ok());
        for (version, kubernetes) in [("0.1.9", "v1.37.2"), ("0.4.0", "v1.37.2"), ("1.3.0", "v1.37.2"), ("0.3.0", "v1.38.0"), ("0.3.0", "v1.35.0"), ("?", "v1.37.2")] {
            assert_eq!(with(version, kubernetes).unwrap_err().code, "JOI-106", "{version} {kubernetes}");
        }
    }
}
