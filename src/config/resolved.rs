//! Settings with the host's facts: all that rendering needs, and no secret.

use super::place::Stack;
use super::sizes::Sizes;
use super::valid::Valid;
use std::net::IpAddr;
use std::path::PathBuf;

/// What only the host knows; read by the host role, never here.
#[derive(Clone, Debug, PartialEq)]
pub struct HostFacts {
    /// The host's own name, used where the settings name no node.
    pub hostname: String,
    /// Cores that may be used, in thousandths.
    pub cpu_millis: u32,
    /// Memory that may be used, in bytes.
    pub memory_bytes: u64,
    /// Size of the file system that holds the data root, in bytes.
    pub disk_bytes: u64,
    /// Resolvers of the host; empty where there are none.
    pub resolvers: Vec<IpAddr>,
    /// The data root.
    pub data: PathBuf,
}

impl HostFacts {
    /// A host of 2 cores and 8 GiB without resolvers: the smallest that is meant to carry a node. For tests and for printing.
    pub fn example() -> HostFacts {
        HostFacts {
            hostname: "leaf-1".into(),
            cpu_millis: 2000,
            memory_bytes: 8 * super::GIB,
            disk_bytes: 64 * super::GIB,
            resolvers: Vec::new(),
            data: PathBuf::from(super::layout::DEFAULT_DATA),
        }
    }
}

/// Everything that rendering needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The checked settings.
    pub settings: Valid,
    /// The host's facts.
    pub host: HostFacts,
    /// The sizes that follow from the host.
    pub sizes: Sizes,
    /// The host on which the stack's data lie, where there are others; nothing while it is alone.
    pub home: Option<String>,
    /// Which families of addresses pods and services have.
    pub stack: Stack,
}

impl Resolved {
    /// Puts settings and facts together.
    pub fn new(settings: Valid, host: HostFacts) -> Resolved {
        let sizes = Sizes::of(host.cpu_millis, host.memory_bytes, host.disk_bytes);
        let stack = settings.network.stack.unwrap_or_default();
        Resolved { settings, host, sizes, home: None, stack }
    }

    /// The node's name: as set, otherwise made from the host's name.
    pub fn node_name(&self) -> String {
        self.settings.node.name.clone().unwrap_or_else(|| name_of(&self.host.hostname))
    }

    /// The geography, or the word that says that none is set.
    pub fn geography(&self) -> &str {
        self.settings.node.geography.as_deref().unwrap_or("unassigned")
    }
}

/// Makes a valid node name out of any host name.
fn name_of(hostname: &str) -> String {
    let lower = hostname.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let plain: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let trimmed = plain.trim_matches('-');
    if trimmed.is_empty() { "antihate-node".into() } else { trimmed.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_is_made_from_any_host_name() {
        for (host, name) in [("Leaf_1.example.org", "leaf-1"), ("", "antihate-node"), ("--", "antihate-node"), ("ß", "antihate-node"), ("vm", "vm")] {
            assert_eq!(name_of(host), name, "{host:?}");
        }
    }
}
