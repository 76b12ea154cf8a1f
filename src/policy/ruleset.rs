//! The rules of one node as a value, and what they do to a packet.
//!
//! [`RuleSet::passes`] goes the way of the chains that `text` writes, verdict map by verdict map, so that a test can compare
//! what the kernel is told with what the policies mean.

use super::allowed::Allowed;
use super::net::Net;
use super::world::Protocol;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host of the cluster has the first address of its pods' range: 10.42.N.0, which no pod gets.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(10, 42, 0, 0);
pub(super) const HOST_MASK: Ipv4Addr = Ipv4Addr::new(255, 255, 0, 255);

/// The same for IPv6: fd00:42:0:N::, N of eight bits.
pub(super) const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0);
pub(super) const HOST6_MASK: Ipv6Addr = Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xff00, 0xffff, 0xffff, 0xffff, 0xffff);

fn is_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4 & HOST_MASK == HOST,
        IpAddr::V6(v6) => v6 & HOST6_MASK == HOST6,
    }
}

/// What happens to the packets of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not isolated in this direction.
    Open,
    /// Isolated, and nothing is allowed.
    Closed,
    /// Isolated: what the group of this name allows.
    Only(String),
}

/// The rules of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Addresses that this node's pods have; what is not in a map below is closed.
    pub ranges: Vec<Net>,
    /// Pods of this node, which may always talk to themselves.
    pub itself: BTreeSet<IpAddr>,
    /// By source: what may leave a pod.
    pub leaving: BTreeMap<IpAddr, Verdict>,
    /// By destination: what may arrive at a pod.
    pub arriving: BTreeMap<IpAddr, Verdict>,
    /// What the verdicts name; pods with the same answer share one.
    pub groups: BTreeMap<String, Allowed>,
}

/// The first packet of a connection, after service addresses were replaced by those of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source.
    pub from: IpAddr,
    /// Destination.
    pub to: IpAddr,
    /// Protocol with the port of the destination; `None` for others, such as ICMP.
    pub port: Option<(Protocol, u16)>,
}

impl RuleSet {
    /// Whether a forwarded packet that opens a connection passes. (Those between a node and its own pods are not forwarded.)
    pub fn passes(&self, packet: &Packet) -> bool {
        if packet.from == packet.to && self.itself.contains(&packet.from) {
            return true;
        }
        let ours = |ip: IpAddr| self.ranges.iter().any(|net| net.contains(ip));
        let judged = |map: &BTreeMap<IpAddr, Verdict>, own: IpAddr, peer: IpAddr| match map.get(&own) {
            Some(Verdict::Open) => true,
            None | Some(Verdict::Closed) => false,
            Some(Verdict::Only(group)) => self.groups.get(group).is_some_and(|g| g.allows(peer, packet.port)),
        };
        // Of its own range it is this host itself, whose packets to its pods are not forwarded.
        if is_host(packet.from) && !ours(packet.from) {
            return true;
        }
        (!ours(packet.from) || judged(&self.leaving, packet.from, packet.to)) && (!ours(packet.to) || judged(&self.arriving, packet.to, packet.from))
    }
}
