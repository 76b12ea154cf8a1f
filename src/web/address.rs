//! The names and addresses under which this host is reached.

use nix::sys::socket::SockaddrStorage;
use std::net::IpAddr;

/// Interfaces that belong to containers or to the cluster: nobody opens the page through them.
const INNER: &[&str] = &["antihate-", "ah-mesh", "ahm-", "cni", "veth", "docker", "br-", "kube", "flannel", "virbr", "podman", "lxc", "cali", "tunl"];

/// Addresses of the interfaces that are up, without loopback, link-local and inner ones.
pub fn local_addresses() -> Vec<IpAddr> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<IpAddr> = all
        .filter_map(|i| ip(&i.address?).filter(|ip| is_outer(&i.interface_name, *ip)))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The IP address that the kernel tells of a link, if it is one.
pub fn ip(told: &SockaddrStorage) -> Option<IpAddr> {
    let v6 = || told.as_sockaddr_in6().map(|a| a.ip().into());
    told.as_sockaddr_in().map(|a| a.ip().into()).or_else(v6)
}

/// Whether others reach this host by this address of this link.
pub fn is_outer(link: &str, ip: IpAddr) -> bool {
    is_outer_link(link) && worth_telling(ip)
}

/// Whether a link of this name leads out of the host.
pub fn is_outer_link(name: &str) -> bool {
    name != "lo" && !INNER.iter().any(|inner| name.starts_with(inner))
}

fn worth_telling(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// The host's own name in lower case, without a domain; empty when it has none that can stand in a certificate.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_default().to_lowercase();
    let short = name.split('.').next().unwrap_or_default().to_owned();
    if is_label(&short) { short } else { String::new() }
}

/// Whether a text is one DNS label: letters, digits and inner hyphens, 1 to 63 of them.
pub fn is_label(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (1..=63).contains(&text.len()) && plain && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_link_local_addresses_are_not_told() {
        for inner in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0"] {
            assert!(!worth_telling(inner.parse().expect("address")), "{inner}");
        }
        assert!(worth_telling("192.0.2.17".parse().expect("address")));
    }

    #[test]
    fn only_plain_labels_become_names() {
        assert!(is_label("node-7f3a"));
        for bad in ["", "-a", "a-", "a b", "a.b", "a\u{e9}", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}
