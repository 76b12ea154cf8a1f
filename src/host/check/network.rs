//! Network: addresses, ways, links, and what others do to packets.

use super::asked::Asked;
use super::ceiling::Ceiling;
use super::tree::{Tree, known, list};
use crate::host::facts::{Address, choose_address, default_link};
use crate::manifests::network::is_pod;
use crate::status::check::{Check, Group};

const G: Group = Group::Network;
/// Limits of the kernel for packets and connections.
const LIMITS: [Ceiling; 3] = [
    Ceiling { file: "net/netfilter/nf_conntrack_max", named: ("network.connections", "Connections", "each connection through a service takes a place in the kernel's table"), least: 65_536, told: ("CHK-298", "the kernel remembers {} connections"), enough: 262_144 },
    Ceiling { file: "net/ipv4/neigh/default/gc_thresh3", named: ("network.neighbours", "Neighbours", "each pod is a neighbour"), least: 512, told: ("CHK-299", "the kernel remembers {} neighbours"), enough: 4_096 },
    Ceiling { file: "net/core/somaxconn", named: ("network.waiting", "Connections that wait", "queue and database are asked by many at once"), least: 128, told: ("CHK-304", "{} connections may wait to be taken"), enough: 4_096 },
];
/// The mesh wraps packets: smaller ones than this would be cut in pieces.
const PACKET: u64 = 1400;
/// Megabits a second.
const SPEED: u64 = 100;
/// One packet in so many may be damaged.
const DAMAGED: u64 = 1000;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Addresses that others could reach the host by.
    pub addresses: Vec<Address>,
    /// The operator names the address.
    pub given: bool,
    /// The link of the default route.
    pub way: Option<String>,
    /// `lo` is up and has its address.
    pub loopback: bool,
    /// Packets are handed on, or this can be switched on.
    pub forwards: bool,
    /// Largest packet and speed of the node's link, and its name.
    pub link: (String, Option<u64>, Option<u64>),
    /// Packets and damaged ones of that link.
    pub packets: (u64, u64),
    /// Packets are dropped that came another way than the answer would go.
    pub strict: bool,
    /// What each of [`LIMITS`] allows.
    pub limits: [Option<u64>; LIMITS.len()],
    /// Tables of the old packet filter.
    pub old_filter: Vec<String>,
    /// Docker's engine runs, firewalld or ufw is on.
    pub docker: bool,
    pub firewall: Vec<&'static str>,
    /// The host's name.
    pub hostname: String,
}

/// Reads them.
pub fn read(tree: &Tree, asked: &Asked) -> Facts {
    let addresses: Vec<Address> = asked.addresses.iter().filter(|a| !is_pod(a.ip)).cloned().collect();
    let way = default_link(&tree.text("proc/net/route"));
    let chosen = choose_address(&addresses, way.as_deref());
    let link = addresses.iter().find(|a| Some(a.ip) == chosen).map(|a| a.link.clone()).unwrap_or_default();
    let of_link = |file: &str| tree.number(&format!("sys/class/net/{link}/{file}")).filter(|_| !link.is_empty());
    let line = tree.text("proc/net/dev").lines().find_map(|l| l.trim().strip_prefix(&link)?.strip_prefix(':').map(str::to_owned)).unwrap_or_default();
    let counts: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let count = |at: usize| counts.get(at).copied().unwrap_or(0);
    let set = |name: &str| tree.number(&format!("proc/sys/net/{name}"));
    let ufw = tree.text("etc/ufw/ufw.conf").lines().any(|l| l.trim() == "ENABLED=yes");
    Facts {
        given: asked.address_given,
        loopback: asked.loopback,
        forwards: asked.forwarding_settable || set("ipv4/ip_forward") == Some(1),
        packets: (count(1) + count(9), count(2) + count(10)),
        strict: set("ipv4/conf/all/rp_filter") == Some(1),
        limits: LIMITS.each_ref().map(|limit| limit.read(tree)),
        old_filter: tree.text("proc/net/ip_tables_names").split_whitespace().map(String::from).collect(),
        docker: tree.has("run/docker.pid"),
        firewall: [("firewalld", tree.has("run/firewalld")), ("ufw", ufw)].into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect(),
        hostname: asked.hostname.clone(),
        link: (link.clone(), of_link("mtu"), of_link("speed")),
        addresses,
        way,
    }
}

/// Judges them.
pub fn judge(f: &Facts) -> Vec<Check> {
    let mut all = ways(f);
    all.extend(link(f));
    all.extend(others(f));
    all
}

fn ways(f: &Facts) -> Vec<Check> {
    let told: Vec<String> = f.addresses.iter().map(|a| format!("{} on {}", a.ip, a.link)).collect();
    let any = f.given || !f.addresses.is_empty();
    let own = !f.addresses.is_empty() && f.addresses.iter().all(|a| a.ip.is_link_local());
    let candidates = f.addresses.iter().filter(|a| f.way.as_ref().is_none_or(|way| *way == a.link)).count();
    let unclear = !f.given && candidates > 1;
    let nameless = ["", "localhost", "(none)", "localhost.localdomain"].contains(&f.hostname.as_str());
    vec![
        G.check("network.address", "Network address", "browsers, other hosts and the node's own parts reach it by one", list(&told))
            .fails(!any, "CHK-106", "this host has no network address: no link is up with an IPv4 address", "Bring a link up, or name an address with --node-ip."),
        G.check("network.loopback", "Loopback", "the node's parts speak to each other over 127.0.0.1", if f.loopback { "up" } else { "down" })
            .fails(!f.loopback, "CHK-293", "the link `lo` is down or has no address", "Run `ip link set lo up`."),
        G.check("network.forwarding", "Handing packets on", "packets of pods pass through the host", if f.forwards { "possible" } else { "not possible" })
            .fails(!f.forwards, "CHK-290", "packets are not handed on, and that cannot be switched on (net.ipv4.ip_forward is read-only)", "Run on the host itself, not in a container; or run `sysctl -w net.ipv4.ip_forward=1` outside."),
        G.check("network.way-out", "Way out", "observers reach the sources on it; without one only files and feeds of the own network are observed", f.way.clone().unwrap_or_else(|| "none".into()))
            .warns(f.way.is_none(), "CHK-291", "there is no default route", "Nothing has to be done on a site without internet. Otherwise set a gateway."),
        G.check("network.chosen", "One address of several", "other hosts and browsers must know the address that was chosen", list(&told))
            .warns(unclear, "CHK-292", format!("several addresses can be meant and the first is taken ({})", list(&told)), "Name the right one with --node-ip."),
        G.check("network.own-address", "Address that was given out", "an address that the host made up itself changes, and no router knows it", list(&told))
            .warns(own, "CHK-305", "the host has only addresses that it made up itself (169.254.0.0/16)", "See that the network's DHCP server answers, or set a fixed address."),
        G.check("network.name", "Name of the host", "the node is called by it; two hosts of one cluster need two names", f.hostname.clone())
            .warns(nameless, "CHK-303", "the host has no name of its own", "Set one with `hostnamectl set-hostname NAME`, or name the node with --name."),
    ]
}

fn link(f: &Facts) -> Vec<Check> {
    let (name, packet, speed) = &f.link;
    let (all, damaged) = f.packets;
    vec![
        G.check("network.packets", "Size of packets", "traffic between hosts is wrapped and needs room in each packet", known(*packet))
            .warns(packet.is_some_and(|n| n < PACKET), "CHK-294", format!("the link {name} carries packets of {} bytes at most", known(*packet)), "Set it with `ip link set LINK mtu 1500` where the network allows it; otherwise several hosts will be slow."),
        G.check("network.speed", "Speed of the link", "images, posts and traffic between hosts pass through it", speed.map_or_else(|| known(None), |n| format!("{n} Mb/s")))
            .warns(speed.is_some_and(|n| n < SPEED), "CHK-295", format!("the link {name} runs at {} Mb/s", known(*speed)), "Look at cable and switch; both ends should agree by themselves."),
        G.check("network.damaged", "Damaged packets", "every damaged packet is sent again, late", format!("{damaged} of {all}"))
            .warns(damaged > 100 && damaged * DAMAGED > all, "CHK-296", format!("{damaged} of {all} packets on {name} were damaged"), "Exchange cable or port; `ip -s link` shows which end counts."),
    ]
}

fn others(f: &Facts) -> Vec<Check> {
    let mut all = vec![
        G.check("network.reverse-path", "Check of the way back", "packets of pods and of joined hosts may come by another link than the answer takes", if f.strict { "strict" } else { "loose or off" })
            .warns(f.strict, "CHK-297", "the kernel drops packets that came by another link (rp_filter is 1)", "Set it with `sysctl -w net.ipv4.conf.all.rp_filter=2`, and for good in /etc/sysctl.d."),
    ];
    all.extend(LIMITS.iter().zip(f.limits).map(|(limit, found)| limit.judge(G, found)));
    all.extend([
        G.check("network.old-filter", "Old packet filter", "rules of the old filter (iptables-legacy) are applied beside ours and may drop pods' packets", list(&f.old_filter))
            .warns(!f.old_filter.is_empty(), "CHK-300", format!("the old packet filter has tables: {}", list(&f.old_filter)), "See with `iptables-legacy -S` what they do; remove what nobody needs."),
        G.check("network.docker", "Docker", "it drops packets that pass through the host unless a rule allows them, those of pods too", if f.docker { "runs" } else { "does not run" })
            .warns(f.docker, "CHK-301", "Docker runs on this host", "If pods do not reach each other: `iptables -I DOCKER-USER -s 10.42.0.0/16 -j ACCEPT`, and the same with -d; or take Docker off this host."),
        G.check("network.firewall", "Other firewalls", "they drop what they do not know, and reload their rules at any time", list(&f.firewall))
            .warns(!f.firewall.is_empty(), "CHK-302", format!("a firewall is on: {}", list(&f.firewall)), "Let it pass 10.42.0.0/16 and 10.43.0.0/16, and port 8443 for the page; or switch it off: the node has rules of its own."),
    ]);
    all
}
