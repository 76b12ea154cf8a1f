//! How packets of other hosts come, and the rules that follow: who may speak for whom, and who is seen as whom.

use super::net::Net;
use super::ruleset::{HOST, HOST6, HOST6_MASK, HOST_MASK};
use std::net::Ipv4Addr;

/// How packets of other hosts come, and what pods of the cluster are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Addresses of all pods of the cluster.
    pub cluster: Vec<Net>,
    /// What carries pods' packets between the hosts.
    pub between: Carrier,
}

/// What carries pods' packets between the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A link on which every packet is proved to be of the host whose pods it names.
    Mesh {
        /// Its name; it need not be there.
        link: String,
    },
    /// The network itself, or packets of it that wrap those of pods. Nothing is proved there: whoever can send on that network under
    /// the address of a host can send as its pods.
    Open {
        /// The link that wraps and unwraps; it need not be there.
        link: String,
        /// UDP port at which wrapped packets arrive.
        port: u16,
        /// The link of this host's own address.
        uplink: Option<String>,
        /// The other hosts.
        hosts: Vec<OtherHost>,
    },
}

/// Another host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherHost {
    /// Its address on the network.
    pub address: Ipv4Addr,
    /// Its pods.
    pub pods: Net,
}

pub(super) fn family(net: &Net) -> &'static str {
    if net.is_v6() { "ip6" } else { "ip" }
}

/// One set of several, as nft reads it.
fn set<T: ToString>(all: impl Iterator<Item = T>) -> String {
    format!("{{ {} }}", all.map(|one| one.to_string()).collect::<Vec<_>>().join(", "))
}

fn addresses(hosts: &[OtherHost]) -> String {
    set(hosts.iter().map(|h| h.address))
}

impl Ways {
    /// Nobody speaks for another: what comes by the way between hosts is of another host's pods or of that host itself, what comes by
    /// a pod's link (`veth...`) has the address to which that link leads, and pods' addresses come by no other link.
    pub(super) fn origin(&self, ranges: &[Net]) -> Vec<String> {
        let mut all = vec!["iifname \"lo\" accept".to_owned()];
        match &self.between {
            Carrier::Mesh { link } => {
                for net in &self.cluster {
                    let ip = family(net);
                    let own = ranges.iter().filter(|r| r.is_v6() == net.is_v6()).map(|r| format!(" {ip} saddr != {r}")).collect::<String>();
                    all.push(format!("iifname \"{link}\" {ip} saddr {net}{own} accept"));
                }
                all.push(format!("iifname \"{link}\" drop"));
            }
            Carrier::Open { hosts, .. } if hosts.is_empty() => {}
            Carrier::Open { link, port, hosts, .. } => {
                // Before it is unwrapped: only hosts wrap, and no pod of this one.
                all.push(format!("udp dport {port} fib daddr type local ip saddr != {} drop", addresses(hosts)));
                all.extend(hosts.iter().map(|h| format!("iifname \"{link}\" ip saddr {} accept", h.pods)));
                all.push(format!("iifname \"{link}\" drop"));
            }
        }
        all.push("iifname \"veth*\" meta nfproto ipv4 fib saddr . iif oif missing drop".into());
        // Neighbours are looked for under the address of a link, or none; such packets are not routed. In a cluster of IPv4 alone no
        // other IPv6 address leads to a pod's link, so that none may come by it.
        all.push("iifname \"veth*\" ip6 saddr != { ::, fe80::/10 } fib saddr . iif oif missing drop".into());
        all.push("iifname \"veth*\" accept".into());
        if let Carrier::Open { uplink, hosts, .. } = &self.between {
            let pods = set(hosts.iter().map(|h| h.pods));
            let known = hosts.first().map(|_| format!("ip saddr {pods}"));
            all.extend(known.iter().zip(uplink).map(|(known, uplink)| format!("iifname \"{uplink}\" {known} accept")));
            // A host with several links: by the one that leads there.
            all.extend(known.map(|known| format!("{known} fib saddr . iif oif exists accept")));
        }
        all.extend(self.cluster.iter().map(|net| format!("{} saddr {net} drop", family(net))));
        all
    }

    /// What nobody but the hosts themselves may send to each other: a pod that wraps packets could be any other.
    pub(super) fn forward(&self) -> Option<String> {
        match &self.between {
            Carrier::Open { port, hosts, .. } if !hosts.is_empty() => Some(format!("udp dport {port} ip daddr {} drop", addresses(hosts))),
            _ => None,
        }
    }

    /// Another host itself, as its own pods' host: by the first address of that host's range, or by its own.
    pub(super) fn onward(&self) -> Vec<String> {
        let by = |link: &str| format!("iifname \"{link}\" ip saddr & {HOST_MASK} == {HOST} accept");
        let by6 = |link: &str| format!("iifname \"{link}\" ip6 saddr & {HOST6_MASK} == {HOST6} accept");
        match &self.between {
            Carrier::Mesh { link } if self.cluster.iter().any(Net::is_v6) => vec![by(link), by6(link)],
            Carrier::Mesh { link } => vec![by(link)],
            Carrier::Open { hosts, .. } if hosts.is_empty() => Vec::new(),
            Carrier::Open { link, hosts, .. } => vec![by(link), format!("ip saddr {} accept", addresses(hosts))],
        }
    }

    /// Pods have this host's address outside the cluster; among pods everybody is seen as who he is.
    pub(super) fn hide(&self, ranges: &[Net]) -> Vec<String> {
        let many = |v6| if v6 { "ff00::/8" } else { "224.0.0.0/4" };
        let rule = |r: &Net| {
            let inside = self.cluster.iter().filter(|n| n.is_v6() == r.is_v6()).map(|n| format!("{n}, ")).collect::<String>();
            format!("{0} saddr {r} {0} daddr != {{ {inside}{1} }} oifname != \"lo\" masquerade fully-random", family(r), many(r.is_v6()))
        };
        ranges.iter().map(rule).collect()
    }
}
