//! The rules as one transaction for `nft -f -`: what was there before does not matter, and no packet sees half of it.
//!
//! The chains and maps with fixed names stay; only their content is replaced. Each group has a chain and sets of its own,
//! named by content, so that they never change: a packet that is under way while the rules change meets the old ones, the new
//! ones, or nothing, which is closed. Every way out of the chains that lets a packet pass says so itself.

use super::allowed::{Allowed, Opening};
use super::net::{Net, Span};
use super::ruleset::{RuleSet, Verdict};
use super::ways::{Ways, family};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

/// Family and name of the table.
pub const TABLE: (&str, &str) = ("inet", "antihate-policy");

/// Chains, with the place of those that the kernel enters by itself.
const CHAINS: [(&str, &str); 6] = [
    ("leaving", ""),
    ("onward", ""),
    ("arriving", ""),
    // Before anything else looks at the packet.
    ("origin", " { type filter hook prerouting priority raw; policy accept; }"),
    // After the addresses of services were replaced (dstnat is -100), before those of pods are hidden (srcnat).
    ("forward", " { type filter hook forward priority filter; policy drop; }"),
    ("hide", " { type nat hook postrouting priority srcnat; policy accept; }"),
];
const FAMILIES: [(bool, &str, &str, &str); 2] = [(false, "ip", "ipv4_addr", "4"), (true, "ip6", "ipv6_addr", "6")];

/// Makes table, chains and maps, which lets everything pass that is not of `ranges` and nothing else. Where the table is
/// there already its maps keep what they hold: pods that outlived the process before us stay as they were.
pub fn base(ranges: &[Net], ways: &Ways) -> String {
    let table = format!("{} {}", TABLE.0, TABLE.1);
    let mut t = format!("add table {table}\n");
    for (_, _, kind, n) in FAMILIES {
        writeln!(t, "add set {table} itself{n} {{ type {kind} . {kind}; }}").expect("a string");
        for map in ["leaving", "arriving"] {
            writeln!(t, "add map {table} {map}{n} {{ type {kind} : verdict; }}").expect("a string");
        }
    }
    for (chain, hook) in CHAINS {
        writeln!(t, "add chain {table} {chain}{hook}\nflush chain {table} {chain}").expect("a string");
    }
    let of = |chain: &'static str, rules: Vec<String>| rules.into_iter().map(|rule| (chain, rule)).collect::<Vec<_>>();
    let rules = [of("origin", ways.origin(ranges)), rules(ranges, ways), of("hide", ways.hide(ranges))].concat();
    rules.iter().for_each(|(chain, rule)| writeln!(t, "add rule {table} {chain} {rule}").expect("a string"));
    t
}

fn rules(ranges: &[Net], ways: &Ways) -> Vec<(&'static str, String)> {
    // Answers pass; what goes in a connection's own direction is judged packet by packet, so that a new policy cuts it.
    let mut all: Vec<(&'static str, String)> = ways.forward().into_iter().map(|rule| ("forward", rule)).collect();
    all.extend([("forward", "ct state related accept".to_owned()), ("forward", "ct direction reply ct state established accept".to_owned())]);
    for (_, ip, _, n) in FAMILIES {
        all.push(("forward", format!("{ip} saddr . {ip} daddr @itself{n} accept")));
    }
    all.extend(ranges.iter().map(|net| ("forward", format!("{} saddr {net} goto leaving", family(net)))));
    all.push(("forward", "goto onward".into()));
    all.extend(ways.onward().into_iter().map(|rule| ("onward", rule)));
    all.extend(ranges.iter().map(|net| ("onward", format!("{} daddr {net} goto arriving", family(net)))));
    all.push(("onward", "accept".into()));
    for (map, field) in [("leaving", "saddr"), ("arriving", "daddr")] {
        all.extend(FAMILIES.map(|(_, ip, _, n)| (map, format!("{ip} {field} vmap @{map}{n}"))));
        all.push((map, "drop".into()));
    }
    all
}

/// Names of chains and sets in the table that `nft -j -t list table` printed.
pub fn leftovers(listing: &str) -> Vec<(&'static str, String)> {
    let listing: serde_json::Value = serde_json::from_str(listing).unwrap_or_default();
    let all = listing["nftables"].as_array().cloned().unwrap_or_default();
    // Chains first: a set stays while a rule names it.
    let of = |kind: &'static str| all.iter().filter_map(|o| Some((kind, o[kind]["name"].as_str()?.to_owned()))).collect::<Vec<_>>();
    [of("chain"), of("set")].concat().into_iter().filter(|(_, name)| name.starts_with("to-") || name.starts_with("from-")).collect()
}

/// Everything, in one transaction; `there` is what [`leftovers`] found of groups.
pub fn transaction(rules: &RuleSet, ways: &Ways, there: &[(&'static str, String)]) -> String {
    let table = format!("{} {}", TABLE.0, TABLE.1);
    let mut t = base(&rules.ranges, ways);
    for (v6, _, _, n) in FAMILIES {
        writeln!(t, "flush set {table} itself{n}\nflush map {table} leaving{n}\nflush map {table} arriving{n}").expect("a string");
        elements(&mut t, &format!("itself{n}"), rules.itself.iter().filter(|ip| ip.is_ipv6() == v6).map(|ip| format!("{ip} . {ip}")));
    }
    let kept = |name: &str| rules.groups.keys().any(|group| of_group(name, group));
    there.iter().filter(|(_, name)| !kept(name)).for_each(|(kind, name)| writeln!(t, "delete {kind} {table} {name}").expect("a string"));
    let whole = |group: &str| there.iter().any(|(kind, name)| *kind == "chain" && name == group);
    rules.groups.iter().filter(|(name, _)| !whole(name)).for_each(|(name, allowed)| group(&mut t, name, allowed));
    for (v6, _, _, n) in FAMILIES {
        for (map, verdicts) in [("leaving", &rules.leaving), ("arriving", &rules.arriving)] {
            elements(&mut t, &format!("{map}{n}"), of_family(v6, verdicts).map(|(ip, v)| format!("{ip} : {}", word(map, v))));
        }
    }
    t
}

/// Whether a chain or set belongs to a group: it has its name, with a suffix if it is a set.
fn of_group(name: &str, group: &str) -> bool {
    name.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn of_family(v6: bool, verdicts: &BTreeMap<IpAddr, Verdict>) -> impl Iterator<Item = (&IpAddr, &Verdict)> {
    verdicts.iter().filter(move |(ip, _)| ip.is_ipv6() == v6)
}

fn word(map: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Open if map == "leaving" => "goto onward".into(),
        Verdict::Open => "accept".into(),
        Verdict::Closed => "drop".into(),
        Verdict::Only(group) => format!("goto {group}"),
    }
}

/// Elements, one a line.
fn elements(t: &mut String, set: &str, all: impl Iterator<Item = String>) {
    let all: Vec<String> = all.collect();
    if !all.is_empty() {
        writeln!(t, "add element {} {} {set} {{\n  {}\n}}", TABLE.0, TABLE.1, all.join(",\n  ")).expect("a string");
    }
}

/// The sets of a group and the chain that asks them.
fn group(t: &mut String, name: &str, allowed: &Allowed) {
    let table = format!("{} {}", TABLE.0, TABLE.1);
    let (field, pass) = if name.starts_with("to-") { ("saddr", "accept") } else { ("daddr", "goto onward") };
    writeln!(t, "add chain {table} {name}").expect("a string");
    for (v6, ip, kind, n) in FAMILIES {
        let any: Vec<&Span> = allowed.any.iter().filter(|s| s.v6 == v6).collect();
        if !any.is_empty() {
            let flags = if any.iter().all(|s| s.is_one()) { "" } else { " flags interval;" };
            writeln!(t, "add set {table} {name}-any{n} {{ type {kind};{flags} }}").expect("a string");
            elements(t, &format!("{name}-any{n}"), any.iter().map(|s| s.to_string()));
            writeln!(t, "add rule {table} {name} {ip} {field} @{name}-any{n} {pass}").expect("a string");
        }
        let ports: Vec<&Opening> = allowed.ports.iter().filter(|o| o.peers.v6 == v6).collect();
        if !ports.is_empty() {
            let flags = if ports.iter().all(|o| o.peers.is_one() && o.ports.0 == o.ports.1) { "" } else { " flags interval;" };
            writeln!(t, "add set {table} {name}-ports{n} {{ type {kind} . inet_proto . inet_service;{flags} }}").expect("a string");
            elements(t, &format!("{name}-ports{n}"), ports.iter().map(|o| opening(o)));
            writeln!(t, "add rule {table} {name} {ip} {field} . meta l4proto . th dport @{name}-ports{n} {pass}").expect("a string");
        }
    }
    writeln!(t, "add rule {table} {name} drop").expect("a string");
}

fn opening(o: &Opening) -> String {
    let (first, last) = o.ports;
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    format!("{} . {} . {ports}", o.peers, o.protocol.word())
}
