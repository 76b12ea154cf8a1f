//! The links that lead out of this host, with their addresses; those of pods and containers are left out before anything is asked of them.

use crate::web::address::{ip, is_outer_link};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// It has a carrier and is switched on.
    pub up: bool,
    /// Megabits a second, where the driver tells.
    pub speed: Option<u32>,
    /// Its hardware address.
    pub mac: String,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
}

/// All of them, by name.
pub fn all(sys: &Path) -> Vec<Link> {
    let mut addresses = addresses();
    let names = std::fs::read_dir(sys).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
    let mut links: Vec<Link> = names.filter(|n| is_outer_link(n) && sys.join(n).join("operstate").exists()).map(|name| link(sys, name, &mut addresses)).collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links
}

fn link(sys: &Path, name: String, addresses: &mut BTreeMap<String, Vec<String>>) -> Link {
    let read = |file: &str| std::fs::read_to_string(sys.join(&name).join(file)).unwrap_or_default().trim().to_owned();
    // Links that are made of software say "unknown" and carry all the same.
    let up = matches!(read("operstate").as_str(), "up" | "unknown");
    Link { up, speed: read("speed").parse().ok().filter(|s| *s > 0), mac: read("address"), addresses: addresses.remove(&name).unwrap_or_default(), name }
}

fn addresses() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for i in nix::ifaddrs::getifaddrs().into_iter().flatten().filter(|i| is_outer_link(&i.interface_name)) {
        let length = |mask: IpAddr| match mask {
            IpAddr::V4(v4) => v4.to_bits().count_ones(),
            IpAddr::V6(v6) => v6.to_bits().count_ones(),
        };
        let mask = i.netmask.as_ref().and_then(ip).map(length);
        if let Some(ip) = i.address.as_ref().and_then(ip) {
            found.entry(i.interface_name).or_default().push(mask.map_or_else(|| ip.to_string(), |length| format!("{ip}/{length}")));
        }
    }
    found
}

impl Link {
    /// `eth0 up, 10 Gb/s`.
    pub fn sentence(&self) -> String {
        let state = if self.up { "up" } else { "DOWN" };
        let speed = self.speed.map(|s| if s >= 1000 { format!(", {} Gb/s", f64::from(s) / 1000.0) } else { format!(", {s} Mb/s") });
        format!("{} {state}{}", self.name, speed.unwrap_or_default())
    }

    /// It has an address by which others reach it.
    pub fn is_addressed(&self) -> bool {
        self.addresses.iter().any(|a| !a.starts_with("fe80") && !a.starts_with("169.254."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_pods_and_containers_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["x-eth9", "veth12", "cni0", "lo", "ah-mesh"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("operstate"), "down\n").unwrap();
        }
        std::fs::write(dir.path().join("x-eth9/speed"), "10000\n").unwrap();
        let found = all(dir.path());
        assert_eq!(found.iter().map(Link::sentence).collect::<Vec<_>>(), ["x-eth9 DOWN, 10 Gb/s"]);
    }
}
