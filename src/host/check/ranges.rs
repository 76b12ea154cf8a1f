//! Address ranges: whether somebody else uses the addresses of pods and services.

use super::asked::Asked;
use super::tree::{Tree, list};
use crate::host::facts::Address;
use crate::manifests::network::{POD_CIDR, SERVICE_CIDR};
use crate::status::check::{Check, Group};
use std::net::{IpAddr, Ipv4Addr};

const G: Group = Group::Ranges;

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    address: u32,
    mask: u32,
}

impl Net {
    fn parse(text: &str) -> Option<Net> {
        let (address, length) = text.split_once('/')?;
        let mask = u32::MAX.checked_shl(32 - length.parse::<u32>().ok()?).unwrap_or(0);
        Some(Net { address: address.parse::<Ipv4Addr>().ok()?.to_bits(), mask })
    }

    fn holds(self, ip: Ipv4Addr) -> bool {
        ip.to_bits() & self.mask == self.address
    }

    /// Either holds the other.
    fn meets(self, other: Net) -> bool {
        (self.address ^ other.address) & self.mask & other.mask == 0
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.address), self.mask.count_ones())
    }
}

/// What was found, without the node's own links.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The host's addresses.
    pub addresses: Vec<Address>,
    /// Ways that it knows, without the default one: link and network.
    pub routes: Vec<(String, Net)>,
    /// Gateways.
    pub gateways: Vec<Ipv4Addr>,
    /// Resolvers.
    pub resolvers: Vec<Ipv4Addr>,
}

/// Links that this node, or an earlier one, has made.
fn is_ours(link: &str) -> bool {
    link == "lo" || ["veth", "ah-", "antihate", "flannel.", "cni0", "kube-"].iter().any(|start| link.starts_with(start))
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let table = tree.text("proc/net/route");
    let number = |hex: &str| u32::from_str_radix(hex, 16).ok().map(u32::from_be);
    let rows: Vec<(String, u32, u32, u32)> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let f: Vec<&str> = line.split_whitespace().collect();
            Some((f.first()?.to_string(), number(f.get(1)?)?, number(f.get(2)?)?, number(f.get(7)?)?))
        })
        .filter(|(link, ..)| !is_ours(link))
        .collect();
    let named = tree.text("etc/resolv.conf");
    let resolvers = named.lines().filter_map(|l| l.trim().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
    Facts {
        addresses: asked.addresses.iter().filter(|a| !is_ours(&a.link)).cloned().collect(),
        routes: rows.iter().filter(|r| r.3 != 0).map(|r| (r.0.clone(), Net { address: r.1, mask: r.3 })).collect(),
        gateways: rows.iter().filter(|r| r.2 != 0).map(|r| Ipv4Addr::from_bits(r.2)).collect(),
        resolvers: resolvers.filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip) } else { None }).collect(),
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    const NEXT: &str = "Give that network other addresses: those of pods and services are fixed in this version.";
    let [pods, services] = [POD_CIDR, SERVICE_CIDR].map(|n| Net::parse(n).expect("a network"));
    let within = |net: Net| -> Vec<String> { f.addresses.iter().filter(|a| net.holds(a.ip)).map(|a| format!("{} on {}", a.ip, a.link)).collect() };
    let ways = |net: Net| -> Vec<String> { f.routes.iter().filter(|r| net.meets(r.1)).map(|(link, n)| format!("{n} on {link}")).collect() };
    let either = |all: &[Ipv4Addr]| -> Vec<String> { all.iter().filter(|ip| pods.holds(**ip) || services.holds(**ip)).map(Ipv4Addr::to_string).collect() };
    let check = |id, title, why, code: &str, clash: &[String], whose: &str| {
        let what = format!("{} lies within {whose}", list(clash));
        G.check(id, title, why, if clash.is_empty() { "no clash".into() } else { list(clash) }).warns(!clash.is_empty(), code, what, NEXT)
    };
    let (of_pods, of_services) = (format!("the pods' addresses ({POD_CIDR})"), format!("the services' addresses ({SERVICE_CIDR})"));
    let both = format!("the cluster's addresses ({POD_CIDR}, {SERVICE_CIDR})");
    const SAME: &str = "packets for it would go to pods or services, or theirs to it";
    vec![
        check("ranges.pods-address", "Own address and pods", SAME, "CHK-320", &within(pods), &of_pods),
        check("ranges.services-address", "Own address and services", SAME, "CHK-321", &within(services), &of_services),
        check("ranges.pods-way", "Other networks and pods", SAME, "CHK-322", &ways(pods), &of_pods),
        check("ranges.services-way", "Other networks and services", SAME, "CHK-323", &ways(services), &of_services),
        check("ranges.gateway", "Gateway", "pods could not leave the host through it", "CHK-324", &either(&f.gateways), &both),
        check("ranges.resolvers", "Resolvers", "names would be asked of a pod or a service", "CHK-325", &either(&f.resolvers), &both),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_meet_when_one_holds_the_other() {
        let net = |text: &str| Net::parse(text).unwrap();
        assert!(net("10.0.0.0/8").meets(net("10.42.0.0/16")) && net("10.42.3.0/24").meets(net("10.42.0.0/16")));
        assert!(!net("10.41.0.0/16").meets(net("10.42.0.0/16")) && net("10.42.0.0/16").holds([10, 42, 9, 1].into()));
        assert_eq!(net("192.0.2.0/24").to_string(), "192.0.2.0/24");
        assert!(is_ours("ah-1f") && !is_ours("eth0"));
    }
}
