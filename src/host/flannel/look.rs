//! What the ways to the other hosts' pods are, from links and routes as they were found. Pure.

use crate::config::place::pod_network;
use crate::host::mesh::Member;
use crate::process::links::{Link, Route};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How another host's pods are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The other host is the next one on the way.
    Direct,
    /// Wrapped into packets to that host.
    Wrapped,
    /// Not yet, or not any more.
    Missing,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The link that wraps.
    pub link: Option<Link>,
    /// The other hosts, and how their pods are reached.
    pub ways: Vec<(String, Way)>,
    /// Routes that lead to nobody's pods.
    pub stale: Vec<Route>,
}

/// Whether a route is one of flannel's: to the pods of one host, by its link or by way of another host. No other program of the node
/// makes such ones, and the network of the pods is the cluster's alone.
pub fn is_ours(route: &Route, link: Option<&Link>) -> bool {
    let inside = (0..=u8::MAX).any(|index| pod_network(index) == route.to);
    inside && (route.gateway.is_some() || link.is_some_and(|l| l.index == route.link))
}

/// The ways of `own` to the others among `members`.
pub fn look(own: &Member, members: &[Member], link: Option<Link>, routes: &[Route]) -> Look {
    let others: Vec<&Member> = members.iter().filter(|m| m.name != own.name && m.index != own.index).collect();
    let way = |m: &&Member| match routes.iter().find(|r| r.to == pod_network(m.index)) {
        Some(r) if link.as_ref().is_some_and(|l| l.index == r.link) => Way::Wrapped,
        Some(r) if r.gateway == Some(m.address.into()) => Way::Direct,
        _ => Way::Missing,
    };
    let ways = others.iter().map(|m| (m.name.clone(), way(m))).collect();
    let wanted = |to: (IpAddr, u8)| others.iter().any(|m| pod_network(m.index) == to);
    let stale = routes.iter().filter(|r| is_ours(r, link.as_ref()) && !wanted(r.to)).cloned().collect();
    Look { link, ways, stale }
}

impl Look {
    /// In words.
    pub fn remark(&self) -> String {
        let count = |wanted: Way| self.ways.iter().filter(|(_, way)| *way == wanted).count();
        let missing: Vec<&str> = self.ways.iter().filter(|(_, way)| *way == Way::Missing).map(|(name, _)| name.as_str()).collect();
        let text = format!("open, not encrypted: {} of {} hosts directly, {} by VXLAN", count(Way::Direct), self.ways.len(), count(Way::Wrapped));
        if missing.is_empty() { text } else { format!("{text}; no way yet to {}", missing.join(", ")) }
    }
}

/// Which hosts had a way.
#[derive(Debug, Default)]
pub struct Seen(BTreeSet<String>);

impl Seen {
    /// The hosts that had a way and have none, which is told once.
    pub fn lost(&mut self, look: &Look) -> Option<String> {
        let has = |name: &String| look.ways.iter().any(|(n, way)| n == name && *way != Way::Missing);
        let lost: Vec<String> = self.0.iter().filter(|name| look.ways.iter().any(|(n, _)| n == *name) && !has(name)).cloned().collect();
        self.0 = look.ways.iter().filter(|(_, way)| *way != Way::Missing).map(|(name, _)| name.clone()).collect();
        (!lost.is_empty()).then(|| lost.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::links::Kind;
    use std::net::Ipv4Addr;

    fn member(name: &str, index: u8) -> Member {
        Member { name: name.into(), index, address: Ipv4Addr::new(192, 0, 2, 10 + index), mesh_key: String::new() }
    }

    fn route(index: u8, link: u32, gateway: Option<[u8; 4]>) -> Route {
        Route { to: pod_network(index), link, gateway: gateway.map(Into::into), source: None }
    }

    fn members() -> Vec<Member> {
        vec![member("leaf", 0), member("bark", 1), member("twig", 2), member("root", 3)]
    }

    const LINK: Link = Link { index: 7, kind: Kind::Vxlan, mtu: 1450, up: true };

    #[test]
    fn one_host_is_reached_directly_another_wrapped_and_what_leads_to_nobody_goes() {
        let other = Route { to: ([203, 0, 113, 0].into(), 24), link: 2, gateway: Some([192, 0, 2, 1].into()), source: None };
        let pods_link = Route { to: ([10, 42, 0, 9].into(), 32), link: 9, gateway: None, source: None };
        let routes = [route(1, 2, Some([192, 0, 2, 11])), route(2, 7, Some([10, 42, 2, 0])), route(9, 2, Some([192, 0, 2, 19])), route(8, 7, None), other, pods_link];
        let look = look(&members()[0], &members(), Some(LINK), &routes);
        assert_eq!(look.ways.iter().map(|(_, way)| *way).collect::<Vec<_>>(), [Way::Direct, Way::Wrapped, Way::Missing]);
        assert_eq!(look.stale.iter().map(|r| r.to).collect::<Vec<_>>(), [pod_network(9), pod_network(8)]);
        assert_eq!(look.remark(), "open, not encrypted: 1 of 3 hosts directly, 1 by VXLAN; no way yet to root");
    }

    #[test]
    fn a_host_that_has_moved_is_not_reached_by_its_old_address() {
        let look = look(&members()[0], &members(), Some(LINK), &[route(1, 2, Some([192, 0, 2, 99]))]);
        assert_eq!(look.ways[0], ("bark".into(), Way::Missing));
        assert!(look.stale.is_empty(), "flannel puts another one in its place");
    }

    #[test]
    fn a_way_that_was_there_and_is_missing_is_told_once_and_one_that_never_was_is_waited_for() {
        let at = |routes: &[Route], members: &[Member]| look(&members[0], members, Some(LINK), routes);
        let (all, mut seen) = (members(), Seen::default());
        let both = [route(1, 2, Some([192, 0, 2, 11])), route(2, 7, None)];
        assert_eq!(seen.lost(&at(&[], &all)), None);
        assert_eq!(seen.lost(&at(&both, &all)), None);
        assert_eq!(seen.lost(&at(&both[..1], &all)).as_deref(), Some("twig"));
        assert_eq!(seen.lost(&at(&both[..1], &all)), None);
        assert_eq!(seen.lost(&at(&both, &all)), None);
        assert_eq!(seen.lost(&at(&both[..1], &all[..2])), None, "a host that left");
    }
}
