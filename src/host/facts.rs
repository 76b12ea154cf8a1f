//! What the host is: asked once, read by pure functions.

use super::settings::CgroupVersion;
use crate::process::cgroup;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// An IPv4 address of the host that others could reach it by, and the link that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name of the link.
    pub link: String,
    /// The address.
    pub ip: Ipv4Addr,
}

/// The host's addresses on links that are up, without loopback and without those on its side of the pods' links.
pub fn addresses() -> Vec<Address> {
    all_addresses().into_iter().filter(|a| !crate::manifests::network::is_pod(a.ip)).collect()
}

/// Those of pods' links too.
pub fn all_addresses() -> Vec<Address> {
    use nix::net::if_::InterfaceFlags as Flag;
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let usable = all.filter(|i| i.flags.contains(Flag::IFF_UP) && !i.flags.contains(Flag::IFF_LOOPBACK));
    usable.filter_map(|i| Some(Address { ip: i.address?.as_sockaddr_in()?.ip(), link: i.interface_name })).collect()
}

/// The loopback link is up and has its address.
pub fn has_loopback() -> bool {
    use nix::net::if_::InterfaceFlags as Flag;
    let mut all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.any(|i| i.flags.contains(Flag::IFF_UP | Flag::IFF_LOOPBACK) && i.address.is_some_and(|a| a.as_sockaddr_in().is_some_and(|a| a.ip().is_loopback())))
}

/// The fields of the default route in the text of `/proc/net/route`: at least eight.
fn default_route(routes: &str) -> Option<Vec<&str>> {
    let mut fields = routes.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
    fields.find(|f| f.len() > 7 && f[1] == "00000000" && f[7] == "00000000")
}

/// The link of the default route in that text.
pub fn default_link(routes: &str) -> Option<String> {
    default_route(routes).map(|f| f[0].to_string())
}

/// The next host on the default route in that text; none where the link itself leads on.
pub fn gateway(routes: &str) -> Option<IpAddr> {
    // The kernel prints the number as it lies in memory.
    let raw = u32::from_str_radix(default_route(routes)?[2], 16).ok().filter(|n| *n != 0)?;
    Some(Ipv4Addr::from(raw.to_ne_bytes()).into())
}

/// The node's address: on the default route's link, otherwise the first there is.
pub fn choose_address(addresses: &[Address], default_link: Option<&str>) -> Option<Ipv4Addr> {
    let preferred = addresses.iter().find(|a| Some(a.link.as_str()) == default_link);
    preferred.or(addresses.first()).map(|a| a.ip)
}

/// The node's name made of a host name: lower case, what a DNS label may not hold becomes a hyphen.
pub fn node_name(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default().to_lowercase();
    let clean: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let clean = clean.trim_matches('-');
    if clean.is_empty() { "antihate-node".into() } else { clean.chars().take(63).collect() }
}

/// The host's name.
pub fn hostname() -> String {
    nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Control groups of this host.
pub fn cgroups() -> CgroupVersion {
    if cgroup::is_v2(Path::new(cgroup::MOUNT)) { CgroupVersion::V2 } else { CgroupVersion::V1 }
}

/// True when the text of `/proc/self/status` grants the effective capability with this number.
pub fn has_capability(status: &str, number: u32) -> bool {
    let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap_or("0").trim();
    u64::from_str_radix(hex, 16).is_ok_and(|bits| bits >> number & 1 == 1)
}

/// Number of CAP_SYS_ADMIN.
pub const SYS_ADMIN: u32 = 21;
/// Number of CAP_NET_ADMIN.
pub const NET_ADMIN: u32 = 12;
/// Number of CAP_SYS_RESOURCE.
pub const SYS_RESOURCE: u32 = 24;

/// Resolvers in the text of a `resolv.conf` that a pod can reach: those on the host's loopback are left out.
pub fn resolvers(text: &str) -> Vec<IpAddr> {
    let named = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver")?.split_whitespace().next()?.parse::<IpAddr>().ok());
    named.filter(|a| !a.is_loopback()).take(3).collect()
}

/// What a kubelet wants to find that may not set it itself.
const KERNEL: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"), ("vm/panic_on_oom", "0"), ("kernel/panic", "10"), ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"), ("kernel/keys/root_maxbytes", "25000000"),
];

/// True where the kernel's settings are already those that a kubelet wants.
pub fn kernel_protected() -> bool {
    KERNEL.iter().all(|(name, wanted)| std::fs::read_to_string(Path::new("/proc/sys").join(name)).is_ok_and(|is| is.trim() == *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_a_label() {
        assert_eq!(node_name("Leaf_01.example.org"), "leaf-01");
        assert_eq!(node_name("(none)"), "none");
        assert_eq!(node_name(""), "antihate-node");
    }

    #[test]
    fn the_default_routes_link_gives_the_address() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth1\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(default_link(routes).as_deref(), Some("eth1"));
        let at = |link: &str, n| Address { link: link.into(), ip: [10, 0, 0, n].into() };
        let all = [at("eth0", 1), at("eth1", 2)];
        assert_eq!(choose_address(&all, Some("eth1")), Some([10, 0, 0, 2].into()));
        assert_eq!(choose_address(&all, None), Some([10, 0, 0, 1].into()));
        assert_eq!(choose_address(&[], None), None);
    }

    #[test]
    fn the_gateway_is_read_from_the_kernel_s_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(gateway(table), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(gateway("Iface\tDestination\n"), None);
    }

    #[test]
    fn capabilities_are_read_from_the_kernels_words() {
        let status = "Name:\tx\nCapEff:\t000001fffeffffff\n";
        assert!(has_capability(status, SYS_ADMIN) && !has_capability(status, SYS_RESOURCE));
    }

    #[test]
    fn resolvers_on_the_loopback_are_left_out() {
        assert_eq!(resolvers("search a\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    }
}
