//! Ports: those that the node listens on are free, and no other program is given one by chance.

use super::asked::Asked;
use super::tree::Tree;
use crate::host::settings::PORTS;
use crate::host::{flannel, mesh, render::etcd};
use crate::status::check::{Check, Group};

const G: Group = Group::Ports;
const WHY: &str = "a part of the node listens there";
const OURS: &str = "a node runs here: its ports are its own";
/// Ports of services that the whole network may reach.
const SERVICES: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// Port of the page where nobody names another.
pub const PAGE: u16 = 8443;

/// The names of the checks of [`PORTS`], by port.
const NAMES: [(u16, &str, &str); 8] = [
    (crate::join::PORT, "ports.join", "Port for joining hosts"),
    (6443, "ports.api", "Port of Kubernetes"),
    (10250, "ports.kubelet", "Port of the kubelet"),
    (10248, "ports.kubelet-health", "Port of the kubelet's health"),
    (10257, "ports.controllers", "Port of the controllers"),
    (10259, "ports.scheduler", "Port of the scheduler"),
    (10256, "ports.proxy-health", "Port of kube-proxy's health"),
    (10249, "ports.proxy-metrics", "Port of kube-proxy's metrics"),
];

/// TCP ports beside [`PORTS`] that are asked for, and UDP ports.
pub const FURTHER: [u16; 3] = [etcd::CLIENT_PORT, etcd::PEER_PORT, etcd::METRICS_PORT];
pub const UDP: [u16; 2] = [mesh::PORT, flannel::PORT];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// A node runs here.
    pub running: bool,
    /// TCP ports that others listen on, and UDP ports.
    pub taken: Vec<u16>,
    pub taken_udp: Vec<u16>,
    /// Port of the page.
    pub page: u16,
    /// Ports that the kernel gives to outgoing connections, and those that it keeps back.
    pub outgoing: (u16, u16),
    pub kept_back: String,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let range = tree.text("proc/sys/net/ipv4/ip_local_port_range");
    let mut ends = range.split_whitespace().filter_map(|n| n.parse().ok());
    Facts {
        running: asked.running,
        taken: asked.taken.clone(),
        taken_udp: asked.taken_udp.clone(),
        page: asked.page,
        outgoing: ends.next().zip(ends.next()).unwrap_or((32_768, 60_999)),
        kept_back: tree.text("proc/sys/net/ipv4/ip_local_reserved_ports"),
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    const END: &str = "End that program (`ss -ltnp` names it), or `antihate stop` if it is an earlier node.";
    let taken = |port: u16| f.taken.contains(&port);
    let seen = |bad: bool| if bad { "taken" } else { "free" };
    let who = |port: u16| PORTS.iter().find(|(p, _)| *p == port).map_or("", |(_, who)| who);
    let must = NAMES.map(|(port, id, title)| {
        let what = format!("taken port: {port} ({}): another program listens on it", who(port));
        G.check(id, title, WHY, format!("{port} {}", seen(taken(port)))).only_if(!f.running, OURS).fails(taken(port), "CHK-110", what, END)
    });
    let mut all = Vec::from(must);
    let etcd: Vec<String> = FURTHER.iter().filter(|p| taken(**p)).map(u16::to_string).collect();
    let udp = |port: u16| f.taken_udp.contains(&port);
    let [mesh, vxlan] = UDP;
    all.extend([
        G.check("ports.page", "Port of the page", "browsers reach the page there", format!("{} {}", f.page, seen(taken(f.page))))
            .only_if(!f.running, OURS)
            .warns(taken(f.page), "CHK-311", format!("port {} is taken, and the page has its place there", f.page), "End that program, or choose another place with `antihate up --page 0.0.0.0:PORT`."),
        G.check("ports.mesh", "Port of the mesh", "other hosts reach this one there", format!("{mesh} (UDP) {}", seen(udp(mesh))))
            .only_if(!f.running, OURS)
            .warns(udp(mesh), "CHK-312", format!("UDP port {mesh} is taken: no host can be joined"), "End that program before hosts are joined (`ss -lunp` names it)."),
        G.check("ports.vxlan", "Port of the open mode", "hosts in the open mode send pods' packets there", format!("{vxlan} (UDP) {}", seen(udp(vxlan))))
            .only_if(!f.running, OURS)
            .warns(udp(vxlan), "CHK-313", format!("UDP port {vxlan} is taken: no host can be joined in the open mode"), "Nothing has to be done unless `between = \"open\"` is set; then end that program (`ss -lunp` names it)."),
        G.check("ports.etcd", "Ports of further control planes", "with a second control plane the cluster's objects move to etcd", if etcd.is_empty() { "free".into() } else { format!("{} taken", etcd.join(", ")) })
            .only_if(!f.running, OURS)
            .warns(!etcd.is_empty(), "CHK-314", format!("taken ports: {}: no second control plane can be made", etcd.join(", ")), "End that program before `antihate node add --control` (`ss -ltnp` names it)."),
    ]);
    all.extend(outgoing(f));
    all
}

/// Whether the kernel may give a port to an outgoing connection that the node listens on.
fn outgoing(f: &Facts) -> [Check; 2] {
    let (first, last) = f.outgoing;
    let told = format!("{first} to {last}");
    let inside: Vec<u16> = NAMES.iter().map(|n| n.0).filter(|p| (first..=last).contains(p) && f.kept_back.is_empty()).collect();
    let services = first <= *SERVICES.end() && last >= *SERVICES.start() && f.kept_back.is_empty();
    const NEXT: &str = "Set it with `sysctl -w net.ipv4.ip_local_port_range='32768 60999'`, and for good in /etc/sysctl.d.";
    [
        G.check("ports.outgoing", "Ports of outgoing connections", "the kernel could give the port of a part of the node away before it starts", told.clone())
            .warns(!inside.is_empty(), "CHK-315", format!("outgoing connections take ports from {told}, ports of the node among them"), NEXT),
        G.check("ports.services", "Ports of services", "services that the network may reach have ports from 30000 to 32767", told.clone())
            .warns(services && inside.is_empty(), "CHK-316", format!("outgoing connections take ports from {told}, ports of services among them"), NEXT),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_components_has_a_check() {
        let mut named: Vec<u16> = NAMES.iter().map(|n| n.0).collect();
        let mut all: Vec<u16> = PORTS.iter().map(|p| p.0).collect();
        named.sort_unstable();
        all.sort_unstable();
        assert_eq!(named, all);
    }
}
