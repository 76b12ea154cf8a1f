//! Decides how the pods' packets travel between the hosts, as a value, and writes WireGuard's configuration. Pure.
//!
//! As flannel does it with WireGuard: a host's end of the mesh has the first address of its pods' range, each other host may send
//! from its own range and nothing else, and what goes to pods at all goes into the mesh.

use super::Member;
use crate::config::place::{Stack, mesh_address};
use crate::pki::mesh::is_key;
use std::net::{Ipv4Addr, SocketAddrV4};

/// UDP port of every host's end.
pub const PORT: u16 = 51820;
/// Bytes that encryption adds to a packet, at most.
const OVERHEAD: u32 = 80;
/// Largest packet of a pod: what fits through the mesh on an ordinary network.
pub const POD_MTU: u32 = 1500 - OVERHEAD;
/// No link carries less of IPv6, and none of IPv4 that matters.
const LEAST_MTU: u32 = 1280;
/// Seconds between two signs of life: a host that lost its keys of the hour is heard at once, not when somebody misses its answer.
const KEEPALIVE: u8 = 25;

/// What this host's end of the mesh is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Address of this host on the mesh.
    pub address: Option<Ipv4Addr>,
    /// The other hosts.
    pub peers: Vec<Peer>,
    /// Why some are left out.
    pub left_out: Vec<String>,
}

/// Another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Name of its node.
    pub name: String,
    /// Its public key.
    pub key: String,
    /// Where it listens.
    pub endpoint: SocketAddrV4,
    /// Its pods, and itself; a range for each family.
    pub ranges: Vec<String>,
}

/// The end of `own` among `members`. One without a key, or with the number or the key of another, takes no part: it must not
/// get what is meant for that one.
pub fn plan(own: &Member, members: &[Member], stack: Stack) -> Plan {
    let mut others: Vec<&Member> = members.iter().filter(|m| m.name != own.name).collect();
    others.sort_by(|a, b| (a.index, &a.name).cmp(&(b.index, &b.name)));
    let mut plan = Plan { address: Some(mesh_address(own.index)), ..Plan::default() };
    for m in &others {
        let alike = |o: &&&Member| o.name != m.name && (o.index == m.index || o.mesh_key == m.mesh_key);
        let rival = others.iter().find(alike).copied().or((m.index == own.index || m.mesh_key == own.mesh_key).then_some(own));
        match rival {
            _ if !is_key(&m.mesh_key) => plan.left_out.push(format!("{} has no key yet", m.name)),
            Some(rival) => plan.left_out.push(format!("{} has the number or the key of {}", m.name, rival.name)),
            None => plan.peers.push(Peer {
                name: m.name.clone(),
                key: m.mesh_key.clone(),
                endpoint: SocketAddrV4::new(m.address, PORT),
                ranges: stack.pod_ranges(m.index),
            }),
        }
    }
    plan
}

/// WireGuard's configuration, for `wg syncconf`.
pub fn render(plan: &Plan, private_key: &str) -> String {
    let head = format!("[Interface]\nPrivateKey = {private_key}\nListenPort = {PORT}\n");
    plan.peers.iter().fold(head, |text, p| {
        let (Peer { key, endpoint, .. }, ranges) = (p, p.ranges.join(", "));
        format!("{text}\n[Peer]\nPublicKey = {key}\nEndpoint = {endpoint}\nAllowedIPs = {ranges}\nPersistentKeepalive = {KEEPALIVE}\n")
    })
}

/// Largest packet of the mesh over a link that carries `underlay` bytes.
pub fn mtu(underlay: u32) -> u32 {
    underlay.saturating_sub(OVERHEAD).max(LEAST_MTU)
}

/// Seconds after which a host that did not agree on keys anew is away: WireGuard does it every two minutes, and gives up after
/// another minute and a half.
const SILENCE: i64 = 210;

/// The peers that were heard lately, by what `wg show LINK latest-handshakes` printed: a key and a time in seconds a line.
pub fn heard<'a>(plan: &'a Plan, listing: &str, now: i64) -> Vec<&'a str> {
    let lately = |line: &str| {
        let (key, at) = line.split_once('\t')?;
        let at: i64 = at.trim().parse().ok()?;
        (at > 0 && now - at < SILENCE).then(|| key.to_owned())
    };
    let keys: Vec<String> = listing.lines().filter_map(lately).collect();
    plan.peers.iter().filter(|p| keys.contains(&p.key)).map(|p| p.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn key(n: u8) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode([n; 32])
    }

    fn member(name: &str, index: u8) -> Member {
        Member { name: name.into(), index, address: Ipv4Addr::new(192, 0, 2, 10 + index), mesh_key: key(index + 1) }
    }

    fn golden(name: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mesh").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name} differs; UPDATE_GOLDEN=1 rewrites it");
    }

    #[test]
    fn the_plan_and_the_configuration_of_three_hosts_are_as_recorded() {
        let all = [member("leaf", 0), member("twig", 2), member("bark", 1)];
        let plan = plan(&all[0], &all, Stack::Ipv4);
        golden("plan.txt", &format!("{plan:#?}\n"));
        golden("wireguard.conf", &render(&plan, &key(9)));
        let dual = super::plan(&all[0], &all, Stack::Dual);
        golden("wireguard-dual.conf", &render(&dual, &key(9)));
    }

    #[test]
    fn a_host_that_is_alone_has_no_peers() {
        let own = member("leaf", 0);
        assert_eq!(plan(&own, &[own.clone()], Stack::Ipv4).peers, []);
    }

    #[test]
    fn nobody_takes_part_with_the_number_or_the_key_of_another() {
        let own = member("leaf", 0);
        let thief = Member { mesh_key: key(3), ..member("thief", 4) };
        let double = member("double", 0);
        let young = Member { mesh_key: "".into(), ..member("young", 5) };
        let all = [own.clone(), member("bark", 1), member("twig", 2), thief, double, young];
        let plan = plan(&own, &all, Stack::Ipv4);
        assert_eq!(plan.peers.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["bark"]);
        assert_eq!(plan.left_out, [
            "double has the number or the key of leaf", "twig has the number or the key of thief",
            "thief has the number or the key of twig", "young has no key yet",
        ]);
    }

    #[test]
    fn a_peer_is_heard_while_its_last_agreement_is_young() {
        let all = [member("leaf", 0), member("bark", 1), member("twig", 2)];
        let plan = plan(&all[0], &all, Stack::Ipv4);
        let listing = format!("{}\t{}\n{}\t0\n", key(2), 1000, key(3));
        assert_eq!(heard(&plan, &listing, 1100), ["bark"]);
        assert!(heard(&plan, &listing, 1000 + SILENCE).is_empty() && heard(&plan, "nonsense", 0).is_empty());
    }

    #[test]
    fn a_packet_of_the_mesh_fits_into_one_of_the_network_below() {
        assert_eq!((mtu(1500), mtu(9000), mtu(1300)), (1420, 8920, LEAST_MTU));
        assert_eq!(mtu(1500), POD_MTU);
    }
}
