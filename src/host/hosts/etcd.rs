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
}
