//! The members of etcd: asked and changed by `etcdctl`, decided here.

use crate::config::place::Host;
use crate::host::render::etcd::{CLIENT_PORT, peer_url};
use crate::config::layout::Layout;
use crate::process::once;
use crate::status::Problem;
use serde::Deserialize;

/// A member as `etcdctl member list -w json` tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its number.
    #[serde(rename = "ID")]
    pub id: u64,
    /// Its name; empty until it has started.
    #[serde(default)]
    pub name: String,
    /// Where the others reach it.
    #[serde(rename = "peerURLs", default)]
    pub peers: Vec<String>,
    /// It hears everything and has no vote yet.
    #[serde(rename = "isLearner", default)]
    pub learner: bool,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    members: Vec<Member>,
}

/// What is to be done so that a host becomes a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is one, or waits to be one.
    There,
    /// It is to be added.
    Add,
    /// Another one is being added; only one may learn at a time.
    Wait(String),
}

/// Decides it.
pub fn admission(members: &[Member], host: &Host) -> Admission {
    let url = peer_url(host);
    if members.iter().any(|m| m.peers.contains(&url)) {
        return Admission::There;
    }
    members.iter().find(|m| m.learner).map_or(Admission::Add, |m| Admission::Wait(m.peers.join(" ")))
}

/// The list with which a new member begins.
pub fn initial(members: &[Member], host: &Host) -> String {
    let url = peer_url(host);
    let mut all: Vec<String> = members.iter().filter(|m| !m.name.is_empty() && !m.peers.contains(&url)).flat_map(|m| m.peers.iter().map(|p| format!("{}={p}", m.name))).collect();
    all.push(format!("{}={url}", host.name));
    all.join(",")
}

/// Runs etcdctl against this host's member, or against the datastore that `args` name; its output. Blocks.
pub fn ctl(layout: &Layout, args: &[&str]) -> Result<Vec<u8>, Problem> {
    let pki = |f: &str| layout.pki().join(f).display().to_string();
    let (endpoint, ca, crt, key) = (format!("--endpoints=https://127.0.0.1:{CLIENT_PORT}"), format!("--cacert={}", pki("trust.crt")), format!("--cert={}", pki("etcd-client.crt")), format!("--key={}", pki("etcd-client.key")));
    let mut all = vec![endpoint.as_str(), ca.as_str(), crt.as_str(), key.as_str(), "--command-timeout=20s"];
    if args.iter().any(|a| a.starts_with("--endpoints")) {
        all.clear();
    }
    all.extend(args);
    run(layout, &all)
}

fn run(layout: &Layout, args: &[&str]) -> Result<Vec<u8>, Problem> {
    let failed = |why: String| Problem::new("ETC-101", "etcd does not do what it was asked", why, "See `antihate status` and `antihate logs etcd` on the control-plane hosts: more than half of them must run.");
    let (done, _) = once::run(&layout.current().join("kubernetes"), "etcdctl", args, &[("ETCDCTL_API".into(), "3".into())], |_| Ok::<(), ()>(())).map_err(|e| failed(e.to_string()))?;
    if done.ok { Ok(done.stdout) } else { Err(failed(done.stderr)) }
}

/// The members; blocks.
pub fn members(layout: &Layout) -> Result<Vec<Member>, Problem> {
    let raw = ctl(layout, &["member", "list", "-w", "json"])?;
    let list: List = serde_json::from_slice(&raw).map_err(|e| Problem::new("ETC-102", "the list of etcd's members cannot be read", e.to_string(), "Report this, with the log."))?;
    Ok(list.members)
}

/// Makes `host` a member without a vote, unless it is one; the list with which it begins. Blocks.
pub fn add(layout: &Layout, host: &Host) -> Result<String, Problem> {
    let now = members(layout)?;
    match admission(&now, host) {
        Admission::There => {}
        Admission::Add => drop(ctl(layout, &["member", "add", &host.name, "--learner", &format!("--peer-urls={}", peer_url(host))])?),
        Admission::Wait(other) => return Err(super::keeper::wait(format!("another control plane ({other}) is still being added"))),
    }
    Ok(initial(&now, host))
}

/// Gives members that have caught up their vote; true when none is left without one. Blocks.
pub fn promote(layout: &Layout) -> Result<bool, Problem> {
    let learners: Vec<Member> = members(layout)?.into_iter().filter(|m| m.learner).collect();
    // One that has not caught up is refused, and asked again at the next look.
    let promoted = learners.iter().filter(|m| ctl(layout, &["member", "promote", &format!("{:x}", m.id)]).is_ok()).count();
    Ok(promoted == learners.len())
}

/// What is to be done so that a host whose member is damaged gets a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// It may begin: the new one was added already.
    Begin,
    /// It has none: one is to be added.
    Add,
    /// This one is to be taken off first.
    Replace(u64),
    /// Another one is being added; only one may learn at a time.
    Wait(String),
    /// Too few members with a vote would be left.
    Refuse(String),
}

/// Decides it; `heard`: members that the one that is asked hears now, itself too.
pub fn replacement(members: &[Member], heard: &[u64], host: &Host) -> Replacement {
    let url = peer_url(host);
    let is_its = |m: &&Member| m.peers.contains(&url) || m.name == host.name;
    let learning = members.iter().find(|m| m.learner && !is_its(m)).map(|m| m.peers.join(" "));
    match (members.iter().find(is_its), learning) {
        (None, None) => Replacement::Add,
        (Some(own), _) if own.learner && own.name.is_empty() => Replacement::Begin,
        (Some(own), None) => {
            let voting = members.iter().filter(|m| !m.learner);
            let (all, whole) = (voting.clone().count(), voting.filter(|m| m.id != own.id && heard.contains(&m.id)).count());
            let needed = all / 2 + 1;
            // Without a vote it is missed by nobody.
            if own.learner || whole >= needed { Replacement::Replace(own.id) } else { Replacement::Refuse(format!("of {all} members with a vote {whole} others are whole and {needed} are needed")) }
        }
        (_, Some(other)) => Replacement::Wait(other),
    }
}

/// The problem of a member that cannot be replaced.
pub fn too_few(cause: String) -> Problem {
    let next = "Nothing was touched. Bring the other control planes back: once more than half of them are whole, this is done by itself. If their disks are lost for good, this cluster is too: take it off with `antihate reset` on every host and set it up anew.";
    Problem::new("ETC-105", "etcd's member on this host is damaged, and too few others are whole", cause, next)
}

/// Takes the damaged member of `host` off and adds a new one; the list with which it begins. `heard` as above. Blocks.
pub fn anew(layout: &Layout, host: &Host, heard: &[u64]) -> Result<String, Problem> {
    // More than half of the votes are needed for the list itself.
    let now = members(layout).map_err(|p| too_few(p.cause))?;
    match replacement(&now, heard, host) {
        Replacement::Replace(id) => {
            tracing::warn!(host = %host.name, "a damaged member of etcd is taken off; it comes again as a new one");
            ctl(layout, &["member", "remove", &format!("{id:x}")])?;
            add(layout, host)
        }
        Replacement::Begin | Replacement::Add => add(layout, host),
        Replacement::Wait(other) => Err(super::keeper::wait(format!("another control plane ({other}) is still being added"))),
        Replacement::Refuse(why) => Err(too_few(why)),
    }
}

/// Members that the one with these figures hears. `own`: its number, if it is known.
pub fn heard(figures: &str, own: Option<u64>) -> Vec<u64> {
    let line = |l: &str| {
        let (labels, count) = l.strip_prefix("etcd_network_active_peers{")?.split_once("} ")?;
        let remote = labels.split_once("Remote=\"")?.1.split_once('"')?.0;
        u64::from_str_radix(remote, 16).ok().filter(|_| count.trim().parse::<f64>().is_ok_and(|n| n > 0.0))
    };
    figures.lines().filter_map(line).chain(own).collect()
}

/// Takes a host's member off; one that is none is fine. Blocks.
pub fn remove(layout: &Layout, host: &Host) -> Result<(), Problem> {
    let url = peer_url(host);
    match members(layout)?.into_iter().find(|m| m.peers.contains(&url) || m.name == host.name) {
        Some(member) => ctl(layout, &["member", "remove", &format!("{:x}", member.id)]).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, last: u8) -> Host {
        Host { name: name.into(), index: last, address: [192, 0, 2, last].into(), pools: [].into(), control: true, mesh_key: String::new(), version: String::new() }
    }

    #[test]
    fn one_member_at_a_time_learns_and_the_list_names_those_that_run_and_the_new_one() {
        let text = r#"{"header":{"cluster_id":1},"members":[{"ID":10276657743932975437,"name":"a","peerURLs":["https://192.0.2.1:2380"],"clientURLs":["x"]}]}"#;
        let one = serde_json::from_str::<List>(text).unwrap().members;
        assert_eq!(one[0].id, 10276657743932975437);
        assert_eq!(admission(&one, &host("a", 1)), Admission::There);
        assert_eq!(admission(&one, &host("b", 2)), Admission::Add);
        assert_eq!(initial(&one, &host("b", 2)), "a=https://192.0.2.1:2380,b=https://192.0.2.2:2380");
        let unstarted = Member { id: 7, name: String::new(), peers: vec!["https://192.0.2.2:2380".into()], learner: true };
        let two = [one, vec![unstarted]].concat();
        assert_eq!(admission(&two, &host("b", 2)), Admission::There);
        assert_eq!(admission(&two, &host("c", 3)), Admission::Wait("https://192.0.2.2:2380".into()));
        assert_eq!(initial(&two, &host("b", 2)), "a=https://192.0.2.1:2380,b=https://192.0.2.2:2380");
    }

    fn member(id: u64, name: &str, last: u8, learner: bool) -> Member {
        Member { id, name: name.into(), peers: vec![format!("https://192.0.2.{last}:2380")], learner }
    }

    #[test]
    fn a_damaged_member_is_replaced_only_while_more_than_half_of_the_votes_are_whole_without_it() {
        let three = [member(1, "a", 1, false), member(2, "b", 2, false), member(3, "c", 3, false)];
        let of = |members: &[Member], heard: &[u64]| replacement(members, heard, &host("c", 3));
        assert_eq!(of(&three, &[1, 2]), Replacement::Replace(3));
        assert!(matches!(of(&three, &[1]), Replacement::Refuse(why) if why.contains("of 3") && why.contains("1 others")), "two of three are damaged");
        assert!(matches!(of(&three, &[1, 3]), Replacement::Refuse(_)), "that it is heard itself says nothing");
        let two = [member(1, "a", 1, false), member(3, "c", 3, false)];
        assert!(matches!(of(&two, &[1]), Replacement::Refuse(_)), "of two none may be lost");
        let five: Vec<Member> = (1..=5).map(|n| member(u64::from(n), ["a", "b", "c", "d", "e"][usize::from(n) - 1], n, false)).collect();
        assert_eq!(of(&five, &[1, 2, 4]), Replacement::Replace(3));
        assert!(matches!(of(&five, &[1, 2]), Replacement::Refuse(_)));
    }

    #[test]
    fn a_replacement_that_was_cut_off_goes_on_and_one_at_a_time_learns() {
        let two = || vec![member(1, "a", 1, false), member(2, "b", 2, false)];
        let of = |members: &[Member]| replacement(members, &[1, 2], &host("c", 3));
        assert_eq!(of(&two()), Replacement::Add, "killed after the old one was taken off");
        assert_eq!(of(&[two(), vec![member(9, "", 3, true)]].concat()), Replacement::Begin, "killed after the new one was added");
        assert_eq!(of(&[two(), vec![member(9, "c", 3, true)]].concat()), Replacement::Replace(9), "damaged again while it learned");
        let other = vec![member(8, "", 4, true)];
        assert_eq!(of(&[two(), other.clone()].concat()), Replacement::Wait("https://192.0.2.4:2380".into()));
        assert!(matches!(of(&[two(), vec![member(3, "c", 3, false)], other].concat()), Replacement::Wait(_)));
    }

    #[test]
    fn members_that_are_heard_are_read_from_etcds_figures() {
        let text = "# TYPE etcd_network_active_peers gauge\netcd_network_active_peers{Local=\"8e9e05c52164694d\",Remote=\"1f\"} 2\netcd_network_active_peers{Local=\"8e9e05c52164694d\",Remote=\"2f\"} 0\nother 1\n";
        assert_eq!(heard(text, Some(7)), [0x1f, 7]);
        assert_eq!(heard("", None), Vec::<u64>::new());
    }
}
