//! What one pod may talk to, in one form for each meaning: addresses open on every port, and addresses with ports.
//!
//! The parts are disjoint, as the kernel's sets of ranges ask for, and pods with the same answer have the same value.

use super::net::{self, Span};
use super::world::Protocol;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses and ports on the other side, or on this one for what arrives.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Allowed {
    /// Peers that are allowed everything, sorted and disjoint.
    pub any: Vec<Span>,
    /// Peers with the ports of the destination that they are allowed, sorted and disjoint.
    pub ports: Vec<Opening>,
}

/// A box of peers and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opening {
    /// Peers.
    pub peers: Span,
    /// Protocol.
    pub protocol: Protocol,
    /// First and last port of the destination.
    pub ports: (u16, u16),
}

impl Allowed {
    /// From parts in any order that may overlap.
    pub fn of(any: Vec<Span>, openings: Vec<Opening>) -> Allowed {
        let mut alike: BTreeMap<(bool, Protocol), Vec<Opening>> = BTreeMap::new();
        for opening in openings {
            alike.entry((opening.peers.v6, opening.protocol)).or_default().push(opening);
        }
        Allowed { any: net::merged(any), ports: alike.into_iter().flat_map(|((v6, protocol), all)| disjoint(v6, protocol, &all)).collect() }
    }

    /// True when nothing is allowed.
    pub fn is_nothing(&self) -> bool {
        self.any.is_empty() && self.ports.is_empty()
    }

    /// Whether this peer is allowed; `port` of a protocol that policies know, at the destination.
    pub fn allows(&self, peer: IpAddr, port: Option<(Protocol, u16)>) -> bool {
        let open = |o: &Opening| port.is_some_and(|(p, n)| o.protocol == p && (o.ports.0..=o.ports.1).contains(&n));
        self.any.iter().any(|s| s.contains(peer)) || self.ports.iter().any(|o| open(o) && o.peers.contains(peer))
    }
}

/// Sweeps over the addresses: where the set of ports changes a new box begins.
fn disjoint(v6: bool, protocol: Protocol, openings: &[Opening]) -> Vec<Opening> {
    let mut changes: BTreeMap<u128, Vec<(bool, (u16, u16))>> = BTreeMap::new();
    for o in openings {
        changes.entry(o.peers.from).or_default().push((true, o.ports));
        if let Some(after) = o.peers.to.checked_add(1) {
            changes.entry(after).or_default().push((false, o.ports));
        }
    }
    let mut open: BTreeMap<(u16, u16), usize> = BTreeMap::new();
    let mut strips: Vec<(Span, Vec<(u16, u16)>)> = Vec::new();
    let starts: Vec<u128> = changes.keys().copied().collect();
    for (i, from) in starts.iter().enumerate() {
        for (begins, ports) in &changes[from] {
            let count = open.entry(*ports).or_default();
            *count = if *begins { *count + 1 } else { *count - 1 };
        }
        open.retain(|_, count| *count > 0);
        let to = starts.get(i + 1).map_or(Span::all(v6).to, |next| next - 1);
        let ports = merged(open.keys().copied());
        match strips.last_mut() {
            _ if ports.is_empty() => {}
            Some((span, same)) if *same == ports && span.to.checked_add(1) == Some(*from) => span.to = to,
            _ => strips.push((Span { v6, from: *from, to }, ports)),
        }
    }
    strips.into_iter().flat_map(|(peers, all)| all.into_iter().map(move |ports| Opening { peers, protocol, ports })).collect()
}

/// The same ports in as few ranges as possible; they come sorted.
fn merged(ranges: impl Iterator<Item = (u16, u16)>) -> Vec<(u16, u16)> {
    let mut all: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges.filter(|(first, last)| first <= last) {
        match all.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => all.push((first, last)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(net: &str, first: u16, last: u16) -> Opening {
        Opening { peers: net.parse::<net::Net>().unwrap().span(), protocol: Protocol::Tcp, ports: (first, last) }
    }

    #[test]
    fn overlapping_openings_become_disjoint_boxes_that_mean_the_same() {
        let raw = vec![opening("10.0.0.0/8", 80, 90), opening("10.0.0.0/30", 85, 100), opening("10.0.0.2/32", 7, 7), opening("0.0.0.0/0", 443, 443)];
        let allowed = Allowed::of(vec![], raw.clone());
        for (i, a) in allowed.ports.iter().enumerate() {
            for b in &allowed.ports[i + 1..] {
                let apart = a.peers.to < b.peers.from || b.peers.to < a.peers.from || a.ports.1 < b.ports.0 || b.ports.1 < a.ports.0;
                assert!(apart, "{a:?} overlaps {b:?}");
            }
        }
        for ip in ["10.0.0.1", "10.0.0.2", "10.9.9.9", "9.0.0.1", "255.255.255.255"] {
            let ip: IpAddr = ip.parse().unwrap();
            for port in [7, 79, 80, 90, 91, 100, 101, 443] {
                let plain = raw.iter().any(|o| o.peers.contains(ip) && (o.ports.0..=o.ports.1).contains(&port));
                assert_eq!(allowed.allows(ip, Some((Protocol::Tcp, port))), plain, "{ip} {port}");
            }
        }
    }
}
